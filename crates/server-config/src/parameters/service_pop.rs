//! Parameters of popd.

parameters! {
    ENABLE: Switch = "service.pop.enable", "yes", 0, 1, false, Restart, Status::Active, "start-msg", "Whether start-msg starts the daemon.";
    PORT: Port = "service.pop.port", "110", 0, 65535, false, Restart, Status::Active, "popd", "The port for plain connections and STARTTLS; 0 is off.";
    ENABLE_SSL_PORT: Switch = "service.pop.enablesslport", "no", 0, 1, false, Restart, Status::Active, "popd", "Whether the port with TLS from the first byte is open.";
    SSL_PORT: Port = "service.pop.sslport", "995", 0, 65535, false, Restart, Status::Active, "popd", "The port with TLS from the first byte.";
    MAX_THREADS: Count = "service.pop.maxthreads", "250", 1, 10000, false, Restart, Status::Active, "popd", "Worker threads of each process; it does not limit connections.";
    NUM_PROCESSES: Count = "service.pop.numprocesses", "1", 1, 256, false, Restart, Status::Active, "popd", "Processes of the service.";
    MAX_SESSIONS: Count = "service.pop.maxsessions", "600", 1, 1000000, false, Restart, Status::Active, "popd", "Sessions of each process; above it a connection gets no banner until one ends.";
    IDLE_TIMEOUT: Minutes = "service.pop.idletimeout", "10", 10, 10080, true, NextConnection, Status::Active, "popd", "How long a client may stay silent; a value below the default counts as the default.";
    BANNER: Text = "service.pop.banner", "%h %p service (%P %V)", 0, 0, false, NextConnection, Status::Active, "popd", "The greeting: %h host, %p protocol, %P product, %V version.";
    PLAINTEXT_MIN_CIPHER: OptionalCount = "service.pop.plaintextmincipher", "", -1, 256, false, NextConnection, Status::Active, "popd", "Bits of encryption that a plain-text login needs; 0 none, -1 never allowed; unset: TLS, except on this host.";
    ALLOW_ANONYMOUS_LOGIN: Switch = "service.pop.allowanonymouslogin", "no", 0, 1, false, Restart, Status::Active, "popd", "Whether who logs in as anonymous is let in with any password, into the account service.anonymoususer, to read and change nothing; without that, nobody is.";
    SSL_USE_SSL: Switch = "service.pop.sslusessl", "yes", 0, 1, false, Restart, Status::Active, "popd", "Whether TLS is offered at all; no: neither STLS nor the port with TLS from the first byte, and passwords of other hosts are taken as plaintextmincipher says.";
    DOMAIN_ALLOWED: AllowFilters = "service.pop.domainallowed", "", 0, 0, false, NextConnection, Status::Active, "popd", "The clients that are let in: [services:]addresses, networks, names; $ between filters. Alone it keeps everybody else out.";
    DOMAIN_NOT_ALLOWED: DenyFilters = "service.pop.domainnotallowed", "", 0, 0, false, NextConnection, Status::Active, "popd", "The clients that are turned away, unless they are among those that are let in.";
    PLAINTEXT_MIN_CIPHERS: Text = "service.pop.plaintextminciphers", "", 0, 0, false, Restart, Status::Alias("service.pop.plaintextmincipher"), "popd", "Another spelling of plaintextmincipher.";
    POP_MIN_POLL: Seconds = "service.pop.popminpoll", "0", 0, 86400, false, NextConnection, Status::Active, "popd", "The least time between two log-ins of one user, over all processes: LOGIN-DELAY of RFC 2449. Who comes sooner gets -ERR [LOGIN-DELAY], which does not begin the time anew. 0 is no limit.";
}
