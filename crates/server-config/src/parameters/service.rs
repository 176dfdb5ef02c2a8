//! Parameters of every daemon.

parameters! {
    LISTEN_ADDRESS: Text = "service.listenaddr", "", 0, 0, false, Restart, Status::Active, "all daemons", "The host or address all daemons bind; unset is all.";
    AUTH_CACHE_TTL: Seconds = "service.authcachettl", "900", 0, 31536000, false, Restart, Status::Active, "all daemons", "The life of an entry of the authentication cache; 0 is off.";
    AUTH_CACHE_SIZE: Count = "service.authcachesize", "10000", 0, 100000000, false, Restart, Status::Active, "all daemons", "Entries of the authentication cache.";
    DNS_RESOLVE_CLIENT: Switch = "service.dnsresolveclient", "no", 0, 1, false, Restart, Status::NotYet("client filters"), "all daemons", "Whether client addresses are resolved.";
    READ_TIMEOUT: Seconds = "service.readtimeout", "10", 1, 3600, false, Restart, Status::NotYet("status requests"), "all daemons", "How long one part of the server waits for another.";
    LDAP_MEM_CACHE: Switch = "service.ldapmemcache", "no", 0, 1, false, Restart, Status::Ignored("unstable in the original"), "nobody", "The cache of the LDAP library.";
    LDAP_MEM_CACHE_SIZE: Bytes = "service.ldapmemcachesize", "131072", 0, i64::MAX, false, Restart, Status::Ignored("not used in 4.x"), "nobody", "Size of that cache.";
    LDAP_MEM_CACHE_TTL: Seconds = "service.ldapmemcachettl", "30", 0, 31536000, false, Restart, Status::Ignored("not used in 4.x"), "nobody", "Life of its entries.";
}
