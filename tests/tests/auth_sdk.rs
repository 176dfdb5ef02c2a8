//! S141: a portal logs users in by proxy with the Authentication SDK, from C and from Rust: over IMAP, POP and into the web mail.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use black_box::instance::{HTTP, HTTPS, IMAP, IMAPS, POP, POPS, top, wait_for};
use black_box::{Authority, Http, Instance, Setup, program, run};

/// Statuses of `mailboat_auth.h`.
const UNREACHABLE: i32 = 2;
const TLS: i32 = 3;
const REFUSED: i32 = 4;
const NOT_PERMITTED: i32 = 5;
const NO_SUCH_USER: i32 = 6;
const NOT_ALLOWED: i32 = 7;

/// The samples, compiled as the README of the SDK says: with the shared library, with the other one, and in Rust.
struct Samples {
    _folder: tempfile::TempDir,
    programs: Vec<PathBuf>,
}

fn samples() -> &'static [PathBuf] {
    static MADE: OnceLock<Samples> = OnceLock::new();
    &MADE
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let libraries = program("authsdk-sample").with_file_name("deps");
            let (shared, fixed) = (folder.path().join("portal"), folder.path().join("portal-static"));
            let compile = |into: &Path| {
                let mut cc = Command::new("cc");
                cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-D_POSIX_C_SOURCE=200809L", "-I"]);
                cc.arg(top().join("sdk/auth/include")).arg(top().join("sdk/auth/samples/portal.c"));
                cc.arg("-o").arg(into);
                cc
            };
            let rpath = format!("-Wl,-rpath,{}", libraries.display());
            run(compile(&shared).arg("-L").arg(&libraries).args(["-lmailboat_auth", &rpath]));
            let library = libraries.join("libmailboat_auth.a");
            run(compile(&fixed).arg(library).args(["-lssl", "-lcrypto", "-lpthread", "-ldl", "-lm"]));
            Samples { programs: vec![shared, fixed, program("authsdk-sample")], _folder: folder }
        })
        .programs
}

/// How a sample is run, besides by whom for whom.
struct Portal<'a> {
    host: String,
    instance: &'a Instance,
}

impl Portal<'_> {
    fn of(instance: &Instance) -> Portal<'_> {
        Portal { host: instance.address.to_string(), instance }
    }

    fn run(&self, program: &Path, how: [&str; 3], who: [&str; 3], authorities: Option<&Path>) -> Output {
        let [service, port, security] = how;
        let [administrator, password, user] = who;
        let mut command = Command::new(program);
        command.args([service, &self.host, port, security, administrator, user]);
        command.args(authorities).env_remove("SSL_CERT_FILE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(password), "{said}");
        output
    }

    fn ok(&self, program: &Path, how: [&str; 3], user: &str) -> String {
        let authorities = self.instance.path("config/certs/ca.pem");
        let output = self.run(program, how, ["admin", "admin-secret", user], Some(&authorities));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {how:?}: {said} {}",
            program.display(),
            self.instance.log("http")
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The status, which all three agree about, and something was said.
    fn fails(&self, how: [&str; 3], who: [&str; 3]) -> i32 {
        self.fails_trusting(how, who, Some(&self.instance.path("config/certs/ca.pem")))
    }

    fn fails_trusting(&self, how: [&str; 3], who: [&str; 3], authorities: Option<&Path>) -> i32 {
        let [shared, _, rust] = samples() else { panic!("three samples") };
        let statuses = [shared, rust].map(|program| {
            let output = self.run(program, how, who, authorities);
            assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{how:?} {who:?}");
            output.status.code().unwrap()
        });
        assert_eq!(statuses[0], statuses[1], "{how:?} {who:?}");
        statuses[0]
    }
}

fn start(setup: Setup) -> Instance {
    let mut instance = setup.start();
    instance.start_one("http");
    instance
}

/// What is behind host and port of an address.
fn path_of(address: &str) -> &str {
    let at = address.find("/auth/ticket/").unwrap_or_else(|| panic!("{address}"));
    &address[at..]
}

/// What a browser does that was sent there by another site: the cookie it gets, or nothing.
fn browse(http: &mut Http, path: &str) -> Option<String> {
    let from_elsewhere = "Sec-Fetch-Site: cross-site\r\nUser-Agent: Mozilla/5.0\r\n";
    let response = http.get(path, from_elsewhere);
    if response.status != 303 {
        assert!(response.cookie().is_empty());
        return None;
    }
    assert_eq!(response.field("location"), "/");
    assert_eq!(
        (response.field("cache-control"), response.field("referrer-policy")),
        ("no-store", "no-referrer")
    );
    Some(response.cookie())
}

#[test]
fn the_samples_log_a_user_in_over_imap_pop_and_into_the_web_mail() {
    let instance = start(Setup::default());
    instance.send("alice", "one");
    instance.wait_for_messages("alice", 1);
    let portal = Portal::of(&instance);
    for sample in samples() {
        for (port, security) in [(IMAPS, "tls"), (IMAP, "starttls"), (IMAP, "loopback")] {
            let text = portal.ok(sample, ["imap", &port.to_string(), security], "alice");
            assert!(text.ends_with("(MESSAGES 1)"), "{text}");
        }
        for (port, security) in [(POPS, "tls"), (POP, "starttls"), (POP, "loopback")] {
            let how = ["pop", &port.to_string(), security];
            // The maildrop of the one before is closed in its own time.
            assert!(portal.ok_when_free(sample, how, "alice").starts_with("+OK 1 "));
        }
        for (port, security, scheme) in [(HTTPS, "tls", "https"), (HTTP, "loopback", "http")] {
            let address = portal.ok(sample, ["web", &port.to_string(), security], "alice@example.test");
            assert!(address.starts_with(&format!("{scheme}://{}:{port}/auth/ticket/", instance.address)));
            let mut http = if security == "tls" { instance.https() } else { instance.http() };
            let cookie = browse(&mut http, path_of(&address)).expect("a session");
            let about = http.get("/auth/session", &format!("Cookie: {cookie}\r\n")).json();
            assert_eq!(about["uid"], "alice");
            assert_eq!(browse(&mut http, path_of(&address)), None, "it was used");
        }
    }
    for service in ["imap", "pop", "http"] {
        let log = instance.log(service);
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(" login: ")).collect();
        assert!(
            lines.iter().filter(|line| line.contains("] alice ") && line.contains(" by admin")).count() >= 6
        );
    }
    assert_eq!(instance.log("http").matches("one-time sign-in: ").count(), 6);
}

impl Portal<'_> {
    fn ok_when_free(&self, program: &Path, how: [&str; 3], user: &str) -> String {
        let authorities = self.instance.path("config/certs/ca.pem");
        wait_for("the maildrop", || {
            let output = self.run(program, how, ["admin", "admin-secret", user], Some(&authorities));
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || text.contains("IN-USE"), "{text}");
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        })
    }
}

#[test]
fn who_may_not_gets_nobody_in() {
    let instance = start(Setup::default().users(&["alice", "bob", "kim"]));
    run(instance.tool("dirutil").args(["change", "kim", "--set", "nsmsgDisallowAccess=imap,pop,http"]));
    let portal = Portal::of(&instance);
    let right = ["admin", "admin-secret", "alice"];
    let (imap, pop, web) = (IMAPS.to_string(), POPS.to_string(), HTTPS.to_string());
    let (imap, pop, web) = (["imap", &imap, "tls"], ["pop", &pop, "tls"], ["web", &web, "tls"]);
    for (who, over_imap, over_pop, over_web) in [
        (["admin", "not-hers", "alice"], REFUSED, REFUSED, REFUSED),
        (["alice", "alice-secret", "alice2"], NOT_PERMITTED, REFUSED, NOT_PERMITTED),
        (["bob", "bob-secret", "alice"], NOT_PERMITTED, REFUSED, NOT_PERMITTED),
        (["admin", "admin-secret", "nobody"], NO_SUCH_USER, REFUSED, NO_SUCH_USER),
        (["admin", "admin-secret", "kim"], NOT_ALLOWED, REFUSED, NOT_ALLOWED),
    ] {
        assert_eq!(portal.fails(imap, who), over_imap, "{who:?}");
        assert_eq!(portal.fails(pop, who), over_pop, "{who:?}");
        assert_eq!(portal.fails(web, who), over_web, "{who:?}");
    }
    // An administrator is nobody's user, not even the own one at the web mail.
    assert_eq!(portal.fails(web, ["admin", "admin-secret", "admin"]), NOT_PERMITTED);
    // A certificate that is not proved ends it before a word is said.
    let other = instance.path("tmp/other.pem");
    fs::write(&other, Authority::new().pem()).unwrap();
    for how in [imap, pop, web] {
        assert_eq!(portal.fails_trusting(how, right, Some(&other)), TLS, "{how:?}");
        assert_eq!(portal.fails_trusting(how, right, None), TLS, "{how:?}");
    }
    let wrong_name = Portal { host: "127.0.0.1".into(), instance: &instance };
    assert_eq!(wrong_name.fails(imap, right), UNREACHABLE, "nobody listens there");
    for service in ["imap", "pop", "http"] {
        let log = instance.log(service);
        assert!(log.contains("badlogin: ") && !log.contains(" by bob"), "{log}");
    }
    assert!(
        fs::read_dir(instance.path("run/web-tickets")).unwrap().next().is_none(),
        "nobody got an address"
    );
}

#[test]
fn who_asks_from_elsewhere_or_is_no_administrator_any_more_gets_nobody_in() {
    let mut instance = start(Setup::default().set("store.adminnetworks", "192.0.2.0/24"));
    let right = ["admin", "admin-secret", "alice"];
    {
        let portal = Portal::of(&instance);
        assert_eq!(portal.fails(["imap", &IMAPS.to_string(), "tls"], right), NOT_PERMITTED);
        assert_eq!(portal.fails(["pop", &POPS.to_string(), "tls"], right), REFUSED);
        assert_eq!(portal.fails(["web", &HTTPS.to_string(), "tls"], right), NOT_PERMITTED);
        assert!(instance.log("http").contains("(store.adminnetworks)"));
    }
    instance.set("store.adminnetworks", "127.0.0.0/8");
    instance.stop("http");
    instance.start_one("http");
    let address = Portal::of(&instance).ok(&samples()[0], ["web", &HTTPS.to_string(), "tls"], "alice");
    // Between the making of the address and its use the administrator went.
    instance.set("store.admins", "postmaster");
    instance.stop("http");
    instance.start_one("http");
    assert_eq!(browse(&mut instance.https(), path_of(&address)), None);
    instance.kill_all();
    let portal = Portal::of(&instance);
    for how in [
        ["imap", &IMAPS.to_string(), "tls"],
        ["pop", &POP.to_string(), "starttls"],
        ["web", &HTTPS.to_string(), "tls"],
    ] {
        assert_eq!(portal.fails(how, right), UNREACHABLE);
    }
}

/// mshttpd looks at the directory in its own time: waits until the page's own sign-in tells that it knows what alice may.
fn wait_for_sign_in(instance: &Instance, status: u16) {
    wait_for("the directory's new entry", || {
        (instance.https().try_sign_in("alice", "alice-secret", "").status == status).then_some(())
    });
}

/// It outlives the process that made it, for a minute, and no log has it.
#[test]
fn a_one_time_address_is_good_once_and_for_a_minute() {
    let instance = Setup::default().create();
    fs::create_dir_all(instance.path("log/http/telemetry/alice")).unwrap();
    let mut instance = instance;
    instance.start_all();
    instance.start_one("http");
    let how = ["web", &HTTPS.to_string(), "tls"];
    let one = || Portal::of(&instance).ok(&samples()[0], how, "alice");
    let (first, second, third) = (one(), one(), one());
    instance.kill("http");
    instance.start_one("http");
    let mut http = instance.https();
    assert_eq!(http.ask("HEAD", path_of(&first), "", b"").status, 405, "a look is no use");
    let cookie = browse(&mut http, path_of(&first)).expect("a session");
    let fields = format!("Cookie: {cookie}\r\n");
    let shown = http.get("/auth/activity", &fields).text();
    assert!(shown.contains("(by admin) Mozilla/5.0"), "the user sees who it was: {shown}");
    assert_eq!(browse(&mut http, path_of(&first)), None);
    let used = http.get(path_of(&first), "");
    assert_eq!((used.status, used.field("content-type")), (410, "text/plain; charset=utf-8"));
    assert_eq!(http.get("/auth/ticket/..%2f..%2fconfig", "").status, 410);
    // Nobody signs in by it whom the page's own sign-in would not let in.
    run(instance.tool("dirutil").args(["change", "alice", "--set", "nsmsgDisallowAccess=http"]));
    wait_for_sign_in(&instance, 403);
    assert_eq!(browse(&mut instance.https(), path_of(&second)), None);
    run(instance.tool("dirutil").args(["change", "alice", "--remove", "nsmsgDisallowAccess"]));
    wait_for_sign_in(&instance, 200);
    assert_eq!(browse(&mut instance.https(), path_of(&second)), None, "it was used all the same");
    instance.stop("http");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "61");
    instance.start_one("http");
    assert_eq!(browse(&mut instance.https(), path_of(&third)), None, "a minute is over");
    let mut logs = instance.log("http");
    for entry in fs::read_dir(instance.path("log/http/telemetry/alice")).unwrap() {
        logs.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    }
    for address in [&first, &second, &third] {
        assert!(!logs.contains(path_of(address).rsplit('/').next().unwrap()), "{logs}");
    }
}

/// The original's own: `login.msc` with `proxyauth`.
#[test]
fn a_script_signs_in_for_a_user_with_an_administrators_password() {
    let instance = start(Setup::default());
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut http = instance.https();
    let mut ask = |body: &str| http.ask("POST", "/login.msc", form, body.as_bytes());
    let response = ask("user=admin&password=admin-secret&proxyauth=alice");
    assert_eq!(response.status, 302, "{}", response.text());
    let sid = response.field("location").split_once("sid=").unwrap().1.to_owned();
    assert_eq!(ask("user=bob&password=bob-secret&proxyauth=alice").status, 403);
    assert_eq!(ask("user=admin&password=wrong&proxyauth=alice").status, 401);
    assert_eq!(ask("user=admin&password=admin-secret&proxyauth=").status, 400);
    instance.imap("alice").append("INBOX", "", "Subject: hers\r\n\r\nx\r\n");
    let listed = instance.https().get(&format!("/mbox.msc?sid={sid}&mbox=INBOX"), "").text();
    assert!(listed.contains("hers"), "{listed}");
    let log = instance.log("http");
    assert!(log.lines().any(|line| line.contains("] alice TLS ") && line.ends_with("WEB by admin")), "{log}");
    // The page's own sign-in is for who says the password, whatever else is said.
    let body = r#"{"user":"admin","password":"admin-secret","for":"alice"}"#;
    assert_eq!(instance.https().post_json("/auth/sign-in", "", body).json()["uid"], "admin");
}
