//! sendmail from outside: where it submits, what it makes of messages, what it says when it cannot.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use black_box::{Instance, Setup, program, run};

/// Runs sendmail with this message.
fn sendmail(instance: &Instance, arguments: &[&str], message: &str) -> Output {
    feed(instance.tool("sendmail").args(arguments), message.as_bytes())
}

fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A sendmail that refuses its command line does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.lines().count() >= 1, "a failure says why");
    assert!(said.lines().all(|line| line.starts_with("sendmail: ")), "{said}");
    output.status.code().unwrap()
}

fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn fetch(instance: &Instance, user: &str, number: u32) -> String {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    imap.ok(&format!("FETCH {number} BODY.PEEK[]")).join("")
}

/// A server that takes one session's message, and says what was said to it.
fn stub(address: Ipv4Addr, port: u16) -> Option<(u16, JoinHandle<String>)> {
    let listener = TcpListener::bind((address, port)).ok()?;
    let port = listener.local_addr().unwrap().port();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut heard = String::new();
        stream.write_all(b"220 stub\r\n").unwrap();
        let mut in_data = false;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return heard;
            }
            heard.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." if in_data => {
                    in_data = false;
                    b"250 taken\r\n"
                }
                _ if in_data => continue,
                "DATA" => {
                    in_data = true;
                    b"354 go on\r\n"
                }
                line if line.starts_with("EHLO") => {
                    b"250-stub\r\n250-PIPELINING\r\n250-DSN\r\n250 SIZE 100000\r\n"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").unwrap();
                    return heard;
                }
                _ => b"250 yes\r\n",
            };
            stream.write_all(answer).unwrap();
        }
    });
    Some((port, talk))
}

/// S92: the instance that CONFIGROOT names gets the mail.
#[test]
fn each_instance_gets_its_own_mail() {
    let (one, other) = (Instance::start(), Instance::start());
    succeeds(&sendmail(&one, &["alice"], "Subject: for one\n\nx\n"));
    succeeds(&sendmail(&other, &["-i", "alice"], "Subject: for the other\n\nx\n"));
    succeeds(&feed(
        Command::new(program("sendmail"))
            .env_remove("CONFIGROOT")
            .arg("--instance")
            .arg(&other.root)
            .arg("bob"),
        b"Subject: named\n\nx\n",
    ));
    one.wait_for_messages("alice", 1);
    other.wait_for_messages("alice", 1);
    other.wait_for_messages("bob", 1);
    assert!(fetch(&one, "alice", 1).contains("Subject: for one\r\n"));
    assert!(fetch(&other, "alice", 1).contains("Subject: for the other\r\n"));
}

/// S93, S95: one value after the other is taken away, and each run sees what is set now.
#[test]
fn the_port_is_looked_up_in_four_places_at_each_run() {
    let instance = Setup::default().create();
    let address = instance.address;
    instance.set("service.listenaddr", &address.to_string());
    let (own, first) = stub(address, 0).unwrap();
    let (smtp, second) = stub(address, 0).unwrap();
    instance.set("local.service.sendmail.port", &own.to_string());
    instance.set("service.smtp.port", &smtp.to_string());
    succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 1\n\n"));
    assert!(first.join().unwrap().contains("Subject: 1"));
    instance.set("local.service.sendmail.port", "");
    succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 2\n\n"));
    assert!(second.join().unwrap().contains("Subject: 2"));
    // The last two are port 25 on every host that has a services file; who may not bind it has the unit test.
    instance.set("service.smtp.port", "");
    if let Some((_, third)) = stub(address, 25) {
        succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 3\n\n"));
        assert!(third.join().unwrap().contains("Subject: 3"));
    }
}

/// S94, S95.
#[test]
fn the_address_is_looked_up_in_three_places_at_each_run() {
    let instance = Setup::default().create();
    let (own, all) = (black_box::addresses::of_peer(), instance.address);
    let (port, first) = stub(own, 0).unwrap();
    let (_, second) = stub(all, port).unwrap();
    instance.set("local.service.sendmail.port", &port.to_string());
    instance.set("service.listenaddr", &all.to_string());
    instance.set("local.service.sendmail.listenaddr", &own.to_string());
    succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 1\n\n"));
    assert!(first.join().unwrap().contains("Subject: 1"));
    instance.set("local.service.sendmail.listenaddr", "");
    succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 2\n\n"));
    assert!(second.join().unwrap().contains("Subject: 2"));
    instance.set("service.listenaddr", "");
    let (port, third) = stub(Ipv4Addr::LOCALHOST, 0).unwrap();
    instance.set("local.service.sendmail.port", &port.to_string());
    succeeds(&sendmail(&instance, &["a@x.test"], "Subject: 3\n\n"));
    assert!(third.join().unwrap().contains("Subject: 3"));
}

/// As cron calls it: no header but a Subject, a dot alone in the text.
#[test]
fn a_message_is_completed_and_its_text_is_kept() {
    let instance = Instance::start();
    let text = "Subject: Cron\n\nfirst\n.\n..dots\n.\rlast without an end";
    succeeds(&sendmail(
        &instance,
        &["-i", "-FCron Daemon", "-B8BITMIME", "-oem", "-f", "bob", "alice"],
        text,
    ));
    instance.wait_for_messages("alice", 1);
    let message = fetch(&instance, "alice", 1);
    assert!(message.contains("\r\n\r\nfirst\r\n.\r\n..dots\r\n.\r\nlast without an end\r\n"), "{message}");
    assert!(message.contains("\r\nFrom: Cron Daemon <bob@example.test>\r\n"), "{message}");
    assert!(message.contains("Return-Path: <bob@example.test>\r\n"), "{message}");
    for name in ["Date: ", "Message-ID: <"] {
        assert_eq!(message.matches(&format!("\r\n{name}")).count(), 1, "{name} in {message}");
    }
    succeeds(&sendmail(&instance, &["alice"], "Subject: until the dot\n\nyes\n.\nno\n"));
    instance.wait_for_messages("alice", 2);
    assert!(fetch(&instance, "alice", 2).contains("\r\n\r\nyes\r\n)"));
}

/// `-t`: everybody gets it, and nobody sees Bcc.
#[test]
fn recipients_come_from_the_header_and_bcc_is_not_told() {
    let instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let text = "From: me <bob@example.test>\nTo: \"A, B\" <alice@example.test>\nBCC: carol@example.test,\n  bob\n\
                Subject: to all\n\nx\n";
    succeeds(&sendmail(&instance, &["-t", "-oi"], text));
    for user in ["alice", "bob", "carol"] {
        instance.wait_for_messages(user, 1);
        let message = fetch(&instance, user, 1);
        assert!(!message.to_lowercase().contains("bcc") && !message.contains("for <"), "{message}");
    }
}

#[test]
fn what_the_sender_wants_to_be_told_is_asked_where_it_is_offered() {
    let instance = Setup::default().create();
    let (port, heard) = stub(instance.address, 0).unwrap();
    instance.set("service.listenaddr", &instance.address.to_string());
    instance.set("local.service.sendmail.port", &port.to_string());
    let arguments = ["-N", "success,delay", "-R", "hdrs", "-V", "a+b", "-f", "<>", "-v", "x@y.test", "z"];
    let output = sendmail(&instance, &arguments, "Subject: x\n\n.hidden\n");
    succeeds(&output);
    let heard = heard.join().unwrap();
    assert!(heard.contains("MAIL FROM:<> SIZE=") && heard.contains(" RET=hdrs ENVID=a+2Bb\r\n"), "{heard}");
    assert!(heard.contains("RCPT TO:<x@y.test> NOTIFY=success,delay\r\nRCPT TO:<z@example.test> NOTIFY="));
    assert!(heard.contains("\r\n..hidden\r\n.\r\nQUIT"), "{heard}");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains(">>> MAIL FROM:<>") && shown.contains("250 taken"), "{shown}");
}

/// sysexits(3), and one line each.
#[test]
fn failures_have_the_status_that_callers_know() {
    let mut instance = Instance::start();
    let status = |arguments: &[&str], message: &str| code(&sendmail(&instance, arguments, message));
    let text = "Subject: x\n\nx\n";
    assert_eq!(status(&[], text), 64, "no recipients");
    assert_eq!(status(&["-t"], text), 64, "no recipients in the header");
    assert_eq!(status(&["--frobnicate", "alice"], text), 64);
    assert_eq!(status(&["-bz"], text), 64);
    assert_eq!(status(&["a b@c..d"], text), 65, "no address");
    assert_eq!(status(&["alice@example.test\r\nDATA"], text), 65);
    assert_eq!(status(&["nobody-here"], text), 67);
    assert_eq!(status(&["bob@elsewhere.test"], text), 77, "smtpd does not relay for strangers");
    assert_eq!(status(&["-bd"], text), 69);
    // Some get it, some do not: it is sent, and the others are told.
    let output = sendmail(&instance, &["alice", "nobody-here"], text);
    assert_eq!(code(&output), 67);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody-here@example.test: 550 5.1.1 "));
    instance.wait_for_messages("alice", 1);
    instance.stop("smtp");
    assert_eq!(code(&sendmail(&instance, &["alice"], text)), 75, "nobody listens");
    let mut elsewhere = Command::new(program("sendmail"));
    elsewhere.env("CONFIGROOT", instance.path("nothing/config")).arg("alice");
    assert_eq!(code(&feed(&mut elsewhere, text.as_bytes())), 78);
}

/// More recipients than smtpd takes at once go in several transactions.
#[test]
fn a_limit_of_recipients_makes_several_transactions() {
    let users: Vec<String> = (0..7).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let instance =
        Setup::default().users(&names).set("local.service.smtp.smtp-accept.maxrecipients", "3").start();
    succeeds(&sendmail(&instance, &names, "Subject: to seven\n\nx\n"));
    for user in names {
        instance.wait_for_messages(user, 1);
    }
}

/// -bv, -bp, -bs and the other names of the program.
#[test]
fn the_other_modes_verify_list_and_speak_smtp() {
    let instance = Instance::start();
    let output = sendmail(&instance, &["-bv", "alice", "nobody-here"], "");
    assert_eq!(output.status.code(), Some(67));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("alice@example.test... deliverable\n"), "{told}");
    assert!(told.contains("nobody-here@example.test... 550 5.1.1"), "{told}");
    assert_eq!(run(instance.tool("sendmail").arg("-bp")), "Mail queue is empty.\n");
    let link = instance.path("tmp").join("mailq");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(program("sendmail"), &link).unwrap();
    let listed = run(Command::new(link).env("CONFIGROOT", instance.path("config")));
    assert_eq!(listed, "Mail queue is empty.\n");
    let mut child =
        instance.tool("sendmail").arg("-bs").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = BufReader::new(output).lines();
    let mut answer = || answers.find(|line| line.as_ref().unwrap().as_bytes()[3] == b' ').unwrap().unwrap();
    assert!(answer().starts_with("220 "));
    for (line, code) in [
        ("EHLO here", "250 "),
        ("MAIL FROM:<s@x.test>", "250 "),
        ("RCPT TO:<bob@example.test>", "250 "),
        ("DATA", "354 "),
        ("Subject: by hand\r\n\r\nx\r\n.", "250 "),
        ("QUIT", "221 "),
    ] {
        input.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let said = answer();
        assert!(said.starts_with(code), "{line}: {said}");
    }
    // It ends when the server has closed, though its input is still open.
    assert!(child.wait().unwrap().success());
    drop(input);
    instance.wait_for_messages("bob", 1);
}

/// The message is in a file while it is read, not in memory.
#[test]
fn a_large_message_needs_no_large_memory() {
    let instance = Setup::default().set("service.smtp.smtp-accept.maxmessagesize", "100000000").start();
    let size: usize = if black_box::quick() { 24 << 20 } else { 80 << 20 };
    let limit = 64 << 10; // KiB of data
    let line = "0123456789abcdef".repeat(4);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -d {}; exec \"$0\" -i alice", limit.min(size >> 11)))
        .arg(program("sendmail"))
        .env("CONFIGROOT", instance.path("config"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = std::io::BufWriter::new(child.stdin.take().unwrap());
    input.write_all(b"Subject: large\n\n").unwrap();
    for _ in 0..size / (line.len() + 1) {
        writeln!(input, "{line}").unwrap();
    }
    drop(input.into_inner().unwrap());
    assert!(child.wait().unwrap().success());
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let answer = imap.ok("FETCH 1 RFC822.SIZE").join("");
    let stored: usize =
        answer.split("RFC822.SIZE ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    assert!(stored > size, "{answer}");
}

/// `-q`: what waits is tried, here by the recipient.
#[test]
fn a_queue_run_is_a_flush() {
    let instance = Setup::default().create();
    assert_eq!(run(instance.tool("sendmail").arg("-qRalice")), "flush: 0 messages\n");
    assert_eq!(run(instance.tool("sendmail").arg("-q")), "flush: 0 messages\n");
    let output = instance.tool("sendmail").arg("-q30m").output().unwrap();
    assert_eq!(code(&output), 64);
}

/// Debian's mutt hands its messages to sendmail.
#[test]
fn mutt_submits_by_sendmail() {
    let instance = Instance::start();
    let home = tempfile::tempdir().unwrap();
    let mut mutt = Command::new("mutt");
    mutt.env("HOME", home.path()).env("CONFIGROOT", instance.path("config"));
    mutt.args(["-n", "-F", "/dev/null", "-e", "set copy=no from=bob@example.test realname='Bob B.'"]);
    mutt.arg("-e").arg(format!("set sendmail='{} -oem -oi'", program("sendmail").display()));
    mutt.args(["-s", "grüße", "-b", "bob@example.test", "alice@example.test"]);
    let output = feed(&mut mutt, "gruß\n.\nend\n".as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    let message = fetch(&instance, "alice", 1);
    assert!(message.contains("From: \"Bob B.\" <bob@example.test>\r\n"), "{message}");
    assert!(message.contains("\r\n.\r\nend\r\n") && !message.contains("Bcc"), "{message}");
}
