//! SMTP from outside: what is offered and what is refused. Bad input is in bad_input_smtp.rs.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use black_box::instance::{SUBMISSION, wait_for};
use black_box::{Instance, Setup, Smtp};

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

/// A transaction up to DATA.
fn in_data(instance: &Instance) -> Smtp {
    let mut smtp = greeted(instance);
    smtp.ok("MAIL FROM:<s@example.org>");
    smtp.ok("RCPT TO:<alice@example.test>");
    assert!(smtp.ok("DATA").starts_with("354"));
    smtp
}

fn bodies(instance: &Instance, user: &str) -> Vec<String> {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let fetched = imap.ok("FETCH 1:* (BODY.PEEK[TEXT])");
    fetched.iter().filter_map(|text| text.split_once("}\r\n")).map(|(_, body)| body.to_owned()).collect()
}

#[test]
fn what_is_offered_works_and_nothing_else_is_offered() {
    let instance = Instance::start();
    let mut smtp = instance.smtp();
    assert!(smtp.greeting.starts_with("220 localhost ESMTP service (Mailboat "), "X10: {}", smtp.greeting);
    let offered: Vec<String> =
        smtp.ok("EHLO client.example.org").lines().map(|line| line[4..].to_owned()).collect();
    for one in [
        "PIPELINING",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "SIZE 5242880",
        "CHUNKING",
        "BINARYMIME",
        "SMTPUTF8",
        "DSN",
        "LIMITS MAILMAX=1000 RCPTMAX=100000",
        "STARTTLS",
        "AUTH PLAIN LOGIN",
        "HELP",
    ] {
        assert!(offered.iter().any(|line| line == one), "{one} in {offered:?}");
    }
    assert_eq!(offered.len(), 13, "{offered:?}");
    assert!(smtp.ok("HELP").starts_with("214"));
    assert!(smtp.ok("NOOP ignored").starts_with("250 "));
    assert!(smtp.ask("VRFY alice").starts_with("502"), "off by default");
    assert!(smtp.ask("EXPN staff").starts_with("502"));
    assert!(smtp.ask("XCLIENT ADDR=1.2.3.4").starts_with("550"));
    smtp.ok("RSET");
    assert!(smtp.ok("QUIT").starts_with("221"));
    assert!(smtp.wire.is_closed());
}

#[test]
fn dots_eight_bit_text_and_long_lines_arrive_as_they_were_sent() {
    let instance = Instance::start();
    let body = format!(".\r\n..\r\n.a\r\nGr\u{fc}\u{df}e\r\n{}\r\n", "x".repeat(20_000));
    greeted(&instance).send_message(
        "s@example.org",
        &["alice@example.test"],
        &format!("Subject: a\r\n\r\n{body}"),
    );
    instance.wait_for_messages("alice", 1);
    assert_eq!(bodies(&instance, "alice"), [format!("{body})")]);
}

#[test]
fn pipelining_answers_each_command_in_order() {
    let instance = Instance::start();
    let mut smtp = greeted(&instance);
    smtp.wire.send(b"MAIL FROM:<s@example.org>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n");
    let replies: Vec<String> = (0..5).map(|_| smtp.reply()[..3].to_owned()).collect();
    assert_eq!(replies, ["250", "250", "550", "250", "354"]);
    smtp.wire.send(b"Subject: piped\r\n\r\nx\r\n.\r\nMAIL FROM:<s@example.org>\r\nRSET\r\nQUIT\r\n");
    let replies: Vec<String> = (0..4).map(|_| smtp.reply()[..3].to_owned()).collect();
    assert_eq!(replies, ["250", "250", "250", "221"]);
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
}

/// RFC 3030.
#[test]
fn chunks_make_one_message_and_refused_chunks_are_read_to_their_end() {
    let instance = Instance::start();
    let mut smtp = greeted(&instance);
    smtp.wire.send(b"BDAT 7\r\nNOOP\r\n.");
    assert!(smtp.reply().starts_with("503"), "a chunk without a transaction");
    smtp.ok("MAIL FROM:<s@example.org>");
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.wire.send(b"BDAT 19\r\nSubject: a\r\n\r\n.\r\nonBDAT 6 LAST\r\ne\r\ntwo");
    assert!(smtp.reply().starts_with("250 2.0.0 19 octets"));
    assert!(smtp.reply().starts_with("250 2.0.0 "));
    instance.wait_for_messages("alice", 1);
    assert_eq!(bodies(&instance, "alice"), [".\r\none\r\ntwo\r\n)"]);
    smtp.ok("MAIL FROM:<s@example.org>");
    smtp.ok("RCPT TO:<alice@example.test>");
    assert!(smtp.ask("BDAT 5 FOO").starts_with("501"));
    assert!(smtp.wire.is_closed(), "what follows cannot be told from commands");
}

/// S34.
#[test]
fn the_size_limit_counts_only_with_allowsize() {
    let instance = Setup::default().set("service.smtp.smtp-accept.maxmessagesize", "10000").start();
    let big = format!("Subject: a\r\n\r\n{}\r\n", "x".repeat(20_000));
    let mut smtp = instance.smtp();
    assert!(smtp.ok("EHLO a.example").contains("SIZE 10000"));
    assert!(smtp.ask("MAIL FROM:<s@example.org> SIZE=20000").starts_with("552 5.3.4"));
    smtp.ok("MAIL FROM:<s@example.org>");
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("DATA");
    smtp.wire.send(format!("{big}.\r\n").as_bytes());
    assert!(smtp.reply().starts_with("552 5.3.4"));
    let left = fs::read_dir(instance.path("queue/messages")).unwrap().count();
    assert_eq!(left, 0, "nothing of it stays");
    instance.set("service.smtp.smtp-accept.allowsize", "no");
    instance.signal("smtp", nix::sys::signal::Signal::SIGHUP);
    wait_for("the new value", || (!instance.smtp().ok("EHLO a.example").contains("SIZE")).then_some(()));
    greeted(&instance).send_message("s@example.org", &["alice@example.test"], &big);
    instance.wait_for_messages("alice", 1);
}

/// S40, S41.
#[test]
fn silent_clients_are_sent_away() {
    let instance = Setup::default()
        .set("service.smtp.smtp-accept.timeoutcommand", "3")
        .set("service.smtp.smtp-accept.timeoutdata", "3")
        .start();
    let begin = std::time::Instant::now();
    let mut idle = greeted(&instance);
    assert!(idle.reply().starts_with("421 4.4.2"));
    assert!(begin.elapsed() >= Duration::from_millis(2900) && idle.wire.is_closed());
    let mut stuck = in_data(&instance);
    stuck.wire.send(b"Subject: half");
    assert!(stuck.reply().starts_with("421"));
    assert!(stuck.wire.is_closed());
    assert_eq!(fs::read_dir(instance.path("queue/messages")).unwrap().count(), 0);
}

/// S48, S50, S51, S66, and maxbadcommands.
#[test]
fn limits_of_a_connection_and_a_message_are_kept() {
    let instance = Setup::default()
        .set("local.service.smtp.smtp-accept.maxmessages", "2")
        .set("local.service.smtp.smtp-accept.maxrecipients", "2")
        .set("service.smtp.smtp-accept.maxbadcommands", "3")
        .start();
    let mut smtp = greeted(&instance);
    for _ in 0..2 {
        smtp.ok("MAIL FROM:<s@example.org>");
        smtp.ok("RCPT TO:<alice@example.test>");
        smtp.ok("RCPT TO:<bob@example.test>");
        assert!(smtp.ask("RCPT TO:<postmaster@example.test>").starts_with("452 4.5.3"));
        smtp.ok("DATA");
        smtp.wire.send(b"Subject: a\r\n\r\nx\r\n.\r\n");
        assert!(smtp.reply().starts_with("250"));
    }
    assert!(smtp.ask("MAIL FROM:<s@example.org>").starts_with("421 4.7.0"));
    assert!(smtp.wire.is_closed());
    instance.wait_for_messages("bob", 2);
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("BAD").starts_with("500") && smtp.ask("WORSE").starts_with("500"));
    smtp.wire.send(b"WORST\r\n");
    assert!(smtp.reply().starts_with("500") && smtp.reply().starts_with("421"));
    assert!(smtp.wire.is_closed());
}

/// RFC 6409, S190.
#[test]
fn submission_wants_a_log_in_once_and_own_addresses() {
    let instance = Instance::start();
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO client.example.org");
    assert!(smtp.ask("MAIL FROM:<alice@example.test>").starts_with("530 5.7.0"));
    smtp.log_in("alice@example.test", "alice-secret");
    assert!(smtp.ask("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==").starts_with("503"));
    smtp.ok("RSET");
    assert!(smtp.ask("AUTH LOGIN").starts_with("503"), "also after RSET");
    assert!(smtp.ask("MAIL FROM:<bob@example.test>").starts_with("553 5.7.1"));
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: bare\r\n\r\nx\r\n");
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let header = imap.ok("FETCH 1 BODY.PEEK[HEADER]").join("");
    for field in ["Date: ", "Message-ID: <", "From: <alice@example.test>", "with ESMTPA id "] {
        assert!(header.contains(field), "{field} in {header}");
    }
    instance.set("local.service.smtp.smtp-accept.ownaddressonly", "no");
    instance.signal("smtp", nix::sys::signal::Signal::SIGHUP);
    wait_for("the new value", || {
        let mut smtp = instance.submission("alice");
        smtp.ask("MAIL FROM:<bob@example.test>").starts_with("250").then_some(())
    });
}

/// negativehostattr: who logs in and has none of the attributes of mail clients passes on mail of others as it is.
#[test]
fn a_mail_server_that_logs_in_passes_on_mail_of_others() {
    let instance = Setup::default()
        .users(&["alice", "bob", "carol"])
        .set("service.smtp.negativehostattr", "roomNumber telephoneNumber")
        .set("service.smtp.smtp-router.dorewritefromusingauth", "yes")
        .create();
    let ldif = instance.path("config/directory.ldif");
    let text = fs::read_to_string(&ldif).unwrap();
    fs::write(&ldif, text.replace("uid: alice\n", "uid: alice\ntelephoneNumber: 1\n")).unwrap();
    let mut instance = instance;
    instance.start_all();
    let mut client = instance.submission("alice");
    assert!(client.ask("MAIL FROM:<s@example.org>").starts_with("553 5.7.1"));
    let mut server = instance.submission("bob");
    server.send_message("s@example.org", &["carol@example.test"], "From: s@example.org\r\n\r\nx\r\n");
    let log = instance.log("smtp");
    assert!(log.contains("login as a mail server: [127.0.0.1] bob may send as anybody"), "{log}");
    assert!(!log.contains("mail server: [127.0.0.1] alice"), "{log}");
    let audit = instance.log("audit");
    assert!(audit.contains(" mail-server user=bob from=127.0.0.1 session="), "{audit}");
    assert!(!audit.contains("mail-server user=alice"), "{audit}");
    instance.wait_for_messages("carol", 1);
    let mut imap = instance.imap("carol");
    imap.ok("SELECT INBOX");
    let header = imap.ok("FETCH 1 BODY.PEEK[HEADER]").join("");
    assert!(header.contains("From: s@example.org\r\n") && header.contains("with ESMTPA id "), "{header}");
    assert!(!header.contains("bob@example.test"), "{header}");
}

#[test]
fn wrong_passwords_are_answered_late_and_end_the_connection() {
    let instance = Instance::start();
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO client.example.org");
    assert!(smtp.ask("AUTH LOGIN").starts_with("334 VXNlcm5hbWU6"));
    assert!(smtp.ask("*").starts_with("501"));
    for pause in [1, 2] {
        let begin = std::time::Instant::now();
        assert!(smtp.ask("AUTH PLAIN AGFsaWNlAGd1ZXNzZWQ=").starts_with("535 5.7.8"));
        assert!(begin.elapsed() >= Duration::from_secs(pause), "{:?}", begin.elapsed());
    }
    let log = instance.log("smtp");
    assert!(
        log.contains("Account Notice: badlogin: [127.")
            && log.contains("] alice wrong user name or password (session ")
            && !log.contains("guessed"),
        "{log}"
    );
}

/// S49, S52: above the threshold new connections come in slower, below as before.
#[test]
fn a_long_queue_slows_new_connections_down() {
    let instance = Setup::default().set("local.service.smtp.throttlethreshold", "1").create();
    let mut instance = instance;
    instance.start_all();
    let greet = |instance: &Instance| {
        let begin = std::time::Instant::now();
        let smtp = instance.smtp();
        drop(smtp);
        begin.elapsed()
    };
    let fast = (0..5).map(|_| greet(&instance)).min().unwrap();
    // Something that stays in the queue: the recipient's mailbox cannot be made, since a file is in its way.
    let hash = black_box::run(instance.tool("hashdir").arg("alice"));
    let way = instance.path("store/partition/primary/=user").join(hash.trim());
    fs::create_dir_all(&way).unwrap();
    fs::write(way.join("=alice"), "in the way").unwrap();
    instance.send("alice", "stuck");
    let slow = greet(&instance);
    assert!(slow >= Duration::from_millis(200) && slow > fast, "{slow:?} after {fast:?}");
}

#[test]
fn refused_mail_leaves_nothing_and_a_reset_drops_what_was_begun() {
    let instance = Instance::start();
    for _ in 0..3 {
        let mut smtp = in_data(&instance);
        smtp.wire.send(b"Subject: never finished\r\n\r\n");
        drop(smtp);
    }
    wait_for("nothing to be left", || {
        (fs::read_dir(instance.path("queue/messages")).unwrap().count() == 0).then_some(())
    });
    assert_eq!(fs::read_dir(instance.path("queue/lost+found")).unwrap().count(), 0);
}

/// S30, S44 and friends: messages in odd character sets, and one that went in a circle.
#[test]
fn odd_messages_do_not_disturb_and_a_loop_goes_to_the_postmaster() {
    let instance = Instance::start();
    let pid = instance.pid("smtp");
    let mut smtp = greeted(&instance);
    for subject in [
        "=?ISO-2022-JP?B?GyRCJDMkcxsoQg==?=",
        "=?EUC-KR?B?yLjAx==?=",
        "=?Big5?Q?=A4=A4?=",
        "\u{fffd}\u{80}",
        "=?x?x?x?=",
    ] {
        smtp.send_message(
            "s@example.org",
            &["alice@example.test"],
            &format!("Subject: {subject}\r\nContent-Type: \u{ff};=\"\r\n\r\nx\r\n"),
        );
    }
    instance.wait_for_messages("alice", 5);
    let hops: String =
        (0..31).map(|n| format!("Received: from h{n}.example by h{}.example; x\r\n", n + 1)).collect();
    smtp.send_message(
        "bob@example.test",
        &["alice@example.test"],
        &format!("{hops}Subject: circle\r\n\r\nx\r\n"),
    );
    instance.wait_for_messages("postmaster", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 0, "S44: no reply to the sender");
    assert_eq!(instance.imap("alice").exists("INBOX"), 5);
    let log = instance.log("smtp");
    assert!(log.contains("status=5.4.6"), "{log}");
    assert_eq!(instance.pid("smtp"), pid);
    assert!(smtp.ask("NOOP").starts_with("250"));
}
