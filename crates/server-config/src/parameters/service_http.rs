//! Parameters of the web mail daemon.

parameters! {
    ENABLE: Switch = "service.http.enable", "yes", 0, 1, false, Restart, Status::NotYet("web mail"), "start-msg", "Whether start-msg starts the daemon.";
    PORT: Port = "service.http.port", "80", 0, 65535, false, Restart, Status::NotYet("web mail"), "mshttpd", "The port for plain connections and STARTTLS; 0 is off.";
    ENABLE_SSL_PORT: Switch = "service.http.enablesslport", "no", 0, 1, false, Restart, Status::NotYet("web mail"), "mshttpd", "Whether the port with TLS from the first byte is open.";
    SSL_PORT: Port = "service.http.sslport", "443", 0, 65535, false, Restart, Status::NotYet("web mail"), "mshttpd", "The port with TLS from the first byte.";
    MAX_THREADS: Count = "service.http.maxthreads", "250", 1, 10000, false, Restart, Status::NotYet("web mail"), "mshttpd", "Worker threads of each process; it does not limit connections.";
    NUM_PROCESSES: Count = "service.http.numprocesses", "1", 1, 256, false, Restart, Status::NotYet("web mail"), "mshttpd", "Processes of the service.";
    MAX_SESSIONS: Count = "service.http.maxsessions", "400", 1, 1000000, false, Restart, Status::NotYet("web mail"), "mshttpd", "Sessions of each process; above it a connection gets no banner until one ends.";
    IDLE_TIMEOUT: Minutes = "service.http.idletimeout", "30", 30, 10080, true, NextConnection, Status::NotYet("web mail"), "mshttpd", "How long a client may stay silent; a value below the default counts as the default.";
    BANNER: Text = "service.http.banner", "%h %p service (%P %V)", 0, 0, false, NextConnection, Status::NotYet("web mail"), "mshttpd", "The greeting: %h host, %p protocol, %P product, %V version.";
    PLAINTEXT_MIN_CIPHER: Count = "service.http.plaintextmincipher", "0", -1, 256, false, NextConnection, Status::NotYet("web mail"), "mshttpd", "Bits of encryption that a plain-text login needs; 0 none, -1 never allowed; while it is not set, TLS or loopback.";
    ALLOW_ANONYMOUS_LOGIN: Switch = "service.http.allowanonymouslogin", "no", 0, 1, false, Restart, Status::NotYet("anonymous login"), "mshttpd", "Whether the user anonymous logs in without a password.";
    SSL_USE_SSL: Switch = "service.http.sslusessl", "yes", 0, 1, false, Restart, Status::NotYet("switching TLS off"), "mshttpd", "Whether TLS is offered at all.";
    DOMAIN_ALLOWED: Text = "service.http.domainallowed", "", 0, 0, false, Restart, Status::NotYet("client filters"), "mshttpd", "Filters of the clients that are let in.";
    DOMAIN_NOT_ALLOWED: Text = "service.http.domainnotallowed", "", 0, 0, false, Restart, Status::NotYet("client filters"), "mshttpd", "Filters of the clients that are turned away.";
    PLAINTEXT_MIN_CIPHERS: Text = "service.http.plaintextminciphers", "", 0, 0, false, Restart, Status::Alias("service.http.plaintextmincipher"), "mshttpd", "Another spelling of plaintextmincipher.";
    IP_SECURITY: Switch = "service.http.ipsecurity", "yes", 0, 1, false, Restart, Status::NotYet("web mail"), "mshttpd", "Whether a session is bound to its address.";
    HTTP_MAX_MESSAGE: Bytes = "service.http.maxmessagesize", "5242880", 1, i64::MAX, false, Restart, Status::NotYet("web mail"), "mshttpd", "The largest message the web mail sends.";
    SESSION_TIMEOUT: Minutes = "service.http.sessiontimeout", "120", 1, 100000, false, Restart, Status::NotYet("web mail"), "mshttpd", "The life of a web mail session.";
    SPOOL_DIR: Text = "service.http.spooldir", "", 0, 0, false, Restart, Status::NotYet("web mail"), "mshttpd", "Where attachments wait.";
    SMTP_HOST: Text = "service.http.smtphost", "localhost", 0, 0, false, Restart, Status::NotYet("web mail"), "mshttpd", "Where web mail submits.";
    MAX_POST_SIZE: Bytes = "service.http.maxpostsize", "5242880", 1, i64::MAX, false, Restart, Status::NotYet("web mail"), "mshttpd", "The largest request.";
    SMTP_PORT: Port = "service.http.smtpport", "25", 0, 65535, false, Restart, Status::NotYet("web mail"), "mshttpd", "The port of smtphost.";
    RESOURCE_TIMEOUT: Seconds = "service.http.resourcetimeout", "900", 0, 86400, false, Restart, Status::NotYet("web mail"), "mshttpd", "How long an idle session keeps its mailbox open.";
    EXTRA_LDAP_ATTRS: List = "service.http.extrauserldapattrs", "", 0, 0, false, Restart, Status::NotYet("web mail"), "mshttpd", "Further attributes that the web mail may read.";
}
