//! What happens to mail beside the mailbox: programs, native mailboxes, automatic answers.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use black_box::instance::{is_root, wait_for};
use black_box::{Instance, Setup, run};
use tempfile::TempDir;

/// A folder of trusted programs, and one where they leave what they got, whoever they run as.
struct Programs {
    folder: TempDir,
}

impl Programs {
    fn new() -> Programs {
        let programs = Programs { folder: tempfile::Builder::new().prefix("programs-").tempdir().unwrap() };
        chmod(programs.folder.path(), 0o755);
        for (name, mode) in [("bin", 0o755), ("out", 0o1777)] {
            let folder = programs.folder.path().join(name);
            fs::create_dir(&folder).unwrap();
            chmod(&folder, mode);
        }
        programs
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A shell script; `$OUT` in it is the folder for output.
    fn script(&self, name: &str, text: &str) {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/sh\nOUT={}\n{text}\n", self.out().display())).unwrap();
        chmod(&path, 0o755);
    }

    /// The outputs whose names begin so; each run of a program leaves one.
    fn left(&self, name: &str) -> Vec<String> {
        let mut found: Vec<PathBuf> =
            fs::read_dir(self.out()).unwrap().map(|one| one.unwrap().path()).collect();
        found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.")));
        found.sort();
        found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    fn setup(&self, users: &[&str]) -> Setup {
        Setup::default().users(users).set("service.smtp.prog-deliver.shellpath", self.bin().to_str().unwrap())
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Sets attributes of a user before the start.
fn change(instance: &Instance, uid: &str, attributes: &[&str]) {
    let mut tool = instance.tool("dirutil");
    tool.args(["change", uid]);
    for attribute in attributes {
        let (flag, attribute) = match attribute.strip_prefix('+') {
            Some(more) => ("--add", more),
            None => ("--set", *attribute),
        };
        tool.args([flag, attribute]);
    }
    run(&mut tool);
}

fn send(instance: &Instance, from: &str, to: &str, text: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message(from, &[to], text);
    smtp.ok("QUIT");
}

/// Every message of a user's INBOX.
fn messages(instance: &Instance, user: &str) -> Vec<String> {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let fetched = imap.ok("FETCH 1:* (BODY.PEEK[])");
    fetched.iter().filter_map(|text| text.split_once("}\r\n")).map(|(_, body)| body.to_owned()).collect()
}

fn log(instance: &Instance) -> String {
    instance.log("smtp")
}

fn attempt_recorded(instance: &Instance) {
    wait_for("an attempt to be recorded", || {
        let mut envelopes = fs::read_dir(instance.path("queue/control")).ok()?;
        envelopes
            .any(|entry| {
                fs::read_to_string(entry.unwrap().path()).is_ok_and(|text| text.contains("\nattempt 0 "))
            })
            .then_some(())
    });
}

const KEEP: &str =
    "{ echo \"$@\"; id -u; id -g; id -G; env; echo --; cat; } > $OUT/tmp.$$ && mv $OUT/tmp.$$ $OUT/keep.$$";

/// X5, S42: the message comes whole, once, to a program that is not root and sees nothing of smtpd's environment.
#[test]
fn a_program_gets_the_message_and_the_mailbox_too() {
    let programs = Programs::new();
    programs.script("keep", KEEP);
    let mut instance = programs.setup(&["alice", "bob"]).environment("SECRET_OF_SMTPD", "x").create();
    change(
        &instance,
        "bob",
        &["+mailDeliveryOption=program", r#"mailProgramDeliveryInfo=keep -x "two words" \24HOME"#],
    );
    instance.start_all();
    send(&instance, "s@example.org", "bob@example.test", "Subject: to a program\r\n\r\n.line\r\n");
    instance.wait_for_empty_queue();
    instance.wait_for_messages("bob", 1);
    let left = programs.left("keep");
    assert_eq!(left.len(), 1);
    let (about, message) = left[0].split_once("\n--\n").unwrap();
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let lines: Vec<&str> = about.lines().collect();
    assert_eq!(lines[0], "-x two words $HOME");
    if is_root("identities of programs") {
        assert_eq!(lines[1..4], ["1", "1", "1"], "uid, gid, groups");
    } else {
        assert_eq!(lines[1..3], [own.0.to_string(), own.1.to_string()]);
    }
    assert!(lines.contains(&"SENDER=s@example.org") && lines.contains(&"RECIPIENT=bob@example.test"));
    assert!(!about.contains("SECRET_OF_SMTPD") && !about.contains("CONFIGROOT"), "{about}");
    assert!(
        message.starts_with("Return-Path: <s@example.org>\nReceived: from client.example.org"),
        "{message}"
    );
    assert!(message.ends_with("Subject: to a program\n\n.line\n"), "{message}");
    assert!(
        log(&instance)
            .lines()
            .any(|line| line.contains("prog-deliver: ") && line.ends_with("to=bob delivered"))
    );
}

/// S42, S25: another identity; no line in the log.
#[test]
fn the_identity_of_programs_and_the_log_are_what_is_set() {
    let programs = Programs::new();
    programs.script("keep", KEEP);
    let mut instance = programs
        .setup(&["alice", "bob"])
        .set("service.smtp.prog-deliver.defaultuid", "65534")
        .set("service.smtp.prog-deliver.defaultgid", "65533")
        .set("service.smtp.prog-deliver.log", "no")
        .create();
    change(&instance, "bob", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=keep"]);
    instance.start_all();
    instance.send("bob", "x");
    instance.wait_for_empty_queue();
    let left = programs.left("keep");
    if is_root("identities of programs") {
        assert_eq!(left[0].lines().skip(1).take(3).collect::<Vec<_>>(), ["65534", "65533", "65533"]);
    }
    assert_eq!(left.len(), 1);
    assert!(!log(&instance).contains("prog-deliver: "));
    let refused =
        instance.tool("configutil").args(["-o", "service.smtp.prog-deliver.defaultuid", "-v", "0"]).output();
    assert!(!refused.unwrap().status.success(), "programs never run as root");
}

/// A user is one however he is reached: by two addresses, a group, a forwarding in a circle.
#[test]
fn forwardings_groups_and_several_addresses_run_a_program_once() {
    let programs = Programs::new();
    programs.script("keep", KEEP);
    let mut instance = programs.setup(&["alice", "bob", "carol", "dave"]).create();
    change(
        &instance,
        "bob",
        &[
            "mailDeliveryOption=program",
            "mailProgramDeliveryInfo=keep",
            "mailForwardingAddress=carol@example.test",
            "mailAlternateAddress=b@example.test",
        ],
    );
    change(&instance, "carol", &["+mailForwardingAddress=b@example.test", "mailAutoReplyMode=reply"]);
    let mut group = instance.tool("dirutil");
    run(group.args([
        "add",
        "group",
        "all",
        "--member",
        "bob@example.test",
        "b@example.test",
        "carol@example.test",
    ]));
    instance.start_all();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let to = ["bob@example.test", "b@example.test", "all@example.test"];
    smtp.send_message("dave@example.test", &to, "Subject: once\r\n\r\nx\r\n");
    instance.wait_for_empty_queue();
    assert_eq!(programs.left("keep").len(), 1);
    instance.wait_for_messages("carol", 1);
    instance.wait_for_messages("dave", 1);
    assert!(messages(&instance, "dave")[0].contains("Subject: Auto: once"));
}

/// EX_TEMPFAIL: tried again, and what was done is not done again.
#[test]
fn a_program_that_asks_for_it_is_run_again_and_the_others_are_not() {
    let programs = Programs::new();
    programs.script("once", "cat > $OUT/once.$$");
    programs.script("later", "cat > $OUT/later.$$; echo come back; exit 75");
    let mut instance = programs.setup(&["alice", "bob"]).create();
    change(
        &instance,
        "bob",
        &["+mailDeliveryOption=program", "mailProgramDeliveryInfo=once", "+mailProgramDeliveryInfo=later"],
    );
    instance.start_all();
    instance.send("bob", "x");
    attempt_recorded(&instance);
    instance.wait_for_messages("bob", 1);
    assert!(log(&instance).contains("later asks to try again later (75): come back"), "{}", log(&instance));
    instance.kill("smtp");
    assert_eq!((programs.left("once").len(), programs.left("later").len()), (1, 1));
    programs.script("later", "cat > $OUT/later.$$");
    // The next attempt is due in a minute: the clock of the next smtpd is ahead.
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "7200");
    instance.start_all();
    instance.wait_for_empty_queue();
    assert_eq!((programs.left("once").len(), programs.left("later").len()), (1, 2));
    instance.wait_for_messages("bob", 1);
}

#[test]
fn a_program_that_fails_is_reported_with_what_it_said() {
    let programs = Programs::new();
    programs.script("fails", "echo 'no room in here' >&2; exit 1");
    let mut instance = programs.setup(&["alice", "bob"]).create();
    change(&instance, "bob", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=fails"]);
    instance.start_all();
    let mut smtp = instance.submission("alice");
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: x\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    let report = messages(&instance, "alice").remove(0);
    assert!(
        report.contains("Status: 5.3.0") && report.contains("fails ended with 1: no room in here"),
        "{report}"
    );
    instance.wait_for_empty_queue();
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_children() {
    let programs = Programs::new();
    programs.script("slow", "sleep 600 & echo $! > $OUT/slow.pid; echo $$ >> $OUT/slow.pid; wait");
    let mut instance =
        programs.setup(&["alice", "bob"]).set("local.service.smtp.prog-deliver.timeout", "1").create();
    change(&instance, "bob", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=slow"]);
    instance.start_all();
    instance.send("bob", "x");
    attempt_recorded(&instance);
    for pid in programs.left("slow")[0].lines() {
        wait_for("the end of the program", || is_gone(pid).then_some(()));
    }
    assert!(log(&instance).contains("slow took too long and was ended"));
}

/// Stopping smtpd does not wait for programs, and killing it takes them along.
#[test]
fn a_running_program_does_not_outlive_smtpd_and_runs_again() {
    let programs = Programs::new();
    programs.script("slow", "echo $$ > $OUT/slow.$$; exec sleep 600");
    let mut instance = programs.setup(&["alice", "bob"]).create();
    change(&instance, "bob", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=slow"]);
    instance.start_all();
    instance.send("bob", "x");
    let running = |count| {
        wait_for("the program to run", || {
            Some(programs.left("slow"))
                .filter(|left| left.len() == count && left.iter().all(|one| one.ends_with('\n')))
        })
    };
    let all_gone = |pids: Vec<String>| {
        for pid in pids {
            wait_for("the end of the program", || is_gone(pid.trim()).then_some(()));
        }
    };
    running(1);
    instance.stop("smtp");
    all_gone(running(1));
    instance.start_all();
    running(2);
    instance.kill("smtp");
    all_gone(running(2));
    programs.script("slow", "cat > $OUT/done.$$");
    instance.start_all();
    instance.wait_for_empty_queue();
    assert_eq!(programs.left("done").len(), 1);
}

fn is_gone(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |text| text.contains(") Z"))
}

/// X5: only programs of the folder, whoever asks for what; never through a shell.
#[test]
fn programs_outside_of_the_folder_are_refused() {
    let programs = Programs::new();
    let outside = programs.folder.path().join("outside");
    fs::write(&outside, format!("#!/bin/sh\ntouch {}/ran.outside\n", programs.out().display())).unwrap();
    chmod(&outside, 0o755);
    programs.script("open", "touch $OUT/ran.open");
    chmod(&programs.bin().join("open"), 0o777);
    symlink(&outside, programs.bin().join("link")).unwrap();
    let refused = ["../outside", "/bin/touch ran", "outside;touch ran", "no\\2fsuch", ".."];
    let users: Vec<String> = (0..refused.len()).map(|n| format!("u{n}")).collect();
    let mut all: Vec<&str> = users.iter().map(String::as_str).collect();
    all.extend(["alice", "link", "open"]);
    let mut instance = programs.setup(&all).create();
    for (user, command) in
        users.iter().map(String::as_str).zip(refused).chain([("link", "link"), ("open", "open")])
    {
        change(
            &instance,
            user,
            &["mailDeliveryOption=program", &format!("mailProgramDeliveryInfo={command}")],
        );
    }
    instance.start_all();
    let mut smtp = instance.submission("alice");
    for user in &users {
        smtp.send_message(
            "alice@example.test",
            &[&format!("{user}@example.test")],
            "Subject: x\r\n\r\nx\r\n",
        );
    }
    instance.wait_for_messages("alice", refused.len() as u32);
    for report in messages(&instance, "alice") {
        assert!(report.contains("Status: 5.7.1"), "{report}");
    }
    instance.wait_for_empty_queue();
    // What an administrator has to mend waits until it is mended.
    for (user, why) in [("link", "is no regular file"), ("open", "can be written by others")] {
        instance.send(user, "x");
        attempt_recorded(&instance);
        wait_for(why, || log(&instance).contains(why).then_some(()));
    }
    assert!(programs.left("ran").is_empty());
}

/// Without a folder there are no programs.
#[test]
fn without_a_folder_no_program_runs() {
    let mut instance = Setup::default().create();
    change(&instance, "bob", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=true"]);
    instance.start_all();
    let mut smtp = instance.submission("alice");
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: x\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    assert!(messages(&instance, "alice")[0].contains("this server runs no programs"));
}

/// X5: native delivery into mbox files. As root, they belong to the users of this host.
#[test]
fn native_delivery_appends_to_a_file_of_the_host() {
    let spool = tempfile::tempdir().unwrap();
    // A user that every Debian has.
    let user = "daemon";
    let mut instance = Setup::default()
        .users(&["alice", user])
        .set("local.service.smtp.unix-deliver.mailspool", spool.path().to_str().unwrap())
        .create();
    change(&instance, user, &["+mailDeliveryOption=native"]);
    instance.start_all();
    for subject in ["one", "two"] {
        let text = format!("Subject: {subject}\r\n\r\nFrom here\r\nlast");
        send(&instance, "s@example.org", "daemon@example.test", &text);
        instance.wait_for_empty_queue();
    }
    let file = spool.path().join(user);
    let text = fs::read_to_string(&file).unwrap();
    let parts: Vec<&str> = text.split("From s@example.org ").collect();
    assert_eq!(parts.len(), 3, "{text}");
    for (part, subject) in parts[1..].iter().zip(["one", "two"]) {
        assert!(part.contains("\nReturn-Path: <s@example.org>\nReceived: from"), "{text}");
        assert!(part.ends_with(&format!("\nSubject: {subject}\n\n>From here\nlast\n\n")), "{text}");
    }
    let data = fs::metadata(&file).unwrap();
    assert_eq!(data.mode() & 0o777, 0o600);
    assert_eq!(
        data.uid(),
        if is_root("identities of programs") { 1 } else { nix::unistd::geteuid().as_raw() }
    );
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 1, "no lock is left");
    instance.wait_for_messages(user, 2);
    assert!(log(&instance).contains("to=daemon delivered"));
}

/// Killed at any moment, smtpd leaves each message once in the mailbox and in the file, and one answer with each sender.
#[test]
fn a_crash_doubles_neither_native_mail_nor_answers() {
    let spool = tempfile::tempdir().unwrap();
    let (rounds, each) = if black_box::quick() { (4, 3) } else { (12, 5) };
    let senders: Vec<String> = (0..rounds * each).map(|n| format!("s{n}")).collect();
    let mut users: Vec<&str> = senders.iter().map(String::as_str).collect();
    users.push("daemon");
    let mut instance = Setup::default()
        .users(&users)
        .set("local.service.smtp.unix-deliver.mailspool", spool.path().to_str().unwrap())
        .create();
    change(&instance, "daemon", &["+mailDeliveryOption=native", "mailAutoReplyMode=vacation"]);
    instance.start_all();
    for round in senders.chunks(each) {
        for sender in round {
            let text = format!("To: daemon@example.test\r\nSubject: from-{sender}-\r\n\r\nx\r\n");
            send(&instance, &format!("{sender}@example.test"), "daemon@example.test", &text);
        }
        instance.kill("smtp");
        instance.start_all();
    }
    instance.wait_for_empty_queue();
    let text = fs::read_to_string(spool.path().join("daemon")).unwrap();
    for sender in &senders {
        assert_eq!(text.matches(&format!("\nSubject: from-{sender}-\n")).count(), 1, "{sender}: {text}");
        instance.wait_for_messages(sender, 1);
    }
    assert_eq!(text.matches("From s").count(), senders.len());
    instance.wait_for_messages("daemon", senders.len() as u32);
}

/// S25, S26: which modules log a line for each message by default, and that the switches turn that around.
#[test]
fn each_module_logs_as_its_switch_says_and_by_default_as_the_table_says() {
    let by_default = [
        ("smtp-accept", true),
        ("account-handler", false),
        ("smtp-router", false),
        ("mailbox-deliver", false),
        ("smtp-deliver", true),
        ("unix-deliver", true),
        ("prog-deliver", true),
        ("autoreply-handler", true),
        ("error-handler", true),
    ];
    for inverted in [false, true] {
        let programs = Programs::new();
        programs.script("fails", "exit 1");
        let spool = tempfile::tempdir().unwrap();
        let mut setup = programs
            .setup(&["alice", "daemon", "fails"])
            .set("local.service.smtp.unix-deliver.mailspool", spool.path().to_str().unwrap());
        for (module, logs) in by_default.iter().filter(|_| inverted) {
            setup = setup.set(&format!("service.smtp.{module}.log"), if *logs { "no" } else { "yes" });
        }
        let mut instance = setup.create();
        change(&instance, "daemon", &["+mailDeliveryOption=native", "mailAutoReplyMode=reply"]);
        change(&instance, "fails", &["mailDeliveryOption=program", "mailProgramDeliveryInfo=fails"]);
        instance.start_all();
        send(&instance, "alice@example.test", "daemon@example.test", "Subject: x\r\n\r\nx\r\n");
        send(&instance, "alice@example.test", "fails@example.test", "Subject: x\r\n\r\nx\r\n");
        instance.wait_for_empty_queue();
        let log = log(&instance);
        for (module, logs) in by_default {
            let set = run(instance.tool("configutil").args(["-o", &format!("service.smtp.{module}.log")]));
            assert_eq!(set.trim() == "yes", logs != inverted, "{module}: {set}");
            // smtp-deliver has nothing to do here. error-handler's other switch is the sum of its actions.
            let is_seen = module != "smtp-deliver" && !(module == "error-handler" && inverted);
            let line = log.lines().any(|line| line.contains(&format!("Notice: {module}: ")));
            assert!(!is_seen || line == (logs != inverted), "{module}: {log}");
        }
    }
}

/// The original's way: a program with the uid, and the sender if it is wanted.
#[test]
fn native_delivery_may_be_a_program() {
    let programs = Programs::new();
    programs.script("mailer", "{ echo \"$@\"; cat; } > $OUT/mailer.$$");
    let mut instance = Setup::default()
        .set("service.smtp.unix-deliver.maildeliveryprogram", programs.bin().join("mailer").to_str().unwrap())
        .set("service.smtp.unix-deliver.needsender", "yes")
        .set("service.smtp.unix-deliver.stripcr", "no")
        .create();
    change(&instance, "bob", &["mailDeliveryOption=native"]);
    instance.start_all();
    instance.send("bob", "x");
    instance.wait_for_empty_queue();
    let left = programs.left("mailer");
    assert_eq!(left.len(), 1);
    assert!(
        left[0].starts_with("bob sender@example.org\nReturn-Path: <sender@example.org>\r\n"),
        "{}",
        left[0]
    );
}

/// X4, S91: who is away answers each sender once, and neither lists nor bounces nor what was not sent to him.
#[test]
fn a_vacation_is_told_once_to_each_sender_and_never_to_lists() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    change(&instance, "alice", &["mailAutoReplyMode=vacation", "cn=Alice Smith"]);
    instance.start_all();
    let to_alice = |from: &str, fields: &str| {
        let text = format!("From: {from}\r\nMessage-ID: <m1@a.example>\r\n{fields}\r\nhello\r\n");
        send(&instance, from, "alice@example.test", &text);
        instance.wait_for_empty_queue();
    };
    let direct = "To: alice@example.test\r\nSubject: lunch?\r\n";
    to_alice("bob@example.test", direct);
    instance.wait_for_messages("bob", 1);
    let reply = messages(&instance, "bob").remove(0);
    for part in [
        "Return-Path: <>\r\n",
        "From: \"Alice Smith\" <alice@example.test>\r\nTo: <bob@example.test>\r\nSubject: Auto: lunch?\r\n",
        "In-Reply-To: <m1@a.example>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "Content-Language: en\r\n",
        "Alice Smith (alice@example.test) is away at the moment.",
    ] {
        assert!(reply.contains(part), "{part} in {reply}");
    }
    to_alice("bob@example.test", direct);
    to_alice("carol@example.test", &format!("{direct}List-Id: <all.example.test>\r\n"));
    to_alice("carol@example.test", &format!("{direct}Precedence: bulk\r\n"));
    to_alice("carol@example.test", &format!("{direct}Auto-Submitted: auto-generated\r\n"));
    to_alice("carol@example.test", "To: everybody@example.test\r\n");
    to_alice("", direct);
    to_alice("alice@example.test", direct);
    instance.wait_for_messages("alice", 8);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_messages("carol", 0);
    to_alice("carol@example.test", direct);
    instance.wait_for_messages("carol", 1);
    let text = log(&instance);
    assert!(
        text.contains("autoreply-handler: ")
            && text.contains("no answer to=<bob@example.test>: answered before"),
        "{text}"
    );
}

/// What was answered is remembered over a crash, for the period that is set; dates bound a vacation.
#[test]
fn a_vacation_is_remembered_for_its_period_and_ends_at_its_date() {
    let mut instance =
        Setup::default().set("local.service.smtp.autoreply-handler.vacationperiod", "2").create();
    change(&instance, "alice", &["mailAutoReplyMode=vacation", "mailAutoReplyText=I am away.$Alice"]);
    instance.start_all();
    let ask = |instance: &Instance, replies: u32| {
        let text = "To: alice@example.test\r\nSubject: x\r\n\r\nx\r\n";
        send(instance, "bob@example.test", "alice@example.test", text);
        instance.wait_for_empty_queue();
        instance.wait_for_messages("bob", replies);
    };
    ask(&instance, 1);
    assert!(messages(&instance, "bob")[0].contains("\r\n\r\nI am away.\r\nAlice\r\n"));
    instance.kill("smtp");
    instance.start_all();
    ask(&instance, 1);
    instance.kill("smtp");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &(3 * 86_400).to_string());
    instance.start_all();
    ask(&instance, 2);
    instance.kill("smtp");
    change(&instance, "alice", &["vacationStartDate=20200101000000Z", "vacationEndDate=20200110000000Z"]);
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &(9 * 86_400).to_string());
    instance.start_all();
    ask(&instance, 2);
}

/// S27, S28, S88, S89, S90: the message asks, then the reader's entry, then the domain.
#[test]
fn answers_are_in_the_readers_language() {
    let domains = ["example.fr", "example.de", "example.es", "x.co.jp", "grp.co.jp", "plain.test"];
    let mut instance = Setup::default()
        .users(&["alice", "fr", "de", "es", "ja", "grp", "plain"])
        .set("service.smtp.smtp-router.localmaildomains", &format!("example.test {}", domains.join(" ")))
        .set("service.smtp.domainlangtable", "fr fr$de de$es es$jp ja$grp.co.jp en")
        .create();
    let senders = ["fr", "de", "es", "ja", "grp", "plain"];
    for (user, domain) in senders.iter().zip(domains) {
        change(&instance, user, &[&format!("+mailAlternateAddress={user}@{domain}")]);
    }
    change(&instance, "plain", &["preferredLanguage=ja"]);
    change(&instance, "alice", &["mailAutoReplyMode=reply"]);
    instance.start_all();
    for (user, domain) in senders.iter().zip(domains) {
        send(&instance, &format!("{user}@{domain}"), "alice@example.test", "Subject: x\r\n\r\nx\r\n");
    }
    let expected = [
        ("fr", "fr", "utf-8", "quoted-printable", "Votre message =C2=AB x =C2=BB"),
        ("de", "de", "utf-8", "quoted-printable", "Ihre Nachricht =E2=80=9Ex=E2=80=9C"),
        ("es", "es", "utf-8", "quoted-printable", "Su mensaje =C2=ABx=C2=BB"),
        ("ja", "ja", "utf-8", "base64", "\r\n"),
        ("grp", "en", "us-ascii", "7bit", "has been received"),
        ("plain", "ja", "utf-8", "base64", "\r\n"),
    ];
    for (user, language, charset, encoding, words) in expected {
        instance.wait_for_messages(user, 1);
        let reply = messages(&instance, user).remove(0);
        for part in [
            &format!("Content-Language: {language}\r\n"),
            &format!("charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"),
            words,
        ] {
            assert!(reply.contains(part), "{part} for {user} in {reply}");
        }
    }
    // What the message asks for comes before all of it; every message is answered in this mode.
    for (at, field) in ["Prefer-Language: de", "X-Accept-Language: xx, es-MX, fr"].iter().enumerate() {
        send(
            &instance,
            "fr@example.fr",
            "alice@example.test",
            &format!("Subject: x\r\n{field}\r\n\r\nx\r\n"),
        );
        instance.wait_for_messages("fr", at as u32 + 2);
    }
    let replies = messages(&instance, "fr");
    assert!(
        replies[1].contains("Content-Language: de") && replies[2].contains("Content-Language: es"),
        "{replies:?}"
    );
}

/// S29, S91, and `sitelanguageonly`: a text of the site's adds a language; without any that fits it is English.
#[test]
fn the_first_language_with_a_text_is_taken_and_english_without_one() {
    let mut instance = Setup::default()
        .users(&["alice", "be"])
        .set("service.smtp.smtp-router.localmaildomains", "example.test example.be")
        .set("service.smtp.domainlangtable", "be nl-BE|ko,nl|fr")
        .create();
    change(&instance, "be", &["+mailAlternateAddress=x@example.be"]);
    change(&instance, "alice", &["mailAutoReplyMode=reply"]);
    let mut replies = 0;
    let mut language = |instance: &mut Instance, name: &str, value: &str| {
        instance.stop("smtp");
        instance.set(name, value);
        instance.start_all();
        send(instance, "x@example.be", "alice@example.test", "Subject: x\r\n\r\nx\r\n");
        replies += 1;
        instance.wait_for_messages("be", replies);
        let reply = messages(instance, "be").pop().unwrap();
        reply.split("Content-Language: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(language(&mut instance, "gen.sitelanguage", "de"), "fr");
    let dutch = "service.smtp.autoreply-handler.defaultreply;lang-nl";
    assert_eq!(language(&mut instance, dutch, "Uw bericht is ontvangen."), "nl");
    assert_eq!(language(&mut instance, "service.smtp.domainlangtable", "be ko"), "en");
    assert_eq!(language(&mut instance, "local.service.smtp.sitelanguageonly", "yes"), "de");
}

/// X4: an echo brings the message back; an answer that cannot be delivered troubles nobody.
#[test]
fn an_echo_carries_the_message_and_a_forged_sender_troubles_nobody() {
    let mut instance = Setup::default().create();
    change(&instance, "alice", &["mailAutoReplyMode=echo", "mailDeliveryOption=mailbox"]);
    instance.start_all();
    let text = "Subject: come back\r\nX-Mark: 7\r\n\r\nunmistakable body\r\n";
    send(&instance, "bob@example.test", "alice@example.test", text);
    instance.wait_for_messages("bob", 1);
    let echo = messages(&instance, "bob").remove(0);
    for part in [
        "Content-Type: multipart/mixed",
        "Content-Type: message/rfc822\r\n",
        "X-Mark: 7\r\n\r\nunmistakable body\r\n",
    ] {
        assert!(echo.contains(part), "{part} in {echo}");
    }
    send(&instance, "gone@example.test", "alice@example.test", text);
    instance.wait_for_messages("alice", 2);
    instance.wait_for_empty_queue();
    instance.wait_for_messages("postmaster", 0);
}
