//! Counters (X8): what the daemons count is seen by `counterutil` at once, and no crash and no damage loses more than it must.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use black_box::instance::{IMAP, WEB, run, wait_for};
use black_box::{Imap, Instance, Setup, StubMta, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// All counters of an object, by `instance.counter`; numbers only.
fn counters(instance: &Instance, object: &str) -> BTreeMap<String, i64> {
    let text = run(instance.tool("counterutil").args(["-o", object, "-n", "1", "--json"]));
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["object"], object);
    let values = said["values"].as_object().unwrap();
    values.iter().filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect()
}

fn counter(instance: &Instance, object: &str, name: &str) -> i64 {
    counters(instance, object)[&format!("global.{name}")]
}

fn wait_until(instance: &Instance, object: &str, name: &str, value: i64) {
    wait_for(&format!("{object} {name} {value}"), || {
        (counter(instance, object, name) == value).then_some(())
    });
}

/// What a tool says that refuses.
fn refusal(instance: &Instance, arguments: &[&str]) -> String {
    let output = instance.tool("counterutil").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn known_traffic_makes_known_counts() {
    let world = World::new();
    let other = world.served("other.test", StubMta::new());
    let mut instance = world.setup().start();
    instance.start_one(WEB.0);
    for number in 0..3 {
        instance.send("alice", &format!("number {number}"));
    }
    wait_until(&instance, "queuestat", "numDelivered", 3);
    let queue = counters(&instance, "queuestat");
    let value = |name: &str| queue[&format!("global.{name}")];
    let accepted = (value("numMessagesAccepted"), value("numRecipientsAccepted"));
    assert_eq!((accepted, value("numRelayed"), value("numFailed")), ((3, 3), 0, 0));
    assert!((150..3000).contains(&value("bytesAccepted")), "{queue:?}");
    let smtp = counters(&instance, "smtpstat");
    // EHLO, MAIL, RCPT, DATA, QUIT of each.
    assert_eq!((smtp["global.numConnections"], smtp["global.numCommands"]), (3, 15), "{smtp:?}");
    assert!(smtp["global.bytesReceived"] > 300 && smtp["global.bytesSent"] > 300, "{smtp:?}");
    let store = counters(&instance, "storestat");
    assert_eq!((store["global.numAppends"], store["global.numExpunges"]), (3, 0));

    let mut imap = instance.imap("alice");
    let mut wrong = Imap::open(instance.connect(IMAP));
    assert!(wrong.command("LOGIN alice nonsense").1.starts_with("NO"));
    let stat = counters(&instance, "imapstat");
    let value = |name: &str| stat[&format!("global.{name}")];
    assert_eq!((value("numConnections"), value("numCurrentConnections"), value("maxConnections")), (2, 2, 2));
    assert_eq!((value("numGoodLogins"), value("numFailedLogins"), value("numCommands")), (1, 1, 2));
    assert_eq!(value("numTLSSessions"), 0);
    assert!(value("lastConnectionTime") >= value("currentStartTime") && value("currentStartTime") > 0);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:2 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(counter(&instance, "storestat", "numExpunges"), 2);
    drop((imap, wrong));
    wait_until(&instance, "imapstat", "numCurrentConnections", 0);
    assert_eq!(counter(&instance, "imapstat", "maxConnections"), 2);
    let before = counter(&instance, "directorystat", "numCacheHits");
    drop(instance.imap("alice"));
    assert_eq!(counter(&instance, "directorystat", "numCacheHits"), before + 1);

    let mut web = instance.https();
    assert_eq!(web.get("/", "").status, 200);
    let web = counters(&instance, "httpstat");
    assert_eq!((web["global.numCommands"], web["global.numTLSSessions"]), (1, 1), "{web:?}");
    assert_eq!(counters(&instance, "popstat")["global.numConnections"], 0);

    instance.submission("alice").send_message(
        "alice@example.test",
        &["x@other.test"],
        "Subject: x\r\n\r\nx\r\n",
    );
    wait_until(&instance, "queuestat", "numRelayed", 1);
    assert_eq!(other.wait_for(1).len(), 1);
    assert_eq!(counter(&instance, "queuestat", "numDelivered"), 3);
    let threads = counters(&instance, "dispatcher");
    assert!(threads["imap.numThreads"] >= 1 && threads["imap.numThreads"] <= threads["imap.threadLimit"]);
    assert!(threads["imap.numJobs"] >= 2, "{threads:?}");
    let disk = counters(&instance, "diskusage");
    assert!(disk["queue.availSpace"] > 0 && disk["primary.totalSpace"] >= disk["primary.availSpace"]);
}

/// The sums of who died are there, what was only true of him is not, and nobody else's counts are touched.
#[test]
fn a_process_that_is_killed_takes_no_counts_with_it() {
    let mut instance = Setup::default().set("service.imap.numprocesses", "3").start();
    let children = |instance: &Instance| -> BTreeSet<u32> {
        let pid = instance.pid("imap").unwrap();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    drop(instance.pop("bob"));
    let clients: Vec<Imap> = (0..12).map(|_| instance.imap("alice")).collect();
    let total = |instance: &Instance| counter(instance, "imapstat", "numGoodLogins");
    assert_eq!((total(&instance), counter(&instance, "imapstat", "numCurrentConnections")), (12, 12));
    let victims = children(&instance);
    for victim in &victims {
        kill(Pid::from_raw(*victim as i32), Signal::SIGKILL).unwrap();
    }
    wait_for("three others", || {
        let now = children(&instance);
        (now.len() == 3 && now.is_disjoint(&victims)).then_some(())
    });
    drop(clients);
    assert_eq!(total(&instance), 12);
    wait_until(&instance, "imapstat", "numCurrentConnections", 0);
    for round in 1..=4 {
        drop(instance.imap("alice"));
        instance.kill("imap");
        assert_eq!(total(&instance), 12 + round);
        wait_until(&instance, "imapstat", "numCurrentConnections", 0); // its workers end by themselves
        instance.start_one("imap");
    }
    assert_eq!(counter(&instance, "popstat", "numGoodLogins"), 1);
    assert_eq!(fs::metadata(instance.path("counter/counter")).unwrap().len(), 4096 + 1024 * 1024);
}

#[test]
fn a_file_that_is_damaged_or_of_another_version_is_put_aside_and_stops_nobody() {
    let mut instance = Setup::default().create();
    instance.start_one("store");
    instance.start_one("imap");
    drop(instance.imap("alice"));
    let file = instance.path("counter/counter");
    let whole = fs::read(&file).unwrap();
    let mut other_version = whole.clone();
    other_version[7] = b'2';
    for bad in [&b"what is this"[..], &whole[..whole.len() - 1], &other_version, b""] {
        instance.stop("imap");
        instance.stop("store");
        fs::write(&file, bad).unwrap();
        if !bad.is_empty() {
            assert!(refusal(&instance, &["-l"]).contains("another"));
        }
        instance.start_one("store");
        instance.start_one("imap");
        drop(instance.imap("alice"));
        assert_eq!(counter(&instance, "imapstat", "numGoodLogins"), 1);
        assert_eq!(fs::read(file.with_extension("damaged")).unwrap(), bad);
        assert!(instance.log("store").contains("put aside as"), "{}", instance.log("store"));
    }
    // Where no file can be, there are no counts, and everything else.
    instance.stop("imap");
    fs::rename(instance.path("counter"), instance.path("counter.was")).unwrap();
    fs::write(instance.path("counter"), "").unwrap();
    instance.start_one("imap");
    instance.imap("alice").ok("NOOP");
    assert!(instance.log("imap").contains("is not seen by counterutil"), "{}", instance.log("imap"));
    refusal(&instance, &["-l"]);
}

#[test]
fn a_sum_is_set_to_nought_and_what_cannot_be_is_told() {
    let instance = Instance::start();
    drop(instance.imap("alice"));
    let said = run(instance.tool("counterutil").args(["-s", "-o", "imapstat", "-c", "numConnections"]));
    assert_eq!(said, "numConnections of imapstat is 0\n");
    drop(instance.imap("alice"));
    assert_eq!(counter(&instance, "imapstat", "numConnections"), 1);
    assert_eq!(counter(&instance, "imapstat", "numGoodLogins"), 2);
    for arguments in [
        &["-o", "nothing"][..],
        &["-o", "imapstat", "-c", "nothing"],
        &["-s", "-o", "imapstat", "-c", "nothing"],
        &["-s", "-o", "imapstat", "-c", "numCurrentConnections"],
        &["-s", "-o", "diskusage", "-c", "totalSpace"],
        &["-s", "-o", "dispatcher", "-c", "nobody.numJobs"],
        &["-r", "/nonexistent", "-l"],
    ] {
        refusal(&instance, arguments);
    }
    let listed = run(instance.tool("counterutil").arg("-l"));
    for line in ["refcount = 4", "entry = alarm", "entry = imapstat", "entry = queuestat"] {
        assert!(listed.lines().any(|one| one == line), "{listed}");
    }
    let shown = run(instance.tool("counterutil").args(["-o", "imapstat", "-i", "1", "-n", "2"]));
    assert!(shown.starts_with("Monitor counterobject (imapstat)\nregistry "), "{shown}");
    assert_eq!(shown.matches("\ncount = ").count(), 2, "{shown}");
    assert_eq!(shown.matches("\nglobal.numConnections [8 bytes]: 1\n").count(), 2, "{shown}");
}

/// Each sample belongs to the family above it, and says what `-o` says.
#[test]
fn prometheus_is_told_the_same() {
    let instance = Instance::start();
    drop((instance.imap("alice"), instance.pop("bob")));
    wait_until(&instance, "imapstat", "numCurrentConnections", 0);
    let text = run(instance.tool("counterutil").arg("--prometheus"));
    let (mut family, mut samples) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next().unwrap(), family, "{line}");
            assert!(samples.insert(name.to_owned(), value.parse::<i64>().unwrap()).is_none(), "{line}");
        }
    }
    assert_eq!(samples["mailboat_logins_total{service=\"imap\"}"], 1);
    assert_eq!(samples["mailboat_connections{service=\"imap\"}"], 0);
    assert_eq!(samples["mailboat_processes{service=\"pop\"}"], 1);
    assert_eq!(samples["mailboat_processes{service=\"http\"}"], 0);
    let commands = counter(&instance, "popstat", "numCommands");
    assert_eq!(samples["mailboat_commands_total{service=\"pop\"}"], commands);
    assert!(samples["mailboat_disk_free_bytes{place=\"primary\"}"] > 0);
}

/// `service.smtp.counterdeltatime`: the length of the queue is what it was at the last look.
#[test]
fn the_queue_is_sampled_at_its_interval() {
    let often = Setup::default().set("service.smtp.counterdeltatime", "1").start();
    let seldom = Setup::default().set("service.smtp.counterdeltatime", "86400").start();
    let sampled = |instance: &Instance| counter(instance, "queuestat", "lastSampleTime");
    wait_for("the first sample", || (sampled(&seldom) > 0).then_some(()));
    let first = sampled(&seldom);
    for instance in [&often, &seldom] {
        let mut smtp = instance.submission("alice");
        smtp.ok("MAIL FROM:<alice@example.test> HOLDFOR=3600");
        smtp.ok("RCPT TO:<bob@example.test>");
        smtp.ok("DATA");
        smtp.ok("Subject: later\r\n\r\nbody\r\n.");
    }
    wait_until(&often, "queuestat", "queueParked", 1);
    assert_eq!(counter(&often, "queuestat", "queueLength"), 0);
    assert_eq!((counter(&seldom, "queuestat", "queueParked"), sampled(&seldom)), (0, first));
}
