//! Parameters of the mail filters (milters). The `*` is the name that a list of filters calls one by.

parameters! {
    FILTERS: List = "local.service.smtp.milters", "", 0, 0, false, NextConnection, Status::Active, "smtpd", "Names of the mail filters (milters) that see mail by SMTP, in their order; each has an address, local.service.smtp.milter.NAME.address. Ours.";
    SUBMISSION_FILTERS: List = "local.service.smtp.submissionmilters", "", 0, 0, false, NextConnection, Status::Active, "smtpd", "The filters of the submission ports, when they are others than milters says; 'none' is none. Ours.";
    ADDRESS: MilterAddress = "local.service.smtp.milter.*.address", "", 0, 0, false, NextConnection, Status::Active, "smtpd", "Where a filter listens: inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH. Ours.";
    CONNECT_TIMEOUT: Seconds = "local.service.smtp.milter.*.connecttimeout", "10", 1, 3600, false, NextConnection, Status::Active, "smtpd", "How long connecting to a filter may take. Ours.";
    COMMAND_TIMEOUT: Seconds = "local.service.smtp.milter.*.commandtimeout", "30", 1, 3600, false, NextConnection, Status::Active, "smtpd", "How long a filter may take for each step before the message. Ours.";
    MESSAGE_TIMEOUT: Seconds = "local.service.smtp.milter.*.messagetimeout", "300", 1, 3600, false, NextConnection, Status::Active, "smtpd", "How long a filter may take for a message, and again for its verdict (four times as long while it reports progress). Ours.";
    DEFAULT_ACTION: MilterAction = "local.service.smtp.milter.*.defaultaction", "tempfail", 0, 0, false, NextConnection, Status::Active, "smtpd", "What becomes of mail when a filter fails: accept (as if it were not there), tempfail, reject or quarantine (taken and held). Ours.";
    REUSE: Switch = "local.service.smtp.milter.*.reuse", "no", 0, 1, false, NextConnection, Status::Active, "smtpd", "Whether a connection to a filter is kept for the next client (SMFIC_QUIT_NC); the filter must be able to do that. Ours.";
}
