//! One suite for every kind of directory: what users see and what daemons do is the same with the embedded file, with
//! OpenLDAP and with 389 Directory Server.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::directories::{Kind, Server, Site};
use black_box::instance::{IMAP, POP, SUBMISSION, wait_for};
use black_box::slapd::BIND_SECRET;
use black_box::{Imap, Instance, Pop, Setup, Smtp, WebClient, run};
use serde_json::json;

/// Entries of a page of a search, and some more.
const MANY: usize = 620;

fn users() -> Setup {
    Setup::default().users(&["alice", "bob", "carol", "dave"])
}

fn dirutil(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("dirutil").args(arguments))
}

fn set(instance: &Instance, user: &str, values: &[&str]) {
    values.iter().for_each(|value| drop(dirutil(instance, &["change", user, "--add", value])));
}

fn import(instance: &Instance, text: &str) {
    let file = instance.path("entries.ldif");
    fs::write(&file, text).unwrap();
    dirutil(instance, &["import", file.to_str().unwrap()]);
}

fn imap_at(instance: &Instance, address: [u8; 4], user: &str, password: &str) -> String {
    Imap::open(instance.connect_from(address, IMAP)).command(&format!("LOGIN {user} {password}")).1
}

fn imap(instance: &Instance, user: &str, password: &str) -> String {
    Imap::open(instance.connect(IMAP)).command(&format!("LOGIN {user} {password}")).1
}

fn pop(instance: &Instance, user: &str, password: &str) -> String {
    let mut pop = Pop::open(instance.connect(POP));
    pop.ok(&format!("USER {user}"));
    let reply = pop.ask(&format!("PASS {password}"));
    if reply.starts_with("+OK") {
        pop.ok("QUIT"); // the maildrop is free again
    }
    reply
}

fn smtp(instance: &Instance, user: &str, password: &str) -> String {
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO client.example");
    smtp.ask(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}"))))
}

fn http(instance: &Instance, user: &str, password: &str) -> u16 {
    instance.http().try_sign_in(user, password, "").status
}

/// Whether IMAP, POP, SMTP and web mail take it.
fn opens(instance: &Instance, user: &str, password: &str) -> [bool; 4] {
    [
        imap(instance, user, password).starts_with("OK"),
        pop(instance, user, password).starts_with("+OK"),
        smtp(instance, user, password).starts_with("235"),
        http(instance, user, password) == 200,
    ]
}

/// The reply to RCPT of a stranger.
fn rcpt(instance: &Instance, address: &str) -> String {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<a@example.org>");
    smtp.ask(&format!("RCPT TO:<{address}>"))
}

fn post(instance: &Instance, from: &str, to: &[&str], subject: &str) {
    let mut smtp = instance.submission(from);
    let text = format!("Subject: {subject}\r\nTo: {}\r\n\r\nx\r\n", to.join(", "));
    smtp.send_message(&format!("{from}@example.test"), to, &text);
}

fn count(instance: &Instance, user: &str) -> u32 {
    instance.imap(user).exists("INBOX")
}

/// Who knows the password is in, by every protocol and every name; nobody else is, and no name becomes a filter.
fn log_ins(kind: Kind) {
    let site = Site::start(kind, users(), |instance| {
        set(instance, "alice", &["mailAlternateAddress=a.smith@example.test", "cn=Smith (Jr.) \\ *, \"A\""]);
    });
    let instance = &site.instance;
    for name in ["alice", "ALICE", "alice@example.test", "A.Smith@Example.TEST"] {
        assert_eq!(opens(instance, name, "alice-secret"), [true; 4], "{name}");
    }
    assert_eq!(opens(instance, "alice", "bob-secret"), [false; 4]);
    for (user, password) in [("bob", "\"\""), ("nobody", "wrong"), ("\"*\"", "alice-secret")] {
        assert!(imap(instance, user, password).starts_with("NO [AUTHENTICATIONFAILED]"), "{user}");
    }
    for user in ["al*ce", "alice)(uid=*", "alice\\2a", "uid=alice,ou=People,o=example.test"] {
        assert!(smtp(instance, user, "alice-secret").starts_with("535"), "{user}");
    }
    for address in
        ["nobody@example.test", "*@example.test", "\"*)(uid=*\"@example.test", "al\\2a@example.test"]
    {
        assert!(rcpt(instance, address).starts_with('5'), "{address}: {}", rcpt(instance, address));
    }
    assert!(rcpt(instance, "alice@example.test").starts_with("250"));
    assert!(!instance.logs().contains(BIND_SECRET), "the credential is in no log");
}

/// Addresses in any case, further ones, whatever nobody has, and the one that two have.
fn addresses(kind: Kind) {
    let site = Site::start(kind, users(), |instance| {
        set(instance, "alice", &["mailAlternateAddress=a.smith@example.test"]);
        set(instance, "bob", &["mailAlternateAddress=@example.test"]);
        // dirutil would not let two have it.
        let file = instance.path("config/directory.ldif");
        let mut text = fs::read_to_string(&file).unwrap();
        for user in ["carol", "dave"] {
            let line = format!("uid: {user}\n");
            text = text.replace(&line, &format!("{line}mailAlternateAddress: shared@example.test\n"));
        }
        fs::write(&file, text).unwrap();
    });
    let instance = &site.instance;
    let to = ["A.SMITH@Example.TEST", "whoever@example.test", "ALICE@example.test"];
    post(instance, "carol", &to, "by any name");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
    assert_eq!((count(instance, "alice"), count(instance, "bob")), (1, 1));
    let reply = rcpt(instance, "shared@example.test");
    assert!(!reply.starts_with('5'), "two have it, so nobody is unknown: {reply}");
    assert_eq!((count(instance, "carol"), count(instance, "dave")), (0, 0));
}

fn group(name: &str, class: &str, lines: &str) -> String {
    format!(
        "dn: cn={name},ou=Groups,o=example.test\nobjectClass: top\nobjectClass: {class}\nobjectClass: mailGroup\n\
         cn: {name}\nmail: {name}@example.test\n{lines}\n"
    )
}

/// Members by address, by DN and by a search that has more than one page.
fn groups(kind: Kind) {
    let by_dn =
        "uniqueMember: uid=alice,ou=People,o=example.test\nuniqueMember: uid=bob,ou=People,o=example.test\n";
    let mut text = group("named", "groupOfUniqueNames", by_dn);
    text += &group("found", "groupOfURLs", "memberURL: ldap:///ou=People,o=example.test??sub?(l=Many)\n");
    text += &group(
        "all",
        "groupOfURLs",
        "mgrpRFC822MailMember: named@example.test\nmgrpRFC822MailMember: dave@example.test\n",
    );
    for n in 0..MANY {
        // All but the last send it on to one mailbox.
        let more = if n + 1 == MANY { "alice" } else { "carol" };
        let _ = write!(
            text,
            "dn: uid=m{n:03},ou=People,o=example.test\nobjectClass: top\nobjectClass: person\n\
             objectClass: organizationalPerson\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\n\
             objectClass: nsMessagingServerUser\nuid: m{n:03}\ncn: m\nsn: m\nl: Many\nmail: m{n:03}@example.test\n\
             mailForwardingAddress: {more}@example.test\n\n"
        );
    }
    let site = Site::start(kind, users(), |instance| import(instance, &text));
    let instance = &site.instance;
    post(instance, "carol", &["all@example.test"], "to all");
    for user in ["alice", "bob", "dave"] {
        instance.wait_for_messages(user, 1);
    }
    post(instance, "bob", &["found@example.test"], "to those found");
    instance.wait_for_messages("carol", 1);
    instance.wait_for_messages("alice", 2);
    instance.wait_for_empty_queue();
    assert_eq!((count(instance, "alice"), count(instance, "bob")), (2, 1));
}

/// Forwarding with and without a copy, an answer in the reader's language while it lasts, and quotas.
fn forwarding_vacation_and_quota(kind: Kind) {
    let site = Site::start(kind, users().set("store.quotaenforcement", "yes"), |instance| {
        set(instance, "alice", &["mailForwardingAddress=bob@example.test", "mailQuota=102400"]);
        let away = ["mailAutoReplyMode=vacation", "mailAutoReplyText=away for long", "nsmsgNumMsgQuota=3"];
        set(instance, "bob", &away);
        set(instance, "bob", &["mailAutoReplyText;lang-de=lange fort"]);
        set(instance, "admin", &["preferredLanguage=de"]);
        set(instance, "carol", &["mailAutoReplyMode=vacation", "mailAutoReplyText=was away"]);
        set(instance, "carol", &["vacationStartDate=20200101", "vacationEndDate=20200102"]);
        dirutil(instance, &["change", "dave", "--remove", "mailDeliveryOption"]);
        set(instance, "dave", &["mailForwardingAddress=carol@example.test"]);
    });
    let instance = &site.instance;
    post(instance, "admin", &["alice@example.test"], "a copy each");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    post(instance, "admin", &["dave@example.test"], "onward");
    instance.wait_for_messages("carol", 1);
    post(instance, "admin", &["bob@example.test"], "are you there");
    instance.wait_for_messages("bob", 2);
    wait_for("the answer", || (count(instance, "admin") > 0).then_some(()));
    instance.wait_for_empty_queue();
    let mut admin = instance.imap("admin");
    assert_eq!(admin.exists("INBOX"), 1, "carol is back, and dave keeps nothing");
    admin.ok("EXAMINE INBOX");
    let answer = admin.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(answer.contains("Content-Language: de"), "{answer}");
    assert_eq!(count(instance, "dave"), 0);
    let quota = |user: &str| instance.imap(user).ok(&format!("GETQUOTA \"user/{user}\"")).concat();
    assert!(quota("alice").contains(" 100)"), "{}", quota("alice"));
    assert!(quota("bob").contains("MESSAGE 2 3"), "{}", quota("bob"));
    let mut bob = instance.imap("bob");
    bob.append("INBOX", "", "Subject: the third\r\n\r\nx\r\n");
    let said = bob.command("APPEND INBOX {4+}\r\na\r\n").1;
    assert!(said.starts_with("NO [OVERQUOTA]"), "{said}");
}

/// S109, S136: services and places a user is kept out of; who is not active is kept out of everything.
fn access_rules(kind: Kind) {
    let site = Site::start(kind, users(), |instance| {
        set(instance, "bob", &["nsmsgDisallowAccess=pop", "nsmsgDisallowAccess=http"]);
        set(instance, "carol", &["mailAccessDomain=+imap:127.9.$-ALL:ALL"]);
        set(instance, "dave", &["mailUserStatus=inactive"]);
    });
    let instance = &site.instance;
    assert_eq!(opens(instance, "alice", "alice-secret"), [true; 4]);
    assert_eq!(opens(instance, "bob", "bob-secret"), [true, false, true, false]);
    assert!(imap_at(instance, [127, 9, 0, 2], "carol", "carol-secret").starts_with("OK"));
    assert!(!imap_at(instance, [127, 8, 0, 2], "carol", "carol-secret").starts_with("OK"));
    assert!(!pop(instance, "carol", "carol-secret").starts_with("+OK"));
    assert_eq!(opens(instance, "dave", "dave-secret"), [false; 4]);
    assert!(!imap(instance, "dave", "wrong").starts_with("OK"));
}

/// S126: one value is written, with its language, and nothing else is touched: neither what others keep in the entry nor
/// the same attribute of another language.
fn a_preference_is_one_value(kind: Kind) {
    let site = Site::start(kind, users(), |instance| {
        let kept = ["nswmExtendedUserPrefs=otherProgram=A b", "mailAutoReplyText;lang-fr=absente", "l=Bonn"];
        set(instance, "alice", &kept);
        set(instance, "alice", &["description=kept $ as it is", "nswmExtendedUserPrefs=OtherProgram=2"]);
    });
    let mut seen = site.entry("alice");
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    let line = |name: &str, value: &str| format!("{name}: {value}");
    let mut step = |kind: &str, patch: serde_json::Value, gone: &[String], come: &[String]| {
        alice.update(kind, patch);
        let now = site.entry("alice");
        let lines = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
        let differ =
            |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<BTreeSet<_>>();
        assert_eq!((differ(&seen, &now), differ(&now, &seen)), (lines(gone), lines(come)), "{kind}");
        seen = now;
    };
    let size = |rows: u32| line("nswmExtendedUserPrefs", &format!("meViewSize={rows}"));
    step("Preferences", json!({ "viewSize": 30 }), &[], &[size(30)]);
    step("Preferences", json!({ "viewSize": 60 }), &[size(30)], &[size(60)]);
    step("Preferences", json!({ "language": "ja" }), &[], &[line("preferredLanguage", "ja")]);
    let vacation = |text: &str| json!({ "isEnabled": true, "textBody": text });
    let text = |text: &str| format!("mailAutoReplyText;lang-ja:: {}", STANDARD.encode(text));
    let mode = line("mailAutoReplyMode", "vacation");
    step("VacationResponse", vacation("不在"), &[], &[text("不在"), mode.clone()]);
    step("VacationResponse", vacation("出張"), &[text("不在")], &[text("出張")]);
}

/// What stands in an entry opens what it says: an app password its service, a second factor web mail alone.
fn app_passwords_and_second_factors(kind: Kind) {
    let mut phone = String::new();
    let site = Site::start(kind, users(), |instance| {
        let made =
            dirutil(instance, &["app-password", "add", "alice", "--label", "Phone", "--services", "imap"]);
        phone = made.trim().split_once(' ').unwrap().1.to_owned();
        dirutil(instance, &["second-factor", "bob", "on"]);
    });
    let instance = &site.instance;
    assert_eq!(opens(instance, "alice", &phone), [true, false, false, false]);
    assert_eq!(opens(instance, "alice", "alice-secret"), [true; 4]);
    for _ in 0..2 {
        assert!(!imap(instance, "bob", "bob-secret").starts_with("OK"), "bob has a second factor");
    }
    if let Some(Server::OpenLdap(slapd)) = &site.server {
        let before = slapd.searches();
        assert!(imap(instance, "alice", &phone).starts_with("OK"));
        assert_eq!(slapd.searches(), before, "it is remembered");
    }
}

/// RFC 6238 with what apps use: six digits, half a minute, SHA-1; of a secret in base32.
fn code_of(secret: &str) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = secret
        .bytes()
        .map(|letter| format!("{:05b}", digits.iter().position(|one| *one == letter).unwrap()))
        .collect();
    let key: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |v, bit| v << 1 | (bit - b'0')))
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 30;
    let key = openssl::pkey::PKey::hmac(&key).unwrap();
    let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha1(), &key).unwrap();
    signer.update(&now.to_be_bytes()).unwrap();
    let mac = signer.sign_to_vec().unwrap();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The user sets a second factor up: by a first code and the password, both of them right; and takes it away again. What the
/// directory keeps is sealed.
fn a_second_factor_is_set_up_by_its_user(kind: Kind) {
    // What other daemons remember of the password would go on working for as long.
    let site = Site::start(kind, users(), |instance| instance.set("service.authcachettl", "0"));
    let instance = &site.instance;
    let mut alice = WebClient::sign_in(instance, "alice");
    assert_eq!(alice.single("SecondFactor")["isOn"], false);
    let begun = alice.call("SecondFactor/begin", json!({}));
    let (secret, pending) = (begun["secret"].as_str().unwrap().to_owned(), begun["pending"].clone());
    let url = begun["url"].as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/") && url.contains(&format!("secret={secret}&")), "{url}");
    let mut codes = Vec::new();
    let mut set = |is_on: bool, pending: &serde_json::Value, code: &str, password: &str| {
        let asked = json!({ "isOn": is_on, "pending": pending, "code": code, "password": password });
        let answer = alice.call("SecondFactor/set", asked);
        let shown = answer["recoveryCodes"].as_array().into_iter().flatten();
        codes.extend(shown.map(|code| code.as_str().unwrap().to_owned()));
        answer["type"].as_str().unwrap_or(if answer["isOn"] == true { "on" } else { "off" }).to_owned()
    };
    assert_eq!(set(true, &pending, &code_of(&secret), "wrong"), "wrongPassword");
    assert_eq!(set(true, &pending, "12345", "alice-secret"), "wrongCode");
    let mut bob = WebClient::sign_in(instance, "bob");
    let foreign = bob.call("SecondFactor/begin", json!({}));
    let code = code_of(foreign["secret"].as_str().unwrap());
    assert_eq!(set(true, &foreign["pending"], &code, "alice-secret"), "invalidArguments", "it is bob's");
    assert_eq!(set(true, &json!("{AES-256-GCM}AAAA"), &code, "alice-secret"), "invalidArguments");
    assert_eq!(opens(instance, "alice", "alice-secret"), [true; 4], "nothing has changed");
    let first = code_of(&secret);
    assert_eq!(set(true, &pending, &first, "alice-secret"), "on");
    assert_eq!(set(true, &pending, &first, "alice-secret"), "alreadyExists");
    let kept = site.entry("alice");
    assert!(kept.iter().any(|line| line.starts_with("mailTotpSecret")), "{kept:?}");
    assert!(!kept.iter().any(|line| line.contains(&secret)), "it is sealed");
    wait_for("the password to open nothing by itself", || {
        (opens(instance, "alice", "alice-secret") == [false; 4]).then_some(())
    });
    assert_eq!(set(false, &json!(null), &first, "alice-secret"), "wrongCode", "it is used");
    wait_for("the next code", || (code_of(&secret) != first).then_some(()));
    assert_eq!(set(false, &json!(null), &code_of(&secret), "alice-secret"), "off");
    wait_for("the password to be enough", || {
        (opens(instance, "alice", "alice-secret") == [true; 4]).then_some(())
    });
    recovery_codes(&site, alice, &codes);
    assert!(instance.log("http").contains("second factor off"));
    let audit = instance.log("audit");
    for (result, times) in [("on", 2), ("off", 2), ("codes-renewed", 1)] {
        let lines = audit.lines().filter(|line| line.contains("second-factor user=alice from="));
        assert_eq!(
            lines.filter(|line| line.ends_with(&format!("result={result}"))).count(),
            times,
            "{audit}"
        );
    }
}

/// Who has lost the app: of the codes that were shown at the beginning, or of newer ones, each stands in for a code of the app
/// once, here to make others and to turn the factor off. `former` are those of a factor that was turned off.
fn recovery_codes(site: &Site, mut alice: WebClient, former: &[String]) {
    assert_eq!(former.len(), 10, "{former:?}");
    let kept = |site: &Site| {
        site.entry("alice").into_iter().filter(|line| line.starts_with("mailRecoveryCode")).count()
    };
    assert_eq!(kept(site), 0, "they went with the factor");
    let begun = alice.call("SecondFactor/begin", json!({}));
    let secret = begun["secret"].as_str().unwrap();
    // The user has used a code of this half minute, if of another secret.
    let first = code_of(secret);
    wait_for("the next code", || (code_of(secret) != first).then_some(()));
    let first = code_of(secret);
    let on = json!({ "isOn": true, "pending": begun["pending"], "code": first, "password": "alice-secret" });
    let answer = alice.call("SecondFactor/set", on);
    let shown = |answer: &serde_json::Value| -> Vec<String> {
        let codes = answer["recoveryCodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
        codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    };
    let codes = shown(&answer);
    assert_eq!(kept(site), 10);
    let stored = site.entry("alice").into_iter().collect::<Vec<_>>().join("\n").to_lowercase();
    assert!(!codes.iter().any(|code| stored.contains(&code.replace('-', ""))), "they are hashed");
    let mut renew = |code: &str, password: &str| {
        alice.call("SecondFactor/renew", json!({ "code": code, "password": password }))
    };
    assert_eq!(renew(&codes[0], "wrong")["type"], "wrongPassword");
    assert_eq!(renew(&former[0], "alice-secret")["type"], "wrongCode");
    let newer = shown(&renew(&codes[0], "alice-secret"));
    assert_eq!((newer.len(), kept(site)), (10, 10));
    assert_eq!(renew(&codes[1], "alice-secret")["type"], "wrongCode", "there are newer ones");
    let off = json!({ "isOn": false, "code": newer[3], "password": "alice-secret" });
    assert_eq!(alice.single("SecondFactor")["recoveryCodesLeft"], 10);
    assert_eq!(alice.call("SecondFactor/set", off)["isOn"], false);
    assert_eq!(alice.single("SecondFactor")["recoveryCodesLeft"], 0);
    assert_eq!(kept(site), 0);
}

/// A directory that is down is nobody's fault but ours: 451, UNAVAILABLE, and nothing is refused for good. The embedded one
/// cannot be down: while its file is away, what it said goes on.
fn a_directory_that_is_down_makes_clients_come_again(kind: Kind) {
    // What is remembered would go on working.
    let mut site = Site::start(kind, users(), |instance| instance.set("service.authcachettl", "0"));
    assert!(imap(&site.instance, "alice", "alice-secret").starts_with("OK"));
    let mut session = site.instance.smtp();
    session.ok("EHLO client.example.org");
    session.ok("MAIL FROM:<a@example.org>");
    session.ok("RCPT TO:<alice@example.test>");
    let file = site.instance.path("config/directory.ldif");
    let Some(server) = &mut site.server else { return the_file_is_away(&site.instance, &mut session, &file) };
    server.stop();
    for address in ["bob@example.test", "nobody@example.test"] {
        let reply = session.ask(&format!("RCPT TO:<{address}>"));
        assert!(reply.starts_with("451"), "{address}: {reply}");
    }
    let reply = imap(&site.instance, "alice", "alice-secret");
    assert!(reply.starts_with("NO [UNAVAILABLE]"), "{reply}");
    let reply = pop(&site.instance, "alice", "alice-secret");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    let reply = smtp(&site.instance, "alice", "alice-secret");
    assert!(reply.starts_with("454"), "{reply}");
    assert_eq!(http(&site.instance, "alice", "alice-secret"), 503);
    server.start_again();
    wait_for("log-ins to work again", || {
        imap(&site.instance, "alice", "alice-secret").starts_with("OK").then_some(())
    });
    wait_for("recipients to be known again", || {
        session.ask("RCPT TO:<bob@example.test>").starts_with("250").then_some(())
    });
    assert!(session.ask("RCPT TO:<nobody@example.test>").starts_with("550"));
    site.instance.send("alice", "after all");
    site.instance.wait_for_messages("alice", 1);
}

fn the_file_is_away(instance: &Instance, session: &mut Smtp, file: &Path) {
    fs::rename(file, file.with_extension("away")).unwrap();
    wait_for("the log to tell it", || {
        assert!(imap(instance, "alice", "alice-secret").starts_with("OK"));
        instance.log("imap").contains("stays in use").then_some(())
    });
    session.ok("RCPT TO:<bob@example.test>");
    assert!(session.ask("RCPT TO:<nobody@example.test>").starts_with("550"));
    instance.send("alice", "after all");
    instance.wait_for_messages("alice", 1);
}

black_box::in_every_directory! {
    log_ins
    addresses
    groups
    forwarding_vacation_and_quota
    access_rules
    a_preference_is_one_value
    app_passwords_and_second_factors
    a_second_factor_is_set_up_by_its_user
    a_directory_that_is_down_makes_clients_come_again
}

/// A directory of an earlier version, where nobody may write recovery codes: a second factor that is on goes off, and who turns
/// one on is told what is missing, and has none.
#[test]
fn without_the_attribute_of_recovery_codes_a_second_factor_can_be_turned_off_and_the_error_names_it() {
    let mut secret = String::new();
    let setup = users().set("service.authcachettl", "0");
    let access = "access to attrs=mailRecoveryCode by * none\n";
    let mut site = Site::create_with(Kind::OpenLdap, setup, access, |instance| {
        let made = dirutil(instance, &["second-factor", "alice", "on"]);
        dirutil(instance, &["second-factor", "alice", "clear-codes"]);
        secret = made.split("secret=").nth(1).unwrap().split(['&', '\n', ' ']).next().unwrap().to_owned();
    });
    site.instance.start_all();
    site.instance.start_one("http");
    let has = |site: &Site| site.entry("alice").iter().any(|line| line.starts_with("mailTotpSecret"));
    assert!(has(&site));
    let first = code_of(&secret);
    let mut alice = WebClient::sign_in_by_code(&site.instance, "alice", "alice-secret", &first);
    wait_for("the next code", || (code_of(&secret) != first).then_some(()));
    let mut set = |is_on: bool, pending: &serde_json::Value, code: &str| {
        let asked = json!({ "isOn": is_on, "pending": pending, "code": code, "password": "alice-secret" });
        alice.call("SecondFactor/set", asked)
    };
    let answer = set(false, &json!(null), &code_of(&secret));
    assert_eq!(answer["isOn"], false, "{answer}");
    assert!(!has(&site));
    let mut bob = WebClient::sign_in(&site.instance, "bob");
    let begun = bob.call("SecondFactor/begin", json!({}));
    let code = code_of(begun["secret"].as_str().unwrap());
    let on = json!({ "isOn": true, "pending": begun["pending"], "code": code, "password": "bob-secret" });
    let answer = bob.call("SecondFactor/set", on);
    assert_eq!(answer["type"], "serverFail", "{answer}");
    let missing = "mailTotpSecret, mailRecoveryCode";
    assert!(answer["description"].as_str().unwrap().ends_with(missing), "{answer}");
    assert!(site.instance.log("http").contains(missing), "the administrator is told");
    assert_eq!(bob.single("SecondFactor")["isOn"], false);
    assert_eq!(opens(&site.instance, "bob", "bob-secret"), [true; 4]);
}

/// dirutil changes the file, which nobody reads then.
#[test]
fn dirutil_says_that_the_daemons_ask_another_directory() {
    let site = Site::create(Kind::OpenLdap, Setup::default(), |_| {});
    let told = site.instance.tool("dirutil").args(["add", "user", "carol"]).output().unwrap();
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("an LDAP server is configured"), "{told}");
}
