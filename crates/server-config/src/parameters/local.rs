//! Settings of this host.

parameters! {
    HOST_NAME: HostName = "local.hostname", "", 0, 0, false, Restart, Status::Active, "all daemons", "The name of this host; unset asks the system.";
    TMP_DIR: Text = "local.tmpdir", "", 0, 0, false, Restart, Status::Active, "mshttpd", "Where web mail keeps attachments until they are sent, and other scratch files; unset is tmp in the instance. What is there may be deleted while mshttpd does not run.";
    LAST_CONFIG_FETCH: Text = "local.lastconfigfetch", "", 0, 0, false, Restart, Status::Active, "configutil, setconf, getconf", "When a configuration utility last ran, in seconds since 1970.";
    DIRECTORY_LDIF: Text = "local.directory.ldif", "", 0, 0, false, Restart, Status::Active, "all daemons", "The file of the embedded directory; unset is config/directory.ldif. Ours.";
    SENDMAIL_PORT: OptionalPort = "local.service.sendmail.port", "", 1, 65535, false, Now, Status::Active, "sendmail", "Where sendmail submits; unset is service.smtp.port, then smtp/tcp of services(5), then 25.";
    SENDMAIL_ADDR: Text = "local.service.sendmail.listenaddr", "", 0, 0, false, Now, Status::Active, "sendmail", "Where sendmail submits; unset is service.listenaddr, then localhost.";
    UG_LDAP_HOST: List = "local.ugldaphost", "", 0, 0, false, Restart, Status::Active, "all daemons", "The LDAP servers of users and groups, host or host:port, the preferred one first (S176); unset is the embedded directory.";
    UG_LDAP_PORT: Port = "local.ugldapport", "389", 1, 65535, false, Restart, Status::Active, "all daemons", "Their port; unset is service.ldapport, and 636 with local.ugldapusessl.";
    UG_LDAP_BASE_DN: Text = "local.ugldapbasedn", "", 0, 0, false, Restart, Status::Active, "all daemons", "The entry below which users and groups are.";
    UG_LDAP_BIND_DN: Text = "local.ugldapbinddn", "", 0, 0, false, Restart, Status::Active, "all daemons", "As whom the daemons search; unset is anonymously.";
    UG_LDAP_BIND_CRED: Text = "local.ugldapbindcred", "", 0, 0, false, Restart, Status::Active, "all daemons", "The password of local.ugldapbinddn, or file:PATH of a file that holds it.";
    UG_LDAP_USE_SSL: Switch = "local.ugldapusessl", "no", 0, 1, false, Restart, Status::Active, "all daemons", "Whether LDAP is spoken inside TLS; the server's certificate is verified.";
    UG_LDAP_USE_LOCAL: Switch = "local.ugldapuselocal", "no", 0, 1, false, Restart, Status::Active, "all daemons", "Whether local.ugldap* counts and not service.ldap*; the second and later hosts count only with it.";
    UG_LDAP_STARTTLS: Switch = "local.ugldapstarttls", "no", 0, 1, false, Restart, Status::Active, "all daemons", "Whether LDAP connections turn to TLS by StartTLS, or are given up. Ours.";
    UG_LDAP_CA_FILE: Text = "local.ugldapcafile", "", 0, 0, false, Restart, Status::Active, "all daemons", "The certificates (PEM) of the authorities that the LDAP servers' certificates must come from; unset is the system's. Ours.";
    UG_LDAP_CONNECT_TIMEOUT: Seconds = "local.ugldapconnecttimeout", "5", 1, 300, false, Restart, Status::Active, "all daemons", "How long a connection to an LDAP server may take to be made, TLS and bind included. Ours.";
    UG_LDAP_SEARCH_TIMEOUT: Seconds = "local.ugldapsearchtimeout", "10", 1, 300, false, Restart, Status::Active, "all daemons", "How long a search or a password check may take, and how long it may wait for a connection. Ours.";
    SERVERTYPE: Text = "local.servertype", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The kind of server.";
    SERVERNAME: Text = "local.servername", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The name of the installation.";
    INSTALLEDDIR: Text = "local.installeddir", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Where the programs are.";
    INSTANCEDIR: Text = "local.instancedir", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Where the instance is.";
    SUPPORTEDLANGUAGES: Text = "local.supportedlanguages", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Languages that have texts.";
    SITELANGUAGE: Text = "local.sitelanguage", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The language of the site.";
    SERVERUID: Text = "local.serveruid", "", 0, 0, false, Restart, Status::Active, "all daemons, tools", "The user, by name or number, whom the daemons become when root starts them, and the tools when root uses them; unset leaves them root.";
    SERVERGID: Text = "local.servergid", "", 0, 0, false, Restart, Status::Active, "all daemons, tools", "The only group of local.serveruid's processes; unset is the user's own.";
    SANDBOX: SandboxLevel = "local.sandbox", "best-effort", 0, 0, false, Restart, Status::Active, "all daemons", "Whether the daemons confine themselves to their files and ports (Landlock) and to the system calls they need (seccomp), and give up gaining rights: require (or they do not start), best-effort (as far as the kernel can), off. Ours.";
    SANDBOX_READ: List = "local.sandboxread", "", 0, 0, false, Restart, Status::Active, "all daemons", "Folders and files beside the usual ones that confined daemons may read. Ours.";
    SERVER_SECURITY: Text = "nsserversecurity", "", 0, 0, false, Restart, Status::Ignored("TLS is offered when there is a certificate"), "nobody", "The original's switch of TLS.";
    PAB: Text = "local.service.pab.*", "", 0, 0, false, Restart, Status::NotYet("personal address books"), "mshttpd", "A setting of the personal address books.";
    FORCE_TELEMETRY_IMAP: Switch = "local.imap.forcetelemetry", "no", 0, 1, false, Restart, Status::Active, "imapd", "Whether everybody's sessions are recorded, each in a file log/imap/forcetelemetry/USER.PID.TIME.NUMBER without passwords, within local.forcetelemetrymaxfiles and local.forcetelemetrymaxsize; who has a folder in log/imap/telemetry is recorded there. For a search for faults: it is what users read and write.";
    FORCE_TELEMETRY_HTTP: Switch = "local.http.forcetelemetry", "no", 0, 1, false, Restart, Status::Active, "mshttpd", "Whether everybody's sessions are recorded, each in a file log/http/forcetelemetry/USER.PID.TIME.NUMBER without passwords, within local.forcetelemetrymaxfiles and local.forcetelemetrymaxsize; who has a folder in log/http/telemetry is recorded there. For a search for faults: it is what users read and write.";
    FORCE_TELEMETRY_POP: Switch = "local.pop.forcetelemetry", "no", 0, 1, false, Restart, Status::Active, "popd", "Whether everybody's sessions are recorded, each in a file log/pop/forcetelemetry/USER.PID.TIME.NUMBER without passwords, within local.forcetelemetrymaxfiles and local.forcetelemetrymaxsize; who has a folder in log/pop/telemetry is recorded there. For a search for faults: it is what users read and write.";
    FORCE_TELEMETRY_FILES: Count = "local.forcetelemetrymaxfiles", "10000", 100, 1000000, false, Restart, Status::Active, "imapd, popd, mshttpd", "Files of each service's forcetelemetry; the oldest are removed. Ours.";
    FORCE_TELEMETRY_SIZE: Bytes = "local.forcetelemetrymaxsize", "1073741824", 1048576, i64::MAX, false, Restart, Status::Active, "imapd, popd, mshttpd", "Bytes of each service's forcetelemetry, of which one session's file has a hundredth at most; the oldest are removed. Ours.";
    LAST_ACCESS: Switch = "local.enablelastaccess", "no", 0, 1, false, Restart, Status::NotYet("last access"), "imapd, popd", "Whether the last access of each user is kept.";
}
