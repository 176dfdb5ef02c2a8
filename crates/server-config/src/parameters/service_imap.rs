//! Parameters of imapd.

parameters! {
    ENABLE: Switch = "service.imap.enable", "yes", 0, 1, false, Restart, Status::Active, "start-msg", "Whether start-msg starts the daemon.";
    PORT: Port = "service.imap.port", "143", 0, 65535, false, Restart, Status::Active, "imapd", "The port for plain connections and STARTTLS; 0 is off.";
    ENABLE_SSL_PORT: Switch = "service.imap.enablesslport", "no", 0, 1, false, Restart, Status::Active, "imapd", "Whether the port with TLS from the first byte is open.";
    SSL_PORT: Port = "service.imap.sslport", "993", 0, 65535, false, Restart, Status::Active, "imapd", "The port with TLS from the first byte.";
    MAX_THREADS: Count = "service.imap.maxthreads", "250", 1, 10000, false, Restart, Status::Active, "imapd", "Worker threads of each process; it does not limit connections.";
    NUM_PROCESSES: Count = "service.imap.numprocesses", "1", 1, 256, false, Restart, Status::Active, "imapd", "Processes of the service.";
    MAX_SESSIONS: Count = "service.imap.maxsessions", "400", 1, 1000000, false, Restart, Status::Active, "imapd", "Sessions of each process; above it a connection gets no banner until one ends.";
    IDLE_TIMEOUT: Minutes = "service.imap.idletimeout", "30", 30, 10080, true, NextConnection, Status::Active, "imapd", "How long a client may stay silent; a value below the default counts as the default.";
    BANNER: Text = "service.imap.banner", "%h %p service (%P %V)", 0, 0, false, NextConnection, Status::Active, "imapd", "The greeting: %h host, %p protocol, %P product, %V version.";
    PLAINTEXT_MIN_CIPHER: OptionalCount = "service.imap.plaintextmincipher", "", -1, 256, false, NextConnection, Status::Active, "imapd", "Bits of encryption that a plain-text login needs; 0 none, -1 never allowed; unset: TLS, except on this host.";
    APPEND_LIMIT: Bytes = "service.imap.appendlimit", "268435456", 1, 4294967295, false, NextConnection, Status::Active, "imapd", "Bytes of the largest message a client may APPEND. Ours.";
    MESSAGE_LIMIT: Count = "service.imap.messagelimit", "0", 0, 1000000000, false, NextConnection, Status::Active, "imapd", "Messages that one command of a client works on (MESSAGELIMIT, RFC 9738), the newest first; COPY, APPEND, SORT and THREAD of more are refused; 0 is no limit. Not all clients know of it: they lose sight of older messages. Ours.";
    SAVE_LIMIT: Count = "service.imap.savelimit", "0", 0, 1000000000, false, NextConnection, Status::Active, "imapd", "Messages of one COPY or APPEND (SAVELIMIT, RFC 9738), when messagelimit is not set; 0 is no limit. Ours.";
    COMPRESS_LEVEL: Count = "service.imap.compresslevel", "3", 0, 9, false, NextConnection, Status::Active, "imapd", "How hard imapd tries when a client asked for compression (COMPRESS=DEFLATE): 1 is fast, 9 is small, 0 does not offer it. Ours.";
    METADATA_MAX_SIZE: Bytes = "service.imap.metadatamaxsize", "32768", 1024, 65536, false, NextConnection, Status::Active, "imapd", "Bytes of the value of one annotation (METADATA, RFC 5464) at most. Ours.";
    METADATA_MAX_ENTRIES: Count = "service.imap.metadatamaxentries", "100", 10, 10000, false, NextConnection, Status::Active, "imapd", "Annotations that one user may have in one mailbox, or about the server, and shared ones beside; all of a mailbox are 1 MiB at most. Ours.";
    NOTIFY_MAX_MAILBOXES: Count = "service.imap.notifymaxmailboxes", "5000", 1, 100000, false, NextConnection, Status::Active, "imapd", "Mailboxes, and subscriptions, that one session may watch with NOTIFY (RFC 5465); about 150 bytes of memory each. Ours.";
    MAX_MAILBOXES: Count = "service.imap.maxmailboxes", "10000", 10, 1000000, false, NextConnection, Status::Active, "imapd", "Mailboxes of one user at most, levels above others counted: more cannot be made with CREATE and RENAME, but by administrators. No quota counts what a mailbox takes on disk. Ours.";
    JMAP_URL: Text = "service.imap.jmapurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "Where clients of this service reach the same mail by JMAP, as https://mail.example.com/.well-known/jmap (RFC 9698); unset: they are not told. Ours.";
    ADMIN_URL: Text = "service.imap.adminurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "How clients are told to reach the administrator, as mailto:postmaster@example.com; the annotation /shared/admin of the server (RFC 5464). Ours.";
    PROGRESS_INTERVAL: Seconds = "service.imap.progressinterval", "10", 0, 3600, false, NextConnection, Status::Active, "imapd", "How often a client hears that its SEARCH, SORT or THREAD is still at work (INPROGRESS); 0 is never. Ours.";
    ALLOW_ANONYMOUS_LOGIN: Switch = "service.imap.allowanonymouslogin", "no", 0, 1, false, Restart, Status::Active, "imapd", "Whether who logs in as anonymous is let in with any password, into the account service.anonymoususer, to read and change nothing; without that, nobody is.";
    SSL_USE_SSL: Switch = "service.imap.sslusessl", "yes", 0, 1, false, Restart, Status::Active, "imapd", "Whether TLS is offered at all; no: neither STARTTLS nor the port with TLS from the first byte, and passwords of other hosts are taken as plaintextmincipher says.";
    DOMAIN_ALLOWED: AllowFilters = "service.imap.domainallowed", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The clients that are let in: [services:]addresses, networks, names; $ between filters. Alone it keeps everybody else out.";
    DOMAIN_NOT_ALLOWED: DenyFilters = "service.imap.domainnotallowed", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The clients that are turned away, unless they are among those that are let in.";
    PLAINTEXT_MIN_CIPHERS: Text = "service.imap.plaintextminciphers", "", 0, 0, false, Restart, Status::Alias("service.imap.plaintextmincipher"), "imapd", "Another spelling of plaintextmincipher.";
}
