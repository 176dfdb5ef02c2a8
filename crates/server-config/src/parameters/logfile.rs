//! Parameters of the logs, one family for each service.

parameters! {
    LOG_DIR: Text = "logfile.*.logdir", "", 0, 0, false, Restart, Status::Active, "all daemons", "The folder of the log; unset is log/<service>.";
    LOG_LEVEL: LogLevel = "logfile.*.loglevel", "Notice", 0, 0, false, Now, Status::Active, "all daemons", "Critical, Error, Warning, Notice, Information or Debug.";
    LOG_TYPE: LogType = "logfile.*.logtype", "file", 0, 0, false, Restart, Status::Active, "all daemons", "file or syslog.";
    FORMAT: LogFormat = "logfile.*.format", "text", 0, 0, false, Now, Status::Active, "all daemons", "text: the original's lines; json: one JSON object a line. Ours.";
    MAX_LOG_FILES: Count = "logfile.*.maxlogfiles", "10", 1, 100000, false, Now, Status::Active, "all daemons", "Files kept; 1000 of the audit log.";
    MAX_LOG_FILE_SIZE: Bytes = "logfile.*.maxlogfilesize", "2097152", 1024, i64::MAX, false, Now, Status::Active, "all daemons", "The size at which a new file is begun; 16 MiB of the audit log.";
    MAX_LOG_SIZE: Bytes = "logfile.*.maxlogsize", "20971520", 1024, i64::MAX, false, Now, Status::Active, "all daemons", "The size of all files together; 1 GiB of the audit log.";
    MIN_FREE_DISK_SPACE: Bytes = "logfile.*.minfreediskspace", "5242880", 0, i64::MAX, false, Now, Status::Active, "all daemons", "Free bytes below which nothing is logged.";
    ROLLOVER_TIME: Seconds = "logfile.*.rollovertime", "86400", 1, 315360000, false, Now, Status::Active, "all daemons", "The age at which a new file is begun; 30 days of the audit log.";
    EXPIRY_TIME: Seconds = "logfile.*.expirytime", "604800", 1, 315360000, false, Now, Status::Active, "all daemons", "The age at which a file is deleted; 400 days of the audit log.";
    BUFFER_SIZE: Bytes = "logfile.*.buffersize", "0", 0, i64::MAX, false, Restart, Status::Ignored("each line is one write"), "nobody", "Write buffering.";
    FLUSH_INTERVAL: Seconds = "logfile.*.flushinterval", "60", 0, 86400, false, Restart, Status::Ignored("each line is one write"), "nobody", "Write buffering.";
}
