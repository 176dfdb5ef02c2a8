//! The LDAP directory against real servers, and beside the embedded one: the same entries, the same answers.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/src/halted.rs"]
mod halted;
#[allow(dead_code)]
#[path = "../../../tests/src/loopback.rs"]
mod loopback;
#[path = "../../../tests/src/slapd.rs"]
mod slapd;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use directory::ldap::{Credential, Identity, Server, Settings, Transport};
use directory::{Directory, DirectoryError, Embedded, Entry, Found, LdapDirectory, by_login};
use server_config::{Config, Instance};
use server_log::Log;

use halted::Halted;
use slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};

/// Passwords are the names with `-secret`.
const ENTRIES: &str = "version: 1

dn: o=example.test
objectClass: top
objectClass: organization
o: example.test

dn: ou=People,o=example.test
objectClass: top
objectClass: organizationalUnit
ou: People

dn: ou=Groups,o=example.test
objectClass: top
objectClass: organizationalUnit
ou: Groups

dn: uid=Alice,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
objectClass: nsMessagingServerUser
uid: Alice
cn: Alice
sn: Smith
mail: alice@example.test
mailAlternateAddress: A.Smith@example.test
mailAlternateAddress: postmaster@example.test
mailDeliveryOption: mailbox
mailQuota: 1000000
mailMessageStore: second
mailAutoReplyMode: vacation
mailAutoReplyText: away$until Monday
mailAutoReplyText;lang-ja:: 5LiN5Zyo
nsmsgDisallowAccess: pop
nsmsgDisallowAccess: http
nswmExtendedUserPrefs: meDraftFolder=Drafts
preferredLanguage: en
userPassword: {SHA}KusvaLb24DJ0ziPMVrqjntyCRkM=

dn: uid=bob,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: bob
cn: Bob
sn: Jones
mail: Bob@example.test
mailAlternateAddress: @catchall.test
mailForwardingAddress: bob@elsewhere.test
mailHost: other.example.test

dn: uid=o'neil (x)*\\5C,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: o'neil (x)*\\
cn: O'Neil
sn: O'Neil
mail: o'neil@example.test
userPassword: {SHA}dfaEtfyBreAjVE1l6t0HrpAxa4o=

dn: uid=twin1,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: twin1
cn: Twin
sn: Twin
mail: twin1@example.test
mailAlternateAddress: twins@example.test

dn: uid=twin2,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: twin2
cn: Twin
sn: Twin
mail: twin2@example.test
mailAlternateAddress: twins@example.test

dn: uid=reader,ou=People,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
uid: reader
cn: No account
sn: Reader
mail: reader@example.test
userPassword: {SHA}u45+8GIF+7mxAFrcPeqPLs/E/4Q=

dn: cn=staff,ou=Groups,o=example.test
objectClass: top
objectClass: groupOfUniqueNames
objectClass: mailGroup
cn: staff
mail: staff@example.test
mgrpRFC822MailMember: outside@elsewhere.test
uniqueMember: uid=Alice,ou=People,o=example.test
uniqueMember: uid=bob,ou=People,o=example.test
uniqueMember: uid=reader,ou=People,o=example.test
uniqueMember: uid=gone,ou=People,o=example.test
mgrpMsgMaxSize: 100000
";

/// Groups that only a directory with searches can have.
const DYNAMIC: &str = "
dn: cn=all,ou=Groups,o=example.test
objectClass: top
objectClass: groupOfURLs
objectClass: mailGroup
cn: all
mail: all@example.test
memberURL: ldap:///ou=People,o=example.test??sub?(uid=*)

dn: cn=everything,ou=Groups,o=example.test
objectClass: top
objectClass: groupOfURLs
objectClass: mailGroup
cn: everything
mail: everything@example.test
mgrpDeliverTo: ldap:///o=example.test?mail?sub?(%7c(uid=bob)(cn=staff))

dn: cn=abroad,ou=Groups,o=example.test
objectClass: top
objectClass: groupOfURLs
objectClass: mailGroup
cn: abroad
mail: abroad@example.test
memberURL: ldap://elsewhere.test/o=y??sub?(uid=*)
";

fn settings(servers: &[&Slapd]) -> Settings {
    let list: Vec<String> = servers.iter().map(|slapd| slapd.host()).collect();
    let text = format!(
        "local.ugldaphost = \"{}\"\nlocal.ugldapuselocal = yes\nlocal.ugldapbasedn = \"{BASE}\"\n\
         local.ugldapbinddn = \"{BIND_DN}\"\nlocal.ugldapbindcred = {BIND_SECRET}\n\
         local.ugldapconnecttimeout = 60\nlocal.ugldapsearchtimeout = 60\n",
        list.join(" ")
    );
    let config = Config::from_text(&text).unwrap();
    Settings::from_config(&config, &Instance::new("/nonexistent")).unwrap().unwrap()
}

fn open(settings: Settings) -> LdapDirectory {
    LdapDirectory::open(settings, Log::discard()).unwrap()
}

fn one(found: Found) -> Arc<Entry> {
    match found {
        Found::One(entry) => entry,
        other => panic!("{other:?}"),
    }
}

/// Waits for an event that another thread or process brings about.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// What every directory must answer, as text.
fn answers(directory: &dyn Directory) -> Vec<String> {
    let mut all = Vec::new();
    for uid in
        ["alice", "ALICE", "bob", "o'neil (x)*\\", "reader", "staff", "nobody", "*", "", "a*", "alice)(uid=*"]
    {
        all.push(format!("uid {uid}: {:?}", directory.by_uid(uid).unwrap()));
    }
    for address in [
        "alice@example.test",
        "a.smith@EXAMPLE.test",
        "postmaster@example.test",
        "bob@example.test",
        "whoever@catchall.test",
        "@catchall.test",
        "twins@example.test",
        "twin1@example.test",
        "o'neil@example.test",
        "reader@example.test",
        "staff@example.test",
        "nobody@example.test",
        "*@example.test",
        "*",
        "",
        "a.smith@example.test ",
        "alice@example.test)(uid=*",
        "@",
    ] {
        all.push(format!("address {address}: {:?}", directory.by_address(address).unwrap()));
    }
    for login in ["alice", "alice@example.test", "staff@example.test", "twins@example.test", "*"] {
        all.push(format!("login {login}: {:?}", by_login(directory, login).unwrap()));
    }
    let passwords = [
        ("alice", "alice-secret"),
        ("alice", "Alice-secret"),
        ("alice", ""),
        ("alice", "*"),
        ("bob", ""),
        ("bob", "bob-secret"),
        ("o'neil (x)*\\", "neil-secret"),
    ];
    for (uid, password) in passwords {
        let entry = one(directory.by_uid(uid).unwrap());
        let right = directory.check_password(&entry, password).unwrap();
        all.push(format!("{uid} {password}: {right}"));
    }
    for (after, limit) in [(None, 100), (None, 2), (Some("alice"), 2), (Some("Bob"), 1), (Some("zz"), 9)] {
        let users = directory.users(after, limit).unwrap();
        let uids: Vec<&str> = users.iter().filter_map(|user| user.uid.as_deref()).collect();
        all.push(format!("users after {after:?}: {uids:?}"));
    }
    all
}

/// One suite for both.
#[test]
fn the_embedded_directory_and_ldap_give_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.ldif");
    fs::write(&file, ENTRIES).unwrap();
    let embedded = Embedded::open(&file, Log::discard()).unwrap();
    let server = Slapd::start(ENTRIES);
    let ldap = open(settings(&[&server]));
    let (expected, got) = (answers(&embedded), answers(&ldap));
    for (expected, got) in expected.iter().zip(&got) {
        assert_eq!(got, expected);
    }
    assert_eq!(expected.len(), got.len());
    // And these are the answers.
    let alice = one(ldap.by_uid("alice").unwrap());
    assert_eq!(alice.uid.as_deref(), Some("Alice"));
    assert_eq!(alice.partition.as_deref(), Some("second"));
    assert_eq!(alice.attributes["mailautoreplytext;lang-ja"], ["不在"]);
    assert!(ldap.check_password(&alice, "alice-secret").unwrap());
    let staff = one(ldap.by_address("staff@example.test").unwrap());
    assert_eq!(staff.members, ["outside@elsewhere.test", "alice@example.test", "Bob@example.test"]);
    assert!(matches!(ldap.by_address("twins@example.test").unwrap(), Found::Several(2)));
}

/// RFC 4515: one search each, and what was typed is in it as a value.
#[test]
fn typed_text_is_never_a_filter() {
    let server = Slapd::start(ENTRIES);
    let ldap = open(settings(&[&server]));
    for typed in ["*", "*)(uid=*))(|(uid=*", "alice)(objectClass=*", "\\2a", "al\0ice"] {
        assert!(matches!(ldap.by_uid(typed).unwrap(), Found::Nobody), "{typed:?}");
        assert!(matches!(ldap.by_address(typed).unwrap(), Found::Nobody), "{typed:?}");
    }
    wait_for("the log", || server.searches().len() >= 10);
    let searches = server.searches();
    assert_eq!(searches.len(), 10, "one search for each: {searches:#?}");
    // slapd logs the value escaped again.
    assert!(searches[2].contains(r"(uid=\2A\29\28uid=\2A\29\29\28|\28uid=\2A)"), "{searches:#?}");
}

/// RFC 4513 §5.1.2: an empty password is no question for the server. And a user's bind leaves the searches' identity alone:
/// only the service may read here.
#[test]
fn passwords_are_checked_by_binds_apart_from_the_searches() {
    let server = Slapd::start(ENTRIES);
    let ldap = open(settings(&[&server]));
    let alice = one(ldap.by_uid("alice").unwrap());
    assert!(!ldap.check_password(&alice, "").unwrap());
    ldap.check_nobody("");
    assert!(!server.log().contains("uid=Alice,ou=People,o=example.test\" method="), "{}", server.log());
    for _ in 0..3 {
        assert!(ldap.check_password(&alice, "alice-secret").unwrap());
        assert!(!ldap.check_password(&alice, "wrong").unwrap());
        one(ldap.by_uid("bob").unwrap());
    }
    assert_eq!(ldap.open_connections(), 2, "one for searches, one for binds");
    // On the connection of the binds nothing was searched.
    wait_for("the log", || server.log().matches("BIND dn=\"uid=Alice").count() >= 6);
    let log = server.log();
    let connection_of =
        |line: &str| line.split("conn=").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    let binding: HashSet<String> =
        log.lines().filter(|line| line.contains("BIND dn=\"uid=Alice")).filter_map(connection_of).collect();
    let searching: HashSet<String> =
        log.lines().filter(|line| line.contains(" SRCH base=")).filter_map(connection_of).collect();
    assert_eq!(binding.len(), 1);
    assert!(binding.is_disjoint(&searching), "{log}");
}

/// S33: never more connections than `ldappoolsize`, whoever asks.
#[test]
fn the_pool_is_shared_and_never_exceeded() {
    const LOOKS: usize = 30;
    const QUESTIONS: usize = 200;
    let server = Slapd::start(ENTRIES);
    for size in [1, 8] {
        let ldap = open(Settings { pool_size: size, ..settings(&[&server]) });
        // The load lasts until it was looked at often enough, and until enough was asked: a look takes no time, and the others
        // may not have begun.
        let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let before = server.log().matches(" ACCEPT from ").count();
        let (most, open) = std::thread::scope(|scope| {
            for thread in 0..32 {
                let (ldap, is_over, asked) = (&ldap, &is_over, &asked);
                scope.spawn(move || {
                    let mut round = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let alice = one(ldap.by_uid("alice").unwrap());
                        if (thread + round) % 3 == 0 {
                            assert!(ldap.check_password(&alice, "alice-secret").unwrap());
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                        round += 1;
                    }
                });
            }
            let (mut most, mut open, mut looks) = (0, 0, 0);
            let give_up = Instant::now() + Duration::from_secs(300);
            while (looks < LOOKS || asked.load(Ordering::Relaxed) < QUESTIONS) && Instant::now() < give_up {
                most = most.max(server.connections_of(std::process::id()));
                open = open.max(ldap.open_connections());
                looks += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            (most, open)
        });
        assert!(most.max(open) <= size, "{most} connections at once, {open} counted, {size} allowed");
        let made = server.log().matches(" ACCEPT from ").count() - before;
        let asked = asked.into_inner();
        assert!(size == 1 || most > 1, "{most} connections at once: the load is shared");
        assert!(size == 1 || made * 2 < asked, "{made} connections for {asked} look-ups: they are not kept");
    }
}

/// S33: who waits for a connection waits no longer than the time of a search.
#[test]
fn a_busy_pool_is_unavailable_in_the_end() {
    let mut server = Slapd::start(ENTRIES);
    let ldap =
        open(Settings { pool_size: 1, search_timeout: Duration::from_secs(1), ..settings(&[&server]) });
    wait_for("an answer within that time", || ldap.by_uid("alice").is_ok());
    let halted = Halted::new(server.pid());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let answer = ldap.by_uid("alice");
                assert!(matches!(answer, Err(DirectoryError::Unavailable(_))), "{answer:?}");
            });
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(halted);
    wait_for("the server to be used again", || ldap.by_uid("alice").is_ok());
    server.stop();
}

/// S176: the second is used while the first is away, the first again when it is back.
#[test]
fn the_second_server_stands_in_for_the_first() {
    let (mut first, mut second) = (Slapd::start(ENTRIES), Slapd::start(ENTRIES));
    let ldap = open(settings(&[&first, &second]));
    let log_in = || {
        let alice = one(ldap.by_uid("alice").unwrap());
        assert!(ldap.check_password(&alice, "alice-secret").unwrap());
    };
    log_in();
    assert!(second.searches().is_empty(), "the first is preferred");
    first.stop();
    for _ in 0..20 {
        log_in();
    }
    wait_for("the second server's log", || second.searches().len() >= 20);
    let asked = first.searches().len();
    first.start_again();
    wait_for("the return to the first server", || {
        log_in();
        first.searches().len() > asked
    });
    // The connections to the second are given up.
    let (before, on_first) = (second.searches().len(), first.searches().len());
    for _ in 0..10 {
        log_in();
    }
    wait_for("the first server's log", || first.searches().len() >= on_first + 10);
    assert_eq!(second.searches().len(), before);
    second.stop();
    log_in();
    first.stop();
    assert!(matches!(ldap.by_uid("alice"), Err(DirectoryError::Unavailable(_))), "both are away");
    second.start_again();
    wait_for("the second server", || ldap.by_uid("alice").is_ok());
}

/// A server that takes connections and says nothing is as good as none.
#[test]
fn a_server_that_hangs_is_left_for_the_next() {
    let (first, second) = (Slapd::start(ENTRIES), Slapd::start(ENTRIES));
    // As short as a machine that stands still for a moment allows: the second server must answer in it.
    let short = Duration::from_secs(4);
    let ldap =
        open(Settings { connect_timeout: short, search_timeout: short, ..settings(&[&first, &second]) });
    wait_for("the first server", || ldap.by_uid("alice").is_ok() && !first.searches().is_empty());
    let halted = Halted::new(first.pid());
    let takes = || {
        let begun = Instant::now();
        one(ldap.by_uid("alice").unwrap());
        begun.elapsed()
    };
    let first_time = takes();
    assert!(first_time < Duration::from_secs(60), "{first_time:?}");
    let times: Vec<Duration> = (0..20).map(|_| takes()).collect();
    let waits = times.iter().filter(|time| **time >= short).count();
    assert!(waits < 10, "only one look-up waits, and now and then one that tries the first again: {times:?}");
    drop(halted);
    let asked = first.searches().len();
    wait_for("the return to the first server", || {
        let _ = ldap.by_uid("alice");
        first.searches().len() > asked
    });
}

/// Down is not unknown; and all is well again when it is back.
#[test]
fn a_server_that_is_down_is_unavailable_and_comes_back() {
    let mut server = Slapd::start(ENTRIES);
    let ldap = open(settings(&[&server]));
    let alice = one(ldap.by_uid("alice").unwrap());
    server.stop();
    let unavailable = |result: Result<(), DirectoryError>| {
        assert!(matches!(result, Err(DirectoryError::Unavailable(_))), "{result:?}");
    };
    unavailable(ldap.by_uid("alice").map(|_| ()));
    unavailable(ldap.by_address("nobody@example.test").map(|_| ()));
    unavailable(ldap.check_password(&alice, "alice-secret").map(|_| ()));
    unavailable(ldap.users(None, 10).map(|_| ()));
    ldap.check_nobody("x");
    // Fast as well: no thread waits for a server that is known to be down.
    let begun = Instant::now();
    for _ in 0..1000 {
        unavailable(ldap.by_uid("alice").map(|_| ()));
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed()); // the time of one search
    server.start_again();
    wait_for("the server to be used again", || ldap.by_uid("alice").is_ok());
    assert!(ldap.check_password(&alice, "alice-secret").unwrap());
    // A directory that is opened while its server is away serves when it comes.
    server.stop();
    let early = open(settings(&[&server]));
    unavailable(early.by_uid("alice").map(|_| ()));
    server.start_again();
    wait_for("the server", || early.by_uid("alice").is_ok());
}

/// A mistake of the administrator's must not make every user unknown.
#[test]
fn a_wrong_base_or_credential_is_unavailable() {
    let server = Slapd::start(ENTRIES);
    let wrong_base = open(Settings { base: "o=exampel.test".into(), ..settings(&[&server]) });
    assert!(matches!(wrong_base.by_uid("alice"), Err(DirectoryError::Unavailable(_))));
    let identity = Identity { dn: BIND_DN.into(), credential: Credential::Text("no-secret".into()) };
    let wrong_secret = open(Settings { identity: Some(identity), ..settings(&[&server]) });
    let why = wrong_secret.by_uid("alice").unwrap_err().to_string();
    assert!(why.contains(BIND_DN) && !why.contains("no-secret"), "{why}");
    // Who may not read sees no base at all here: no answer either.
    let anonymous = open(Settings { identity: None, ..settings(&[&server]) });
    assert!(matches!(anonymous.by_uid("alice"), Err(DirectoryError::Unavailable(_))));
    let nobody_there = Server { host: "127.0.0.1".into(), port: 1 };
    let nowhere = open(Settings { servers: vec![nobody_there], ..settings(&[&server]) });
    assert!(nowhere.by_uid("alice").unwrap_err().to_string().contains("127.0.0.1:1"));
}

#[test]
fn the_credential_may_be_in_a_file_and_may_change() {
    let server = Slapd::start(ENTRIES);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credential");
    let credential = Credential::File(path.clone());
    let ldap = open(Settings {
        identity: Some(Identity { dn: BIND_DN.into(), credential }),
        ..settings(&[&server])
    });
    let why = ldap.by_uid("alice").unwrap_err().to_string();
    assert!(why.contains("credential"), "{why}");
    fs::write(&path, format!("{BIND_SECRET}\n")).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    wait_for("the file to be read", || ldap.by_uid("alice").is_ok());
}

fn with_tls(server: &Slapd, transport: Transport, ca_file: Option<PathBuf>, host: &str) -> LdapDirectory {
    let port = if transport == Transport::Tls { server.tls_port } else { server.port };
    let servers = vec![Server { host: host.to_owned(), port }];
    open(Settings { servers, transport, ca_file, ..settings(&[server]) })
}

#[test]
fn tls_and_starttls_verify_the_servers_certificate() {
    let (server, other) = (Slapd::start(ENTRIES), Slapd::start(ENTRIES));
    let (host, ca) = (server.address.to_string(), Some(server.certificate()));
    let another_name = server.other_address.to_string();
    one(with_tls(&server, Transport::Plain, None, &another_name).by_uid("alice").unwrap());
    for transport in [Transport::Tls, Transport::StartTls] {
        let good = with_tls(&server, transport, ca.clone(), &host);
        let alice = one(good.by_uid("alice").unwrap());
        assert!(good.check_password(&alice, "alice-secret").unwrap());
        for (ca, host, what) in [
            (None, &host, "an authority that the system does not know"),
            (Some(other.certificate()), &host, "another authority"),
            (ca.clone(), &another_name, "another name"),
        ] {
            let why = with_tls(&server, transport, ca, host).by_uid("alice").unwrap_err().to_string();
            assert!(why.contains("certificate verify failed"), "{what}: {why}");
        }
    }
    wait_for("the log", || server.log().contains("STARTTLS"));
    let log = server.log();
    assert!(log.contains("TLS established"), "{log}");
    let missing = Settings {
        transport: Transport::Tls,
        ca_file: Some("/nonexistent.pem".into()),
        ..settings(&[&server])
    };
    assert!(LdapDirectory::open(missing, Log::discard()).is_err());
}

#[test]
fn dynamic_groups_have_the_members_that_their_searches_find() {
    let server = Slapd::start(&format!("{ENTRIES}{DYNAMIC}"));
    let ldap = open(settings(&[&server]));
    let members = |ldap: &LdapDirectory, address: &str| {
        let mut members = one(ldap.by_address(address).unwrap()).members.clone();
        members.sort();
        members
    };
    assert_eq!(
        members(&ldap, "all@example.test"),
        [
            "Bob@example.test",
            "alice@example.test",
            "o'neil@example.test",
            "twin1@example.test",
            "twin2@example.test"
        ]
    );
    assert_eq!(members(&ldap, "everything@example.test"), ["Bob@example.test", "staff@example.test"]);
    let flat = open(Settings { nested_groups: false, ..settings(&[&server]) });
    assert_eq!(members(&flat, "everything@example.test"), ["Bob@example.test"]);
    // A group that cannot be read whole is not delivered to in part.
    let why = ldap.by_address("abroad@example.test").unwrap_err().to_string();
    assert!(why.contains("another server"), "{why}");
    // What else a group may name by a URL: the embedded directory says the same.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.ldif");
    std::fs::write(&file, format!("{ENTRIES}{DYNAMIC}")).unwrap();
    let embedded = directory::Embedded::open(&file, server_log::Log::discard()).unwrap();
    for url in ["ldap:///o=example.test??sub?(uid=b*)", "ldap:///??sub?(|(cn=staff)(uid=nobody))"] {
        let found = ldap.addresses_at(url).unwrap();
        assert_eq!(found.len(), 1, "{url}: {found:?}");
        assert_eq!(embedded.addresses_at(url).unwrap(), found, "{url}");
    }
    assert!(ldap.addresses_at("ldap://elsewhere.test/o=y").is_err());
}

/// Several pages of users and of members, and a group of many names.
#[test]
fn long_lists_come_in_pages() {
    let mut text = ENTRIES.to_owned();
    let mut group = String::from(
        "\ndn: cn=many,ou=Groups,o=example.test\nobjectClass: groupOfUniqueNames\nobjectClass: mailGroup\ncn: many\n\
         mail: many@example.test\n",
    );
    for n in 0..1200 {
        text.push_str(&format!(
            "\ndn: uid=u{n:04},ou=People,o=example.test\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\n\
             uid: u{n:04}\ncn: u\nsn: u\nmail: u{n:04}@example.test\n"
        ));
        group.push_str(&format!("uniqueMember: uid=u{n:04},ou=People,o=example.test\n"));
    }
    let dynamic = DYNAMIC.replace("(uid=*)", "(uid=u*)");
    let server = Slapd::start(&format!("{text}{group}{dynamic}"));
    let ldap = open(settings(&[&server]));
    let users = ldap.users(Some("u0599"), 300).unwrap();
    assert_eq!(users.len(), 300);
    assert_eq!(users[0].uid.as_deref(), Some("u0600"));
    assert_eq!(users[299].uid.as_deref(), Some("u0899"));
    let many = one(ldap.by_address("many@example.test").unwrap());
    assert_eq!((many.members.len(), many.members[1199].as_str()), (1200, "u1199@example.test"));
    assert_eq!(one(ldap.by_address("all@example.test").unwrap()).members.len(), 1200);
}

/// A wrong password of a user that is there costs the server a hash; one of nobody must take as long.
#[test]
fn a_user_that_does_not_exist_takes_as_long() {
    // SHA-512 with many rounds, so that the hash is what counts.
    let hash = "{CRYPT}$6$rounds=400000$abcdefgh$0000000000000000000000000000000000000000000000000000000000000000000000000000000000000/";
    let slow = ENTRIES.replace("{SHA}KusvaLb24DJ0ziPMVrqjntyCRkM=", hash);
    let server = Slapd::start(&slow);
    let ldap = open(settings(&[&server]));
    let alice = one(ldap.by_uid("alice").unwrap());
    let time = |work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    let known: Vec<Duration> =
        (0..5).map(|_| time(&|| assert!(!ldap.check_password(&alice, "guess").unwrap()))).collect();
    let unknown: Vec<Duration> = (0..5).map(|_| time(&|| ldap.check_nobody("guess"))).collect();
    let shortest = |times: &[Duration]| *times.iter().min().unwrap();
    assert!(shortest(&known) > Duration::from_millis(20), "the hash is slow: {known:?}");
    // The times that are remembered are a little shorter than those that are measured here.
    assert!(shortest(&unknown) * 10 >= shortest(&known) * 9, "{known:?} {unknown:?}");
}

/// The example can be loaded, and is what it says.
#[test]
fn the_example_is_a_working_directory() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../etc/ldap/example.ldif");
    let text = fs::read_to_string(path).unwrap().replace("example.org", "example.test");
    let without_reader: Vec<&str> =
        text.split("\n\n").filter(|record| !record.contains("dn: cn=mailboat,")).collect();
    let server = Slapd::start(&without_reader.join("\n\n"));
    let ldap = open(settings(&[&server]));
    let bob = one(ldap.by_uid("bob").unwrap());
    assert!(!bob.may_use(directory::Service::Pop) && bob.may_use(directory::Service::Imap));
    assert!(ldap.check_password(&bob, "bob-secret").unwrap());
    assert_eq!(one(ldap.by_address("staff@example.test").unwrap()).members.len(), 3);
    assert_eq!(one(ldap.by_address("all@example.test").unwrap()).members.len(), 3);
    assert!(matches!(ldap.by_address("postmaster@example.test").unwrap(), Found::One(_)));
}

/// What SCRAM needs, where the server lets the service read it: and nowhere else.
#[test]
fn stored_passwords_are_read_where_they_may_be_and_are_part_of_no_entry() {
    let stored = "{SCRAM-SHA-256}4096,c2FsdA==,c3RvcmVk,c2VydmVy";
    let entries = ENTRIES.replacen(
        "userPassword: {SHA}KusvaLb24DJ0ziPMVrqjntyCRkM=",
        &format!("userPassword: {stored}"),
        1,
    );
    let allowed = format!(
        "access to attrs=userPassword by dn.exact=\"{BIND_DN}\" read by self =xw by anonymous auth by * none\n"
    );
    for (access, wanted) in [(allowed.as_str(), vec![stored.to_owned()]), ("", vec![])] {
        let slapd = Slapd::start_with(&entries, access);
        let directory = open(settings(&[&slapd]));
        let alice = one(directory.by_uid("alice").unwrap());
        assert_eq!(directory.stored_passwords(Some(&alice)).unwrap(), wanted);
        assert!(directory.stored_passwords(None).unwrap().is_empty(), "nobody has none");
        assert!(!format!("{alice:?}").contains("SCRAM"), "{alice:?}");
    }
}
