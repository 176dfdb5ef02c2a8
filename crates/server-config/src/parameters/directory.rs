//! How the user directory and the configuration directory are reached over LDAP.

parameters! {
    LDAP_HOST: List = "service.ldaphost", "", 0, 0, false, Restart, Status::Active, "all daemons", "The LDAP servers of users and groups, when local.ugldapuselocal is no.";
    LDAP_PORT: Port = "service.ldapport", "389", 1, 65535, false, Restart, Status::Active, "all daemons", "Their port; unset is 389, and 636 with service.ldapusessl.";
    LDAP_BASE_DN: Text = "service.ldapbasedn", "", 0, 0, false, Restart, Status::Active, "all daemons", "The entry below which users and groups are.";
    LDAP_BIND_DN: Text = "service.ldapbinddn", "", 0, 0, false, Restart, Status::Active, "all daemons", "As whom the daemons search; unset is anonymously.";
    LDAP_BIND_CRED: Text = "service.ldapbindcred", "", 0, 0, false, Restart, Status::Active, "all daemons", "The password of service.ldapbinddn, or file:PATH of a file that holds it.";
    LDAP_USE_SSL: Switch = "service.ldapusessl", "no", 0, 1, false, Restart, Status::Active, "all daemons", "Whether LDAP is spoken inside TLS; the server's certificate is verified.";
    CONFIG_LDAP_HOST: Text = "local.ldaphost", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The hosts of the configuration directory.";
    CONFIG_LDAP_PORT: Text = "local.ldapport", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "Their port.";
    CONFIG_LDAP_BASE_DN: Text = "local.ldapbasedn", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "Where the search begins.";
    CONFIG_LDAP_CONFIG_DN: Text = "local.ldapconfigdn", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The entry of the configuration.";
    CONFIG_LDAP_ISIE_DN: Text = "local.ldapisiedn", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The entry of the installation.";
    CONFIG_LDAP_SIE_DN: Text = "local.ldapsiedn", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The entry of this server.";
    CONFIG_LDAP_SIE_CRED: Text = "local.ldapsiecred", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The password of this server.";
    CONFIG_LDAP_CACHE_FILE: Text = "local.ldapcachefile", "", 0, 0, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "The local copy.";
    CONFIG_LDAP_USE_LOCAL: Switch = "local.ldapuselocal", "no", 0, 1, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "Whether the local values win.";
    CONFIG_LDAP_USE_SSL: Switch = "local.ldapusessl", "no", 0, 1, false, Restart, Status::NotYet("configuration in LDAP"), "configutil", "Whether TLS is used.";
}
