//! X11: the addresses of the original's web mail, as scripts use them.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::{Http, Instance, Setup, WebClient};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn web(mut instance: Instance) -> Instance {
    instance.start_all();
    instance.start_one("http");
    instance
}

fn sid(http: &mut Http, query: &str, body: &str) -> String {
    let response = http.ask("POST", &format!("/login.msc{query}"), FORM, body.as_bytes());
    assert_eq!(response.status, 302, "{}", response.text());
    response.field("location").split_once("sid=").unwrap().1.to_owned()
}

/// The number behind `name=` in a line of its own.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

/// What the script of a university did: unseen is size less seen, read by the lines' names; and those of a load test.
#[test]
fn scripts_sign_in_and_read_a_mailbox() {
    let instance = web(Setup::default().create());
    for (flags, subject) in [("(\\Seen) ", "first"), ("", "second </script>"), ("", "third")] {
        instance.imap("alice").append(
            "INBOX",
            flags,
            &format!("From: Bob <bob@example.test>\r\nSubject: {subject}\r\n\r\nthe text of {subject}\r\n"),
        );
    }
    let mut http = instance.http();
    let sid = sid(&mut http, "?user=alice&password=alice-secret", "query=libwww-perl&mode=dist");
    let listing = format!(
        "/mbox.msc?sid={sid}&mbox=INBOX&start=0&count=20&date=true&sortorder=R&sortby=recv&headerv=Content-type&lang=en&security=false"
    );
    let text = http.get(&listing, "").text();
    assert_eq!((number(&text, "size"), number(&text, "seen"), number(&text, "count")), (3, 1, 3), "{text}");
    let places: Vec<usize> =
        ["third", "second", "first"].iter().map(|word| text.find(word).unwrap()).collect();
    assert!(places.is_sorted(), "newest first: {text}");
    assert!(!text.contains("</script>"), "no markup in what was data: {text}");
    let folders = http.get(&format!("/listfolders.msc?rev=3&unread=1&sid={sid}"), "").text();
    assert!(folders.contains("[\"INBOX\",3,2]"), "{folders}");
    let uid =
        text.lines().find(|line| line.contains("second")).unwrap().split('"').nth(1).unwrap().to_owned();
    let message = http.get(&format!("/msg.msc?sid={sid}&mbox=INBOX&uid={uid}"), "").text();
    assert!(
        message.contains("text=\"the text of second") && message.contains("\"bob@example.test\""),
        "{message}"
    );
    let whole = http.get(&format!("/msg.msc?sid={sid}&uid={uid}&part=0"), "");
    assert!(whole.text().starts_with("From: Bob") && whole.field("content-disposition") == "attachment");
    let people = http.get(&format!("/ldap.msc?sid={sid}&query=bob"), "").text();
    assert!(people.contains("\"bob@example.test\",\"directory\""), "{people}");
    for (path, status) in [
        (format!("/mbox.msc?sid={sid}&mbox=Nowhere"), 404),
        (format!("/msg.msc?sid={sid}&uid=M0"), 404),
        (format!("/msg.msc?sid={sid}"), 400),
        (format!("/cmd.msc?sid={sid}&cmd=format"), 400),
        (format!("/collect.msc?sid={sid}"), 404),
    ] {
        assert_eq!(http.get(&path, "").status, status, "{path}");
    }
}

#[test]
fn a_script_sends() {
    let instance = web(Setup::default().create());
    let mut http = instance.http();
    let sid = sid(&mut http, "", "user=alice&password=alice-secret");
    let send = |http: &mut Http, form: &str| {
        http.ask("POST", &format!("/send.msc?sid={sid}"), FORM, form.as_bytes())
    };
    let sent = send(
        &mut http,
        "to=bob%40example.test&subject=gr%C3%BC%C3%9Fe&text=caf%C3%A9%0A.%0Aend&priority=1&smtp=true",
    );
    assert!(sent.status == 200 && sent.text().contains("copy=\"Sent\""), "{}", sent.text());
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let got = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(got.contains("Subject: =?") && got.contains("X-Priority: 1") && got.contains("From: "), "{got}");
    for (form, status) in [
        ("to=nobody%40example.test&text=x", 400),
        ("to=no+address&text=x", 400),
        ("to=bob%40example.test&from=bob%40example.test&text=x", 400),
        ("text=x", 400),
        ("to=bob%40example.test%0D%0ABcc%3A+x%40y.example&text=x", 400),
    ] {
        let answer = send(&mut http, form);
        assert_eq!(answer.status, status, "{form}: {}", answer.text());
    }
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 1);
}

/// The id in the address opens these addresses and nothing else, until its end; it is found by nobody in a log.
#[test]
fn a_session_of_a_script_is_good_for_its_addresses_only() {
    let instance = Setup::default().create();
    fs::create_dir_all(instance.path("log/http/telemetry/alice")).unwrap();
    let instance = web(instance);
    let mut http = instance.http();
    for wrong in ["?user=alice&password=wrong", "?user=alice", "?user=&password=x"] {
        assert!(
            [400, 401].contains(&http.ask("POST", &format!("/login.msc{wrong}"), FORM, b"x=y").status),
            "{wrong}"
        );
    }
    assert_eq!(http.get("/login.msc?user=alice&password=alice-secret", "").status, 405, "not by a link");
    let mut http = instance.http();
    let id = sid(&mut http, "", "user=alice&password=alice-secret");
    let as_cookie = format!("Cookie: mailboat={id}\r\n");
    assert_eq!(http.get("/auth/sessions", &as_cookie).status, 401);
    let client = WebClient::sign_in(&instance, "alice");
    let cookie = client.fields.split("mailboat=").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    assert_eq!(http.get(&format!("/listfolders.msc?sid={cookie}"), "").status, 401);
    assert_eq!(http.get("/listfolders.msc", &client.fields).status, 401, "the page's session is none here");
    let basic = "Authorization: Basic YWxpY2U6YWxpY2Utc2VjcmV0\r\n";
    assert_eq!(http.get("/listfolders.msc", basic).status, 401);
    assert_eq!(http.get(&format!("/listfolders.msc?sid={id}"), "").status, 200);
    // Another user's messages are not there.
    instance.imap("bob").append("INBOX", "", "Subject: bob's\r\n\r\nx\r\n");
    let bobs = WebClient::sign_in(&instance, "bob").newest();
    assert_eq!(http.get(&format!("/msg.msc?sid={id}&uid={bobs}"), "").status, 404);
    let out = http.ask("POST", &format!("/cmd.msc?sid={id}&security=false&mbox=&cmd=logout"), "", b"");
    assert_eq!(out.status, 204);
    assert_eq!(http.get(&format!("/listfolders.msc?sid={id}"), "").status, 401);
    let mut shown = String::new();
    for entry in fs::read_dir(instance.path("log/http/telemetry/alice")).unwrap() {
        shown.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    }
    let logs = instance.logs() + &instance.log("http");
    assert!(shown.contains("/listfolders.msc?<masked>"), "{shown}");
    assert!(!shown.contains(&id) && !logs.contains(&id) && !shown.contains("alice-secret"), "{shown}");
}

#[test]
fn a_script_changes_mailboxes_and_messages() {
    let instance = web(Setup::default().create());
    let mut http = instance.http();
    let sid = sid(&mut http, "", "user=alice&password=alice-secret");
    instance.imap("alice").append("INBOX", "", "Subject: mine\r\n\r\nx\r\n");
    let command = |http: &mut Http, query: &str| http.get(&format!("/cmd.msc?sid={sid}&{query}"), "");
    let does = |http: &mut Http, query: &str| {
        let answer = command(http, query);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    };
    let count = |mailbox: &str| instance.imap("alice").exists(mailbox);
    does(&mut http, "mbox=work&cmd=create");
    does(&mut http, "mbox=work%2Fdeep&cmd=create");
    does(&mut http, "mbox=work%2Fdeep&new=work%2Fflat&cmd=rename");
    let text = http.get(&format!("/mbox.msc?sid={sid}&mbox=INBOX"), "").text();
    let uid = text.lines().find(|line| line.contains("mine")).unwrap().split('"').nth(1).unwrap().to_owned();
    does(&mut http, &format!("cmd=flag&flag=seen&uid={uid}"));
    let text = http.get(&format!("/mbox.msc?sid={sid}&mbox=INBOX"), "").text();
    assert_eq!(number(&text, "seen"), 1, "{text}");
    does(&mut http, &format!("cmd=copy&tobox=work&uid={uid}"));
    assert_eq!((count("INBOX"), count("work")), (1, 1));
    does(&mut http, &format!("cmd=move&tobox=work%2Fflat&uid={uid}"));
    assert_eq!((count("INBOX"), count("work"), count("work/flat")), (0, 0, 1));
    does(&mut http, &format!("cmd=delete&uid={uid}"));
    assert_eq!((count("work/flat"), count("Trash")), (0, 1));
    does(&mut http, &format!("cmd=delete&uid={uid}"));
    assert_eq!(count("Trash"), 0, "for good");
    does(&mut http, "mbox=work%2Fflat&cmd=delete");
    assert_eq!(command(&mut http, "mbox=work%2Fflat&cmd=delete").status, 404);
    assert_eq!(command(&mut http, &format!("cmd=flag&flag=purple&uid={uid}")).status, 400);
    assert_eq!(command(&mut http, "cmd=create&mbox=nowhere%2Fdeep").status, 404);
}
