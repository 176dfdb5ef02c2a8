//! Certificates by ACME (RFC 8555), from Let's Encrypt's pebble: ordered, renewed and shown by running daemons; what fails is waited
//! for; nobody orders twice; a crash leaves a pair that fits.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};
use std::thread;

use black_box::instance::{HTTP, HTTPS, IMAPS, POPS, SUBMISSIONS, in_one_of_ten, wait_for};
use black_box::pebble::{EXTERNAL, Habits};
use black_box::{Imap, Instance, Pebble, Setup, StubDns, Wire};
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;

/// A port of stored's own for challenges.
const OWN_PORT: u16 = 5002;
const MONTHS: u64 = 90 * 86_400;
const USUAL: Habits = Habits { http_port: HTTP, life: MONTHS, nonces_refused: 0, wants_external: false };

/// An instance that orders nothing yet, a pebble that is not started, and its name server, which knows `name`.
fn stage(name: &str, habits: Habits) -> (Instance, Pebble, StubDns) {
    let instance = Setup::default().create();
    let dns = StubDns::start();
    dns.add(name, "A", 60, &instance.address.to_string());
    let pebble = Pebble::create(instance.address, &dns, habits);
    (instance, pebble, dns)
}

fn start_stored_again(instance: &mut Instance) {
    instance.kill("store");
    instance.start_one("store");
}

fn wants(instance: &Instance, name: &str, pebble: &Pebble) {
    instance.set("service.acme.names", name);
    instance.set("service.acme.directory", &pebble.directory());
    instance.set("service.acme.cafile", &pebble.ca_file().display().to_string());
    instance.set("service.acme.agreetos", "yes");
    instance.set("service.acme.contact", "postmaster@example.test");
}

/// What a client is shown at a port with TLS from the first byte.
fn shown(instance: &Instance, port: u16) -> X509 {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    let stream = builder.build().connect("x.test", instance.connect(port)).unwrap();
    stream.ssl().peer_certificate().unwrap()
}

fn serial(certificate: &X509) -> String {
    certificate.serial_number().to_bn().unwrap().to_hex_str().unwrap().to_string()
}

/// Whether pebble has issued it.
fn is_pebbles(certificate: &X509) -> bool {
    let issuer = certificate.issuer_name().entries().next().unwrap().data().to_string().unwrap();
    issuer.starts_with("Pebble")
}

fn in_use(instance: &Instance) -> X509 {
    X509::from_pem(&fs::read(instance.path("config/certs/server.crt")).unwrap()).unwrap()
}

/// The key in use is the certificate's, and nobody else's to read.
fn assert_fits(instance: &Instance, when: &str) {
    let file = instance.path("config/certs/server.key");
    let key = PKey::private_key_from_pem(&fs::read(&file).unwrap()).unwrap();
    assert!(in_use(instance).public_key().unwrap().public_eq(&key), "{when}: the key does not fit");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{when}");
}

fn tool(instance: &Instance, arguments: &[&str]) -> Output {
    instance.tool("msg-acme").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(all).unwrap()
}

fn ok(instance: &Instance, arguments: &[&str]) -> String {
    let output = tool(instance, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn refused(instance: &Instance, arguments: &[&str]) -> String {
    let output = tool(instance, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Ordered by stored, proved by mshttpd, shown by all daemons, and renewed near its end; sessions under way go on.
#[test]
fn a_certificate_is_ordered_shown_and_renewed_while_sessions_go_on() {
    let (mut instance, mut pebble, _dns) = stage("mail.example.test", Habits { life: 40, ..USUAL });
    instance.start_all();
    instance.start_one("http");
    let wire = Wire::tls(instance.connect(IMAPS), &instance.path("config/certs/ca.pem"));
    let mut session = Imap::over(wire);
    session.ok("LOGIN alice alice-secret");
    assert!(!is_pebbles(&shown(&instance, IMAPS)));
    pebble.start();
    wants(&instance, "mail.example.test", &pebble);
    instance.set("service.acme.ordersmax", "1000");
    start_stored_again(&mut instance);
    let first = wait_for("the first certificate", || {
        let found = shown(&instance, IMAPS);
        is_pebbles(&found).then(|| serial(&found))
    });
    assert!(instance.log("store").contains("ACME: a new certificate for mail.example.test is in use"));
    for port in [POPS, HTTPS, SUBMISSIONS] {
        wait_for("every daemon to show it", || is_pebbles(&shown(&instance, port)).then_some(()));
    }
    session.ok("NOOP");
    wait_for("the next certificate", || (serial(&shown(&instance, IMAPS)) != first).then_some(()));
    session.ok("SELECT INBOX");
    assert_fits(&instance, "renewed");
    let challenges = instance.path("run/acme-challenges");
    assert_eq!(fs::read_dir(challenges).unwrap().count(), 0, "nothing is answered between orders");
    assert!(!instance.log("store").contains("no new certificate"), "{}", instance.log("store"));
}

/// By hand, with no daemon, on a port of its own: bad nonces, an external account, a trial, the limit of orders, a key that stays.
#[test]
fn the_tool_orders_shows_and_tries() {
    // So seldom that none of some fifty requests is refused as often as the client tries (twelve times).
    let habits = Habits { http_port: OWN_PORT, nonces_refused: 25, wants_external: true, ..USUAL };
    let (instance, mut pebble, dns) = stage("mail.example.test", habits);
    dns.add("imap.example.test", "A", 60, &instance.address.to_string());
    pebble.start();
    wants(&instance, "mail.example.test", &pebble);
    let (port, orders) = (OWN_PORT.to_string(), ["order", "--force"]);
    instance.set("service.acme.port", &port);
    instance.set("service.acme.ordersmax", "3");
    assert!(refused(&instance, &["order"]).contains("service.acme.eabkid"));
    instance.set("service.acme.eabkid", EXTERNAL.0);
    instance.set("service.acme.eabkey", EXTERNAL.1);
    assert!(ok(&instance, &["terms"]).contains("data:"), "pebble's terms are a data URL");
    let before = serial(&in_use(&instance));

    let others = instance.path("run/acme-challenges/of-another-order");
    fs::create_dir_all(others.parent().unwrap()).unwrap();
    fs::write(&others, "of-another-order.thumb").unwrap();
    assert!(ok(&instance, &["try", "--directory", &pebble.directory()]).contains("not put into use"));
    assert_eq!(serial(&in_use(&instance)), before);
    assert!(ok(&instance, &[]).contains("from: elsewhere"));

    assert!(ok(&instance, &["order"]).contains("a new certificate for mail.example.test is in use"));
    let left = fs::read_dir(others.parent().unwrap()).unwrap().count();
    assert!(others.exists() && left == 1, "an order takes its own answers away, and no other's");
    assert_fits(&instance, "ordered");
    let first = in_use(&instance);
    assert!(is_pebbles(&first));
    let shown = ok(&instance, &["show"]);
    for line in [
        "in use: for mail.example.test".to_owned(),
        format!("serial: {}", serial(&first)),
        format!("from: {}", pebble.directory()),
        "key: fits".to_owned(),
        "orders: 1 in 24 hours, 3 at most".to_owned(),
        "failures: 0".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }
    assert!(ok(&instance, &["order"]).contains("is good"));

    instance.set("service.acme.names", "mail.example.test imap.example.test");
    instance.set("service.acme.reusekey", "yes");
    assert!(ok(&instance, &["order"]).contains("imap.example.test mail.example.test"), "other names are due");
    let second = in_use(&instance);
    assert!(second.public_key().unwrap().public_eq(&first.public_key().unwrap()), "the key stays");
    instance.set("service.acme.reusekey", "no");
    ok(&instance, &orders);
    assert!(!in_use(&instance).public_key().unwrap().public_eq(&second.public_key().unwrap()));
    assert!(refused(&instance, &orders).contains("3 orders within 24 hours"));
    // Each of the four orders (one was the trial) needs one of each; what is beyond was sent again with another nonce. Chance has it
    // when that is: one more trial, until it is.
    let paths = ["/sign-me-up", "/order-plz", "/finalize-order/", "/certZ/"];
    let mut trials = 0;
    in_one_of_ten("a nonce that is refused", || {
        let sent: usize = paths.iter().map(|path| pebble.requests(path)).sum();
        let is_refused = sent > (4 + trials) * paths.len();
        if !is_refused {
            ok(&instance, &["try", "--directory", &pebble.directory()]);
            trials += 1;
        }
        is_refused
    });
    let keys: Vec<_> = fs::read_dir(instance.path("config/certs/acme"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "key"))
        .collect();
    assert_eq!(keys.len(), 1, "the account's: {keys:?}");
    assert_eq!(fs::metadata(&keys[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

/// An authority that is away, and one that refuses, are waited for, over restarts too; what is in use stays in use.
#[test]
fn what_fails_is_told_and_waited_for_and_the_old_certificate_stays() {
    let (mut instance, mut pebble, dns) = stage("mail.example.test", USUAL);
    dns.remove("mail.example.test");
    let before = serial(&in_use(&instance));
    for service in ["store", "imap", "http"] {
        instance.start_one(service);
    }
    wants(&instance, "mail.example.test", &pebble);
    start_stored_again(&mut instance);
    let failed = "ACME: no new certificate";
    wait_for("the first failure", || instance.log("store").contains(failed).then_some(()));
    let shown_now = ok(&instance, &[]);
    assert!(shown_now.contains("failures: 1") && shown_now.contains("last failure: "), "{shown_now}");
    assert!(shown_now.contains("due: now, since the present one was not ordered here"), "{shown_now}");
    assert_eq!(serial(&shown(&instance, IMAPS)), before);

    start_stored_again(&mut instance);
    let waits = "ACME: a certificate is due, and is not ordered before";
    wait_for("the line of the next start", || instance.log("store").contains(waits).then_some(()));
    assert_eq!(instance.log("store").matches(failed).count(), 1, "a restart makes no attempt");

    pebble.start();
    let why = refused(&instance, &["order"]);
    assert!(why.contains("mail.example.test: ") && why.contains("stays in use"), "{why}");
    assert!(ok(&instance, &[]).contains("failures: 2"));
    assert_eq!(serial(&shown(&instance, IMAPS)), before);
    assert_fits(&instance, "refused");

    dns.add("mail.example.test", "A", 60, &instance.address.to_string());
    ok(&instance, &["order"]);
    assert!(ok(&instance, &[]).contains("failures: 0"));
    wait_for("imapd to show it", || is_pebbles(&shown(&instance, IMAPS)).then_some(()));

    instance.set("service.acme.names", "*.example.test");
    let check = instance.tool("configutil").arg("check").output().unwrap();
    assert!(!check.status.success() && said(&check).contains("http-01"), "{}", said(&check));
}

/// Whoever wants one at the same time gets it from one order.
#[test]
fn several_at_once_make_one_order() {
    let (mut instance, mut pebble, _dns) = stage("mail.example.test", USUAL);
    pebble.start();
    instance.start_web();
    instance.kill("store");
    wants(&instance, "mail.example.test", &pebble);
    let begin = |_| -> Child {
        let mut tool = instance.tool("msg-acme");
        tool.arg("order").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let tools: Vec<Child> = (0..3).map(begin).collect();
    instance.start_one("store");
    let texts: Vec<String> = tools.into_iter().map(|tool| said(&tool.wait_with_output().unwrap())).collect();
    let is = |text: &str| texts.iter().filter(|said| said.contains(text)).count();
    let by_stored = instance.log("store").matches("ACME: a new certificate").count();
    assert_eq!(is("a new certificate") + by_stored, 1, "{texts:?}\n{}", instance.log("store"));
    assert_eq!(is("is good") + is("a new certificate"), 3, "{texts:?}");
    assert_eq!(pebble.requests("/order-plz"), 1);
}

/// Each step of an order, and whether the order is sent again behind a crash there.
const STEPS: [(&str, usize); 9] = [
    ("acme: order counted", 2),
    ("acme: order noted", 1),
    ("acme: challenge put", 1),
    ("acme: order finalized", 1),
    ("acme: certificate obtained", 1),
    ("acme: pair copied", 1),
    ("acme: key linked", 1),
    ("acme: pair written", 1),
    ("acme: pair named", 2), // the second is asked for
];

/// Behind a crash at any step key and certificate fit each other, and the next attempt goes on where it was.
#[test]
fn a_crash_at_any_step_leaves_a_pair_that_fits() {
    let dns = StubDns::start();
    let first = Setup::default().create();
    let mut pebble = Pebble::create(first.address, &dns, Habits { http_port: OWN_PORT, ..USUAL });
    pebble.start();
    let pebble = &pebble;
    thread::scope(|scope| {
        for (number, (step, orders)) in STEPS.into_iter().enumerate() {
            let dns = &dns;
            scope.spawn(move || {
                let instance = Setup::default().create();
                let name = format!("mail{number}.example.test");
                dns.add(&name, "A", 60, &instance.address.to_string());
                wants(&instance, &name, pebble);
                instance.set("service.acme.port", &OWN_PORT.to_string());
                instance.set("service.listenaddr", &instance.address.to_string());
                let crashed =
                    instance.tool("msg-acme").arg("order").env("MAILBOAT_CRASH_AT", step).output().unwrap();
                assert_eq!(crashed.status.signal(), Some(9), "{step}: {}", said(&crashed));
                assert_fits(&instance, step);
                let shown = ok(&instance, &[]);
                assert!(
                    shown.contains("failures: 1") && shown.contains("it was broken off"),
                    "{step}: {shown}"
                );
                ok(&instance, &["order"]);
                assert_fits(&instance, step);
                assert!(is_pebbles(&in_use(&instance)), "{step}");
                if step == "acme: pair named" {
                    let before = serial(&in_use(&instance));
                    ok(&instance, &["order", "--force"]);
                    assert_ne!(serial(&in_use(&instance)), before, "the same certificate again");
                }
                let shown = ok(&instance, &[]);
                assert!(shown.contains(&format!("orders: {orders} in 24 hours")), "{step}: {shown}");
            });
        }
    });
}
