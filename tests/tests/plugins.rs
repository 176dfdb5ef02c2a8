//! Plug-ins from outside: the samples and a misbehaving one, compiled here and loaded by a real instance.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use black_box::instance::{SUBMISSION, top, wait_for};
use black_box::{Instance, Setup, Smtp, run};

/// Compiles a plug-in into the instance, under a name of its own.
fn compile(instance: &Instance, source: &str, name: &str) {
    let folder = instance.path("plugins");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let library = folder.join(name);
    run(Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fPIC", "-shared", "-I"])
        .arg(top().join("include"))
        .arg("-o")
        .arg(&library)
        .arg(top().join(source)));
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
}

fn configure(instance: &Instance, text: &str) {
    fs::write(instance.path("config/plugins.cfg"), text).unwrap();
}

/// An instance with these plug-ins: source, name of the library; and plugins.cfg.
fn instance(setup: Setup, libraries: &[(&str, &str)], text: &str) -> Instance {
    let mut instance = setup.create();
    for (source, name) in libraries {
        compile(&instance, source, name);
    }
    configure(&instance, text);
    instance.start_all();
    instance
}

const SPLITTER: (&str, &str) = ("etc/plugins/splitter.c", "splitter.so");
const MISBEHAVING: (&str, &str) = ("tests/plugins/misbehaving.c", "misbehaving.so");

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

/// The reply to the end of data.
fn send(smtp: &mut Smtp, to: &[&str], message: &str) -> String {
    smtp.ok("MAIL FROM:<a@x.example>");
    for one in to {
        smtp.ok(&format!("RCPT TO:<{one}>"));
    }
    assert!(smtp.ask("DATA").starts_with("354"));
    smtp.wire.send(format!("{message}.\r\n").as_bytes());
    smtp.reply()
}

fn log(instance: &Instance) -> String {
    instance.log("pluginhost")
}

/// The child that has the plug-ins in it: the parent's last argument is the instance, the child's first `--serve`.
fn child(instance: &Instance) -> Option<u32> {
    let root = instance.path("");
    let root = root.to_string_lossy();
    let root = root.trim_end_matches('/');
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split('\0').collect();
        let is_it = words.get(1) == Some(&"--serve")
            && words.get(3).is_some_and(|one| one.trim_end_matches('/') == root);
        is_it.then_some(pid)
    })
}

/// One that has ended by itself meanwhile is as good as killed.
fn kill(pid: u32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn a_plug_in_gets_the_bytes_of_a_message_and_may_change_it_and_its_envelope() {
    let instance = instance(
        Setup::default().users(&["alice", "bob", "carol"]),
        &[SPLITTER],
        "PostSMTPAccept libs=splitter.so funcs=init,split field=X-Split archive=carol@example.test not=bob@example.test\n",
    );
    let mut smtp = greeted(&instance);
    let header = "From: a@x.example\r\nSubject: one\r\n two\r\n\r\n";
    let body = "..hello\r\n\r\nworld\r\n"; // one of the dots is the protocol's
    let said = send(&mut smtp, &["alice@example.test", "bob@example.test"], &format!("{header}{body}"));
    assert!(said.starts_with("250"), "{said}");
    let expected = format!("X-Split: header={} body={}\r\n", header.len(), body.len() - 1);
    for user in ["alice", "carol"] {
        let text = instance.received(user, 1);
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains("Subject: one\r\n two\r\n\r\n.hello\r\n\r\nworld\r\n"), "{text}");
    }
    assert_eq!(fs::read_dir(instance.path("tmp/plugins")).unwrap().count(), 0, "nothing is left behind");
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("bob");
    assert!(imap.ok("STATUS INBOX (MESSAGES)").concat().contains("MESSAGES 0"));
    assert!(log(&instance).contains(&format!(
        "from=<a@x.example> header={} body={}",
        header.len(),
        body.len() - 1
    )));
}

#[test]
fn a_plug_in_may_name_another_sender_and_cannot_leave_its_confinement() {
    let instance =
        instance(Setup::default(), &[MISBEHAVING], "PostSMTPAccept libs=misbehaving.so funcs=look\n");
    let mut smtp = greeted(&instance);
    let said = send(&mut smtp, &["alice@example.test"], "X: SENDER\r\n\r\nhello\r\n");
    assert!(said.starts_with("250"), "{said}");
    assert!(instance.received("alice", 1).contains("Return-Path: <other@example.org>\r\n"));
    let said = send(&mut smtp, &["bob@example.test"], "X: FORBIDDEN\r\n\r\nhello\r\n");
    assert!(said.starts_with("250"), "{said}");
    wait_for("the plug-in's word", || log(&instance).contains("forbidden: not run").then_some(()));
    assert!(log(&instance).contains("forbidden: refused"), "{}", log(&instance));
}

#[test]
fn what_goes_wrong_in_a_plug_in_is_tried_again_and_loses_nothing() {
    let setup = Setup::default().set("service.smtp.plugins.timeout", "8");
    let instance = instance(setup, &[MISBEHAVING], "PostSMTPAccept libs=misbehaving.so funcs=look\n");
    let mut smtp = greeted(&instance);
    for wrong in ["FAIL", "NOFIELD", "NOBODY", "CRASH", "HANG"] {
        let begun = Instant::now();
        let said = send(&mut smtp, &["alice@example.test"], &format!("X: {wrong}\r\n\r\nhello\r\n"));
        assert!(said.starts_with("451 4.3.0"), "{wrong}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{wrong}: {:?}", begun.elapsed());
        // The process is there again, in the same session.
        wait_for("the next process", || {
            send(&mut smtp, &["bob@example.test"], "X: fine\r\n\r\nhello\r\n")
                .starts_with("250")
                .then_some(())
        });
    }
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("alice");
    assert!(imap.ok("STATUS INBOX (MESSAGES)").concat().contains("MESSAGES 0"));
    instance.wait_for_messages("bob", 5);
    assert!(log(&instance).contains("did not come back"), "{}", log(&instance));
}

#[test]
fn a_process_that_is_killed_or_is_another_one_costs_a_451_and_no_mail() {
    let setup = Setup::default().set("service.smtp.plugins.timeout", "8");
    let instance = instance(setup, &[MISBEHAVING], "PostSMTPAccept libs=misbehaving.so funcs=look\n");
    let mut smtp = greeted(&instance);
    let killed = child(&instance).unwrap();
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("the message in the plug-in's hands", || {
                fs::read_dir(instance.path("tmp/plugins")).unwrap().next().map(|_| ())
            });
            kill(killed);
        });
        send(&mut smtp, &["alice@example.test"], "X: HANG\r\n\r\nhello\r\n")
    });
    assert!(said.starts_with("451 4.3.0"), "{said}");
    wait_for("another process", || child(&instance).filter(|pid| *pid != killed));
    assert_eq!(fs::read_dir(instance.path("tmp/plugins")).unwrap().count(), 0);
    // One that talks nonsense, and one that drips, in its place.
    let socket = instance.path("run/plugins.sock");
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            if number % 2 == 0 {
                let _ = stream.write_all(&[0xfe; 5000]);
            } else {
                let _ = stream.write_all(&[200, 0, 0, 0]);
                while stream.write_all(b"m").is_ok() {
                    std::thread::sleep(Duration::from_millis(300)); // paced: it drips
                }
            }
        }
    });
    // Connections to the former are tried first, and are good: they are used up by killing it.
    kill(child(&instance).unwrap());
    for _ in 0..2 {
        let begun = Instant::now();
        let said = send(&mut smtp, &["alice@example.test"], "X: fine\r\n\r\nhello\r\n");
        assert!(said.starts_with("451 4.3.0"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    instance.wait_for_empty_queue();
}

/// Neither the self-test nor a second smtpd takes the process away from who has it; when it is killed, smtpd ends to be started
/// again with it.
#[test]
fn there_is_one_process_and_it_and_smtpd_end_together() {
    let mut instance =
        instance(Setup::default(), &[MISBEHAVING], "PostSMTPAccept libs=misbehaving.so funcs=look\n");
    let first = child(&instance).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let _ = instance.tool("smtpd").arg("--try-privileges").arg(outside.path()).output().unwrap();
    let second = instance.tool("smtpd").output().unwrap();
    assert!(!second.status.success());
    assert_eq!(child(&instance), Some(first));
    let mut smtp = greeted(&instance);
    let said = send(&mut smtp, &["alice@example.test"], "X: fine\r\n\r\nhello\r\n");
    assert!(said.starts_with("250"), "{said}");
    let stat = fs::read_to_string(format!("/proc/{first}/stat")).unwrap();
    let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    kill(parent);
    instance.wait_for_end("smtp");
    assert!(instance.log("smtp").contains("pluginhost has ended; smtpd ends"));
    instance.start_one("smtp");
    let said = send(&mut greeted(&instance), &["alice@example.test"], "X: fine\r\n\r\nhello\r\n");
    assert!(said.starts_with("250"), "{said}");
}

#[test]
fn wrong_lines_and_what_others_can_write_are_refused_at_start_and_refresh() {
    let mut instance = Setup::default().create();
    compile(&instance, SPLITTER.0, SPLITTER.1);
    let refused = |instance: &Instance, text: &str, why: &str| {
        configure(instance, text);
        let said = instance.refused_start("smtp");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains(why), "{text}: {said}");
    };
    let checked = |instance: &Instance, why: &str| {
        let said = instance.tool("configutil").arg("check").output().unwrap();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(!said.status.success() && text.contains(why), "{text}");
    };
    instance.start_one("store");
    configure(&instance, "PreSMTPAcept libs=splitter.so\n");
    checked(&instance, "plugins.cfg:1: ");
    refused(&instance, "# x\nPostSMTPAccept funcs=split\n", "plugins.cfg:2: libs=... is missing");
    refused(&instance, "PreSMTPDeliver libs=splitter.so funcs=split\n", "is no stage");
    refused(&instance, "PostSMTPAccept libs=none.so funcs=split\n", "none.so");
    refused(&instance, "PostSMTPAccept libs=splitter.so funcs=nothing\n", "has no function nothing");
    refused(&instance, "PreSMTPAccept libs=splitter.so\n", "has no function PPModule_NewProtPlug");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let good = "PostSMTPAccept libs=splitter.so funcs=init,split\n";
    let library = instance.path("plugins/splitter.so");
    mode(&library, 0o777);
    refused(&instance, good, "can be written by others");
    mode(&library, 0o755);
    let file = instance.path("config/plugins.cfg");
    mode(&file, 0o666);
    refused(&instance, good, "can be written by others");
    mode(&file, 0o644);
    instance.start_one("smtp");
    configure(&instance, "PostSMTPAccept libs=splitter.so\n");
    instance.signal("smtp", nix::sys::signal::Signal::SIGHUP);
    wait_for("the refusal", || {
        let log = instance.log("smtp");
        (log.contains("funcs=init,function is missing") && log.contains("the former settings stay"))
            .then_some(())
    });
    let mut smtp = greeted(&instance);
    assert!(send(&mut smtp, &["alice@example.test"], "X: 1\r\n\r\nhello\r\n").starts_with("250"));
    wait_for("the plug-in's line", || log(&instance).contains("splitter:").then_some(()));
}

const TRACER: &str = "etc/plugins/tracer.c";

#[test]
fn a_stack_is_asked_from_top_to_bottom_and_what_it_refuses_the_server_never_hears_of() {
    let instance = instance(
        Setup::default().set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8"),
        &[(TRACER, "top.so"), ("etc/plugins/antirelay.c", "antirelay.so"), (TRACER, "bottom.so")],
        "PreSMTPAccept libs=top.so name=top\n\
         PreSMTPAccept libs=antirelay.so restricted=guest@example.test domains=example.test\n\
         PreSMTPAccept libs=bottom.so name=bottom\n",
    );
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<guest@example.test>");
    let said = smtp.ask("RCPT TO:<far@elsewhere.example>");
    assert_eq!(said.trim_end(), "551 delivery not allowed outside of local domains for restricted users");
    // The server below has no recipient.
    assert!(smtp.ask("DATA").starts_with("503"));
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("RSET");
    // Another sender on the same connection: sender and recipients are forgotten, and no more.
    smtp.ok("MAIL FROM:<bob@example.test>");
    smtp.ok("RCPT TO:<far@elsewhere.example>");
    smtp.ok("RSET");
    let said = send(&mut smtp, &["alice@example.test"], "Subject: x\r\n\r\nhello\r\n");
    assert!(said.starts_with("250"), "{said}");
    smtp.ok("QUIT");
    instance.wait_for_messages("alice", 1);
    let log = wait_for("the end of both objects", || {
        let log = log(&instance);
        (log.contains("top 1 [127.0.0.1] end") && log.contains("bottom 1 [127.0.0.1] end")).then_some(log)
    });
    let at = |words: &str| log.find(words).unwrap_or_else(|| panic!("{words}\n{log}"));
    let order = [
        "top 1 [127.0.0.1] > MAIL FROM:<guest",
        "bottom 1 [127.0.0.1] > MAIL FROM:<guest",
        "bottom 1 [127.0.0.1] < 250",
        "top 1 [127.0.0.1] > RCPT TO:<far",
        "top 1 [127.0.0.1] < 551",
    ];
    let places = order.map(&at);
    assert!(places[0] < places[1] && places[1] < places[3] && places[3] < places[4], "{log}");
    let refused = &log[places[3]..places[4]];
    assert!(!refused.contains("bottom"), "{refused}");
}

#[test]
fn a_plug_in_keeps_its_state_over_rset_and_a_log_in_does_too() {
    let instance = instance(Setup::default(), &[MISBEHAVING], "PreSMTPAccept libs=misbehaving.so\n");
    let mut smtp = instance.submission("alice");
    smtp.ok("RSET");
    smtp.ok("NOOP");
    // Text of PPRealloc grows from line to line.
    let said = smtp.ask("HELP all");
    assert!(said.starts_with("214") && said.contains("|RSET|NOOP|HELP all|"), "{said}");
    assert_eq!(smtp.ask("HELP user").trim_end(), "214 alice otherwise");
    assert!(smtp.ask("AUTH PLAIN AGFsaWNlAHg=").starts_with("503"), "once, also behind RSET");
    smtp.ok("MAIL FROM:<alice@example.test>");
    smtp.ok("RCPT TO:<bob@example.test>");
    // The server began to wait for content, and the plug-in says no: the next line is a command.
    assert_eq!(smtp.ask("DATA NO").trim_end(), "554 no content today");
    assert!(smtp.ask("DATA").starts_with("503"));
    let said = {
        smtp.ok("MAIL FROM:<alice@example.test>");
        smtp.ok("RCPT TO:<bob@example.test>");
        assert!(smtp.ask("DATA").starts_with("354"));
        smtp.wire.send(b"Subject: x\r\n\r\nHANG CRASH\r\n.\r\n");
        smtp.reply()
    };
    assert!(said.starts_with("250"), "content is not commands: {said}");
    assert!(smtp.ask("BDAT 0 LAST").starts_with("502"));
    assert_eq!(smtp.ask("HELP close").trim_end(), "250 bye");
    assert!(smtp.wire.is_closed(), "PP_CLOSE");
}

#[test]
fn what_a_plug_in_refuses_after_it_was_deferred_is_taken_back() {
    let instance = instance(Setup::default(), &[MISBEHAVING], "PreSMTPAccept libs=misbehaving.so\n");
    let mut smtp = greeted(&instance);
    // A sender: there is no transaction.
    assert!(smtp.ask("MAIL FROM:<regretted@example.org>").starts_with("551"));
    assert!(smtp.ask("RCPT TO:<alice@example.test>").starts_with("503"));
    // A recipient: the others stay.
    smtp.ok("MAIL FROM:<x@example.org>");
    smtp.ok("RCPT TO:<alice@example.test>");
    let said = smtp.ask("RCPT TO:<bob@example.test> ORCPT=rfc822;regretted@example.org");
    assert!(said.starts_with("551"), "{said}");
    assert!(smtp.ask("DATA").starts_with("354"));
    smtp.wire.send(b"Subject: x\r\n\r\nhello\r\n.\r\n");
    let said = smtp.reply();
    assert!(said.starts_with("250"), "{said}");
    instance.wait_for_messages("alice", 1);
    assert!(instance.log("smtp").contains(" recipients=1 "));
    // One that a plug-in adds stands beside the client's.
    let said = {
        smtp.ok("MAIL FROM:<x@example.org>");
        smtp.ok("RCPT TO:<alice@example.test> ORCPT=rfc822;copied@example.org");
        assert!(smtp.ask("DATA").starts_with("354"));
        smtp.wire.send(b"Subject: y\r\n\r\nhello\r\n.\r\n");
        smtp.reply()
    };
    assert!(said.starts_with("250"), "{said}");
    instance.wait_for_messages("alice", 2);
    instance.wait_for_messages("bob", 1);
    // A log-in that was right, and that the client does not hear of, is not one.
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO client.example.org");
    let said = smtp.ask("AUTH PLAIN YWxpY2UAYWxpY2UAYWxpY2Utc2VjcmV0");
    assert!(said.starts_with("551"), "{said}");
    assert!(smtp.wire.is_closed());
}

#[test]
fn a_stack_that_fails_ends_a_session_that_has_state_in_it_and_no_other() {
    let setup = Setup::default().set("service.smtp.plugins.timeout", "8");
    let instance = instance(setup, &[MISBEHAVING], "PreSMTPAccept libs=misbehaving.so\n");
    for wrong in ["NOOP CRASH", "NOOP HANG", "HELP nothing", "HELP content"] {
        let mut smtp = instance.smtp();
        wait_for("the next process", || smtp.ask("EHLO client.example.org").starts_with("250").then_some(()));
        let begun = Instant::now();
        let said = smtp.ask(wrong);
        assert!(said.starts_with("421 4.3.0"), "{wrong}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{wrong}");
        if wrong == "HELP content" {
            continue; // an answer was given, though none that is a reply: there is state
        }
        // Without state: 451, and the session goes on.
        let mut other = instance.smtp();
        let said = other.ask(wrong);
        assert!(said.starts_with("451 4.3.0"), "{wrong}: {said}");
        wait_for("the next process", || other.ask("NOOP").starts_with("250").then_some(()));
    }
    let mut smtp = greeted(&instance);
    kill(child(&instance).unwrap());
    assert!(smtp.ask("NOOP").starts_with("421 4.3.0"));
}
