//! T23: a credential is in its own store and nowhere else, whatever is done with it: no log, no telemetry, no queue, no command
//! line, no environment, no core.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use black_box::instance::{DAEMONS, HTTPS, IMAP, POP, SUBMISSION, WEB};
use black_box::slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};
use black_box::{Instance, Setup, Smtp, WebClient, Wire};
use nix::sys::signal::Signal;
use serde_json::json;

/// The password of alice, right and then changed; one that is wrong; what else is secret.
const RIGHT: &str = "Canary7KqXv2mPw9sLtRight";
const CHANGED: &str = "Canary8ZbNc4yHd3gFjChanged";
const WRONG: &str = "Canary5WrongTu6oEa1iUk";
const BEARER: &str = "CanaryBearer3Lq9Vx7Mz2Kp";
const SMART_HOST: &str = "CanarySmart6Rt4Yw8Nb1Hs";

/// All ways in which `secret` may stand in bytes: itself, in hexadecimal digits, in base64 whatever stands before it.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.into(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for before in 0..3 {
        let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
        let text = STANDARD_NO_PAD.encode(&bytes);
        let (first, whole) = ([0, 2, 3][before], bytes.len() * 8 / 6); // characters that are the secret's alone
        forms.push(text.as_bytes()[first..whole].to_vec());
    }
    forms
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    forms(secret).iter().any(|form| bytes.windows(form.len()).any(|piece| piece == form))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found
}

/// Where any of these is: files below the instance, what the daemons said, and how they were started. `but`: the credential stores.
fn found(instance: &Instance, errors: &Path, secrets: &[&str], but: &[&str]) -> Vec<String> {
    let mut places: Vec<PathBuf> = files(&instance.root);
    places.retain(|path| !but.iter().any(|store| instance.path(store) == *path));
    places.push(errors.to_owned());
    for pid in daemons(instance) {
        places.extend(["cmdline", "environ"].map(|name| PathBuf::from(format!("/proc/{pid}/{name}"))));
    }
    let mut found = Vec::new();
    for path in places {
        let bytes = fs::read(&path).unwrap_or_default();
        found.extend(
            secrets
                .iter()
                .filter(|secret| holds(&bytes, secret))
                .map(|secret| format!("{secret} is in {}", path.display())),
        );
    }
    found
}

/// Every process of the instance: the daemons and what they started.
fn daemons(instance: &Instance) -> Vec<u32> {
    let mut all: Vec<u32> =
        DAEMONS.iter().chain([&WEB]).filter_map(|(service, _)| instance.pid(service)).collect();
    let mut next = 0;
    while next < all.len() {
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", all[next])).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    all
}

fn password(instance: &Instance, user: &str, secret: &str) {
    let mut tool = instance.tool("dirutil");
    tool.args(["password", user, "--password-stdin"]).stdin(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn said_by_tool(instance: &Instance, words: &[&str]) -> String {
    let output = instance.tool("dirutil").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn plain(user: &str, secret: &str) -> String {
    STANDARD.encode(format!("\0{user}\0{secret}"))
}

/// Everything is written that can be: the level is Debug, and what clients say is recorded.
fn talkative(setup: Setup) -> Setup {
    let services = ["smtp", "imap", "pop", "http", "store"];
    services.iter().fold(setup, |setup, service| setup.set(&format!("logfile.{service}.loglevel"), "Debug"))
}

fn with_telemetry(instance: &Instance) {
    for service in ["smtp", "imap", "pop", "http"] {
        for user in ["alice", "bob", "admin"] {
            fs::create_dir_all(instance.path(&format!("log/{service}/telemetry/{user}"))).unwrap();
        }
    }
}

/// A log-in by each command and mechanism, on a connection of its own; what is refused, too.
fn log_in_everywhere(instance: &Instance, user: &str, secret: &str) {
    let first = |port| {
        let mut wire = Wire::plain(instance.connect(port));
        wire.line();
        wire
    };
    let (name, word) = (STANDARD.encode(user), STANDARD.encode(secret));
    let ir = plain(user, secret);
    for lines in [
        vec![format!("a LOGIN {user} {secret}")],
        vec![format!("a LOGIN {user} \"{secret}\"")],
        vec![format!("a LOGIN {user} {{{}}}", secret.len()), secret.to_owned()],
        vec![format!("a AUTHENTICATE PLAIN {ir}")],
        vec!["a AUTHENTICATE PLAIN".into(), ir.clone()],
        vec!["a AUTHENTICATE LOGIN".into(), name.clone(), word.clone()],
        vec![format!("a AUTHENTICATE NONE {ir}")],
        vec![
            "a AUTHENTICATE OAUTHBEARER".into(),
            STANDARD.encode(format!("n,a={user},\u{1}auth=Bearer {secret}\u{1}\u{1}")),
        ],
    ] {
        say(first(IMAP), &lines, "a LOGOUT");
    }
    for lines in [
        vec![format!("USER {user}"), format!("PASS {secret}")],
        vec![format!("AUTH PLAIN {ir}")],
        vec!["AUTH PLAIN".into(), ir.clone()],
        vec!["AUTH LOGIN".into(), name.clone(), word.clone()],
        vec![format!("APOP {user} {secret}")],
    ] {
        say(first(POP), &lines, "QUIT");
    }
    for lines in [
        vec!["EHLO client.example".into(), format!("AUTH PLAIN {ir}")],
        vec!["EHLO client.example".into(), "AUTH PLAIN".into(), ir.clone()],
        vec!["EHLO client.example".into(), "AUTH LOGIN".into(), name.clone(), word.clone()],
        vec!["EHLO client.example".into(), format!("AUTH NONE {ir}")],
    ] {
        let mut smtp = Smtp::open(instance.connect(SUBMISSION));
        for line in lines {
            smtp.ask(&line);
        }
        smtp.ask("QUIT");
    }
    let mut http = instance.https();
    http.try_sign_in(user, secret, "");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let query = format!("user={user}&password={secret}");
    instance.https().ask("POST", "/login.msc", form, query.as_bytes());
    instance.https().ask("POST", &format!("/login.msc?{query}"), form, b"x=y");
    instance.https().ask("POST", &format!("/login.msc?{query}&proxyauth=bob"), form, b"x=y");
    let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{secret}")));
    instance.https().get("/jmap/session", &basic);
    instance.https().get(&format!("/nowhere?password={secret}"), &basic);
    instance.https().get("/jmap/session", &format!("Authorization: Bearer {BEARER}\r\n"));
    let body = json!({ "user": user, "password": secret, "for": "bob" }).to_string();
    instance.https().post_json("/auth/proxy", "", &body);
}

/// Says lines, each when the one before was answered, and what ends it; the server may have ended it before.
fn say(mut wire: Wire, lines: &[String], end: &str) {
    for line in lines {
        if !wire.try_send(format!("{line}\r\n").as_bytes()) || wire.try_line().is_none() {
            return;
        }
    }
    if wire.try_send(format!("{end}\r\n").as_bytes()) {
        while wire.try_line().is_some() {}
    }
}

#[test]
fn no_credential_is_found_outside_its_store() {
    let setup = talkative(Setup::default())
        .set("service.saslmechanisms", "SCRAM-SHA-256 PLAIN LOGIN")
        .set("service.guessaddressmax", "1000000")
        .set("service.guessnetworkmax", "1000000")
        .set("service.guessaccountmax", "1000000")
        .set("local.service.smtp.smtp-deliver.credentials", "file:config/log-ins");
    let mut instance = setup.create();
    let errors = instance.root.parent().unwrap().join("said");
    instance.errors_to(&errors);
    with_telemetry(&instance);
    let log_ins = instance.path("config/log-ins");
    fs::write(&log_ins, format!("relay.example alice {SMART_HOST}\n")).unwrap();
    fs::set_permissions(&log_ins, fs::Permissions::from_mode(0o600)).unwrap();
    password(&instance, "alice", RIGHT);
    let made = said_by_tool(&instance, &["app-password", "add", "alice", "--label", "Phone"]);
    let app = made.split_whitespace().max_by_key(|word| word.len()).unwrap().to_owned();
    let switched = said_by_tool(&instance, &["second-factor", "bob", "on"]);
    let recovery = switched.lines().find(|line| line.len() == 19).unwrap().to_owned();
    let totp = switched
        .split(|c: char| !c.is_ascii_uppercase() && !('2'..='7').contains(&c))
        .max_by_key(|word| word.len());
    let totp = totp.unwrap().to_owned();
    assert!(app.len() >= 16 && totp.len() >= 16, "{made} {switched}");
    instance.start_all();
    instance.start_one("http");

    for secret in [RIGHT, WRONG, &app, &app.replace('-', "")] {
        log_in_everywhere(&instance, "alice", secret);
    }
    let mut web = WebClient::sign_in_with(&instance, "alice", RIGHT);
    let said = |web: &mut WebClient, name: &str, arguments| web.responses(name, arguments);
    said(&mut web, "Credential/set", json!({ "oldPassword": WRONG, "newPassword": CHANGED }));
    said(
        &mut web,
        "Forwarding/set",
        json!({ "password": WRONG, "update": { "singleton": { "keepCopy": true } } }),
    );
    let one = json!({ "a": { "label": "Tablet" } });
    let shown = said(&mut web, "AppPassword/set", json!({ "password": RIGHT, "create": one }));
    let web_app = shown[0].1["created"]["a"]["password"].as_str().unwrap().to_owned();
    let begun = said(&mut web, "SecondFactor/begin", json!({}))[0].1.clone();
    let wrong = json!({ "isOn": true, "pending": begun["pending"], "code": &recovery, "password": RIGHT });
    assert_eq!(said(&mut web, "SecondFactor/set", wrong)[0].1["type"], "wrongCode");
    let renewed = json!({ "code": &recovery, "password": RIGHT });
    assert_eq!(said(&mut web, "SecondFactor/renew", renewed)[0].1["type"], "notFound");
    let by_code = json!({ "user": "bob", "password": "bob-secret", "code": &recovery }).to_string();
    assert_eq!(instance.http().post_json("/auth/sign-in", "", &by_code).status, 200);
    let bare = recovery.replace('-', "");
    assert_eq!(
        said(&mut web, "Credential/set", json!({ "oldPassword": RIGHT, "newPassword": CHANGED }))[0].0,
        "Credential/set"
    );
    let cookie = web.fields.split("mailboat=").nth(1).unwrap().split("\r\n").next().unwrap();
    let cookie = cookie.split_once('.').unwrap().1.to_owned(); // before it stands the folder's name
    let token =
        web.fields.split("X-Mailboat-Token: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    log_in_everywhere(&instance, "alice", CHANGED);
    let ticket = json!({ "user": "admin", "password": "admin-secret", "for": "alice" }).to_string();
    let mut again = instance.http();
    let fields = web.fields.clone();
    assert_eq!(again.get("/auth/session", &fields).status, 200);
    let ticket = again.post_json("/auth/proxy", "", &ticket).json()["path"].as_str().unwrap().to_owned();
    assert_eq!(again.get("/auth/session", &fields).status, 200); // so that somebody is recorded here
    let signed_in = again.get(&ticket, "");
    let new_cookie = signed_in.cookie().split_once('.').unwrap().1.to_owned();
    let ticket = ticket.rsplit('/').next().unwrap().to_owned();
    for (service, _) in DAEMONS.iter().chain([&WEB]) {
        instance.signal(service, Signal::SIGHUP); // they say what they read
    }
    instance.send("alice", "the last");
    instance.wait_for_empty_queue();
    let _ = instance.connect(HTTPS);

    let secrets = [RIGHT, CHANGED, WRONG, BEARER, &app, &web_app, &cookie, &new_cookie, &token, &ticket];
    assert_eq!(found(&instance, &errors, &[&recovery, &bare], &[]), Vec::<String>::new());
    assert_eq!(found(&instance, &errors, &secrets, &[]), Vec::<String>::new());
    assert_eq!(found(&instance, &errors, &[&totp], &[]), Vec::<String>::new());
    assert_eq!(found(&instance, &errors, &[SMART_HOST], &["config/log-ins"]), Vec::<String>::new());
    // There was something to look through, of everybody.
    for service in ["smtp", "imap", "pop", "http"] {
        assert!(instance.log(service).contains("wrong user name or password"), "{service}");
    }
    for service in ["imap", "pop", "http"] {
        let recorded = files(&instance.path(&format!("log/{service}/telemetry/alice")));
        let text: String = recorded.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
        assert!(recorded.len() > 3 && text.len() > 300, "{service}");
        assert!(
            service != "http" || text.lines().any(|line| line.starts_with('>') && line.ends_with("<masked>"))
        );
    }
    assert!(daemons(&instance).len() >= 5);
    assert_eq!(found(&instance, &errors, &[SMART_HOST], &[]).len(), 1, "it would be found where it is");
    the_search_finds(&instance, &errors);
}

/// The control: each form of a secret, in a place of each kind.
fn the_search_finds(instance: &Instance, errors: &Path) {
    let hex: String = WRONG.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        WRONG.to_owned(),
        hex.clone(),
        hex.to_uppercase(),
        plain("al", WRONG),
        plain("ali", WRONG),
        plain("alic", WRONG),
        STANDARD.encode(format!("alice:{WRONG}")),
    ] {
        for place in [instance.path("log/imap/planted"), instance.path("run/planted"), errors.to_owned()] {
            fs::write(&place, format!("before {text} after")).unwrap();
            assert_eq!(found(instance, errors, &[WRONG], &[]).len(), 1, "{text} in {}", place.display());
            fs::write(&place, "").unwrap();
        }
    }
}

/// A crash leaves no memory behind: no core may be written, by any process of the suite.
#[test]
fn no_daemon_leaves_a_core() {
    let mut instance = Setup::default().set("service.imap.numprocesses", "2").start();
    instance.start_one("http");
    let all = daemons(&instance);
    assert!(all.len() >= 7, "{all:?}");
    for pid in all {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        let program = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().replace('\0', " ");
        let limits: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(limits, ["0", "0"], "{program}: {core}");
    }
}

#[test]
fn the_credential_of_the_directory_is_not_found_either() {
    let mut instance = talkative(Setup::default()).create();
    password(&instance, "alice", RIGHT);
    let slapd = Slapd::start(&said_by_tool(&instance, &["export"]));
    fs::remove_file(instance.path("config/directory.ldif")).unwrap();
    instance.set("local.ugldaphost", &slapd.host());
    instance.set("local.ugldapbasedn", BASE);
    instance.set("local.ugldapbinddn", BIND_DN);
    instance.set("local.ugldapbindcred", BIND_SECRET);
    let errors = instance.root.parent().unwrap().join("said");
    instance.errors_to(&errors);
    with_telemetry(&instance);
    instance.start_all();
    let mut imap = black_box::Imap::open(instance.connect(IMAP));
    imap.ok(&format!("LOGIN alice {RIGHT}"));
    black_box::Imap::open(instance.connect(IMAP)).refused(&format!("LOGIN alice {WRONG}"));
    let secrets = [RIGHT, WRONG];
    assert_eq!(found(&instance, &errors, &secrets, &[]), Vec::<String>::new());
    assert_eq!(found(&instance, &errors, &[BIND_SECRET], &["config/local.conf"]), Vec::<String>::new());
    assert_eq!(found(&instance, &errors, &[BIND_SECRET], &[]).len(), 1, "it is where it was set");
}
