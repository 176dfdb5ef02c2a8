//! URLAUTH (RFC 4467) and URLAUTH=BINARY (RFC 5524).

use super::*;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use black_box::instance::wait_for;

const PICTURE: &str = "From: Amy <amy@example.org>\r\nSubject: picture\r\nMIME-Version: 1.0\r\n\
     Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlook!\r\n--b\r\nContent-Type: image/png\r\n\
     Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoA\r\n--b\r\nContent-Type: image/x\r\n\
     Content-Transfer-Encoding: x-own\r\n\r\nabc\r\n--b--\r\n";

/// A URL of alice's first message, with this behind it.
fn url(rest: &str) -> String {
    format!("imap://alice@localhost/INBOX/;UID=1{rest}")
}

/// The URL as GENURLAUTH gives it away.
fn authorized(imap: &mut Imap, url: &str) -> String {
    let line = imap.ok(&format!("GENURLAUTH \"{url}\" INTERNAL")).remove(0);
    let full = line.strip_prefix("* GENURLAUTH \"").unwrap().strip_suffix('"').unwrap().to_owned();
    let token = full.strip_prefix(&format!("{url}:INTERNAL:")).unwrap();
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    full
}

/// What URLFETCH says of a URL; nothing for NIL.
fn fetched(imap: &mut Imap, url: &str) -> Option<String> {
    let text = imap.ok(&format!("URLFETCH \"{url}\"")).join("\r\n");
    let value = text.strip_prefix(&format!("* URLFETCH \"{url}\" ")).unwrap_or_else(|| panic!("{text}"));
    if value == "NIL" {
        return None;
    }
    let (size, rest) = value.strip_prefix('{').unwrap().split_once("}\r\n").unwrap();
    Some(rest[..size.parse().unwrap()].to_owned())
}

/// alice with a message in her INBOX, and bob.
fn alice_and_bob() -> (Instance, Imap, Imap) {
    let instance = Instance::start();
    let (mut alice, bob) = (instance.imap("alice"), instance.imap("bob"));
    assert!(alice.append("INBOX", "", PICTURE).starts_with("OK"));
    (instance, alice, bob)
}

#[test]
fn who_has_a_url_reads_what_it_names_and_nothing_else() {
    let (_instance, mut alice, mut bob) = alice_and_bob();
    assert!(is_offered(&mut alice, "URLAUTH") && is_offered(&mut alice, "URLAUTH=BINARY"));
    // Without any mailbox selected, and another one.
    let part = authorized(&mut alice, &url("/;SECTION=1;URLAUTH=anonymous"));
    assert_eq!(fetched(&mut bob, &part).as_deref(), Some("look!"));
    let lines = bob.ok("SELECT INBOX");
    assert!(lines.iter().any(|line| line.starts_with("* OK [URLMECH INTERNAL]")), "{lines:?}");
    let whole = authorized(&mut alice, &url(";URLAUTH=authuser"));
    assert_eq!(fetched(&mut bob, &whole).as_deref(), Some(PICTURE));
    let range =
        authorized(&mut alice, &url("/;SECTION=HEADER.FIELDS%20(SUBJECT)/;PARTIAL=9.7;urlauth=anonymous"));
    assert_eq!(fetched(&mut bob, &range).as_deref(), Some("picture"));
    // A message has not become \Seen, and its owner may use a URL too.
    assert_eq!(fetched(&mut alice, &part).as_deref(), Some("look!"));
    alice.ok("SELECT INBOX");
    assert!(!alice.ok("FETCH 1 FLAGS")[0].contains("\\Seen"));
    // Any other URL than the one that was authorized is none.
    for (from, to) in
        [("SECTION=1", "SECTION=2"), ("UID=1", "UID=2"), ("alice@", "bob@"), ("anonymous", "authuser")]
    {
        assert_eq!(fetched(&mut bob, &part.replacen(from, to, 1)), None, "{from}");
    }
    let last = part.chars().last().unwrap();
    let other = if last == '0' { '1' } else { '0' };
    assert_eq!(fetched(&mut bob, &format!("{}{other}", &part[..part.len() - 1])), None);
    assert_eq!(fetched(&mut bob, &format!("{part}0")), None);
    // Two in one command; what is no URL is NIL, and an expunged message.
    let two = bob.ok(&format!("URLFETCH imap://x \"{part}\""));
    assert_eq!(two[0], "* URLFETCH \"imap://x\" NIL");
    assert!(two[1].contains("{5}"), "{two:?}");
    alice.ok("STORE 1 +FLAGS (\\Deleted)");
    alice.ok("EXPUNGE");
    assert_eq!(fetched(&mut bob, &part), None);
}

/// What authorizes a URL is as good as a password for what it names; so is a password in a command that is refused.
#[test]
fn records_of_sessions_have_no_token() {
    let instance = Instance::start();
    let folder = instance.path("log/imap/telemetry/alice");
    fs::create_dir_all(&folder).unwrap();
    let mut alice = instance.imap("alice");
    assert!(alice.append("INBOX", "", PICTURE).starts_with("OK"));
    let made = authorized(&mut alice, &url("/;SECTION=1;URLAUTH=anonymous"));
    let token = made.rsplit(':').next().unwrap().to_owned();
    assert_eq!(fetched(&mut alice, &made).as_deref(), Some("look!"));
    let literal = format!("URLFETCH {{{}+}}\r\n{made}", made.len());
    assert!(alice.ok(&literal).join("").contains("look!"));
    alice.ok(&format!("URLFETCH \"{made}\" {{{}+}}\r\n{made} \"{made}\"", made.len()));
    alice.refused(&format!("URLFETCH \"{made}"));
    alice.refused("LOGIN {5+}\r\nalice {12+}\r\nalice-secret");
    alice.ok("STATUS INBOX (MESSAGES)");
    alice.ok("NOOP");
    let text = wait_for("the record", || {
        let file = fs::read_dir(&folder).ok()?.next()?.ok()?.path();
        fs::read_to_string(file).ok().filter(|text| text.contains("NOOP completed"))
    });
    for secret in [&token, "alice-secret"] {
        assert!(!text.contains(secret), "{secret} is in the record: {text}");
    }
    // What comes before and behind is there.
    for said in [
        "GENURLAUTH \"imap:",
        "URLFETCH <masked>",
        " LOGIN <masked>",
        " STATUS INBOX (MESSAGES)",
        " NOOP",
        "* STATUS \"INBOX\" ",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let masked = text.lines().filter(|line| line.starts_with('>') && line.ends_with(" <masked>"));
    assert!(masked.count() >= 4, "{text}");
}

#[test]
fn a_url_is_for_whom_it_says() {
    let (instance, mut alice, mut bob) = alice_and_bob();
    let mut admin = instance.imap("admin");
    for (access, of_alice, of_bob, of_admin) in [
        ("anonymous", true, true, true),
        ("authuser", true, true, true),
        ("user+bob", false, true, false),
        ("user+alice", true, false, false),
        ("submit+alice", false, false, true),
        ("submit+nobody", false, false, false),
        ("submit+admin", false, false, false), // as PROXYAUTH: nobody acts for an administrator
    ] {
        let url = authorized(&mut alice, &url(&format!("/;SECTION=1;URLAUTH={access}")));
        for (imap, expected) in [(&mut alice, of_alice), (&mut bob, of_bob), (&mut admin, of_admin)] {
            assert_eq!(fetched(imap, &url).is_some(), expected, "{access}");
        }
    }
    // Who acts for bob is bob.
    let url = authorized(&mut alice, &url("/;SECTION=1;URLAUTH=user+bob"));
    admin.ok("PROXYAUTH bob");
    assert!(fetched(&mut admin, &url).is_some());
    // Before the log-in nobody is anybody.
    let mut nobody = Imap::open(instance.connect(black_box::instance::IMAP));
    assert!(nobody.refused(&format!("URLFETCH \"{url}\"")).starts_with("BAD"));
}

/// RFC 4467 section 3: the account of ANONYMOUS is no authorized user.
#[test]
fn a_url_for_users_is_not_for_the_anonymous_account() {
    let instance = black_box::Setup::default().set("service.anonymoususer", "bob").start();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    assert!(alice.append("INBOX", "", PICTURE).starts_with("OK"));
    let users = authorized(&mut alice, &url(";URLAUTH=authuser"));
    let all = authorized(&mut alice, &url(";URLAUTH=anonymous"));
    assert!(fetched(&mut bob, &users).is_none() && fetched(&mut bob, &all).is_some());
    assert!(fetched(&mut alice, &users).is_some());
}

#[test]
fn a_url_ends_with_its_time_its_key_and_its_makers_rights() {
    let (mut instance, mut alice, mut bob) = alice_and_bob();
    let rest = |moment: &str| url(&format!("/;SECTION=1;EXPIRE={moment};URLAUTH=anonymous"));
    let past = authorized(&mut alice, &rest("2001-01-01T00:00:00+01:00"));
    let future = authorized(&mut alice, &rest("2199-12-31T23:59:59.5Z"));
    assert_eq!(fetched(&mut bob, &past), None);
    assert_eq!(fetched(&mut bob, &past.replacen("2001", "2199", 1)), None);
    assert!(fetched(&mut bob, &future).is_some());
    // Keys are of one mailbox, are only for its owner's eyes, and stay over a kill.
    alice.ok("CREATE Work");
    assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    let work = authorized(&mut alice, "imap://alice@localhost/Work/;UID=1;URLAUTH=anonymous");
    instance.kill("imap");
    instance.start_one("imap");
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    assert!(fetched(&mut bob, &future).is_some() && fetched(&mut bob, &work).is_some());
    let table = walk(&instance.path("store/partition"), "store.key");
    assert_eq!(fs::metadata(&table).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(alice.command("RESETKEY INBOX INTERNAL").1.starts_with("OK [URLMECH INTERNAL]"));
    assert!(fetched(&mut bob, &future).is_none() && fetched(&mut bob, &work).is_some());
    let anew = authorized(&mut alice, &rest("2199-12-31T23:59:59.5Z"));
    assert!(anew != future && fetched(&mut bob, &anew).is_some());
    // A renamed mailbox has another URL, with the same key.
    alice.ok("RENAME Work Play");
    assert_eq!(fetched(&mut bob, &work), None);
    alice.ok("RENAME Play Work");
    assert!(fetched(&mut bob, &work).is_some());
    // A new mailbox of the same name has none of the old one's.
    alice.ok("DELETE Work");
    alice.ok("CREATE Work");
    assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    assert_eq!(fetched(&mut bob, &work), None);
    // A table that is damaged is none; the next URL makes it anew.
    let mut bytes = fs::read(&table).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&table, bytes).unwrap();
    assert_eq!(fetched(&mut bob, &anew), None);
    assert!(instance.log("imap").contains("store.key is damaged"), "{}", instance.log("imap"));
    let anew = authorized(&mut alice, &url(";URLAUTH=anonymous"));
    assert!(fetched(&mut bob, &anew).is_some());
    alice.ok("RESETKEY");
    assert_eq!(fetched(&mut bob, &anew), None);
    assert!(!table.exists());
    // bob's URL of alice's folder is good as long as bob may read that.
    alice.ok("SETACL INBOX bob lr");
    let shared =
        "imap://bob@localhost/Shared%20Folders/User/alice/INBOX/;UID=1/;SECTION=1;URLAUTH=user+alice";
    let shared = authorized(&mut bob, shared);
    assert!(fetched(&mut alice, &shared).is_some());
    alice.ok("RESETKEY"); // alice's own keys
    assert!(fetched(&mut alice, &shared).is_some());
    alice.ok("SETACL INBOX bob l");
    assert_eq!(fetched(&mut alice, &shared), None);
    bob.ok("RESETKEY \"Shared Folders/User/alice/INBOX\"");
    alice.ok("SETACL INBOX bob lr");
    assert_eq!(fetched(&mut alice, &shared), None);
}

/// The file of this name below a folder.
fn walk(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    panic!("no {name}");
}

#[test]
fn parts_come_decoded_and_with_their_structure() {
    let (_instance, mut alice, mut bob) = alice_and_bob();
    let mut fetch = |section: &str, items: &str| {
        let url = authorized(&mut alice, &url(&format!("{section};URLAUTH=anonymous")));
        let (untagged, end) = bob.raw(&format!("URLFETCH (\"{url}\" {items})"));
        assert!(end.starts_with("OK"), "{items}: {end}");
        let all = untagged.concat();
        let start = format!("* URLFETCH \"{url}\" ");
        assert!(all.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&all));
        String::from_utf8_lossy(&all[start.len()..]).trim_end_matches("\r\n").to_owned()
    };
    // 89 50 4e 47 0d 0a 1a 0a 00: there is a NUL.
    let png = "\u{fffd}PNG\r\n\u{1a}\n\0";
    assert_eq!(fetch("/;SECTION=2", "BINARY"), format!("(BINARY ~{{9}}\r\n{png})"));
    assert_eq!(fetch("/;SECTION=2/;PARTIAL=1.3", "BINARY"), "(BINARY {3}\r\nPNG)");
    assert_eq!(fetch("/;SECTION=2", "BODY"), "(BODY {12}\r\niVBORw0KGgoA)");
    let both = fetch("/;SECTION=2", "BODYPARTSTRUCTURE BINARY");
    let lower = both.to_lowercase();
    assert!(lower.starts_with("(bodypartstructure (\"image\" \"png\" nil nil nil \"base64\" 12"), "{both}");
    assert!(both.ends_with(&format!(") (BINARY ~{{9}}\r\n{png})")), "{both}");
    assert_eq!(fetch("/;SECTION=1", "BINARY"), "(BINARY {5}\r\nlook!)");
    assert_eq!(fetch("/;SECTION=3", "BINARY"), "(BINARY NIL)"); // an encoding that nobody knows
    assert!(fetch("", "BODYPARTSTRUCTURE").contains("\"mixed\""));
    assert_eq!(fetch("/;SECTION=9", "BODY BODYPARTSTRUCTURE"), "(BODY NIL) (BODYPARTSTRUCTURE NIL)");
    let header = fetch("/;SECTION=HEADER.FIELDS%20(SUBJECT)", "BINARY BODYPARTSTRUCTURE");
    assert_eq!(header, "(BINARY {20}\r\nSubject: picture\r\n\r\n) (BODYPARTSTRUCTURE NIL)");
}

#[test]
fn nobody_makes_a_url_of_what_is_not_his() {
    let (_instance, mut alice, mut bob) = alice_and_bob();
    let good = url(";URLAUTH=anonymous");
    for bad in [
        "imap://alice@localhost/INBOX;URLAUTH=anonymous",
        "imap://alice@localhost/;URLAUTH=anonymous",
        "imap://alice@localhost/INBOX/;UID=1",
        "imap://alice@localhost/INBOX/;UID=1;URLAUTH=everybody",
        "imap://alice@localhost/INBOX/;UID=1;URLAUTH=user+",
        "imap://alice@localhost/INBOX/;UID=1;EXPIRE=soon;URLAUTH=anonymous",
        "imap://localhost/INBOX/;UID=1;URLAUTH=anonymous",
        "imap://bob@localhost/INBOX/;UID=1;URLAUTH=anonymous",
        "imap://alice@elsewhere.example/INBOX/;UID=1;URLAUTH=anonymous",
        "imap://alice@localhost/Nowhere/;UID=1;URLAUTH=anonymous",
        "imap://alice@localhost/Shared%20Folders/User/bob/INBOX/;UID=1;URLAUTH=anonymous",
        "/INBOX/;UID=1;URLAUTH=anonymous",
    ] {
        all_bad(&mut alice, &[&format!("GENURLAUTH \"{bad}\" INTERNAL")]);
        // One of them spoils all.
        all_bad(&mut alice, &[&format!("GENURLAUTH \"{good}\" INTERNAL \"{bad}\" INTERNAL")]);
    }
    let full = authorized(&mut alice, &good);
    all_bad(
        &mut alice,
        &[&format!("GENURLAUTH \"{full}\" INTERNAL"), &format!("GENURLAUTH \"{good}\" XSAMPLE")],
    );
    all_bad(&mut alice, &["GENURLAUTH", &format!("GENURLAUTH \"{good}\"")]);
    all_bad(&mut alice, &["URLFETCH", "URLFETCH ()", "URLFETCH (x BODY BINARY)", "URLFETCH (x BODY BODY)"]);
    all_bad(&mut alice, &[&format!("URLFETCH{}", " x".repeat(101))]);
    assert!(alice.refused("RESETKEY Nowhere").starts_with("NO [NONEXISTENT]"));
    assert!(alice.refused("RESETKEY INBOX XSAMPLE").starts_with("NO"));
    assert!(bob.refused("RESETKEY \"Shared Folders/User/alice/INBOX\"").starts_with("NO [NONEXISTENT]"));
    assert!(fetched(&mut bob, &full).is_some());
}
