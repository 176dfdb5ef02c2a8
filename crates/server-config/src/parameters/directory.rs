//! How the user directory and the configuration directory are reached over LDAP.

parameters! {
    LDAP_HOST: List = "service.ldaphost", "", 0, 0, false, Restart, Status::Active, "all daemons", "The LDAP servers of users and groups, when local.ugldapuselocal is no.";
    LDAP_PORT: Port = "service.ldapport", "389", 1, 65535, false, Restart, Status::Active, "all daemons", "Their port; unset is 389, and 636 with service.ldapusessl.";
    LDAP_BASE_DN: Text = "service.ldapbasedn", "", 0, 0, false, Restart, Status::Active, "all daemons", "The entry below which users and groups are.";
    LDAP_BIND_DN: Text = "service.ldapbinddn", "", 0, 0, false, Restart, Status::Active, "all daemons", "As whom the daemons search; unset is anonymously.";
    LDAP_BIND_CRED: Text = "service.ldapbindcred", "", 0, 0, false, Restart, Status::Active, "all daemons", "The password of service.ldapbinddn, or file:PATH of a file that holds it.";
    LDAP_USE_SSL: Switch = "service.ldapusessl", "no", 0, 1, false, Restart, Status::Active, "all daemons", "Whether LDAP is spoken inside TLS; the server's certificate is verified.";
    CONFIG_LDAP_HOST: Text = "local.ldaphost", "", 0, 0, false, Now, Status::Active, "configutil", "The LDAP servers of the configuration that several servers share, tried in this order; unset: all configuration is in the local file.";
    CONFIG_LDAP_PORT: Text = "local.ldapport", "", 0, 0, false, Now, Status::Active, "configutil", "Their port; unset is 389, and 636 with local.ldapusessl.";
    CONFIG_LDAP_BASE_DN: Text = "local.ldapbasedn", "", 0, 0, false, Now, Status::Active, "configutil", "What is added to the names of the three entries when they do not end with it.";
    CONFIG_LDAP_CONFIG_DN: Text = "local.ldapconfigdn", "", 0, 0, false, Now, Status::Active, "configutil", "The entry with the settings of all servers.";
    CONFIG_LDAP_ISIE_DN: Text = "local.ldapisiedn", "", 0, 0, false, Now, Status::Active, "configutil", "The entry with the settings of this installation; over those of local.ldapconfigdn.";
    CONFIG_LDAP_SIE_DN: Text = "local.ldapsiedn", "", 0, 0, false, Now, Status::Active, "configutil", "The entry with the settings of this server, over all others; also as whom configutil reads and sets.";
    CONFIG_LDAP_SIE_CRED: Text = "local.ldapsiecred", "", 0, 0, false, Now, Status::Active, "configutil", "The password of local.ldapsiedn, or file:PATH, cred:NAME, env:NAME; unset is anonymously.";
    CONFIG_LDAP_CACHE_FILE: Text = "local.ldapcachefile", "", 0, 0, false, Now, Status::Active, "configutil", "The name in the folder config of the copy that daemons read; unset is configdb.";
    CONFIG_LDAP_USE_LOCAL: Switch = "local.ldapuselocal", "no", 0, 1, false, Now, Status::Active, "configutil", "Whether a value of the local file counts before the directory's.";
    CONFIG_LDAP_USE_SSL: Switch = "local.ldapusessl", "no", 0, 1, false, Now, Status::Active, "configutil", "Whether LDAP is spoken inside TLS; the server's certificate is verified (local.ugldapcafile).";
}
