//! Settings of this host.

parameters! {
    HOST_NAME: Text = "local.hostname", "", 0, 0, false, Restart, Status::Active, "all daemons", "The name of this host; unset asks the system.";
    TMP_DIR: Text = "local.tmpdir", "", 0, 0, false, Restart, Status::NotYet("web mail"), "mshttpd", "Scratch files; unset is tmp in the instance.";
    LAST_CONFIG_FETCH: Text = "local.lastconfigfetch", "", 0, 0, false, Restart, Status::Active, "configutil, setconf, getconf", "When a configuration utility last ran, in seconds since 1970.";
    DIRECTORY_LDIF: Text = "local.directory.ldif", "", 0, 0, false, Restart, Status::Active, "all daemons", "The file of the embedded directory; unset is config/directory.ldif. Ours.";
    SENDMAIL_PORT: OptionalPort = "local.service.sendmail.port", "", 1, 65535, false, Now, Status::Active, "sendmail", "Where sendmail submits; unset is service.smtp.port, then smtp/tcp of services(5), then 25.";
    SENDMAIL_ADDR: Text = "local.service.sendmail.listenaddr", "", 0, 0, false, Now, Status::Active, "sendmail", "Where sendmail submits; unset is service.listenaddr, then localhost.";
    UG_LDAP_HOST: Text = "local.ugldaphost", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_PORT: Text = "local.ugldapport", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BASEDN: Text = "local.ugldapbasedn", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BINDDN: Text = "local.ugldapbinddn", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BINDCRED: Text = "local.ugldapbindcred", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_USESSL: Text = "local.ugldapusessl", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_USELOCAL: Text = "local.ugldapuselocal", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    SERVERTYPE: Text = "local.servertype", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The kind of server.";
    SERVERNAME: Text = "local.servername", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The name of the installation.";
    INSTALLEDDIR: Text = "local.installeddir", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Where the programs are.";
    INSTANCEDIR: Text = "local.instancedir", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Where the instance is.";
    SUPPORTEDLANGUAGES: Text = "local.supportedlanguages", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "Languages that have texts.";
    SITELANGUAGE: Text = "local.sitelanguage", "", 0, 0, false, Restart, Status::Ignored("an instance is one folder, named by CONFIGROOT"), "nobody", "The language of the site.";
    SERVERUID: Text = "local.serveruid", "", 0, 0, false, Restart, Status::NotYet("giving up root"), "all daemons", "The user as whom the daemons run.";
    SERVERGID: Text = "local.servergid", "", 0, 0, false, Restart, Status::NotYet("giving up root"), "all daemons", "The group as which the daemons run.";
    SERVER_SECURITY: Text = "nsserversecurity", "", 0, 0, false, Restart, Status::Ignored("TLS is offered when there is a certificate"), "nobody", "The original's switch of TLS.";
    PAB: Text = "local.service.pab.*", "", 0, 0, false, Restart, Status::NotYet("web mail"), "mshttpd", "A setting of the personal address books.";
    FORCE_TELEMETRY_IMAP: Switch = "local.imap.forcetelemetry", "no", 0, 1, false, Restart, Status::NotYet("telemetry of everybody"), "imapd", "Whether every user's sessions are recorded.";
    FORCE_TELEMETRY_HTTP: Switch = "local.http.forcetelemetry", "no", 0, 1, false, Restart, Status::NotYet("telemetry of everybody"), "mshttpd", "Whether every user's sessions are recorded.";
    FORCE_TELEMETRY_POP: Switch = "local.pop.forcetelemetry", "no", 0, 1, false, Restart, Status::NotYet("telemetry of everybody"), "popd", "Whether every user's sessions are recorded.";
    LAST_ACCESS: Switch = "local.enablelastaccess", "no", 0, 1, false, Restart, Status::NotYet("last access"), "imapd, popd", "Whether the last access of each user is kept.";
}
