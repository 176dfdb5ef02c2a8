//! The audit log: each class of action gives exactly its line, nobody's name forges one (T22), and no secret is in it.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, wait_for};
use black_box::{Imap, Instance, Pop, Setup, Smtp, WebClient, run};
use nix::sys::signal::Signal;
use serde_json::json;

/// The lines: the program, then what it says, with the numbers of sessions and the names of app passwords taken out.
fn lines(instance: &Instance) -> Vec<String> {
    let text = instance.log("audit");
    text.lines()
        .filter(|line| !line.contains(": Log created ("))
        .map(|line| {
            let (head, said) = line.split_once(": Account Notice: ").unwrap_or_else(|| panic!("{line}"));
            let program = head.rsplit(' ').next().unwrap().split('[').next().unwrap();
            let varies = |word: &str| {
                let name = word.split('=').next().unwrap();
                if ["session", "web", "id"].contains(&name) && !word.ends_with('=') {
                    format!("{name}=*")
                } else {
                    word.to_owned()
                }
            };
            format!("{program} {}", said.split(' ').map(varies).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// What came since the last look.
struct Reader<'a> {
    instance: &'a Instance,
    seen: usize,
}

impl Reader<'_> {
    fn expect(&mut self, expected: &[&str]) {
        let all = lines(self.instance);
        assert_eq!(&all[self.seen..], expected);
        self.seen = all.len();
    }
}

fn start() -> Instance {
    let mut instance = Setup::default().set("service.imap.idletimeout", "31").start();
    instance.start_one("http");
    instance
}

fn with_input(instance: &Instance, program: &str, words: &[&str], input: &str) {
    let mut tool = instance.tool(program);
    let mut child = tool.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn each_log_in_and_each_use_of_another_account_has_its_line() {
    let instance = start();
    let mut reader = Reader { instance: &instance, seen: 0 };
    reader.expect(&[
        "configutil configuration parameter=service.imap.idletimeout result=set value=31 by=uid:0",
    ]);
    instance.imap("alice");
    let wrong = Imap::open(instance.connect(IMAP)).refused("LOGIN alice not-hers");
    assert!(wrong.contains("AUTHENTICATIONFAILED"), "{wrong}");
    let as_alice = STANDARD.encode("alice\0admin\0admin-secret");
    let as_bob = STANDARD.encode("bob\0alice\0alice-secret");
    Imap::open(instance.connect(IMAP)).ok(&format!("AUTHENTICATE PLAIN {as_alice}"));
    Imap::open(instance.connect(IMAP)).refused(&format!("AUTHENTICATE PLAIN {as_bob}"));
    let mut admin = instance.imap("admin");
    admin.ok("PROXYAUTH bob");
    let from = "from=127.0.0.1 session=*";
    reader.expect(&[
        &format!("imapd log-in result=ok user=alice {from} tls=no method=LOGIN"),
        &format!("imapd log-in result=refused user=alice {from} reason=wrong%20user%20name%20or%20password"),
        &format!("imapd log-in result=ok user=alice by=admin {from} tls=no method=PLAIN"),
        &format!("imapd log-in result=refused user=alice {from} reason=not%20an%20administrator,%20but%20wants%20to%20act%20as%20another%20user"),
        &format!("imapd log-in result=ok user=admin {from} tls=no method=LOGIN"),
        &format!("imapd log-in result=ok user=bob by=admin {from} tls=no method=PROXYAUTH"),
    ]);
    drop(instance.pop("alice"));
    let mut pop = Pop::open(instance.connect(black_box::instance::POP));
    pop.ok("USER bob");
    pop.refused("PASS not-his");
    reader.expect(&[
        &format!("popd log-in result=ok user=alice {from} tls=no method=USER"),
        &format!("popd log-in result=refused user=bob {from} reason=wrong%20user%20name%20or%20password"),
    ]);
    instance.submission("alice");
    let mut smtp = Smtp::open(instance.connect(black_box::instance::SUBMISSION));
    smtp.ok("EHLO client.example");
    assert!(smtp.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0alice\0not-hers"))).starts_with("535"));
    let all = lines(&instance);
    let said = all[reader.seen..].join("\n");
    assert!(said.starts_with(&format!("smtpd log-in result=ok user=alice {from} tls=no method=")), "{said}");
    assert!(
        said.ends_with(&format!(
            "smtpd log-in result=refused user=alice {from} reason=wrong%20user%20name%20or%20password"
        )),
        "{said}"
    );
    reader.seen = all.len();
    let mut http = instance.https();
    http.sign_in("alice", "alice-secret");
    http.try_sign_in("alice", "not-hers", "");
    let body = json!({ "user": "admin", "password": "admin-secret", "for": "bob" }).to_string();
    let path = http.post_json("/auth/proxy", "", &body).json()["path"].as_str().unwrap().to_owned();
    assert_eq!(http.get(&path, "").status, 303);
    reader.expect(&[
        &format!("mshttpd log-in result=ok user=alice {from} tls=yes method=WEB"),
        &format!(
            "mshttpd log-in result=refused user=alice {from} reason=wrong%20user%20name%20or%20password"
        ),
        &format!("mshttpd one-time-sign-in user=bob by=admin {from}"),
        &format!("mshttpd log-in result=ok user=bob by=admin {from} tls=yes method=TICKET"),
    ]);
}

#[test]
fn each_change_of_an_account_has_its_line() {
    let instance = start();
    let mut web = WebClient::sign_in(&instance, "alice");
    let mut other = WebClient::sign_in(&instance, "alice");
    let mut reader = Reader { instance: &instance, seen: lines(&instance).len() };
    let user = "mshttpd";
    let by = "user=alice from=127.0.0.1 web=*";
    let made = web.call(
        "AppPassword/set",
        json!({ "password": "alice-secret", "create": { "a": { "label": "x y" } } }),
    );
    let id = made["created"]["a"]["id"].as_str().unwrap().to_owned();
    web.call("AppPassword/set", json!({ "destroy": [id] }));
    let forwarding = json!({ "password": "alice-secret", "update": { "singleton": { "addresses": ["a@b.example", "c@d.example"], "keepCopy": true } } });
    web.call("Forwarding/set", forwarding);
    web.call(
        "VacationResponse/set",
        json!({ "update": { "singleton": { "isEnabled": true, "textBody": "gone" } } }),
    );
    web.call("VacationResponse/set", json!({ "update": { "singleton": { "isEnabled": false } } }));
    web.call("Credential/set", json!({ "oldPassword": "not-hers-at-all", "newPassword": "another-secret" }));
    reader.expect(&[
        &format!("{user} app-password {by} result=made id=*"),
        &format!("{user} app-password {by} result=removed id=*"),
        &format!("{user} forwarding {by} to=a@b.example,c@d.example copy=yes"),
        &format!("{user} vacation {by} result=on"),
        &format!("{user} vacation {by} result=off"),
    ]);
    let fields = other.fields.clone();
    assert_eq!(
        other.http.post_json("/auth/sessions/revoke", &fields, r#"{"id":"others"}"#).json()["ended"],
        1
    );
    other.call("Credential/set", json!({ "oldPassword": "alice-secret", "newPassword": "another-secret" }));
    reader.expect(&[
        &format!("{user} revocation user=alice from=127.0.0.1 session=*"),
        &format!("{user} password {by}"),
    ]);
    let mut bob = instance.imap("bob");
    bob.ok("SETACL INBOX alice lrs");
    bob.ok("DELETEACL INBOX alice");
    let mailbox = "imapd access-control mailbox=user/bob/INBOX identifier=alice";
    let logged_in = "imapd log-in result=ok user=bob from=127.0.0.1 session=* tls=no method=LOGIN";
    reader.expect(&[
        logged_in,
        &format!("{mailbox} rights=lrs user=bob"),
        &format!("{mailbox} rights= user=bob"),
    ]);
}

#[test]
fn each_change_by_a_tool_has_its_line_and_no_secret_is_in_it() {
    let instance = Setup::default().create();
    let mut reader = Reader { instance: &instance, seen: 0 };
    let by = "by=uid:0";
    instance.set("service.imap.idletimeout", "32");
    instance.set("service.imap.idletimeout", "");
    instance.set("local.ugldapbindcred", "CanaryOfTheDirectory");
    run(instance.tool("setconf").args(["--force", "local.unheard.of", "CanaryOfNobody"]));
    run(instance.tool("configutil").args(["-o", "service.imap.idletimeout"])); // nobody changed anything
    with_input(
        &instance,
        "configutil",
        &["-i"],
        "service.pop.maxthreads = 20\nservice.pop.maxsessions = 500\n",
    );
    assert!(
        !instance
            .tool("configutil")
            .args(["-o", "service.imap.idletimeout", "-v", "x"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let set = "configuration parameter=service";
    reader.expect(&[
        &format!("configutil {set}.imap.idletimeout result=set value=32 {by}"),
        &format!("configutil {set}.imap.idletimeout result=cleared {by}"),
        &format!("configutil configuration parameter=local.ugldapbindcred result=set {by}"),
        &format!("setconf configuration parameter=local.unheard.of result=set {by}"),
        &format!("configutil {set}.pop.maxthreads result=set value=20 {by}"),
        &format!("configutil {set}.pop.maxsessions result=set value=500 {by}"),
    ]);
    let dirutil = |words: &[&str]| run(instance.tool("dirutil").args(words));
    with_input(&instance, "dirutil", &["add", "user", "kim", "--password-stdin"], "CanaryOfKim12\n");
    dirutil(&["add", "group", "staff", "--member", "kim"]);
    dirutil(&["change", "kim", "--set", "cn=Kim", "--add", "mailForwardingAddress=k@x.example"]);
    with_input(&instance, "dirutil", &["password", "kim", "--password-stdin"], "CanaryOfKim34\n");
    let made = dirutil(&["app-password", "add", "kim", "--label", "Phone"]);
    let id = dirutil(&["app-password", "list", "kim"]).split_whitespace().next().unwrap().to_owned();
    dirutil(&["app-password", "remove", "kim", &id]);
    let secret = dirutil(&["second-factor", "kim", "on"]);
    dirutil(&["second-factor", "kim", "off"]);
    dirutil(&["list"]);
    dirutil(&["delete", "staff"]);
    reader.expect(&[
        &format!("dirutil entry result=added user=kim {by}"),
        &format!("dirutil entry result=added user=staff {by}"),
        &format!("dirutil entry result=changed user=kim attributes=cn,mailForwardingAddress {by}"),
        &format!("dirutil password user=kim {by}"),
        &format!("dirutil app-password result=made user=kim id=* {by}"),
        &format!("dirutil app-password result=removed user=kim id=* {by}"),
        &format!("dirutil second-factor result=on user=kim {by}"),
        &format!("dirutil second-factor result=off user=kim {by}"),
        &format!("dirutil entry result=deleted user=staff {by}"),
    ]);
    let text = instance.log("audit");
    assert_eq!(
        text.matches(&format!(" id={id} ")).count(),
        2,
        "the password that was made and removed: {text}"
    );
    assert!(!text.contains("Canary"), "{text}");
    for word in made.split_whitespace().chain(secret.split_whitespace()).filter(|word| word.len() > 12) {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

/// Who took a mailbox away can be told afterwards; what users do to their own is theirs.
#[test]
fn each_change_of_a_mailbox_by_an_administrator_has_its_line() {
    let instance = start();
    let mut alice = instance.imap("alice");
    let mut admin = instance.imap("admin");
    let mut reader = Reader { instance: &instance, seen: lines(&instance).len() };
    for own in ["CREATE Mine", "RENAME Mine Other", "DELETE Other"] {
        alice.ok(own);
    }
    for others in [
        "CREATE \"Shared Folders/User/alice/Made 100\"",
        "CREATE Own",
        "DELETE Own",
        "RENAME \"Shared Folders/User/alice/Made 100\" \"Shared Folders/User/alice/Old\"",
        "DELETE \"Shared Folders/User/alice/Old\"",
    ] {
        admin.ok(others);
    }
    let made = "mailbox=user/alice/Made%20100";
    reader.expect(&[
        &format!("imapd mailbox result=created {made} user=admin"),
        &format!("imapd mailbox result=renamed {made} to=user/alice/Old user=admin"),
        "imapd mailbox result=deleted mailbox=user/alice/Old user=admin",
    ]);
    let mboxutil = |words: &[&str]| run(instance.tool("mboxutil").args(words));
    mboxutil(&["-c", "user/bob/New [x]"]);
    mboxutil(&["-r", "user/bob/New [x]", "user/bob/Old"]);
    mboxutil(&["-d", "user/bob/Old"]);
    let list = instance.path("list");
    std::fs::write(&list, "user/bob/A\nuser/nobody/A\nuser/bob/B\n").unwrap();
    let made = instance.tool("mboxutil").arg("-c").arg("-f").arg(&list).output().unwrap();
    assert_eq!(made.status.code(), Some(1), "there is no nobody: {made:?}");
    mboxutil(&["-d", "-p", "user/bob/A"]);
    mboxutil(&["-l"]);
    let by = "by=uid:0";
    reader.expect(&[
        &format!("mboxutil mailbox result=created mailbox=user/bob/New%20[x] {by}"),
        &format!("mboxutil mailbox result=renamed mailbox=user/bob/New%20[x] to=user/bob/Old {by}"),
        &format!("mboxutil mailbox result=deleted mailbox=user/bob/Old {by}"),
        &format!("mboxutil mailbox result=created mailbox=user/bob/A {by}"),
        &format!("mboxutil mailbox result=created mailbox=user/bob/B {by}"),
        &format!("mboxutil mailbox result=deleted mailbox=user/bob/A {by}"),
    ]);
}

/// T22, and what is to be said when nothing can be written.
#[test]
fn no_name_forges_a_line_and_what_cannot_be_written_is_told() {
    let instance = start();
    let before = lines(&instance).len();
    let evil = "x\r\n[29/Nov/2026:00:00:00 +0000] h imapd[1]: Account Notice: log-in result=ok user=admin \u{1b}[2J\u{202e}";
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.wire.send(format!("a LOGIN {{{}}}\r\n", evil.len()).as_bytes());
    assert!(imap.wire.line().starts_with('+'));
    imap.wire.send(format!("{evil} {{1}}\r\n").as_bytes());
    assert!(imap.wire.line().starts_with('+'));
    imap.wire.send(b"y\r\n");
    assert!(imap.wire.line().starts_with("a "), "refused in any way");
    let mut smtp = Smtp::open(instance.connect(black_box::instance::SUBMISSION));
    smtp.ok("EHLO client.example");
    smtp.ask(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{evil}\0y"))));
    let text = instance.log("audit");
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text}");
    let new = &lines(&instance)[before..];
    assert!(
        !new.is_empty()
            && new.iter().all(|line| line.contains(" log-in result=refused user=x%0D%0A[29/Nov/2026")),
        "{new:?}"
    );
    instance.set("logfile.audit.minfreediskspace", "9000000000000000000");
    instance.signal("imap", Signal::SIGHUP);
    wait_for("the new limit", || {
        instance.imap("alice");
        instance.log("imap").contains("General Critical: the audit log cannot be written: ").then_some(())
    });
    let log = instance.log("imap");
    let line = log.lines().find(|line| line.contains("the audit log cannot be written")).unwrap();
    assert!(
        line.contains(": log-in result=ok user=alice from=127.0.0.1 session="),
        "nothing is lost: {line}"
    );
    let told = instance.tool("dirutil").args(["change", "alice", "--set", "cn=A"]).output().unwrap();
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(told.status.success() && said.contains("the audit log cannot be written"), "{said}");
}
