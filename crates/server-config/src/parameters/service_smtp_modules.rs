//! Parameters of smtpd's modules that later parts of the suite will read.

parameters! {
    ALT_QUEUES: Text = "service.smtp.altqueues", "", 0, 0, false, Restart, Status::NotYet("several queue folders"), "smtpd", "Folders over which the queue is spread.";
    DO_CANONICALIZE: Switch = "service.smtp.docanonicalize", "no", 0, 1, false, Restart, Status::NotYet("envelope rewriting"), "smtpd", "Whether a sender without a domain gets one.";
    DO_CLIENT_DNS: Switch = "service.smtp.doclientdnslookup", "no", 0, 1, false, Restart, Status::NotYet("DNS"), "smtpd", "Whether the name given in EHLO is looked up.";
    DO_DSN: Switch = "service.smtp.dodsn", "yes", 0, 1, false, NextConnection, Status::Active, "smtpd", "Whether DSN is offered (RFC 3461).";
    DOMAIN_ALLOWED: AllowFilters = "service.smtp.domainallowed", "", 0, 0, false, NextConnection, Status::Active, "smtpd", "The clients that are let in: [services:]addresses, networks, names; $ between filters. Alone it keeps everybody else out.";
    DOMAIN_NOT_ALLOWED: DenyFilters = "service.smtp.domainnotallowed", "", 0, 0, false, NextConnection, Status::Active, "smtpd", "The clients that are turned away, unless they are among those that are let in.";
    NEGATIVE_HOST_ATTR: Text = "service.smtp.negativehostattr", "", 0, 0, false, Restart, Status::NotYet("relaying"), "smtpd", "Attributes that tell a mail client from a mail server.";
    VERIFY_RCPTS: Switch = "service.smtp.verifyrcpts", "yes", 0, 1, false, Restart, Status::Active, "smtpd", "Whether each RCPT is looked up in the directory.";
    CLEAR_CONTROL_INTERVAL: Count = "service.smtp.clearcontrolinterval", "0", 0, 1000000000, false, Restart, Status::Ignored("no longer used in 4.x"), "smtpd", "Never used.";
    CLEAR_CONTROL_SAFE_TIME: Count = "service.smtp.clearcontrolsafetime", "0", 0, 1000000000, false, Restart, Status::Ignored("no longer used in 4.x"), "smtpd", "Never used.";
    COUNTER_DELTA_TIME: Seconds = "service.smtp.counterdeltatime", "60", 1, 86400, false, Restart, Status::NotYet("counters"), "smtpd", "The interval at which counters are sampled.";
    NETWORK_MIN_RUN_COUNT: Count = "service.smtp.networkdefaultminruncount", "20", 1, 10000, false, Restart, Status::NotYet("the remaining modules"), "smtpd", "Worker threads of a network module that sets nothing.";
    LOCAL_MIN_RUN_COUNT: Count = "service.smtp.localdefaultminruncount", "4", 1, 10000, false, Restart, Status::NotYet("the remaining modules"), "smtpd", "Worker threads of a local module that sets nothing.";
    HIDE_HOST_NAME: Switch = "service.smtp.smtp-accept.hidehostname", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether generated Message-IDs hide the name of this host.";
    ADD_DELIVERED_TO: Switch = "service.smtp.smtp-router.adddeliveredto", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether the original address is recorded in a header.";
    ENVELOPE_REWRITE: Count = "service.smtp.smtp-router.enveloperewritemethod", "1", 1, 7, false, Restart, Status::Active, "smtpd", "Sum of 1 local part at mailHost, 2 uid at mailHost, 4 the routing attribute.";
    ROUTING_ATTRIBUTE: Text = "service.smtp.smtp-router.routingattribute", "mailRoutingAddress", 0, 0, false, Restart, Status::Active, "smtpd", "The attribute that bit 4 of enveloperewritemethod uses.";
    FALLBACK_SEARCH: Count = "service.smtp.smtp-router.fallbacksearchmethod", "3", 1, 7, false, Restart, Status::NotYet("fallback searches"), "smtpd", "Sum of 1 local part is a uid, 2 without the host name, 4 vanity domains.";
    ROUTER_MAX_RECIPIENTS: Count = "service.smtp.smtp-router.maxrecipients", "500", 1, 1000000, false, Restart, Status::Active, "smtpd", "Recipients of one control file; a larger expansion is split.";
    NESTED_GROUPS: Switch = "service.smtp.smtp-router.nestedgroups", "yes", 0, 1, false, Restart, Status::Active, "all daemons", "Whether groups inside dynamic groups are expanded.";
    REWRITE_TO_CC: Text = "service.smtp.smtp-router.rewritetocc", "True, True", 0, 0, false, Restart, Status::Active, "smtpd", "Which of To and Cc are rewritten.";
    REMOTE_PORT: Port = "local.service.smtp.smtp-deliver.port", "25", 1, 65535, false, Restart, Status::Active, "smtpd", "The port of other mail servers. Ours.";
    REMOTE_STARTTLS: Switch = "local.service.smtp.smtp-deliver.starttls", "yes", 0, 1, false, Restart, Status::Active, "smtpd", "Whether mail is sent over TLS to servers that offer it (RFC 7435). Ours.";
    MAX_CONNECTIONS: Count = "local.service.smtp.smtp-deliver.maxconnections", "20", 1, 10000, false, Restart, Status::Active, "smtpd", "Connections to one other server at once. Ours.";
    REMOTE_RECIPIENTS: Count = "local.service.smtp.smtp-deliver.maxrecipients", "100", 1, 10000, false, Restart, Status::Active, "smtpd", "Recipients of one transaction with another server (RFC 5321 4.5.3.1.8). Ours.";
    TOGETHER: Switch = "local.service.smtp.smtp-router.together", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether recipients of several domains whose next hop is the same go in one transaction. Ours.";
    ALWAYS_QUEUE: Switch = "service.smtp.smtp-deliver.alwaysqueue", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether remote mail is only queued.";
    USE_MX: Switch = "service.smtp.smtp-deliver.usemx", "yes", 0, 1, false, Restart, Status::Active, "smtpd", "Whether MX records are used.";
    INTERNAL_MX: NameServers = "service.smtp.smtp-deliver.internalmxserverip", "", 0, 0, false, Restart, Status::Active, "smtpd", "Name servers inside, asked first; they and the outer ones stand in for /etc/resolv.conf.";
    EXTERNAL_MX: NameServers = "service.smtp.smtp-deliver.externalmxserverip", "", 0, 0, false, Restart, Status::Active, "smtpd", "Name servers outside, asked after the inner ones.";
    MAIL_DELIVERY_PROGRAM: Text = "service.smtp.unix-deliver.maildeliveryprogram", "", 0, 0, false, Restart, Status::Active, "smtpd", "The program of native delivery, in the place of mbox files (the original: /usr/bin/mail).";
    NEED_SENDER: Switch = "service.smtp.unix-deliver.needsender", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether that program is given the sender, behind the uid.";
    STRIP_CR: Switch = "service.smtp.unix-deliver.stripcr", "yes", 0, 1, false, Restart, Status::Active, "smtpd", "Whether that program gets bare line feeds.";
    UNIX_UID: Count = "service.smtp.unix-deliver.defaultuid", "1", 1, 4294967294, false, Restart, Status::Active, "smtpd", "The uid of that program when smtpd is root.";
    UNIX_GID: Count = "service.smtp.unix-deliver.defaultgid", "1", 1, 4294967294, false, Restart, Status::Active, "smtpd", "The gid of that program when smtpd is root.";
    DEFAULT_VACATION: Text = "service.smtp.autoreply-handler.defaultvacation", "", 0, 0, false, Restart, Status::Active, "smtpd", "The text of a vacation without a text of its own; $ ends a line, ;lang-fr behind the name marks a language.";
    DEFAULT_REPLY: Text = "service.smtp.autoreply-handler.defaultreply", "", 0, 0, false, Restart, Status::Active, "smtpd", "The text of a reply without a text of its own.";
    DEFAULT_ECHO: Text = "service.smtp.autoreply-handler.defaultecho", "", 0, 0, false, Restart, Status::Active, "smtpd", "The text of an echo without a text of its own.";
    MAIL_SPOOL: Text = "local.service.smtp.unix-deliver.mailspool", "/var/mail", 0, 0, false, Restart, Status::Active, "smtpd", "The folder of the mbox files of native delivery, one for each uid. Ours.";
    DELAY_WARNING: Seconds = "local.service.smtp.error-handler.delaywarning", "14400", 0, 31536000, false, Restart, Status::Active, "smtpd", "The age at which a sender is told that a message waits (RFC 3461); 0 is never. Ours.";
    VACATION_PERIOD: Days = "local.service.smtp.autoreply-handler.vacationperiod", "7", 1, 365, false, Restart, Status::Active, "smtpd", "How long a sender is not answered again. Ours.";
}
