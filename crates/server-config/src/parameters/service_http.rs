//! Parameters of mshttpd, the web mail daemon.

parameters! {
    ENABLE: Switch = "service.http.enable", "yes", 0, 1, false, Restart, Status::Active, "start-msg", "Whether start-msg starts the daemon.";
    PORT: Port = "service.http.port", "80", 0, 65535, false, Restart, Status::Active, "mshttpd", "The port for plain connections; 0 is off. Nobody signs in there from another host, see plaintextmincipher.";
    ENABLE_SSL_PORT: Switch = "service.http.enablesslport", "no", 0, 1, false, Restart, Status::Active, "mshttpd", "Whether the port with TLS from the first byte is open.";
    SSL_PORT: Port = "service.http.sslport", "443", 0, 65535, false, Restart, Status::Active, "mshttpd", "The port with TLS from the first byte.";
    MAX_THREADS: Count = "service.http.maxthreads", "250", 1, 10000, false, Restart, Status::Active, "mshttpd", "Worker threads of each process; it does not limit connections.";
    NUM_PROCESSES: Count = "service.http.numprocesses", "1", 1, 256, false, Restart, Status::Active, "mshttpd", "Processes of the service.";
    MAX_SESSIONS: Count = "service.http.maxsessions", "400", 1, 1000000, false, Restart, Status::Active, "mshttpd", "Connections of each process; above it a connection waits until one ends. An open page of the web mail has up to seven.";
    IDLE_TIMEOUT: Minutes = "service.http.idletimeout", "30", 30, 10080, true, NextConnection, Status::Active, "mshttpd", "How long a connection of somebody who has signed in may stay silent; a value below the default counts as the default. Others are closed after a minute.";
    BANNER: Text = "service.http.banner", "%h %p service (%P %V)", 0, 0, false, NextConnection, Status::Ignored("the server does not say in HTTP what it is"), "nobody", "The greeting of the other services.";
    PLAINTEXT_MIN_CIPHER: OptionalCount = "service.http.plaintextmincipher", "", -1, 256, false, NextConnection, Status::Active, "mshttpd", "Bits of encryption that a sign-in needs; 0 none, -1 never allowed; unset: TLS, except on this host.";
    STRICT_TRANSPORT: Seconds = "service.http.stricttransport", "31536000", 0, 315360000, false, NextConnection, Status::Active, "mshttpd", "How long browsers that came with TLS are told to come with TLS only (HSTS, RFC 6797); 0 does not tell them. Ours.";
    ALLOW_ANONYMOUS_LOGIN: Switch = "service.http.allowanonymouslogin", "no", 0, 1, false, Restart, Status::Active, "mshttpd", "Whether programs that log in as anonymous, with any password, are let into the account service.anonymoususer, where they read and change nothing; without that, nobody is, and the page is for users alone.";
    SSL_USE_SSL: Switch = "service.http.sslusessl", "yes", 0, 1, false, Restart, Status::Active, "mshttpd", "Whether TLS is offered at all; no: the port with TLS from the first byte stays closed, as behind a proxy that speaks TLS.";
    DOMAIN_ALLOWED: AllowFilters = "service.http.domainallowed", "", 0, 0, false, NextConnection, Status::Active, "mshttpd", "The clients that are let in: [services:]addresses, networks, names; $ between filters. Alone it keeps everybody else out.";
    DOMAIN_NOT_ALLOWED: DenyFilters = "service.http.domainnotallowed", "", 0, 0, false, NextConnection, Status::Active, "mshttpd", "The clients that are turned away, unless they are among those that are let in.";
    PLAINTEXT_MIN_CIPHERS: Text = "service.http.plaintextminciphers", "", 0, 0, false, Restart, Status::Alias("service.http.plaintextmincipher"), "mshttpd", "Another spelling of plaintextmincipher.";
    IP_SECURITY: IpSecurity = "service.http.ipsecurity", "yes", 0, 0, false, NextConnection, Status::Active, "mshttpd", "Whether a session is bound to the address that it was signed in from: yes, no, or subnet (IPv4 /24, IPv6 /64). Behind a proxy that trustedproxies does not name, only no works.";
    TRUSTED_PROXIES: Networks = "service.http.trustedproxies", "", 0, 0, false, NextConnection, Status::Active, "mshttpd", "Proxies whose word on their client is taken, in the fields that proxyheader names. Of others these fields are not looked at. Ours.";
    PROXY_HEADER: ProxyHeader = "service.http.proxyheader", "x-forwarded", 0, 0, false, NextConnection, Status::Active, "mshttpd", "The fields that trustedproxies write: x-forwarded for X-Forwarded-For and X-Forwarded-Proto, forwarded for Forwarded (RFC 7239). The other is not looked at: a proxy hands on what a client put there. Ours.";
    USER_SESSIONS: Count = "service.http.usersessions", "20", 1, 1000, false, NextConnection, Status::Active, "mshttpd", "Sign-ins of one user at most; another one ends that which was not used for longest. Ours.";
    IMAGE_PROXY: Switch = "service.http.imageproxy", "yes", 0, 1, false, Restart, Status::Active, "mshttpd", "Whether readers may have images of other hosts shown, which this host fetches for them; without it such images are never shown. Ours.";
    IMAGE_PROXY_NETWORKS: Networks = "service.http.imageproxynetworks", "", 0, 0, false, Restart, Status::Active, "mshttpd", "Internal networks from which images may be fetched all the same; everything that is not an address of the Internet is refused otherwise. Ours.";
    HTTP_MAX_MESSAGE: Bytes = "service.http.maxmessagesize", "0", 0, i64::MAX, false, Restart, Status::Active, "mshttpd", "Bytes of the largest message that the web mail sends; 0: what smtpd takes.";
    SESSION_TIMEOUT: Minutes = "service.http.sessiontimeout", "120", 1, 100000, false, NextConnection, Status::Active, "mshttpd", "How long a sign-in lasts without a request.";
    SESSION_MAX_AGE: Days = "service.http.sessionmaxage", "30", 1, 3650, false, NextConnection, Status::Active, "mshttpd", "How long a sign-in lasts in all, however often it is used. Ours.";
    SPOOL_DIR: Text = "service.http.spooldir", "", 0, 0, false, Restart, Status::Ignored("what is uploaded waits in local.tmpdir"), "mshttpd", "Where attachments wait.";
    SMTP_HOST: Text = "service.http.smtphost", "localhost", 0, 0, false, Restart, Status::Ignored("web mail submits on a socket of this host's smtpd, as the user who is signed in"), "nobody", "Where web mail submits.";
    MAX_POST_SIZE: Bytes = "service.http.maxpostsize", "5242880", 1, i64::MAX, false, NextConnection, Status::Active, "mshttpd", "Bytes of the largest request that is no upload of an attachment.";
    SMTP_PORT: Port = "service.http.smtpport", "25", 0, 65535, false, Restart, Status::Ignored("web mail submits on a socket of this host's smtpd, as the user who is signed in"), "nobody", "The port of smtphost.";
    RESOURCE_TIMEOUT: Seconds = "service.http.resourcetimeout", "900", 0, 86400, false, Restart, Status::Ignored("idletimeout and sessiontimeout say how long connections and sign-ins last"), "mshttpd", "How long an idle session keeps its mailbox open.";
    EXTRA_LDAP_ATTRS: AttributeNames = "service.http.extrauserldapattrs", "", 0, 0, false, Restart, Status::Active, "mshttpd", "Further attributes that the web mail may read.";
}
