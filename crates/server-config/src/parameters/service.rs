//! Parameters of every daemon.

parameters! {
    LISTEN_ADDRESS: Text = "service.listenaddr", "", 0, 0, false, Restart, Status::Active, "all daemons", "The host or address all daemons bind; unset is all.";
    AUTH_CACHE_TTL: Seconds = "service.authcachettl", "900", 0, 31536000, false, Restart, Status::Active, "all daemons", "The life of an entry of the authentication cache; 0 is off.";
    AUTH_CACHE_SIZE: Count = "service.authcachesize", "10000", 0, 100000000, false, Restart, Status::Active, "all daemons", "Entries of the authentication cache.";
    SASL_MECHANISMS: SaslMechanisms = "service.saslmechanisms", "PLAIN LOGIN", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "SASL mechanisms that are offered: PLAIN, LOGIN, SCRAM-SHA-256 (with channel binding under TLS, too), SCRAM-SHA-1, OAUTHBEARER, XOAUTH2, CRAM-MD5, ANONYMOUS. SCRAM is for sites where every user has a password that is stored for it: see service.passwordscheme; CRAM-MD5 needs passwords in clear; tokens need service.oauthissuer, ANONYMOUS needs service.anonymoususer. Ours.";
    OAUTH_ISSUER: Text = "service.oauthissuer", "", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "The issuer of bearer tokens that OAUTHBEARER and XOAUTH2 believe, as their claim iss has it; unset is none. Ours.";
    OAUTH_AUDIENCE: List = "service.oauthaudience", "", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "Audiences of which a token must have one (aud). Ours.";
    OAUTH_KEYS: Text = "service.oauthkeys", "config/oauth-keys.json", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "The file with the issuer's key set (JWK Set, RFC 7517); it is read again when it has changed. Ours.";
    OAUTH_CLAIM: Text = "service.oauthclaim", "email", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "The claim of a token that is the user's uid or address. Ours.";
    OAUTH_SCOPE: List = "service.oauthscope", "", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "Words that a token's scope must have. Ours.";
    ANONYMOUS_USER: Text = "service.anonymoususer", "", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "The uid of the account that ANONYMOUS opens; give it nothing but what everybody may see. Ours.";
    PASSWORD_SCHEME: PasswordSchemes = "service.passwordscheme", "ARGON2", 0, 0, false, Restart, Status::Active, "dirutil, msg-setup", "How new passwords are stored: ARGON2, for mechanisms that say the password; SCRAM-SHA-256 or SCRAM-SHA-1, for those and for SCRAM. Of several, each is stored. Ours.";
    SCRAM_ITERATIONS: Count = "service.scramiterations", "100000", 4096, 10000000, false, Restart, Status::Active, "smtpd, imapd, popd, dirutil, msg-setup", "Iterations of the hash of new passwords that are stored for SCRAM, and those that are told to users who have none. Ours.";
    LOGIN_THREADS: Count = "service.loginthreads", "0", 0, 256, false, Restart, Status::Active, "all daemons", "Threads of each process that check passwords; 0 is one for each processor, at most 8, or half of the LDAP connections, at most 32. Ours.";
    LOGIN_LINE: Count = "service.loginline", "500", 1, 1000000, false, Restart, Status::Active, "all daemons", "Log-ins of each process that may wait for their check, a quarter of them from one network; who comes beyond is told to try again later. Ours.";
    GUESS_ADDRESS_MAX: Count = "service.guessaddressmax", "10", 1, 1000000, false, Restart, Status::Active, "all daemons", "Wrong passwords from one address (IPv4 /32, IPv6 /64) before its log-ins are slowed. Ours.";
    GUESS_NETWORK_MAX: Count = "service.guessnetworkmax", "50", 1, 1000000, false, Restart, Status::Active, "all daemons", "Wrong passwords from one network (IPv4 /24, IPv6 /48) before its log-ins are slowed. Ours.";
    GUESS_ACCOUNT_MAX: Count = "service.guessaccountmax", "10", 1, 1000000, false, Restart, Status::Active, "all daemons", "Wrong passwords for one account, from anywhere, before log-ins to it are slowed. Ours.";
    GUESS_SPACE_MAX: Seconds = "service.guessspacemax", "120", 0, 86400, false, Restart, Status::Active, "all daemons", "The longest time between two log-ins of who is slowed; it begins with a second and doubles. 0 slows nobody. Ours.";
    GUESS_TTL: Seconds = "service.guessttl", "3600", 60, 31536000, false, Restart, Status::Active, "all daemons", "The time in which as many wrong passwords are forgotten as are borne. Ours.";
    GUESS_KNOWN_TTL: Seconds = "service.guessknownttl", "2592000", 0, 31536000, false, Restart, Status::Active, "all daemons", "How long after a log-in others cannot slow the same account from the same network. Ours.";
    GUESS_TABLE_SIZE: Count = "service.guesstablesize", "50000", 0, 100000000, false, Restart, Status::Active, "all daemons", "Entries of each table in which a process counts wrong passwords. Ours.";
    NETWORK_CONNECTIONS: Count = "local.service.networkconnections", "1000", 0, 1000000, false, Restart, Status::Active, "all daemons", "Connections that one network (IPv4 /32, IPv6 /64) may have at once to one process; 0 is no limit. Ours.";
    NETWORK_RATE: Count = "local.service.networkrate", "6000", 0, 100000000, false, Restart, Status::Active, "all daemons", "New connections of one network to one process in a minute; 0 is no limit. Ours.";
    NETWORK_EXEMPT: Networks = "local.service.networkexempt", "127.0.0.0/8 ::1/128", 0, 0, false, Restart, Status::Active, "all daemons", "Networks without these two limits, such as proxies and webmail hosts. Ours.";
    PROXY_NETWORKS: Networks = "local.service.*.proxynetworks", "", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd, mshttpd", "Proxies in front of a service (smtp, imap, pop, http): each of their connections must begin with a header of the PROXY protocol, version 1 or 2, and counts as that of the client it names. Ours.";
    DNS_RESOLVE_CLIENT: Switch = "service.dnsresolveclient", "no", 0, 1, false, Restart, Status::Ignored("a client's name is looked up when a filter needs it, and only then"), "nobody", "Whether client addresses are resolved.";
    READ_TIMEOUT: Seconds = "service.readtimeout", "10", 1, 3600, false, Restart, Status::NotYet("status requests"), "all daemons", "How long one part of the server waits for another.";
    LDAP_MEM_CACHE: Switch = "service.ldapmemcache", "no", 0, 1, false, Restart, Status::Ignored("unstable in the original"), "nobody", "The cache of the LDAP library.";
    LDAP_MEM_CACHE_SIZE: Bytes = "service.ldapmemcachesize", "131072", 0, i64::MAX, false, Restart, Status::Ignored("not used in 4.x"), "nobody", "Size of that cache.";
    LDAP_MEM_CACHE_TTL: Seconds = "service.ldapmemcachettl", "30", 0, 31536000, false, Restart, Status::Ignored("not used in 4.x"), "nobody", "Life of its entries.";
}
