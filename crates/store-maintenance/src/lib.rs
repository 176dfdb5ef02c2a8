//! The timetable of stored: one file per job.
