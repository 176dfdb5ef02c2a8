//! Settings of this host.

parameters! {
    HOST_NAME: Text = "local.hostname", "", 0, 0, false, Restart, Status::Active, "all daemons", "The name of this host; unset asks the system.";
    TMP_DIR: Text = "local.tmpdir", "", 0, 0, false, Restart, Status::Active, "all daemons", "Scratch files; unset is tmp in the instance.";
    LAST_CONFIG_FETCH: Text = "local.lastconfigfetch", "", 0, 0, false, Restart, Status::Active, "configutil, setconf, getconf", "When a configuration utility last ran, in seconds since 1970.";
    DIRECTORY_LDIF: Text = "local.directory.ldif", "", 0, 0, false, Restart, Status::Active, "all daemons", "The file of the embedded directory; unset is config/directory.ldif. Ours.";
    SENDMAIL_PORT: Port = "local.service.sendmail.port", "25", 0, 65535, false, Restart, Status::NotYet("sendmail"), "sendmail", "Where sendmail submits.";
    SENDMAIL_ADDR: Text = "local.service.sendmail.listenaddr", "", 0, 0, false, Restart, Status::NotYet("sendmail"), "sendmail", "Where sendmail submits.";
    UG_LDAP_HOST: Text = "local.ugldaphost", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_PORT: Text = "local.ugldapport", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BASEDN: Text = "local.ugldapbasedn", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BINDDN: Text = "local.ugldapbinddn", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_BINDCRED: Text = "local.ugldapbindcred", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_USESSL: Text = "local.ugldapusessl", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
    UG_LDAP_USELOCAL: Text = "local.ugldapuselocal", "", 0, 0, false, Restart, Status::NotYet("LDAP"), "all daemons", "How the LDAP directory is reached.";
}
