//! The log lines of the suite: the original's form or JSON, rotated files.
