//! LMTP (RFC 2033): delivery into mailboxes, answered for each recipient.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Command;

use black_box::{Instance, Setup, Smtp, StubMta, World, run};

const PORT: u16 = 2003;

fn setup(setup: Setup) -> Setup {
    setup
        .set("local.service.lmtp.socket", "run/lmtp")
        .set("local.service.lmtp.socketmode", "0660")
        .set("local.service.lmtp.port", &PORT.to_string())
}

/// On the Unix socket, greeted.
fn local(instance: &Instance) -> Smtp {
    let stream = UnixStream::connect(instance.path("run/lmtp")).unwrap();
    let mut lmtp = Smtp::open(TcpStream::from(OwnedFd::from(stream)));
    assert!(lmtp.greeting.contains(" LMTP "), "{}", lmtp.greeting);
    lmtp.ok("LHLO client.example.org");
    lmtp
}

fn begin(lmtp: &mut Smtp, rcpts: &[&str]) {
    lmtp.ok("MAIL FROM:<sender@elsewhere.test>");
    for rcpt in rcpts {
        lmtp.ok(&format!("RCPT TO:<{rcpt}>"));
    }
}

/// The replies to one message.
fn send(lmtp: &mut Smtp, rcpts: &[&str], content: &str) -> Vec<String> {
    begin(lmtp, rcpts);
    lmtp.ok("DATA");
    lmtp.wire.send(format!("{content}\r\n.\r\n").as_bytes());
    let replies = rcpts.iter().map(|_| lmtp.reply()).collect();
    assert!(lmtp.ask("NOOP").starts_with("250 2.0.0"), "so many replies and no more");
    replies
}

fn messages(instance: &Instance, user: &str) -> String {
    instance.imap(user).ok("STATUS INBOX (MESSAGES)").remove(0)
}

fn dirutil(instance: &Instance, arguments: &[&str]) {
    run(instance.tool("dirutil").args(arguments));
}

fn is_empty(instance: &Instance, folder: &str) -> bool {
    fs::read_dir(instance.path(folder)).unwrap().next().is_none()
}

#[test]
fn it_speaks_its_own_dialect() {
    let instance = setup(Setup::default().users(&["alice"])).start();
    let mut lmtp = local(&instance);
    assert!(lmtp.ask("EHLO a.example").starts_with("500 5.5.1"), "RFC 2033 4.1");
    assert!(lmtp.ask("HELO a.example").starts_with("500 5.5.1"));
    let hello = lmtp.ok("LHLO a.example");
    for keyword in ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE ", "CHUNKING", "SMTPUTF8"] {
        assert!(hello.contains(keyword), "{keyword} in {hello}");
    }
    for keyword in ["AUTH", "STARTTLS", "DSN", "ETRN", "FUTURERELEASE"] {
        assert!(!hello.contains(keyword), "{keyword} in {hello}");
    }
    assert!(lmtp.ask("AUTH PLAIN").starts_with("502"));
    assert!(lmtp.ask("STARTTLS").starts_with("502"));
    assert!(lmtp.ask("MAIL FROM:<a@a.example> RET=HDRS").starts_with("555"));
    lmtp.ok("MAIL FROM:<a@a.example>");
    assert!(lmtp.ask("RCPT TO:<nobody@example.test>").starts_with("550 5.1.1"));
    assert!(
        lmtp.ask("RCPT TO:<x@elsewhere.test>").starts_with("550 5.1.2"),
        "it delivers, and relays nothing"
    );
    assert!(lmtp.ask("DATA").starts_with("503 5.5.1"), "RFC 2033 4.2");
    assert!(instance.smtp().ask("LHLO a.example").starts_with("500 5.5.2"));
}

/// RFC 2033 §4.2: in the order of RCPT, each once; and it is there when 250 is read.
#[test]
fn each_recipient_has_a_reply_that_holds() {
    let mut instance = setup(Setup::default().users(&["alice", "bob", "carol", "dave"])).create();
    dirutil(&instance, &["change", "alice", "--add", "mailAlternateAddress=ali@example.test"]);
    dirutil(&instance, &["change", "carol", "--set", "mailUserStatus=inactive"]);
    // Something stands in the way of dave's mailbox.
    let hash = run(instance.tool("hashdir").arg("dave"));
    let way = instance.path("store/partition/primary/=user").join(hash.trim());
    fs::create_dir_all(&way).unwrap();
    fs::write(way.join("=dave"), "in the way").unwrap();
    instance.start_all();
    instance.imap("alice").ok("CREATE Lists");
    let mut lmtp = local(&instance);
    let rcpts = [
        "alice@example.test",
        "carol@example.test",
        "ali@example.test",
        "dave@example.test",
        "bob@example.test",
        "alice+Lists@example.test",
    ];
    let replies = send(&mut lmtp, &rcpts, "Subject: one");
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..9]).collect();
    assert_eq!(
        codes,
        ["250 2.1.5", "550 5.2.1", "250 2.1.5", "451 4.2.0", "250 2.1.5", "250 2.1.5"],
        "{replies:?}"
    );
    for (reply, rcpt) in replies.iter().zip(rcpts) {
        assert!(reply.contains(&format!("<{rcpt}>")), "{replies:?}");
    }
    // At once: the reply said so.
    assert!(
        messages(&instance, "alice").contains("MESSAGES 1)"),
        "two addresses of one mailbox are one message"
    );
    assert!(messages(&instance, "bob").contains("MESSAGES 1)"));
    assert!(
        is_empty(&instance, "queue/control") && is_empty(&instance, "queue/messages"),
        "nothing passed the queue"
    );
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(
        text.contains("Return-Path: <sender@elsewhere.test>") && text.contains(" with LMTP id "),
        "{text}"
    );
    assert!(imap.ok("STATUS Lists (MESSAGES)").join("").contains("MESSAGES 1)"));
    drop(imap);
    // On stable storage, too.
    instance.kill_all();
    instance.start_all();
    assert!(messages(&instance, "bob").contains("MESSAGES 1)"));
}

/// The same in chunks; a refusal of the whole message is said for each.
#[test]
fn chunks_and_refusals_are_answered_for_each() {
    let instance = setup(Setup::default().users(&["alice", "bob"]))
        .set("service.smtp.smtp-accept.maxmessagesize", "1000")
        .start();
    let mut lmtp = local(&instance);
    let both = ["alice@example.test", "bob@example.test"];
    begin(&mut lmtp, &both);
    lmtp.wire.send(b"BDAT 14\r\nSubject: chunkBDAT 8 LAST\r\ns\r\n\r\na\r\n");
    assert!(lmtp.reply().starts_with("250 2.0.0"), "one for a chunk");
    assert!(lmtp.reply().starts_with("250 2.1.5 <alice@") && lmtp.reply().starts_with("250 2.1.5 <bob@"));
    assert!(messages(&instance, "bob").contains("MESSAGES 1)"));
    begin(&mut lmtp, &both);
    lmtp.wire.send(format!("BDAT 2000 LAST\r\n{}", "x".repeat(2000)).as_bytes());
    assert!(lmtp.reply().starts_with("552 5.3.4") && lmtp.reply().starts_with("552 5.3.4"));
    let replies = send(&mut lmtp, &both, "Subject: bare\n\nline ends");
    assert!(replies.iter().all(|reply| reply.starts_with("550 5.6.11")), "{replies:?}");
    assert!(messages(&instance, "bob").contains("MESSAGES 1)"));
    assert!(is_empty(&instance, "queue/messages"));
}

/// Who is more than a mailbox is in the queue when 250 is said.
#[test]
fn groups_and_forwardings_go_through_the_queue() {
    let world = World::new();
    let remote = world.served("remote.test", StubMta::new());
    let mut instance = setup(world.setup().users(&["alice", "bob", "carol"])).create();
    dirutil(&instance, &["add", "group", "team", "--member", "alice@example.test", "bob@example.test"]);
    dirutil(&instance, &["change", "carol", "--set", "mailForwardingAddress=c@remote.test"]);
    instance.start_all();
    let rcpts = ["alice@example.test", "team@example.test", "carol@example.test"];
    let replies = send(&mut local(&instance), &rcpts, "Subject: many");
    assert!(
        replies[0].contains("delivered") && replies[1].contains("accepted") && replies[1] == replies[2],
        "{replies:?}"
    );
    instance.wait_for_messages("bob", 1);
    assert_eq!(remote.wait_for(1)[0].recipients(), ["c@remote.test"]);
    instance.wait_for_empty_queue();
    assert!(messages(&instance, "alice").contains("MESSAGES 1)"), "by both ways, once");
}

#[test]
fn the_socket_and_the_port_are_for_those_who_may() {
    let mut instance =
        setup(Setup::default().users(&["alice"])).set("local.service.lmtp.networks", "192.0.2.0/24").start();
    let path = instance.path("run/lmtp");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut refused = Smtp::open(instance.connect(PORT));
    assert!(refused.greeting.starts_with("554 ") && refused.wire.is_closed(), "{}", refused.greeting);
    instance.kill("smtp"); // the socket stays behind
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    instance.set("local.service.lmtp.networks", "127.0.0.0/8");
    instance.start_one("smtp");
    let mut lmtp = Smtp::open(instance.connect(PORT));
    lmtp.ok("LHLO client.example.org");
    assert!(send(&mut lmtp, &["alice@example.test"], "Subject: by port")[0].starts_with("250 2.1.5"));
    let replies = send(&mut local(&instance), &["alice@example.test"], "Subject: by socket");
    assert!(replies[0].starts_with("250 2.1.5"));
    drop(lmtp);
    instance.stop("smtp");
    assert!(!path.exists());
    fs::write(&path, "somebody's file").unwrap();
    let said = String::from_utf8(instance.refused_start("smtp").stderr).unwrap();
    assert!(said.contains("run/lmtp: something else is there"), "{said}");
}

#[test]
fn swaks_delivers_by_the_socket() {
    let instance = setup(Setup::default().users(&["alice"])).start();
    let socket = instance.path("run/lmtp");
    let said = run(Command::new("swaks").args(["--protocol", "LMTP", "--socket"]).arg(&socket).args([
        "-f",
        "a@elsewhere.test",
        "-t",
        "alice@example.test",
        "--header",
        "Subject: swaks",
    ]));
    assert!(said.contains("250 2.1.5 <alice@example.test> delivered"), "{said}");
    assert!(messages(&instance, "alice").contains("MESSAGES 1)"));
}

/// One mailbox has no room: its recipient hears so behind the content, the other has the message.
#[test]
fn a_full_mailbox_refuses_for_itself_alone() {
    let mut instance = setup(Setup::default().users(&["alice", "bob"]))
        .set("store.quotaenforcement", "yes")
        .set("store.quotagraceperiod", "0")
        .create();
    dirutil(&instance, &["change", "bob", "--set", "mailQuota=4096"]);
    instance.start_all();
    let both = ["bob@example.test", "alice@example.test"];
    let big = format!("Subject: big\r\n\r\n{}", "0123456789\r\n".repeat(600));
    let replies = send(&mut local(&instance), &both, &big); // RCPT did not know how large it would be
    assert!(
        replies[0].starts_with("552 5.2.2 <bob@") && replies[1].starts_with("250 2.1.5 <alice@"),
        "{replies:?}"
    );
    assert!(messages(&instance, "bob").contains("MESSAGES 0)"));
    assert!(messages(&instance, "alice").contains("MESSAGES 1)"));
    assert!(is_empty(&instance, "queue/control"), "no report: it is the client's to tell");
}
