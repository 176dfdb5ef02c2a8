//! Connections, workers and processes, seen from outside (S5, S13, S20 to S24, S98 to S106, S117).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use black_box::instance::{IMAP, POP, SMTP, wait_for};
use black_box::{Halted, Imap, Instance, Pop, Setup, Smtp, Wire, run};
use nix::sys::signal::Signal;

/// Names of the threads of a process.
fn threads(pid: u32) -> Vec<String> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

fn workers(pid: u32, module: &str) -> usize {
    // The system keeps 15 bytes of a thread's name, so the number may be cut off.
    let name = format!("{module}-");
    let prefix = &name[..name.len().min(15)];
    threads(pid).iter().filter(|name| name.starts_with(prefix)).count()
}

/// Waits until a module has so many workers: each takes its name when it runs for the first time.
fn wait_for_workers(pid: u32, module: &str, count: usize) {
    wait_for(&format!("{count} workers of {module}"), || (workers(pid, module) == count).then_some(()));
}

/// The processes below one.
fn children(pid: u32) -> BTreeSet<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Resident bytes that belong to one process alone or in part.
fn pss_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Whether a connection stays without a banner for a while.
fn is_silent(stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let silent = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(black_box::instance::PATIENCE)).unwrap();
    silent
}

/// S5: a backlog of 1024, and keepalive after 30 seconds.
#[test]
fn listeners_have_a_long_backlog_and_connections_a_keepalive_timer() {
    let instance = Instance::start();
    let _held = Imap::open(instance.connect(IMAP));
    let listening = run(Command::new("ss").args(["-Htln", "src", &format!("{}:{IMAP}", instance.address)]));
    let somaxconn: u32 = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let send_q: u32 = listening.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert_eq!(send_q, somaxconn.min(1024), "{listening}");
    let open = run(Command::new("ss").args(["-Htno", "src", &format!("{}:{IMAP}", instance.address)]));
    assert!(open.contains("timer:(keepalive,"), "{open}");
}

/// S13: with maxthreads 50 each, all daemons together stay below 256 threads under load.
#[test]
fn with_fifty_threads_each_the_suite_stays_below_256() {
    let mut setup = Setup::default();
    for service in ["imap", "pop", "http"] {
        setup = setup.set(&format!("service.{service}.maxthreads"), "50");
    }
    let instance = setup.start();
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                instance.imap("alice").ok("SELECT INBOX");
                let _ = instance.connect(POP);
            });
        }
    });
    let total: usize = ["store", "smtp", "imap", "pop"]
        .iter()
        .map(|service| threads(instance.pid(service).unwrap()).len())
        .sum();
    assert!(total <= 256, "{total} threads");
}

/// S20, S22: sessions share the threads of smtp-accept; there is no maxsessions for SMTP.
#[test]
fn two_smtp_threads_serve_two_hundred_sessions() {
    let instance = Setup::default().set("service.smtp.smtp-accept.minruncount", "2").start();
    let mut idle: Vec<Smtp> = (0..200).map(|_| instance.smtp()).collect();
    wait_for_workers(instance.pid("smtp").unwrap(), "smtp-accept", 2);
    instance.send("alice", "past two hundred idle ones");
    instance.wait_for_messages("alice", 1);
    assert!(idle.iter_mut().all(|smtp| smtp.ask("NOOP").starts_with("250")));
}

/// S23: several hundred workers are taken, and made.
#[test]
fn five_hundred_workers_are_no_mistake() {
    let instance = Setup::default().set("service.smtp.smtp-accept.minruncount", "500").start();
    wait_for_workers(instance.pid("smtp").unwrap(), "smtp-accept", 500);
    instance.send("alice", "through many");
    instance.wait_for_messages("alice", 1);
    assert_eq!(workers(instance.pid("smtp").unwrap(), "smtp-accept"), 500);
}

/// S11, S24: the modules' pools are as large as their minruncount says, and mail flows.
#[test]
fn every_module_has_the_workers_it_was_given() {
    let modules = [
        "account-handler",
        "smtp-router",
        "mailbox-deliver",
        "error-handler",
        "unix-deliver",
        "prog-deliver",
        "autoreply-handler",
        "smtp-deliver",
    ];
    let mut setup = Setup::default();
    for (index, module) in modules.iter().enumerate() {
        setup = setup.set(&format!("service.smtp.{module}.minruncount"), &(index + 1).to_string());
    }
    let instance = setup.set("service.smtp.mailbox-deliver.minruncount", "1").start();
    instance.send("alice", "through small pools");
    instance.wait_for_messages("alice", 1);
    let pid = instance.pid("smtp").unwrap();
    for (module, count) in [
        ("account-handler", 1),
        ("smtp-router", 2),
        ("mailbox-deliver", 1),
        ("error-handler", 4),
        ("unix-deliver", 5),
        ("prog-deliver", 6),
        ("autoreply-handler", 7),
        ("smtp-deliver", 8),
    ] {
        wait_for_workers(pid, module, count);
    }
}

/// What a module's own minruncount does not say, the default of its kind says.
#[test]
fn modules_that_set_nothing_have_the_workers_of_their_kind() {
    let instance = Setup::default()
        .set("service.smtp.networkdefaultminruncount", "3")
        .set("service.smtp.localdefaultminruncount", "4")
        .set("service.smtp.mailbox-deliver.minruncount", "1")
        .start();
    instance.send("alice", "through the defaults");
    instance.wait_for_messages("alice", 1);
    let pid = instance.pid("smtp").unwrap();
    for (module, count) in [
        ("smtp-accept", 3),
        ("smtp-deliver", 3),
        ("account-handler", 4),
        ("error-handler", 4),
        ("mailbox-deliver", 1),
    ] {
        wait_for_workers(pid, module, count);
    }
}

/// S98, S99: five threads are enough for two hundred sessions, and there are never more.
#[test]
fn maxthreads_bounds_the_workers_and_not_the_connections() {
    let instance = Setup::default().set("service.imap.maxthreads", "5").start();
    let mut idle: Vec<Imap> = (0..200).map(|_| Imap::open(instance.connect(IMAP))).collect();
    std::thread::scope(|scope| {
        for part in idle.chunks_mut(20) {
            scope.spawn(|| {
                for imap in part {
                    imap.ok("NOOP");
                }
            });
        }
    });
    assert!(workers(instance.pid("imap").unwrap(), "imap") <= 5);
}

/// S100: three processes share the listening socket, and the kernel spreads the load.
#[test]
fn three_processes_share_the_load() {
    let instance = Setup::default().set("service.imap.numprocesses", "3").start();
    let parent = instance.pid("imap").unwrap();
    let processes = wait_for("three workers", || Some(children(parent)).filter(|found| found.len() == 3));
    let sessions: Vec<Imap> = (0..60).map(|_| Imap::open(instance.connect(IMAP))).collect();
    let open = run(Command::new("ss").args(["-Htnp", "src", &format!("{}:{IMAP}", instance.address)]));
    let serving: BTreeSet<u32> =
        processes.iter().copied().filter(|pid| open.contains(&format!("pid={pid},"))).collect();
    assert!(serving.len() >= 2, "{open}");
    drop(sessions);
}

/// S100: a worker that crashes is replaced; its sessions end, the others do not notice.
#[test]
fn a_crashed_worker_process_is_replaced_and_none_outlives_its_parent() {
    let mut instance = Setup::default().set("service.pop.numprocesses", "2").start();
    let parent = instance.pid("pop").unwrap();
    let first = wait_for("two workers", || Some(children(parent)).filter(|found| found.len() == 2));
    let victim = *first.iter().next().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    let second = wait_for("the replacement", || {
        Some(children(parent)).filter(|found| found.len() == 2 && !found.contains(&victim))
    });
    instance.pop("alice").ok("NOOP");
    instance.kill("pop");
    for pid in second {
        wait_for("the workers' end", || {
            (!fs::exists(format!("/proc/{pid}/exe")).unwrap_or(false)
                || fs::read_link(format!("/proc/{pid}/exe")).is_err())
            .then_some(())
        });
    }
}

/// S21, S102: above maxsessions TCP connects, but no banner comes until a session ends.
#[test]
fn above_maxsessions_a_connection_waits_without_a_banner() {
    let instance = Setup::default().set("service.pop.maxsessions", "2").start();
    let first = Pop::open(instance.connect(POP));
    let _second = Pop::open(instance.connect(POP));
    let third = instance.connect(POP);
    assert!(is_silent(&third));
    drop(first);
    let mut third = Pop::open(third);
    assert!(third.greeting.starts_with("+OK"));
    third.ok("CAPA");
}

/// S100, S102: the kernel does not know which process has room, the processes do.
#[test]
fn no_connection_waits_for_a_full_process_while_another_has_room() {
    let instance =
        Setup::default().set("service.pop.numprocesses", "3").set("service.pop.maxsessions", "4").start();
    let parent = instance.pid("pop").unwrap();
    wait_for("three workers", || Some(children(parent)).filter(|found| found.len() == 3));
    let mut sessions: Vec<Pop> = (0..12).map(|_| Pop::open(instance.connect(POP))).collect();
    let waiting = instance.connect(POP);
    assert!(is_silent(&waiting), "all three are full");
    sessions.remove(5);
    let mut last = Pop::open(waiting);
    last.ok("CAPA");
}

/// S100: a process that hangs, or is not replaced yet, takes nobody with it who only wants to come in.
#[test]
fn no_connection_waits_for_a_process_that_hangs() {
    let instance = Setup::default().set("service.pop.numprocesses", "2").start();
    let parent = instance.pid("pop").unwrap();
    let all = wait_for("two workers", || Some(children(parent)).filter(|found| found.len() == 2));
    Pop::open(instance.connect(POP)).ok("CAPA");
    let halted = Halted::new(*all.iter().next().unwrap());
    for _ in 0..20 {
        Pop::open(instance.connect(POP)).ok("CAPA");
    }
    drop(halted);
}

/// S104: minutes; below the default counts as the default; the clock of the test runs ahead of no socket, so this is
/// about what is in force, told by the tool and obeyed by the table test of the registry.
#[test]
fn an_idle_timeout_below_the_minimum_is_told_to_be_the_minimum() {
    let instance = Setup::default().set("service.imap.idletimeout", "1").create();
    let explained = run(instance.tool("configutil").args(["explain", "service.imap.idletimeout"]));
    assert!(explained.contains("a lower value counts as the lowest"), "{explained}");
    // Nothing that could be set is the same as nothing being set.
    let explained = run(instance.tool("configutil").args(["explain", "service.imap.plaintextmincipher"]));
    assert!(explained.contains("default:      unset\n"), "{explained}");
}

/// S105, S106: one file a connection, all that was said, the password masked; without the folder nothing.
#[test]
fn telemetry_records_each_connection_of_a_user_in_a_file_of_its_own() {
    let instance = Instance::start();
    let folder = instance.path("log/pop/telemetry/alice");
    fs::create_dir_all(&folder).unwrap();
    for _ in 0..2 {
        let mut pop = instance.pop("alice");
        pop.ok("STAT");
        pop.ok("QUIT");
    }
    instance.pop("bob").ok("QUIT");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        let text =
            wait_for("the record", || fs::read_to_string(&file).ok().filter(|text| text.contains("QUIT")));
        assert!(text.contains("STAT") && text.contains("+OK"), "{text}");
        assert!(!text.contains("alice-secret"), "{text}");
    }
    assert!(!instance.path("log/pop/telemetry/bob").exists());
    let folder = instance.path("log/imap/telemetry/alice");
    fs::create_dir_all(&folder).unwrap();
    instance.imap("alice").ok("SELECT INBOX");
    let file = wait_for("a record", || Some(fs::read_dir(&folder).ok()?.next()?.ok()?.path()));
    let text = wait_for("SELECT", || fs::read_to_string(&file).ok().filter(|text| text.contains("SELECT")));
    assert!(!text.contains("alice-secret"), "{text}");
}

/// The records of `local.SERVICE.forcetelemetry`.
fn forced(instance: &Instance, service: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(instance.path(&format!("log/{service}/forcetelemetry")));
    entries.map_or(Vec::new(), |entries| entries.flatten().map(|entry| entry.path()).collect())
}

/// S105: everybody's sessions without a folder for anybody, with passwords masked; a user's own folder goes before; the
/// oldest files go when there are more than was said; and without the parameter nobody is recorded.
#[test]
fn forced_telemetry_records_everybody_within_its_bounds() {
    let instance = Setup::default()
        .set("local.imap.forcetelemetry", "yes")
        .set("local.pop.forcetelemetry", "yes")
        .set("local.forcetelemetrymaxfiles", "100")
        .set("service.imap.numprocesses", "2")
        .start();
    fs::create_dir_all(instance.path("log/imap/telemetry/bob")).unwrap();
    for user in ["alice", "bob"] {
        let mut imap = instance.imap(user);
        imap.ok("SELECT INBOX");
        imap.ok("LOGOUT");
    }
    let records =
        wait_for("alice's record", || Some(forced(&instance, "imap")).filter(|all| !all.is_empty()));
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(records[0].file_name().unwrap().to_str().unwrap().starts_with("alice."), "{records:?}");
    let text =
        wait_for("LOGOUT", || fs::read_to_string(&records[0]).ok().filter(|text| text.contains("BYE")));
    assert!(text.contains("SELECT INBOX") && !text.contains("alice-secret"), "{text}");
    assert_eq!(fs::read_dir(instance.path("log/imap/telemetry/bob")).unwrap().count(), 1);
    for round in 0..130 {
        let mut pop = instance.pop(if round == 0 { "bob" } else { "alice" });
        pop.ok("QUIT");
        assert!(forced(&instance, "pop").len() <= 100, "{round}");
    }
    let records = forced(&instance, "pop");
    assert!(records.len() > 50, "{}", records.len());
    assert!(
        !records.iter().any(|path| path.to_string_lossy().contains("/bob.")),
        "the oldest is still there"
    );
    assert!(!instance.path("log/pop/telemetry").exists());
}

/// S106: a folder that cannot be written disturbs nobody.
#[test]
fn telemetry_that_cannot_be_written_does_not_disturb_the_session() {
    let instance = Instance::start();
    let telemetry = instance.path("log/imap/telemetry");
    fs::create_dir_all(&telemetry).unwrap();
    fs::write(telemetry.join("alice"), "a file where a folder should be").unwrap();
    instance.imap("alice").ok("SELECT INBOX");
}

/// S117: only the address that was named, by number or by name.
#[test]
fn daemons_listen_on_the_named_address_only() {
    let instance = Instance::start();
    for port in [SMTP, IMAP, POP] {
        assert!(TcpStream::connect(instance.at(port)).is_ok());
        let mut elsewhere = instance.at(port);
        elsewhere.set_ip(std::net::Ipv4Addr::new(127, 254, 254, 254).into());
        assert!(TcpStream::connect(elsewhere).is_err(), "port {port} is open elsewhere");
    }
}

/// X12: every port serves IPv6, in TLS too.
#[test]
fn the_suite_is_served_over_ipv6_and_tls() {
    // There is one such address on a machine: another run waits.
    let _alone = wait_for("::1 to be free", || std::net::TcpListener::bind("[::1]:1999").ok());
    let instance = Setup::default().set("service.listenaddr", "::1").start();
    let at = |port: u16| TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port)).unwrap();
    let mut smtp = black_box::Smtp::open(at(SMTP));
    smtp.ok("EHLO client.example.org");
    smtp.send_message("s@example.org", &["alice@example.test"], "Subject: six\r\n\r\nx\r\n");
    instance.wait_for_empty_queue();
    let ca = instance.path("config/certs/ca.pem");
    let mut imap = Imap::over(black_box::Wire::tls(at(black_box::instance::IMAPS), &ca));
    imap.ok("LOGIN alice alice-secret");
    assert_eq!(imap.exists("INBOX"), 1);
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[HEADER]").join("\n");
    assert!(text.contains("IPv6:::1") || text.contains("[::1]"), "{text}");
    assert!(black_box::Pop::open(at(POP)).ok("CAPA").starts_with("+OK"));
}

/// S108: an idle IMAP session that is logged in costs far less than the 100 KB the guide plans with.
#[test]
fn two_thousand_idle_imap_sessions_cost_little_memory() {
    let count = 2000; // fewer would not outweigh what the process takes once
    let instance = Setup::default().set("service.imap.maxsessions", "5000").start();
    let pid = instance.pid("imap").unwrap();
    let mut warm = instance.imap("alice");
    warm.ok("SELECT INBOX");
    let before = pss_bytes(pid);
    let idle: Vec<Imap> = (0..count)
        .map(|_| {
            let mut imap = instance.imap("alice");
            imap.ok("SELECT INBOX");
            imap
        })
        .collect();
    let each = pss_bytes(pid).saturating_sub(before) / count;
    eprintln!("{each} bytes per idle, selected IMAP session ({count} of them)");
    assert!(each < 16 * 1024, "{each} bytes a session");
    warm.ok("NOOP");
    drop(idle);
}

/// S15: where the system allows few descriptors, as many connections are served as leave room for files, and the log says so;
/// the others wait, and are served when there is room.
#[test]
fn a_low_limit_of_open_files_bounds_the_connections_and_is_said() {
    let mut instance = Setup::default().create();
    instance.limit_files(200);
    instance.start_all();
    let said = instance.log("imap");
    assert!(
        said.contains("200 files may be open at once (ulimit -n): 136 connections are served at a time"),
        "{said}"
    );
    let mut served: Vec<Imap> = (0..136).map(|_| instance.imap("alice")).collect();
    for imap in &mut served {
        imap.ok("SELECT INBOX");
    }
    let waiting = TcpStream::connect(instance.at(IMAP)).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut byte = [0];
    assert!((&waiting).read(&mut byte).is_err(), "no banner while all places are taken");
    assert!(
        served[0].append("INBOX", "", "Subject: x\r\n\r\nx\r\n").starts_with("OK"),
        "files can be opened"
    );
    served.truncate(100);
    waiting.set_read_timeout(Some(black_box::instance::PATIENCE)).unwrap();
    (&waiting).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"*");
}

/// What is under way is finished on SIGTERM; the others are told goodbye.
#[test]
fn sigterm_says_goodbye_and_ends() {
    let mut instance = Instance::start();
    let mut imap = instance.imap("alice");
    instance.signal("imap", Signal::SIGTERM);
    assert!(imap.wire.line().starts_with("* BYE"));
    assert!(imap.wire.is_closed());
    instance.stop("imap");
    assert!(!instance.path("run/imap.pid").exists());
    let mut smtp = instance.smtp();
    instance.signal("smtp", Signal::SIGTERM);
    assert!(smtp.wire.line().starts_with("421"));
    instance.stop("smtp");
}

/// A new certificate is used after SIGHUP; a broken one leaves the former in use.
#[test]
fn certificates_are_read_again_without_a_restart() {
    let instance = Instance::start();
    let certs = instance.path("config/certs");
    let (chain, key) = (certs.join("server.crt"), certs.join("server.key"));
    let ca = certs.join("ca.pem");
    let serial = || {
        let stream = instance.connect(black_box::instance::IMAPS);
        let mut connector =
            openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls_client()).unwrap();
        connector.set_verify(openssl::ssl::SslVerifyMode::NONE);
        let stream = connector.build().connect("localhost", stream).unwrap();
        stream.ssl().peer_certificate().unwrap().serial_number().to_bn().unwrap().to_string()
    };
    let first = serial();
    let old_chain = fs::read(&chain).unwrap();
    fs::write(&chain, "no certificate").unwrap();
    instance.signal("imap", Signal::SIGHUP);
    wait_for("the log to say so", || {
        let log = instance.log("imap");
        log.contains("the former one stays in use").then_some(())
    });
    assert_eq!(serial(), first);
    fs::write(&chain, old_chain).unwrap();
    run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-set_serial", "77", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&chain));
    instance.signal("imap", Signal::SIGHUP);
    wait_for("the new certificate", || (serial() == "77").then_some(()));
    // An open plain connection goes on, and STARTTLS uses the new one too.
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.ok("STARTTLS");
    let _ = (ca, Wire::plain(instance.connect(IMAP)));
}
