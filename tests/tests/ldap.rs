//! The suite with LDAP servers as its directory: the embedded directory's own file, outgrown.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, wait_for};
use black_box::slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};
use black_box::{Imap, Instance, Pop, Setup, run};

/// An instance whose users are in these servers and nowhere else. A single one has what `dirutil export` makes of the
/// embedded directory; several have its file as it is.
struct Site {
    instance: Instance,
    servers: Vec<Slapd>,
}

fn site(servers: usize, prepare: impl FnOnce(&Instance)) -> Site {
    site_with(servers, "", prepare)
}

/// With more rules of access.
fn site_with(servers: usize, access: &str, prepare: impl FnOnce(&Instance)) -> Site {
    let instance = Setup::default().create();
    prepare(&instance);
    let file = instance.path("config/directory.ldif");
    let exported = run(instance.tool("dirutil").arg("export"));
    let entries = if servers == 1 { exported } else { fs::read_to_string(&file).unwrap() };
    fs::remove_file(&file).unwrap();
    let servers: Vec<Slapd> = (0..servers).map(|_| Slapd::start_with(&entries, access)).collect();
    let hosts: Vec<String> = servers.iter().map(Slapd::host).collect();
    instance.set("local.ugldaphost", &hosts.join(" "));
    instance.set("local.ugldapuselocal", "yes");
    instance.set("local.ugldapbasedn", BASE);
    instance.set("local.ugldapbinddn", BIND_DN);
    instance.set("local.ugldapbindcred", "file:config/ldap.credential");
    let file = instance.path("config/ldap.credential");
    fs::write(&file, format!("{BIND_SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    Site { instance, servers }
}

fn log_in_imap(instance: &Instance, user: &str, password: &str) -> String {
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.command(&format!("LOGIN {user} {password}")).1
}

/// negativehostattr: an attribute makes a mail client of who has it, if smtpd may read it. If not, both logs say what it takes for
/// mail servers.
#[test]
fn who_has_no_attribute_of_mail_clients_that_can_be_seen_is_told_to_be_a_mail_server() {
    for (access, may_alice) in [("", false), ("access to attrs=telephoneNumber by * none\n", true)] {
        let mut site = site_with(1, access, |instance| {
            instance.set("service.smtp.negativehostattr", "roomNumber telephoneNumber");
            let file = instance.path("config/directory.ldif");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("uid: alice\n", "uid: alice\ntelephoneNumber: 1\n")).unwrap();
        });
        site.instance.start_all();
        for (user, may) in [("alice", may_alice), ("bob", true)] {
            let said = site.instance.submission(user).ask("MAIL FROM:<s@example.org>");
            assert!(said.starts_with(if may { "250" } else { "553 5.7.1" }), "{user} {access}: {said}");
            let log = site.instance.log("smtp");
            let is_told =
                log.contains(&format!("login as a mail server: [127.0.0.1] {user} may send as anybody"));
            assert_eq!(is_told, may, "{user} {access}: {log}");
            let audit = site.instance.log("audit");
            assert_eq!(audit.contains(&format!(" mail-server user={user} from=127.0.0.1")), may, "{audit}");
        }
    }
}

fn log_in_pop(instance: &Instance, user: &str) -> String {
    let mut pop = Pop::open(instance.connect(POP));
    pop.ok(&format!("USER {user}"));
    let reply = pop.ask(&format!("PASS {user}-secret"));
    if reply.starts_with("+OK") {
        pop.ok("QUIT"); // the maildrop is free again
    }
    reply
}

/// What means something in a filter is a character like others in a name: nobody is found by it, and nobody's password is tried.
#[test]
fn characters_of_filters_find_nobody() {
    let mut site = site(1, |_| {});
    site.instance.start_all();
    let instance = &site.instance;
    assert!(log_in_imap(instance, "alice", "alice-secret").starts_with("OK"));
    for name in ["*", "al*", "alice)(uid=*", "*)(|(uid=*", "alice)(&)", "\\61lice", "(uid=alice)", "ali\\2a"]
    {
        let sasl = STANDARD.encode(format!("\0{name}\0alice-secret"));
        let said = Imap::open(instance.connect(IMAP)).command(&format!("AUTHENTICATE PLAIN {sasl}")).1;
        assert!(said.starts_with("NO [AUTHENTICATIONFAILED]"), "{name:?}: {said}");
    }
    for address in ["*@example.test", "al*@example.test", "\"alice)(mail=*\"@example.test"] {
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example");
        smtp.ok("MAIL FROM:<joe@example.org>");
        let said = smtp.ask(&format!("RCPT TO:<{address}>"));
        assert!(said.starts_with("550 5.1.1"), "{address}: {said}");
    }
    assert!(log_in_pop(instance, "alice").starts_with("+OK"));
}

/// The password of the directory from a credential of systemd's and from the environment, to a confined daemon; a
/// wrong one of each kind opens nothing.
#[test]
fn the_directory_s_password_comes_from_where_it_is_named() {
    let secrets = tempfile::tempdir().unwrap();
    let credential = secrets.path().join("directory");
    let mut site = site(1, |instance| instance.set("service.authcachettl", "0"));
    let instance = &mut site.instance;
    instance.set_environment("CREDENTIALS_DIRECTORY", secrets.path().to_str().unwrap());
    let log_in = |instance: &mut Instance, named: &str, secret: &str| {
        fs::write(&credential, secret).unwrap();
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
        instance.set_environment("DIRECTORY_SECRET", secret);
        instance.set("local.ugldapbindcred", named);
        instance.start_one("store");
        instance.start_one("imap");
        let said = log_in_imap(instance, "alice", "alice-secret");
        instance.stop("imap");
        instance.stop("store");
        said
    };
    for named in ["cred:directory", "env:DIRECTORY_SECRET"] {
        let said = log_in(instance, named, BIND_SECRET);
        assert!(said.starts_with("OK"), "{named}: {said}");
        let said = log_in(instance, named, "wrong");
        assert!(said.starts_with("NO [UNAVAILABLE]"), "{named}: {said}");
    }
    let said = log_in(instance, "cred:nothing", BIND_SECRET);
    assert!(said.starts_with("NO [UNAVAILABLE]"), "{said}");
    let log = instance.log("imap");
    assert!(log.contains("imapd stopped") && !log.contains(BIND_SECRET), "{log}");
}

/// smtpd asks for the postmaster before it serves (S54): it waits for a directory that starts after it.
#[test]
fn daemons_that_start_before_the_directory_wait_for_it() {
    let mut site = site(1, |_| {});
    site.servers[0].stop();
    site.instance.start_one("store");
    let log = site.instance.path("log/smtp/smtp");
    let (instance, server) = (&mut site.instance, &mut site.servers[0]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("smtpd to say that it waits", || {
                fs::read_to_string(&log).ok()?.contains("smtpd waits for it").then_some(())
            });
            server.start_again();
        });
        instance.start_one("smtp");
    });
    site.instance.start_all();
    site.instance.send("alice", "late start");
    site.instance.wait_for_messages("alice", 1);
}

/// S176: the value as the guide sets it; log-ins go on without the first server, and go back to it.
#[test]
fn the_second_directory_server_is_used_while_the_first_is_down() {
    let mut site = site(2, |instance| instance.set("service.authcachettl", "0"));
    let value = run(site.instance.tool("configutil").args(["-o", "local.ugldaphost"]));
    assert_eq!(value.trim(), format!("{} {}", site.servers[0].host(), site.servers[1].host()));
    site.instance.start_all();
    assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
    assert!(site.servers[1].searches().is_empty());
    site.servers[0].stop();
    for _ in 0..5 {
        assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
        assert!(log_in_pop(&site.instance, "bob").starts_with("+OK"));
    }
    site.instance.send("bob", "by the second");
    site.instance.wait_for_messages("bob", 1);
    let log = site.instance.log("imap");
    assert!(log.contains(&format!("{} is used instead", site.servers[1].host())), "{log}");
    let asked = site.servers[0].searches().len();
    site.servers[0].start_again();
    wait_for("the first server to be asked again", || {
        assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
        (site.servers[0].searches().len() > asked).then_some(())
    });
}

/// S33: as `ss` would show it, no process has more connections than `ldappoolsize`.
#[test]
fn no_process_has_more_connections_than_ldappoolsize() {
    const LOOKS: usize = 40;
    let mut site = site(1, |instance| {
        instance.set("service.authcachettl", "0");
        instance.set("service.smtp.ldappoolsize", "8");
    });
    site.instance.start_all();
    let (instance, server) = (&site.instance, &site.servers[0]);
    let pids = ["smtp", "imap"].map(|service| instance.pid(service).unwrap());
    // The load lasts until it was looked at often enough.
    let looked = AtomicUsize::new(0);
    let most = std::thread::scope(|scope| {
        for thread in 0..24 {
            let looked = &looked;
            scope.spawn(move || {
                let user = if thread % 2 == 0 { "alice" } else { "bob" };
                while looked.load(Ordering::Relaxed) < LOOKS {
                    assert!(log_in_imap(instance, user, &format!("{user}-secret")).contains("OK"));
                    let mut smtp = instance.smtp();
                    smtp.ok("EHLO client.example.org");
                    smtp.ok("MAIL FROM:<a@example.org>");
                    for _ in 0..10 {
                        smtp.ok(&format!("RCPT TO:<{user}@example.test>"));
                    }
                }
            });
        }
        let mut most = [0; 2];
        for _ in 0..LOOKS {
            let now = pids.map(|pid| server.connections_of(pid));
            most = [most[0].max(now[0]), most[1].max(now[1])];
            looked.fetch_add(1, Ordering::Relaxed);
        }
        most
    });
    assert!(most.iter().all(|most| (1..=8).contains(most)), "smtpd and imapd had {most:?} connections");
}

/// S127: within `service.authcachettl` the second log-in asks nobody; without the cache each one does.
#[test]
fn a_remembered_log_in_searches_once() {
    let mut site = site(1, |_| {});
    site.instance.start_all();
    let of_alice = |site: &Site| {
        let searches = site.servers[0].searches();
        searches.iter().filter(|line| line.contains("(uid=alice)")).count()
    };
    assert!(log_in_pop(&site.instance, "alice").starts_with("+OK"));
    wait_for("the search to be logged", || (of_alice(&site) == 1).then_some(()));
    assert!(log_in_pop(&site.instance, "alice").starts_with("+OK"));
    assert!(log_in_pop(&site.instance, "bob").starts_with("+OK"));
    wait_for("bob's search", || {
        site.servers[0].searches().iter().any(|line| line.contains("(uid=bob)")).then_some(())
    });
    assert_eq!(of_alice(&site), 1, "the second log-in was remembered");
}

/// S129: who comes by PROXYAUTH, or by an authorization identity, is looked up each time, however often it was; only the
/// administrator's own log-in is remembered. So a multiplexor's log-ins have little of the cache.
#[test]
fn a_log_in_by_proxy_searches_for_its_user_each_time() {
    let mut site = site(1, |instance| instance.set("store.admins", "admin"));
    site.instance.start_one("store");
    site.instance.start_one("imap");
    let of = |site: &Site, user: &str| {
        let wanted = format!("(uid={user})");
        site.servers[0].searches().iter().filter(|line| line.contains(&wanted)).count()
    };
    let by_proxy = |site: &Site| {
        let mut imap = Imap::open(site.instance.connect(IMAP));
        assert!(imap.command("LOGIN admin admin-secret").1.starts_with("OK"));
        assert!(imap.command("PROXYAUTH alice").1.starts_with("OK"));
    };
    for time in 1..=4 {
        by_proxy(&site);
        wait_for("the search for alice", || (of(&site, "alice") >= time).then_some(()));
        assert_eq!(of(&site, "alice"), time, "one look-up for each");
    }
    assert_eq!(of(&site, "admin"), 1, "the administrator is remembered");
    for _ in 0..4 {
        assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
    }
    assert!(log_in_imap(&site.instance, "bob", "bob-secret").contains("OK"));
    wait_for("bob's search", || (of(&site, "bob") == 1).then_some(()));
    assert_eq!(of(&site, "alice"), 5, "her own log-ins cost one look-up in all");
}

/// S96: the cache of the original's LDAP library is not there, whatever its switches say.
#[test]
fn the_switches_of_the_ldap_librarys_cache_change_nothing() {
    let searches = [false, true].map(|on| {
        let mut site = site(1, |instance| {
            instance.set("service.authcachettl", "0");
            if on {
                instance.set("service.ldapmemcache", "yes");
                instance.set("service.ldapmemcachesize", "1000000");
                instance.set("service.ldapmemcachettl", "600");
            }
        });
        site.instance.start_one("store");
        site.instance.start_one("imap");
        for _ in 0..3 {
            assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
        }
        assert!(log_in_imap(&site.instance, "bob", "bob-secret").contains("OK"));
        let last = |line: &String| line.contains("(uid=bob)");
        wait_for("the last search", || site.servers[0].searches().iter().any(last).then_some(()));
        site.servers[0].searches().len()
    });
    assert_eq!(searches, [4, 4]);
}

/// S32: rewriting costs one look-up, for From; To and Cc are known from RCPT.
#[test]
fn header_rewriting_costs_one_look_up_for_from() {
    for (style, searches) in [("never", 1), ("quoted", 2)] {
        let mut site = site(1, |instance| {
            instance.set("service.smtp.smtp-router.smtprewritestyle", style);
            instance.set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8");
        });
        for service in ["store", "smtp", "imap"] {
            site.instance.start_one(service);
        }
        let mut smtp = site.instance.smtp();
        smtp.ok("EHLO client.example.org");
        let text = "From: alice\r\nTo: bob\r\nCc: admin, bob@example.test\r\n\r\nx\r\n";
        smtp.send_message("a@example.org", &["bob@example.test"], text);
        site.instance.wait_for_messages("bob", 1);
        site.instance.wait_for_empty_queue();
        let all = site.servers[0].searches();
        let about = all
            .iter()
            .filter(|line| ["mail=alice", "mail=bob", "mail=admin"].iter().any(|name| line.contains(name)));
        assert_eq!(about.count(), searches, "{style}: {all:#?}");
    }
}

/// S56: each recipient is looked up once for a message, and again for the next one.
#[test]
fn a_message_costs_one_look_up_for_each_recipient() {
    let mut site = site(1, |_| {});
    site.instance.start_one("store");
    site.instance.start_one("smtp");
    site.instance.start_one("imap");
    let of_recipients = |site: &Site| {
        let searches = site.servers[0].searches();
        let about =
            |line: &&String| ["mail=alice", "mail=bob", "mail=admin"].iter().any(|name| line.contains(name));
        searches.iter().filter(about).count()
    };
    let to = ["alice@example.test", "Bob@example.test", "admin@example.test"];
    for (count, searches) in [(1, 3), (2, 6)] {
        let mut smtp = site.instance.smtp();
        smtp.ok("EHLO client.example.org");
        smtp.send_message("a@example.org", &to, "Subject: x\r\n\r\nx\r\n");
        for user in ["alice", "bob", "admin"] {
            site.instance.wait_for_messages(user, count);
        }
        site.instance.wait_for_empty_queue();
        assert_eq!(of_recipients(&site), searches, "{:#?}", site.servers[0].searches());
    }
    // A sub-address and its plain one are two look-ups, of which none is repeated.
    let before = of_recipients(&site);
    let mut smtp = site.instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("a@example.org", &["alice+work@example.test"], "Subject: x\r\n\r\nx\r\n");
    site.instance.wait_for_empty_queue();
    assert_eq!(of_recipients(&site), before + 2);
}

/// S101: the caches are a process's own, so a user costs one search for each process and no more.
#[test]
fn each_process_remembers_for_itself() {
    let mut site = site(1, |instance| instance.set("service.imap.numprocesses", "2"));
    site.instance.start_one("store");
    site.instance.start_one("imap");
    // Enough that both processes get some: the kernel chooses by the client's port.
    for _ in 0..24 {
        assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
    }
    assert!(log_in_imap(&site.instance, "bob", "bob-secret").contains("OK"));
    let of = |name: &str| {
        let about = format!("(uid={name})");
        site.servers[0].searches().iter().filter(|line| line.contains(&about)).count()
    };
    wait_for("bob's search", || (of("bob") == 1).then_some(()));
    assert_eq!(of("alice"), 2);
    // S128: and it does not outlive them.
    site.instance.stop("imap");
    site.instance.start_one("imap");
    assert!(log_in_imap(&site.instance, "alice", "alice-secret").contains("OK"));
    wait_for("a search for alice again", || (of("alice") == 3).then_some(()));
}
