//! kill -9 behind each named step of accept, expand, deliver, send, split, defer, retry, requeue, bounce and the end
//! (`base::crash::step`). What was acknowledged is never lost, and nobody here has it twice.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use black_box::instance::{PATIENCE, SMTP, top, wait_for};
use black_box::{Instance, StubMta, Wire, World};

/// What is sent when the crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// To a user here, to another host, to two dead domains, and to a user whose forwarding leads to nobody.
    Mixed,
    /// The same, larger than the journal takes.
    Large,
    /// The same without a journal.
    Files,
    /// The same, the record being durable; then a power cut takes the files, and the crash comes in the replay.
    Replay,
    /// To the dead domain alone.
    Whole,
    /// The same is tried again, in vain.
    RetryInVain,
    /// The same, when the domain is there.
    Retry,
    /// The same is requeued by an administrator.
    Requeue,
    /// To a group whose members get a changed copy.
    Copies,
}

use Scene::{Copies, Files, Large, Mixed, Replay, Requeue, Retry, RetryInVain, Whole};

/// Each step of the sources, and where it is crashed at. `#2` is its second time: the commit of a report or of a copy.
const STEPS: [(&str, Scene); 65] = [
    ("accept: record written", Mixed),
    ("accept: record synced", Mixed),
    ("file: message written", Mixed),
    ("file: envelope written", Mixed),
    ("file: envelope named", Mixed),
    ("accept: message written", Large),
    ("accept: envelope written", Large),
    ("accept: envelope named", Large),
    ("accept: record written", Large),
    ("accept: record synced", Large),
    ("accept: record synced#2", Large),
    ("end: recorded", Large),
    ("accept: record written#2", Mixed),
    ("accept: record synced#2", Mixed),
    ("accept: record synced#3", Mixed),
    ("end: recorded", Mixed),
    ("accept: message written", Files),
    ("accept: message synced", Files),
    ("accept: envelope written", Files),
    ("accept: envelope named", Files),
    ("accept: envelope synced", Files),
    ("accept: message synced#2", Files),
    ("accept: envelope synced#2", Files),
    ("accept: envelope synced#3", Files),
    ("replay: envelope written", Replay),
    ("replay: files synced", Replay),
    ("replay: journal emptied", Replay),
    ("leave: files synced", Whole),
    ("leave: recorded", Whole),
    ("expand: written down", Mixed),
    ("store: log written", Mixed),
    ("store: record written", Mixed),
    ("store: record synced", Mixed),
    ("deliver: in the mailbox", Mixed),
    ("deliver: written down", Mixed),
    ("send: answered", Mixed),
    ("send: written down", Mixed),
    ("split: parent synced", Mixed),
    ("split: message linked", Mixed),
    ("split: envelope begun", Mixed),
    ("split: envelope synced", Mixed),
    ("split: envelope named", Mixed),
    ("split: noted", Mixed),
    ("bounce: due", Mixed),
    ("bounce: queued", Mixed),
    ("bounce: noted", Mixed),
    ("end: envelope removed", Mixed),
    ("end: message removed", Mixed),
    ("defer: written down", Whole),
    ("defer: message linked", Whole),
    ("defer: envelope moved", Whole),
    ("defer: old name removed", Whole),
    ("retry: written down", RetryInVain),
    ("send: answered", Retry),
    ("send: written down", Retry),
    ("end: envelope removed", Retry),
    ("end: message removed", Retry),
    ("requeue: written down", Requeue),
    ("requeue: message linked", Requeue),
    ("requeue: envelope moved", Requeue),
    ("expand: written down", Copies),
    ("copy: queued", Copies),
    ("copy: noted", Copies),
    ("accept: record written#2", Copies),
    ("accept: record synced#2", Copies),
];

/// A world with a host that takes mail and one that is not there, and an instance that sees both.
struct Stage {
    world: World,
    good: StubMta,
    dead: std::net::SocketAddr,
    instance: Instance,
}

impl Stage {
    fn new() -> Stage {
        Stage::with(&[])
    }

    fn with(parameters: &[(&str, &str)]) -> Stage {
        let world = World::new();
        let good = world.served("good.test", StubMta::new());
        let dead = world.domain("down.test");
        world.domain("gone.test");
        let setup = world.setup().users(&["alice", "bob", "carol", "fred"]);
        let setup = parameters.iter().fold(setup, |setup, (name, value)| setup.set(name, value));
        let instance = setup.set("service.smtp.deferredperiod", "1").create();
        let mut tool = instance.tool("dirutil");
        tool.args(["change", "fred", "--set", "mailForwardingAddress=gone@example.test"]);
        black_box::run(tool.args(["--remove", "mailDeliveryOption"]));
        let path = instance.path("config/directory.ldif");
        let text = fs::read_to_string(&path).unwrap()
            + "\ndn: cn=team,ou=Groups,o=example\nobjectClass: groupOfUniqueNames\nobjectClass: mailGroup\ncn: team\n\
               mail: team@example.test\nmgrpAddHeader: X-List: team\nmgrpRFC822MailMember: carol@example.test\n\
               mgrpRFC822MailMember: z@good.test\n";
        fs::write(&path, text).unwrap();
        Stage { world, good, dead, instance }
    }

    /// Starts smtpd so that it ends at this step, or, without one, as ever.
    fn start(&mut self, step: &str) {
        self.instance.set_environment("MAILBOAT_CRASH_AT", step);
        self.instance.start_all();
    }

    /// Starts smtpd where the step may come before it serves, and waits for its end there.
    fn crash_at_start(&mut self, step: &str) {
        self.instance.set_environment("MAILBOAT_CRASH_AT", step);
        self.instance.begin_one("smtp");
        self.wait_for_the_crash(step);
    }

    /// smtpd has ended by SIGKILL: the step was reached.
    fn wait_for_the_crash(&mut self, step: &str) {
        let status = self.instance.wait_for_end("smtp");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "{step}: {status}");
    }

    /// Envelopes in which a recipient of this domain waits.
    fn waiting(&self, domain: &str) -> Vec<PathBuf> {
        let of_domain = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let recipient = format!("@{domain}>");
            let mut recipients = text.lines().filter(|line| line.starts_with("Recipient: "));
            let place = recipients.position(|line| line.contains(&recipient));
            let moved = |place: usize| text.contains(&format!("\nmoved {} ", place + 1));
            place.is_some_and(|place| !moved(place))
        };
        envelopes(&self.instance.path("queue")).into_iter().filter(of_domain).collect()
    }

    /// So many wait for this domain in the end. One that moves just now, or is split off, is seen in both places or in none.
    fn wait_for_waiting(&self, domain: &str, count: usize, step: &str) -> Vec<PathBuf> {
        wait_for(&format!("{step}: {count} messages that wait for {domain}"), || {
            let waiting = self.waiting(domain);
            (waiting.len() == count).then_some(waiting)
        })
    }

    fn count(&self, user: &str) -> u32 {
        self.instance.imap(user).exists("INBOX")
    }

    /// How often the other host got mail for this address.
    fn taken(&self, address: &str) -> usize {
        let received = self.good.seen().received;
        received.iter().filter(|message| message.recipients().iter().any(|one| one == address)).count()
    }

    /// Nothing is left but what waits for the dead domain.
    fn wait_until_settled(&self) {
        let queue = self.instance.path("queue/control");
        self.instance.wait_for_queue("the queue to settle", || {
            let left = envelopes(&queue);
            let waiting = [self.waiting("down.test"), self.waiting("gone.test")].concat();
            left.iter().all(|path| waiting.contains(path)).then_some(())
        });
        self.instance.prove();
    }
}

/// Envelopes below a folder, but for those that were set aside.
fn envelopes(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "lost+found" {
            found.extend(envelopes(&path));
        } else if name.to_string_lossy().starts_with("env-") && !path.to_string_lossy().contains("lost+found")
        {
            found.push(path);
        }
    }
    found
}

/// Sends one message; whether it was answered with 250.
fn send(instance: &Instance, to: &[&str]) -> bool {
    send_body(instance, to, "the body\r\n")
}

fn send_body(instance: &Instance, to: &[&str], body: &str) -> bool {
    let Ok(stream) = std::net::TcpStream::connect(instance.at(SMTP)) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut wire = Wire::plain(stream);
    let mut said = |text: &str, code: char| {
        (text.is_empty() || wire.try_send(text.as_bytes()))
            && wire.try_line().is_some_and(|line| line.starts_with(code))
    };
    let envelope = said("", '2') && said("HELO client.example.org\r\n", '2');
    let sender = envelope && said("MAIL FROM:<alice@example.test>\r\n", '2');
    let recipients = to.iter().all(|to| said(&format!("RCPT TO:<{to}>\r\n"), '2'));
    sender
        && recipients
        && said("DATA\r\n", '3')
        && said(
            &format!("From: alice@example.test\r\nTo: x@x.test\r\nSubject: crash\r\n\r\n{body}.\r\n"),
            '2',
        )
}

const MIXED: [&str; 5] =
    ["bob@example.test", "x@good.test", "y@down.test", "w@gone.test", "fred@example.test"];

fn mixed(step: &str) {
    everywhere(Stage::new(), step, "the body\r\n");
}

fn files(step: &str) {
    everywhere(Stage::with(&[("local.service.smtp.journal", "no")]), step, "the body\r\n");
}

fn large(step: &str) {
    everywhere(Stage::new(), step, &"the body\r\n".repeat(10_000));
}

fn replay(step: &str) {
    let mut stage = Stage::new();
    stage.start("accept: record synced");
    assert!(!send(&stage.instance, &MIXED));
    stage.wait_for_the_crash(step);
    for folder in ["queue/control", "queue/messages"] {
        for entry in fs::read_dir(stage.instance.path(folder)).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    stage.crash_at_start(step);
    stage.start("");
    stage.wait_until_settled();
    for user in ["bob", "alice", "postmaster"] {
        wait_for("the message or its report", || (stage.count(user) > 0).then_some(()));
        assert_eq!(stage.count(user), 1, "{step}: {user}");
    }
    assert_eq!((stage.taken("x@good.test"), lost(&stage.instance)), (1, 0), "{step}");
}

/// The message is sent, and smtpd ends at the step.
fn everywhere(mut stage: Stage, step: &str, body: &str) {
    stage.start(step);
    let answered = send_body(&stage.instance, &MIXED, body);
    stage.wait_for_the_crash(step);
    let is_before_250 = step.starts_with("accept: ") && !step.contains('#');
    // Behind the commit the stages run beside the reply: the crash may come before it.
    assert!(!(answered && is_before_250), "{step}");
    stage.start("");
    if !answered {
        assert!(send_body(&stage.instance, &MIXED, body), "{step}");
    }
    stage.wait_until_settled();
    // In the queue before the 250 came: the client that tries again sends it a second time.
    let is_in_the_queue =
        !["accept: message written", "accept: message synced", "accept: envelope written"].contains(&step);
    let times = if is_in_the_queue && !answered { 2 } else { 1 };
    let users = [("bob", times), ("alice", times), ("postmaster", times), ("fred", 0)];
    for (user, count) in users {
        wait_for(&format!("{step}: {count} messages for {user}"), || {
            (stage.count(user) >= count).then_some(())
        });
    }
    stage.wait_until_settled();
    for (user, count) in users {
        assert_eq!(stage.count(user), count, "{step}: {user}");
    }
    // The other host may have answered and we not have written it down: it is sent again (RFC 5321 §4.5.3.2.6).
    let taken = stage.taken("x@good.test");
    assert!(
        (times as usize..=times as usize + 1).contains(&taken),
        "{step}: x@good.test has it {taken} times"
    );
    for domain in ["down.test", "gone.test"] {
        stage.wait_for_waiting(domain, times as usize, step);
    }
    // What was not committed was set aside: the message, and the envelope that has no name yet.
    let aside =
        usize::from(step.starts_with("accept: ")) + usize::from(step.starts_with("accept: envelope written"));
    assert!(lost(&stage.instance) <= aside, "{step}");
}

/// Files that were set aside. A report that was not committed is.
fn lost(instance: &Instance) -> usize {
    fs::read_dir(instance.path("queue/lost+found")).unwrap().count()
}

/// A stage on which one message waits for the dead domain.
fn deferred() -> Stage {
    let mut stage = Stage::new();
    stage.start("");
    assert!(send(&stage.instance, &["y@down.test"]));
    wait_for("a deferred message", || envelopes(&stage.instance.path("queue/deferred")).first().map(drop));
    stage.instance.stop("smtp");
    stage
}

fn one_waits(stage: &Stage, step: &str) {
    let waiting = stage.wait_for_waiting("down.test", 1, step);
    let id = waiting[0].file_name().unwrap().to_str().unwrap().strip_prefix("env-").unwrap();
    let raw = black_box::run(stage.instance.tool("msg-queue").args(["show", "--raw", id]));
    assert!(raw.ends_with("\r\n\r\nthe body\r\n"), "{step}: {raw}");
    assert_eq!(lost(&stage.instance), 0, "{step}");
}

fn whole(step: &str) {
    let mut stage = Stage::new();
    stage.start(step);
    send(&stage.instance, &["y@down.test"]); // the crash may come before the reply
    stage.wait_for_the_crash(step);
    stage.start("");
    one_waits(&stage, step);
    arrives(stage, step, 1);
}

fn retry_in_vain(step: &str) {
    let mut stage = deferred();
    stage.crash_at_start(step);
    stage.start("");
    one_waits(&stage, step);
    arrives(stage, step, 1);
}

fn retry(step: &str) {
    let mut stage = deferred();
    let mx = StubMta::new().at(stage.dead).start();
    stage.crash_at_start(step);
    stage.start("");
    wait_for("nothing to wait", || stage.waiting("down.test").is_empty().then_some(()));
    let taken = mx.seen().received.len();
    assert!(taken == 1 || taken == 2 && step == "send: answered", "{step}: {taken} times");
    assert_eq!(lost(&stage.instance), 0, "{step}");
}

fn requeue(step: &str) {
    let mut stage = deferred();
    stage.instance.set("service.smtp.deferredperiod", "3600");
    stage.start(step);
    let mut tool = stage.instance.tool("msg-queue");
    tool.args(["requeue", "--all"]).env_remove("MAILBOAT_CRASH_AT");
    let mut child = tool.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    stage.wait_for_the_crash(step);
    // The tool ends, too, or has done the rest itself: the command's file is there, or everything is done.
    child.kill().unwrap();
    child.wait().unwrap();
    stage.start("");
    one_waits(&stage, step);
    arrives(stage, step, 1);
}

/// The domain comes up, and the message arrives there once.
fn arrives(stage: Stage, step: &str, count: usize) {
    let mx = StubMta::new().at(stage.dead).start();
    wait_for("the name server's answer", || (stage.world.dns.count("down.test", "MX") > 0).then_some(()));
    // What is being tried just now, or is not filed yet, is not seen by a flush: again, until it is there.
    wait_for(&format!("{step}: {count} messages at the other host"), || {
        black_box::run(stage.instance.tool("msg-queue").args(["flush", "--all"]));
        (mx.seen().received.len() >= count).then_some(())
    });
    wait_for("nothing to wait", || stage.waiting("down.test").is_empty().then_some(()));
    assert_eq!(mx.seen().received.len(), count, "{step}");
}

fn copies(step: &str) {
    let mut stage = Stage::new();
    stage.start(step);
    send(&stage.instance, &["team@example.test"]); // the crash may come before the reply
    stage.wait_for_the_crash(step);
    stage.start("");
    wait_for("the member here", || (stage.count("carol") > 0).then_some(()));
    stage.good.wait_for(1);
    stage.instance.wait_for_empty_queue();
    assert_eq!(stage.count("carol"), 1, "{step}");
    // The crash may have come between the other host's answer and the note of it: then the same copy is sent again.
    let received = stage.good.seen().received;
    assert!((1..=2).contains(&received.len()), "{step}: {} copies", received.len());
    assert!(
        received.iter().all(|one| one.recipients() == ["z@good.test"] && one.text() == received[0].text())
    );
}

fn all(scene: Scene, act: fn(&str)) {
    for (step, _) in STEPS.iter().filter(|(_, one)| *one == scene) {
        eprintln!("{scene:?}: {step}");
        act(step);
    }
}

#[test]
fn a_message_to_everywhere_survives_a_kill_at_each_step() {
    all(Mixed, mixed);
}

#[test]
fn a_large_message_to_everywhere_survives_a_kill_at_each_step() {
    all(Large, large);
}

#[test]
fn a_message_to_everywhere_survives_a_kill_at_each_step_without_a_journal() {
    all(Files, files);
}

#[test]
fn a_replay_that_is_killed_at_each_step_is_done_again() {
    all(Replay, replay);
}

#[test]
fn a_message_that_is_deferred_survives_a_kill_at_each_step() {
    all(Whole, whole);
    all(RetryInVain, retry_in_vain);
}

#[test]
fn a_message_that_is_tried_again_survives_a_kill_at_each_step() {
    all(Retry, retry);
}

#[test]
fn a_message_that_is_requeued_survives_a_kill_at_each_step() {
    all(Requeue, requeue);
}

#[test]
fn the_copies_of_a_group_survive_a_kill_at_each_step() {
    all(Copies, copies);
}

/// No step of the sources is forgotten here.
#[test]
fn every_step_of_the_sources_is_crashed_at() {
    let mut named = Vec::new();
    let mut folders = vec![top().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                named.extend(
                    text.split("crash::step(\"")
                        .skip(1)
                        .map(|rest| rest.split('"').next().unwrap().to_owned()),
                );
            }
        }
    }
    assert!(named.len() > 20, "{named:?}");
    // What is amended was verified, and has its scene there; stored has its own, and so have the replay of the store and
    // access control lists, and certificates that are ordered.
    let elsewhere = ["acme", "filter", "verification", "text_index", "store_power_cut", "imap_acl/crash"]
        .map(|name| fs::read_to_string(top().join(format!("tests/tests/{name}.rs"))).unwrap())
        .concat();
    for name in &named {
        assert!(
            STEPS.iter().any(|(step, _)| step.split('#').next() == Some(name))
                || elsewhere.contains(&format!("\"{name}\"")),
            "nothing crashes at {name}"
        );
        assert_eq!(named.iter().filter(|one| *one == name).count(), 1, "{name} stands twice");
    }
    for (step, _) in STEPS {
        assert!(named.iter().any(|name| step.split('#').next() == Some(name)), "{step} is no step");
    }
}
