//! JMAPACCESS (RFC 9698): the same mail with the same ids by JMAP, told to whom it is true for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::{Http, Setup, Wire, run};
use serde_json::{Value, json};

use super::*;

const URL: &str = "https://mail.example.test/.well-known/jmap";

fn created() -> Instance {
    Setup::default().users(&["alice", "bob"]).set("service.imap.jmapurl", URL).create()
}

fn started(mut instance: Instance) -> Instance {
    for service in ["store", "imap", "http"] {
        instance.start_one(service);
    }
    instance
}

/// Whether it is offered, and then the URL: never one without the other.
fn told(imap: &mut Imap) -> bool {
    let offered = is_offered(imap, "JMAPACCESS");
    let (lines, end) = imap.command("GETJMAPACCESS");
    if offered {
        assert_eq!(lines, [format!("* JMAPACCESS \"{URL}\"")]);
        assert!(end.starts_with("OK"), "{end}");
    } else {
        assert!(lines.is_empty() && !end.starts_with("OK"), "{lines:?} {end}");
    }
    offered
}

fn in_parentheses(text: &str, word: &str) -> String {
    text.split_once(&format!("{word} (")).unwrap().1.split_once(')').unwrap().0.to_owned()
}

fn call(http: &mut Http, method: &str, arguments: Value) -> Value {
    let fields = format!("Authorization: Basic {}\r\n", STANDARD.encode("alice:alice-secret"));
    let body = json!({
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [[method, arguments, "0"]],
    });
    http.post_json("/jmap/api", &fields, &body.to_string()).json()["methodResponses"][0][1].clone()
}

#[test]
fn what_imap_shows_jmap_shows_by_the_same_ids_with_the_same_password() {
    let instance = started(created());
    let mut imap = instance.imap("alice");
    assert!(told(&mut imap));
    imap.append("INBOX", "", MESSAGE);
    let mailbox = in_parentheses(&imap.ok("STATUS INBOX (MAILBOXID)")[0], "MAILBOXID");
    imap.ok("SELECT INBOX");
    let email = in_parentheses(&imap.ok("FETCH 1 EMAILID")[0], "EMAILID");
    let mut http = instance.http();
    let mailboxes = call(&mut http, "Mailbox/get", json!({ "accountId": "alice", "ids": [mailbox] }));
    assert_eq!(mailboxes["list"][0]["role"], "inbox", "{mailboxes}");
    let emails = call(
        &mut http,
        "Email/get",
        json!({ "accountId": "alice", "ids": [email], "properties": ["mailboxIds"] }),
    );
    assert_eq!(emails["list"][0]["mailboxIds"], json!({ mailbox: true }), "{emails}");
}

#[test]
fn it_is_told_to_nobody_for_whom_it_is_not_true() {
    let instance = created();
    let mut tool = instance.tool("dirutil"); // a password for this service alone
    let printed = run(tool.args(["app-password", "add", "alice", "--label", "x", "--services", "imap"]));
    run(instance.tool("dirutil").args(["change", "bob", "--set", "nsmsgDisallowAccess=http"]));
    let instance = started(instance);
    let mut stranger = Wire::plain(instance.connect(black_box::instance::IMAP));
    assert!(!stranger.line().contains("JMAPACCESS"), "not before the log-in");
    stranger.send(b"a CAPABILITY\r\n");
    assert!(!stranger.line().contains("JMAPACCESS"), "not before the log-in");
    let mut admin = instance.imap("admin");
    assert!(!told(&mut admin), "an administrator sees more by IMAP");
    admin.ok("PROXYAUTH alice");
    assert!(!told(&mut admin), "the credential is another's");
    let mut phone = Imap::open(instance.connect(black_box::instance::IMAP));
    phone.ok(&format!("LOGIN alice {}", printed.trim().split_once(' ').unwrap().1));
    assert!(!told(&mut phone));
    assert!(!told(&mut instance.imap("bob")));
    assert!(told(&mut instance.imap("alice")));
}

#[test]
fn without_an_address_or_without_web_mail_there_is_none() {
    for (name, value) in
        [("service.imap.jmapurl", "http://mail.example.test/"), ("service.http.enable", "no")]
    {
        let mut instance =
            Setup::default().users(&["alice"]).set("service.imap.jmapurl", URL).set(name, value).create();
        instance.start_one("store");
        instance.start_one("imap");
        assert!(!told(&mut instance.imap("alice")), "{name}");
    }
}
