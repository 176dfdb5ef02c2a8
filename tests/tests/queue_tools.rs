//! mailq and msg-queue from outside, over queues that are made by hand as `docs/formats/queue.md` says.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use black_box::instance::wait_for;
use black_box::{Instance, Setup, StubDns, StubMta, run};

/// CRC-32 (IEEE), bit by bit: what the format says, and not our code again.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn base36(mut value: usize, width: usize) -> String {
    let mut text = String::new();
    for _ in 0..width {
        text.insert(0, char::from_digit((value % 36) as u32, 36).unwrap().to_ascii_uppercase());
        value /= 36;
    }
    text
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A queue entry to be written down.
struct Entry<'e> {
    id: String,
    age: u64,
    sender: &'e str,
    recipients: &'e [&'e str],
    message: &'e str,
    progress: &'e str,
}

impl Entry<'_> {
    fn envelope(&self) -> String {
        let mut text = format!(
            "Mailboat-Envelope: 1\nId: {}\nArrived: {}000000000\nMessage-Size: {}\nRelay-Offset: 0\nHops: 0\nBody: 7bit\n\
             Protocol: ESMTP\nHost-From: client [127.0.0.1]\nSender: <{}>\n",
            self.id,
            now() - self.age,
            self.message.len(),
            self.sender
        );
        for recipient in self.recipients {
            text.push_str(&format!("Recipient: <{recipient}>\n"));
        }
        let crc = crc32(text.as_bytes());
        text.push_str(&format!("End: {crc:08x}\n"));
        if !self.progress.is_empty() {
            text.push_str(&format!("{} #{:08x}\n", self.progress, crc32(self.progress.as_bytes())));
        }
        text
    }

    fn active(&self, instance: &Instance) {
        fs::create_dir_all(instance.path("queue/control")).unwrap();
        fs::create_dir_all(instance.path("queue/messages")).unwrap();
        fs::write(instance.path(&format!("queue/control/env-{}", self.id)), self.envelope()).unwrap();
        fs::write(instance.path(&format!("queue/messages/{}", self.id)), self.message).unwrap();
    }

    fn deferred(&self, instance: &Instance, domain: &str) -> PathBuf {
        let folder =
            instance.path("queue/deferred/SMTP-Deliver").join(hashdir(instance, domain)).join(domain);
        let messages = folder.join(hashdir(instance, &self.id));
        fs::create_dir_all(&messages).unwrap();
        fs::write(folder.join(format!("env-{}", self.id)), self.envelope()).unwrap();
        fs::write(messages.join(&self.id), self.message).unwrap();
        folder
    }
}

/// The two levels, without the slash at the end, which the tool prints.
fn hashdir(instance: &Instance, name: &str) -> String {
    run(instance.tool("hashdir").arg(name)).trim().trim_end_matches('/').to_owned()
}

fn id(number: usize) -> String {
    format!("GPM7U0{}.{}", base36(number / 46_656, 2), base36(number % 46_656, 3))
}

fn mailq(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("mailq").args(arguments))
}

/// Three messages for one domain, one for another; one that is being delivered.
fn queue() -> Instance {
    let instance = Setup::default().create();
    for (number, recipient) in [(1, "a@one.test"), (2, "b@one.test"), (3, "c@one.test")] {
        let entry = Entry {
            id: id(number),
            age: 3600 * number as u64,
            sender: "alice@example.test",
            recipients: &[recipient],
            message: "Subject: deferred\r\nX-Evil: \u{1b}[2J\r\n\r\nbody\r\n",
            progress: &format!("attempt 0 {} connection refused", now() + 600),
        };
        entry.deferred(&instance, "one.test");
    }
    let two = Entry {
        id: id(4),
        age: 10,
        sender: "",
        recipients: &["d@two.test"],
        message: "Subject: a report\r\n\r\nlong enough to be larger than the others: 0123456789 0123456789\r\n",
        progress: "",
    };
    two.deferred(&instance, "two.test");
    let active = Entry {
        id: id(5),
        age: 5,
        sender: "bob@example.test",
        recipients: &["alice@example.test", "x@one.test"],
        message: "Subject: active\r\n\r\nx\r\n",
        progress: "done 2 1",
    };
    active.active(&instance);
    instance
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect()
}

/// S76: the number of envelope files of each domain; smtpd does not run.
#[test]
fn mailq_counts_the_envelopes_of_each_domain() {
    let instance = queue();
    let summary = mailq(&instance, &[]);
    assert_eq!(rows(&summary), [["1", "example.test"], ["3", "one.test"], ["1", "two.test"]], "{summary}");
    let split = mailq(&instance, &["-a"]);
    assert_eq!(rows(&split), [["1", "1", "example.test"], ["3", "0", "one.test"], ["1", "0", "two.test"]]);
    let detail = mailq(&instance, &["-d", "one.test"]);
    for number in 1..=3 {
        assert!(detail.contains(&id(number)), "{detail}");
    }
    assert!(!detail.contains(&id(4)) && !detail.contains(&id(5)), "{detail}");
    assert!(detail.contains("last: connection refused") && detail.contains("1 attempt,"), "{detail}");
    let empty = Setup::default().create();
    assert_eq!(mailq(&empty, &[]), "Mail queue is empty.\n");
}

#[test]
fn every_filter_selects_what_it_names() {
    let instance = queue();
    let listed = |arguments: &[&str]| -> Vec<usize> {
        let text = run(instance.tool("mailq").arg("-l").args(arguments));
        (1..=5).filter(|number| text.contains(&id(*number))).collect()
    };
    assert_eq!(listed(&[]), [1, 2, 3, 4, 5]);
    assert_eq!(listed(&["--domain", "ONE.test"]), [1, 2, 3]);
    assert_eq!(listed(&["--domain", "*o.test", "--domain", "example.test"]), [4, 5]);
    assert_eq!(listed(&["--sender", "alice@*"]), [1, 2, 3]);
    assert_eq!(listed(&["--sender", "<>"]), [4]);
    assert_eq!(listed(&["--recipient", "b@one.test"]), [2]);
    assert_eq!(listed(&["--recipient", "x@one.test"]), Vec::<usize>::new(), "that one has it");
    assert_eq!(listed(&["--older-than", "90m"]), [2, 3]);
    assert_eq!(listed(&["--larger-than", "60"]), [4]);
    assert_eq!(listed(&["--id", &id(3), "--id", &id(5)]), [3, 5]);
    assert_eq!(listed(&["--domain", "one.test", "--older-than", "150m"]), [3]);
    assert_eq!(rows(&mailq(&instance, &["--older-than", "90m"])), [["2", "one.test"]]);
    for wrong in [["--older-than", "soon"], ["--larger-than", "big"], ["--id", "x"]] {
        assert_eq!(instance.tool("mailq").args(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

/// The names of `postqueue -j`, read by somebody else's parser.
#[test]
fn json_has_the_fields_that_scripts_for_postfix_expect() {
    let instance = queue();
    fs::write(instance.path("queue/control/env-GPM7U099.000"), "torn").unwrap();
    let lines = mailq(&instance, &["--json"]);
    let script = "import json,sys\n\
        for l in sys.stdin:\n e=json.loads(l)\n \
        if e['queue_name']=='corrupt': print('corrupt',e['queue_id']); continue\n \
        print(e['queue_name'],e['queue_id'],e['arrival_time']>0,e['message_size'],e['forced_expire'],e['sender'],\
        ','.join(r['address']+'='+r.get('delay_reason','-') for r in e['recipients']),e['domain'],e['attempts'])";
    let mut python = Command::new("python3");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    fs::write(&file, lines).unwrap();
    python.arg("-c").arg(script).stdin(fs::File::open(&file).unwrap());
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).unwrap();
    for line in [
        format!(
            "deferred {} True 41 False alice@example.test a@one.test=connection refused one.test 1",
            id(1)
        ),
        format!("deferred {} True 86 False MAILER-DAEMON d@two.test=- two.test 0", id(4)),
        format!("active {} True 22 False bob@example.test alice@example.test=- None 0", id(5)),
        "corrupt GPM7U099.000".into(),
    ] {
        assert!(read.lines().any(|one| one == line), "{line} in\n{read}");
    }
}

#[test]
fn the_shape_tells_ages_by_domain() {
    let instance = queue();
    let shape = mailq(&instance, &["--shape"]);
    let cells = |name: &str| -> Vec<usize> {
        let line = shape.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        line.split_whitespace().filter_map(|cell| cell.parse().ok()).collect()
    };
    // all, <5, <10, <20, <40, <80, <160, <320, <640, <1280, older
    assert_eq!(cells("TOTAL"), [5, 2, 0, 0, 0, 1, 1, 1, 0, 0, 0], "{shape}");
    assert_eq!(cells("one.test"), [3, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]);
    assert_eq!(cells("example.test"), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// A message is shown whole, in parts, or byte by byte; what is in it cannot move the cursor.
#[test]
fn msg_queue_shows_a_message() {
    let instance = queue();
    let show = |arguments: &[&str]| run(instance.tool("msg-queue").arg("show").args(arguments));
    let one = show(&[&id(1)]);
    assert!(one.contains("sender <alice@example.test> from client [127.0.0.1]"), "{one}");
    assert!(one.contains("\nSubject: deferred\n") && !one.contains("body"), "{one}");
    assert!(!one.contains('\u{1b}'), "{one:?}");
    assert_eq!(show(&[&id(5), "--raw"]), "Subject: active\r\n\r\nx\r\n");
    assert_eq!(show(&[&id(5), "--headers"]), "Subject: active\n");
    let envelope = show(&["--envelope", &id(5)]);
    assert!(
        envelope.starts_with("Mailboat-Envelope: 1\n") && envelope.contains("\ndone 2 1 #"),
        "{envelope}"
    );
    let missing = instance.tool("msg-queue").args(["show", "GPM7U0ZZ.000"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&missing.stderr), "msg-queue: GPM7U0ZZ.000 is not in the queue\n");
}

/// A long queue is told quickly, in little memory.
#[test]
fn a_long_queue_is_counted_in_seconds_and_in_little_memory() {
    let instance = Setup::default().create();
    let count = if black_box::quick() { 5000 } else { 100_000 };
    let control = instance.path("queue/control");
    fs::create_dir_all(&control).unwrap();
    let folder =
        instance.path("queue/deferred/SMTP-Deliver").join(hashdir(&instance, "one.test")).join("one.test");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..count {
        let place: &Path = if number % 2 == 0 { &control } else { &folder };
        let entry = Entry {
            id: id(number),
            age: 60,
            sender: "alice@example.test",
            recipients: &["someone@one.test"],
            message: "",
            progress: "",
        };
        fs::write(place.join(format!("env-{}", entry.id)), entry.envelope()).unwrap();
    }
    let begin = Instant::now();
    // KiB of data: what a process of ours has before it does anything, and a little.
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("ulimit -d 16384; exec \"$0\" \"$@\"").arg(black_box::program("mailq"));
    let summary = run(limited.env("CONFIGROOT", instance.path("config")));
    let took = begin.elapsed();
    eprintln!("{count} entries counted in {took:?}");
    assert_eq!(rows(&summary), [[count.to_string().as_str(), "one.test"]]);
    assert!(took.as_secs() < 20, "{took:?}");
}

fn msg_queue(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("msg-queue").args(arguments))
}

/// An instance whose alice cannot be delivered to, with these messages waiting for her.
fn with_mail_stuck(subjects: &[&str]) -> (Instance, PathBuf, Vec<String>) {
    let instance = Setup::default().start();
    let folder = instance.path("store/partition/primary/=user").join(hashdir(&instance, "alice"));
    fs::create_dir_all(&folder).unwrap();
    let way = folder.join("=alice");
    fs::write(&way, "in the way").unwrap();
    let mut smtp = instance.submission("bob");
    let mut ids = Vec::new();
    for subject in subjects {
        let text = format!("Subject: {subject}\r\nFrom: bob@example.test\r\n\r\nx\r\n");
        let reply = smtp.send_message("bob@example.test", &["alice@example.test"], &text);
        ids.push(
            reply.split_whitespace().find(|word| word.len() == 12 && word.contains('.')).unwrap().to_owned(),
        );
    }
    for id in &ids {
        let envelope = instance.path(&format!("queue/control/env-{id}"));
        wait_for("an attempt", || fs::read_to_string(&envelope).ok()?.contains("\nattempt 0 ").then_some(()));
    }
    (instance, way, ids)
}

fn report_for_bob(instance: &Instance) -> String {
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    imap.ok("FETCH 1 BODY.PEEK[]").join("")
}

fn subjects_of_alice(instance: &Instance) -> Vec<String> {
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").join("\n");
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: "))
        .map(|line| line.trim().to_owned())
        .collect();
    found.sort();
    found
}

/// The verbs change the queue; `stopped` says whether smtpd runs while they do. The outcome is the same.
fn verbs(stopped: bool) {
    let (mut instance, way, ids) = with_mail_stuck(&["held", "flushed", "requeued", "deleted", "expired"]);
    if stopped {
        instance.stop("smtp");
    }
    let dry = msg_queue(&instance, &["delete", "--all", "--dry-run"]);
    assert!(dry.ends_with("would delete 5 messages\n") && ids.iter().all(|id| dry.contains(id)), "{dry}");
    assert_eq!(msg_queue(&instance, &["hold", &ids[0]]), "hold: 1 message\n");
    assert!(mailq(&instance, &["--json", "--id", &ids[0]]).starts_with("{\"queue_name\":\"hold\""));
    assert_eq!(msg_queue(&instance, &["delete", "--id", &ids[3]]), "delete: 1 message\n");
    assert!(!instance.path(&format!("queue/control/env-{}", ids[3])).exists());
    assert!(!instance.path(&format!("queue/messages/{}", ids[3])).exists());
    assert_eq!(msg_queue(&instance, &["expire", &ids[4]]), "expire: 1 message\n");
    if stopped {
        assert!(mailq(&instance, &["--json", "--id", &ids[4]]).contains("\"forced_expire\":true"));
    }
    fs::remove_file(way).unwrap();
    assert_eq!(msg_queue(&instance, &["requeue", &ids[2]]), "requeue: 1 message\n");
    // Everything that is left and was not touched, and the held one, which stays.
    let flushed = msg_queue(&instance, &["flush", "--recipient", "alice@*", "--sender", "bob@example.test"]);
    assert!(flushed.starts_with("flush: "), "{flushed}");
    if stopped {
        instance.start_one("smtp");
    }
    instance.wait_for_messages("alice", 2);
    assert_eq!(subjects_of_alice(&instance), ["flushed", "requeued"]);
    let report = report_for_bob(&instance);
    assert!(report.contains("Status: 4.4.7") && report.contains("given up by the administrator"), "{report}");
    // What is held survives a restart.
    instance.stop("smtp");
    if !stopped {
        instance.start_one("smtp");
    }
    assert_eq!(msg_queue(&instance, &["release", "--all"]), "release: 1 message\n");
    if stopped {
        instance.start_one("smtp");
    }
    instance.wait_for_messages("alice", 3);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 1, "delete tells nobody");
}

#[test]
fn the_verbs_reach_a_running_smtpd() {
    verbs(false);
}

#[test]
fn the_verbs_change_the_queue_of_a_stopped_smtpd() {
    verbs(true);
}

/// What waits for another host goes back to the active queue, or to its sender.
#[test]
fn deferred_mail_is_given_up_requeued_and_deleted() {
    for stopped in [true, false] {
        let mut instance = queue();
        let deferred = instance.path("queue/deferred/SMTP-Deliver");
        instance.start_one("store");
        instance.start_one("imap");
        if !stopped {
            instance.start_one("smtp");
        }
        assert_eq!(msg_queue(&instance, &["delete", &id(2)]), "delete: 1 message\n");
        assert_eq!(
            msg_queue(&instance, &["expire", "--domain", "one.test", "--older-than", "150m"]),
            "expire: 1 message\n"
        );
        assert_eq!(msg_queue(&instance, &["hold", "--domain", "two.test"]), "hold: 1 message\n");
        let left = deferred.join(hashdir(&instance, "one.test")).join("one.test");
        assert!(left.join(format!("env-{}", id(1))).exists());
        for number in [2, 3] {
            assert!(!left.join(format!("env-{}", id(number))).exists(), "{number}");
            assert!(!left.join(hashdir(&instance, &id(number))).join(id(number)).exists(), "{number}");
        }
        if stopped {
            instance.start_one("smtp");
        }
        instance.wait_for_messages("alice", 2); // the active one, and the report
        instance.wait_for_empty_queue();
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        let all = imap.ok("FETCH 1:* BODY.PEEK[]").join("");
        assert!(all.contains("Final-Recipient: rfc822; c@one.test"), "{all}");
        assert_eq!(mailq(&instance, &["-l", "--domain", "two.test"]).matches("  held\n").count(), 1);
    }
}

#[test]
fn whom_a_verb_is_for_must_be_said() {
    let instance = queue();
    let refused = |arguments: &[&str]| {
        let output = instance.tool("msg-queue").args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(refused(&["delete"]), "msg-queue: name messages, give filters, or --all\n");
    assert_eq!(refused(&["flush", "GPM7U0ZZ.000"]), "msg-queue: GPM7U0ZZ.000 is not in the queue\n");
    assert_eq!(msg_queue(&instance, &["hold", "--domain", "nowhere.test"]), "hold: 0 messages\n");
    assert_eq!(mailq(&instance, &["-l"]).matches("held").count(), 0);
}

/// processq asks a running smtpd, and there must be one.
#[test]
fn processq_has_a_running_smtpd_try_what_waits() {
    let (mut instance, way, _) = with_mail_stuck(&["first", "second"]);
    fs::remove_file(way).unwrap();
    assert_eq!(run(instance.tool("processq").arg("elsewhere.test")), "flush: 0 messages\n");
    assert_eq!(run(instance.tool("processq").arg("example.test")), "flush: 2 messages\n");
    instance.wait_for_messages("alice", 2);
    instance.stop("smtp");
    let output = instance.tool("processq").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "processq: smtpd does not run\n");
}

/// A command that is no command is set aside, and told.
#[test]
fn a_torn_command_is_put_into_lost_and_found() {
    let instance = Setup::default().start();
    let folder = instance.path("queue/commands");
    fs::write(instance.path("torn"), "Mailboat-Command: 1\nVerb: delete\nBy: root\n").unwrap();
    fs::rename(instance.path("torn"), folder.join("GPM7U001.000")).unwrap();
    wait_for("the command to be set aside", || {
        instance.path("queue/lost+found/GPM7U001.000").exists().then_some(())
    });
    wait_for("a line in the log", || {
        let log = instance.log("smtp");
        log.lines().any(|line| line.contains("GPM7U001.000")).then_some(())
    });
}

/// A remote domain whose host is down, and an instance with these messages waiting for it.
fn with_mail_deferred(subjects: &[&str]) -> (Instance, StubDns, SocketAddr, Vec<String>) {
    let dns = StubDns::start();
    let port = black_box::addresses::free_port();
    let instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.smtp-deliver.port", &port.to_string())
        .start();
    // A loopback address that nothing else of this test process listens on.
    let host = SocketAddr::new(IpAddr::V4(black_box::addresses::of_peer()), port);
    dns.add("mx.down.test", "A", 60, &host.ip().to_string());
    dns.add("down.test", "MX", 60, "10 mx.down.test");
    let mut smtp = instance.submission("bob");
    let mut ids = Vec::new();
    for subject in subjects {
        let text = format!("Subject: {subject}\r\nFrom: bob@example.test\r\n\r\nx\r\n");
        let reply = smtp.send_message("bob@example.test", &["x@down.test"], &text);
        ids.push(
            reply.split_whitespace().find(|word| word.len() == 12 && word.contains('.')).unwrap().to_owned(),
        );
    }
    wait_for("deferred mail", || {
        (rows(&mailq(&instance, &[])) == [[&subjects.len().to_string(), "down.test"]]
            && mailq(&instance, &["-a"]).contains(" 0 down.test"))
        .then_some(())
    });
    (instance, dns, host, ids)
}

/// Mail that waits for another host obeys while smtpd runs. When a host answers again, the rest of the domain follows the
/// message that was flushed, but for what is held.
#[test]
fn deferred_mail_obeys_a_running_smtpd() {
    let (instance, _dns, host, ids) = with_mail_deferred(&["held", "flushed", "requeued", "follows"]);
    assert_eq!(msg_queue(&instance, &["hold", &ids[0], &ids[2]]), "hold: 2 messages\n");
    let mx = StubMta::new().at(host).start();
    assert_eq!(msg_queue(&instance, &["flush", &ids[0], &ids[1]]), "flush: 1 message\n");
    let waiting = |count: &str| {
        wait_for("the others to be gone", || {
            (rows(&mailq(&instance, &[])) == [[count, "down.test"]]).then_some(())
        });
    };
    waiting("2");
    let subjects = |count: usize| -> Vec<String> {
        let texts = mx.wait_for(count).into_iter().map(|message| message.text().to_string());
        texts.map(|text| text.split("Subject: ").nth(1).unwrap().lines().next().unwrap().to_owned()).collect()
    };
    let mut first = subjects(2);
    first.sort();
    assert_eq!(first, ["flushed", "follows"]);
    assert_eq!(msg_queue(&instance, &["requeue", &ids[2]]), "requeue: 1 message\n");
    assert_eq!(subjects(3)[2], "requeued");
    waiting("1");
    assert_eq!(run(instance.tool("sendmail").arg("-qRdown.test")), "flush: 0 messages\n");
    assert_eq!(msg_queue(&instance, &["release", "--domain", "down.test"]), "release: 1 message\n");
    assert_eq!(subjects(4)[3], "held");
    wait_for("an empty queue", || (mailq(&instance, &[]) == "Mail queue is empty.\n").then_some(()));
}

/// A message whose file is gone, in both queues: its sender is told, its envelope is kept, and that is the end of it.
#[test]
fn the_sender_of_a_message_whose_file_is_gone_is_told() {
    let mut instance = Setup::default().create();
    let entry = |number: usize, recipients| Entry {
        id: id(number),
        age: 60,
        sender: "bob@example.test",
        recipients,
        message: "Subject: dear\r\n\r\nthe text\r\n",
        progress: "",
    };
    entry(1, &["alice@example.test"]).active(&instance);
    fs::remove_file(instance.path(&format!("queue/messages/{}", id(1)))).unwrap();
    let progress = format!("attempt 0 {} 4.4.1 connection refused", now() + 36_000);
    let away = Entry { progress: &progress, ..entry(2, &["x@dead.test"]) };
    let folder = away.deferred(&instance, "dead.test");
    fs::remove_file(folder.join(hashdir(&instance, &id(2))).join(id(2))).unwrap();
    let found = instance.tool("storecheck").output().unwrap();
    let said = String::from_utf8(found.stdout).unwrap();
    let line = format!("queue {}: its message is missing; mend: msg-queue expire {}\n", id(2), id(2));
    assert!(!found.status.success() && said.contains(&line), "{said}");
    instance.start_all();
    assert_eq!(msg_queue(&instance, &["expire", &id(2)]), "expire: 1 message\n");
    instance.wait_for_messages("bob", 2);
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let reports = imap.ok("FETCH 1:2 BODY.PEEK[]").join("");
    for says in [
        "alice@example.test",
        "5.3.0",
        "the message is missing",
        "x@dead.test",
        "4.4.7",
        "administrator; the text",
    ] {
        assert!(reports.contains(says), "{says}: {reports}");
    }
    assert!(!folder.join(format!("env-{}", id(2))).exists());
    let log = instance.log("smtp");
    for number in [1, 2] {
        assert!(instance.path(&format!("queue/lost+found/env-{}", id(number))).exists(), "{log}");
        assert!(
            log.contains(&format!("{}: the message is missing; a copy of it was put into", id(number))),
            "{log}"
        );
    }
    assert!(!log.contains("cannot be queued") && !log.contains("expire failed"), "{log}");
}
