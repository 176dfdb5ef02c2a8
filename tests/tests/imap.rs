//! IMAP from outside: the commands, and several clients at once
//! (RFC 3501, RFC 2177, RFC 4315, RFC 6851; S140).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use black_box::instance::{IMAP, in_one_of_ten, wait_for};
use black_box::{Imap, Instance, Setup};

const MESSAGE: &str =
    "From: Amy <amy@example.org>\r\nTo: alice@example.test\r\nSubject: lunch\r\n\r\nat noon?\r\n";

fn find<'a>(responses: &'a [String], start: &str) -> &'a str {
    responses
        .iter()
        .find(|one| one.starts_with(start))
        .unwrap_or_else(|| panic!("no {start} in {responses:?}"))
}

#[test]
fn a_whole_session_with_every_command() {
    let instance = Instance::start();
    let mut imap = Imap::open(instance.connect(IMAP));
    assert!(imap.greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{}", imap.greeting);
    let capability = imap.ok("CAPABILITY").remove(0);
    for name in [
        "IMAP4rev1",
        "LITERAL+",
        "SASL-IR",
        "ID",
        "ENABLE",
        "IDLE",
        "NAMESPACE",
        "UIDPLUS",
        "UNSELECT",
        "CHILDREN",
        "MOVE",
        "SPECIAL-USE",
        "STATUS=SIZE",
        "STARTTLS",
        "AUTH=PLAIN",
    ] {
        assert!(capability.split(' ').any(|word| word == name), "{name} in {capability}");
    }
    imap.ok("ID (\"name\" \"test\")");
    imap.ok("AUTHENTICATE PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==");
    assert!(imap.ok("NAMESPACE")[0].starts_with("* NAMESPACE ((\"\" \"/\")) "));
    assert_eq!(imap.ok("ENABLE X-NOTHING"), ["* ENABLED"]);
    imap.ok("CREATE Work/2002");
    imap.ok("CREATE Trash");
    imap.ok("SUBSCRIBE Work/2002");
    assert_eq!(imap.ok("LSUB \"\" *"), ["* LSUB () \"/\" \"Work/2002\""]);
    imap.ok("UNSUBSCRIBE Work/2002");
    assert!(find(&imap.ok("LIST \"\" Trash"), "* LIST").contains("\\Trash"));
    imap.ok("RENAME Work Play");
    assert!(
        imap.append("INBOX", "(\\Flagged) \"17-Jul-1996 02:44:25 -0700\" ", MESSAGE).contains("APPENDUID")
    );
    let status = imap.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN RECENT SIZE)").remove(0);
    assert!(status.ends_with(&format!("(MESSAGES 1 UIDNEXT 2 UNSEEN 1 RECENT 1 SIZE {})", MESSAGE.len())));
    let selected = imap.ok("SELECT INBOX");
    find(&selected, "* 1 EXISTS");
    find(&selected, "* 1 RECENT");
    find(&selected, "* OK [UIDVALIDITY ");
    let fetched = imap.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let row = find(&fetched, "* 1 FETCH (");
    assert!(row.contains("((\"Amy\" NIL \"amy\" \"example.org\"))"), "{row}");
    assert!(row.contains("INTERNALDATE \"17-Jul-1996 09:44:25 +0000\""), "{row}");
    assert!(row.contains("{18}\r\nSubject: lunch\r\n\r\n"), "{row}");
    assert!(imap.ok("FETCH 1 BODY[TEXT]")[0].contains("at noon?"));
    assert!(
        imap.ok("STORE 1 +FLAGS ($Work)").iter().any(|one| one.contains("\\Seen") && one.contains("$Work"))
    );
    assert_eq!(imap.ok("SEARCH SEEN KEYWORD $Work BODY noon"), ["* SEARCH 1"]);
    assert_eq!(imap.ok("UID SEARCH UNSEEN"), ["* SEARCH"]);
    let (_, copied) = imap.command("UID COPY 1 Play/2002");
    assert!(copied.starts_with("OK [COPYUID "), "{copied}");
    let moved = imap.ok("MOVE 1 Trash");
    find(&moved, "* OK [COPYUID ");
    find(&moved, "* 1 EXPUNGE");
    imap.ok("CHECK");
    imap.ok("CLOSE");
    imap.ok("EXAMINE Trash");
    assert!(imap.refused("STORE 1 +FLAGS (\\Deleted)").starts_with("NO"));
    imap.ok("UNSELECT");
    imap.ok("SELECT Trash");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("UID EXPUNGE 1:*"), ["* 1 EXPUNGE"]);
    assert_eq!(imap.ok("EXPUNGE"), [""; 0]);
    imap.ok("DELETE Play/2002");
    find(&imap.ok("LOGOUT"), "* BYE");
    assert!(imap.wire.is_closed());
}

#[test]
fn wrong_passwords_are_slowed_down_and_other_sessions_are_not() {
    let instance = Instance::start();
    in_one_of_ten("bob does not wait for a guesser", || {
        let mut guesser = Imap::open(instance.connect(IMAP));
        let begun = Instant::now();
        guesser.wire.send(b"g LOGIN alice wrong\r\n");
        let mut other = instance.imap("bob");
        other.ok("NOOP");
        let was_first = !guesser.wire.has_more();
        let (_, end) = guesser.until_tagged("g");
        assert!(end.starts_with("NO [AUTHENTICATIONFAILED]"), "{end}");
        assert!(begun.elapsed() >= Duration::from_secs(1));
        was_first
    });
}

/// S140: an administrator says PROXYAUTH and sees the user's mail; nobody else can.
#[test]
fn proxyauth_shows_a_users_mail_to_an_administrator_only() {
    let instance = Instance::start();
    instance.imap("alice").append("INBOX", "", MESSAGE);
    let mut admin = instance.imap("admin");
    admin.ok("PROXYAUTH alice");
    find(&admin.ok("SELECT INBOX"), "* 1 EXISTS");
    assert!(instance.imap("bob").refused("PROXYAUTH alice").starts_with("NO [NOPERM]"));
    let mut admin = instance.imap("admin");
    find(&admin.ok("SELECT user/alice/INBOX"), "* 1 EXISTS");
}

/// A client that idles in one process hears within 100 ms of what was done in another.
#[test]
fn idle_hears_of_new_mail_across_processes_within_100_ms() {
    let instance = Setup::default().set("service.imap.numprocesses", "2").start();
    let mut writer = instance.imap("alice");
    let mut idle: Vec<Imap> = (0..8)
        .map(|_| {
            let mut imap = instance.imap("alice");
            imap.ok("SELECT INBOX");
            imap.wire.send(b"i IDLE\r\n");
            assert!(imap.response().starts_with('+'));
            imap
        })
        .collect();
    // Each round begins when all have heard of the one before: who looks from time to time is late each time, and not only when
    // others use the machine, too.
    let mut times: Vec<Duration> = Vec::new();
    let in_time =
        |times: &[Duration]| times.iter().filter(|time| **time < Duration::from_millis(100)).count();
    while in_time(&times) < 10 {
        assert!(times.len() < 60, "{times:?}");
        assert!(writer.append("INBOX", "", MESSAGE).starts_with("OK"));
        let appended = Instant::now();
        let expected = format!("* {} EXISTS", times.len() + 1);
        for imap in &mut idle {
            while imap.response() != expected {}
        }
        times.push(appended.elapsed());
    }
    println!("from the answer to APPEND until all have heard of it: {times:?}");
    for imap in &mut idle {
        imap.wire.send(b"DONE\r\n");
        assert!(imap.until_tagged("i").1.starts_with("OK"));
    }
}

/// A keyword that another client made is told before it is used (RFC 3501 section 7.2.6).
#[test]
fn a_new_keyword_is_told_before_a_message_has_it() {
    let instance = Instance::start();
    let (mut one, mut other) = (instance.imap("alice"), instance.imap("alice"));
    for _ in 0..2 {
        assert!(one.append("INBOX", "", "Subject: x\r\n\r\ny\r\n").starts_with("OK"));
    }
    for imap in [&mut one, &mut other] {
        imap.ok("SELECT INBOX");
    }
    for (keyword, fetch) in
        [("$New", "FETCH 2 FLAGS"), ("$Newer", "UID FETCH 1:* (FLAGS)"), ("$Newest", "FETCH 2 BODY[]")]
    {
        other.ok(&format!("STORE 2 +FLAGS.SILENT ({keyword})"));
        let told = one.ok(fetch);
        let place = |wanted: &dyn Fn(&&String) -> bool| told.iter().position(|line| wanted(&line)).unwrap();
        let listed = place(&|line| line.starts_with("* FLAGS (") && line.contains(&format!(" {keyword})")));
        let used = place(&|line| line.starts_with("* 2 FETCH") && line.contains(keyword));
        assert!(listed < used, "{fetch}: {told:?}");
    }
}

/// One client expunges while another fetches by number: no number ever means another message.
#[test]
fn numbers_stay_right_while_another_client_expunges() {
    let instance = Setup::default().set("service.imap.numprocesses", "2").start();
    let mut filler = instance.imap("alice");
    for number in 0..60 {
        let message = format!("Subject: s{number}\r\n\r\n{number}\r\n");
        assert!(filler.append("INBOX", "", &message).starts_with("OK"));
    }
    let mut reader = instance.imap("alice");
    reader.ok("SELECT INBOX");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut killer = instance.imap("alice");
            killer.ok("SELECT INBOX");
            for _ in 0..20 {
                killer.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
                assert_eq!(killer.ok("EXPUNGE").iter().filter(|one| one.ends_with("EXPUNGE")).count(), 1);
            }
        });
        let mut uids: Vec<u32> = (1..=60).collect();
        for round in 0..60 {
            let number = round % uids.len() + 1;
            for response in reader.ok(&format!("FETCH {number} UID")) {
                assert!(!response.ends_with("EXPUNGE"), "during FETCH: {response}");
                if response.contains("(UID ") {
                    assert_eq!(response, format!("* {number} FETCH (UID {})", uids[number - 1]));
                }
            }
            for response in reader.ok("NOOP") {
                if let Some(number) =
                    response.strip_prefix("* ").and_then(|rest| rest.strip_suffix(" EXPUNGE"))
                {
                    uids.remove(number.parse::<usize>().unwrap() - 1);
                }
            }
        }
    });
    reader.ok("NOOP");
    assert_eq!(reader.exists("INBOX"), 40);
}

#[test]
fn the_log_tells_who_came_and_how_it_ended() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("LOGOUT");
    assert!(imap.wire.is_closed());
    let log = instance.path("log/imap/imap");
    wait_for("the log lines", || {
        let text = fs::read_to_string(&log).ok()?;
        let begun = text
            .lines()
            .any(|line| line.contains("login: [127.") && line.contains("] alice plain (session "));
        let ended = text.lines().any(|line| line.contains("end: user alice") && line.ends_with("logged out"));
        (begun && ended).then_some(())
    });
}
