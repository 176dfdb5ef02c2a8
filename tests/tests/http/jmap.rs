//! JMAP over HTTP: the session object, the API, uploads, downloads, push (RFC 8620).

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::in_one_of_ten;
use black_box::{Http, Instance, Setup};
use serde_json::{Value, json};

use super::requests::web;

fn basic(user: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{user}-secret")))
}

fn with_imap() -> Instance {
    let mut instance = Setup::default().create();
    for service in ["store", "imap", "http"] {
        instance.start_one(service);
    }
    instance
}

fn call(http: &mut Http, session: &str, method: &str, arguments: Value) -> Value {
    let body = json!({
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [[method, arguments, "0"]],
    });
    let response = http.post_json("/jmap/api", session, &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["methodResponses"][0][1].clone()
}

/// RFC 8620 section 2.2, and programs of others: a password with the request, no cookie and no token.
#[test]
fn a_program_finds_the_api_and_uses_it_with_a_password() {
    let instance = web();
    let mut http = instance.http();
    let found = http.get("/.well-known/jmap", "");
    assert_eq!((found.status, found.field("location")), (307, "/jmap/session"));
    assert_eq!(http.get("/jmap/session", "").status, 401);
    let session = http.get("/jmap/session", &basic("alice")).json();
    assert_eq!(session["username"], "alice");
    assert_eq!(session["apiUrl"], "http://localhost/jmap/api");
    let mailboxes =
        call(&mut http, &basic("alice"), "Mailbox/get", json!({ "accountId": "alice", "ids": null }));
    assert!(mailboxes["list"].as_array().unwrap().iter().any(|one| one["role"] == "inbox"), "{mailboxes}");
    let wrong = format!("Authorization: Basic {}\r\n", STANDARD.encode("alice:wrong"));
    let refused = instance.http().get("/jmap/session", &wrong);
    assert_eq!(refused.status, 401);
    assert!(refused.field("www-authenticate").starts_with("Basic"));
    assert_eq!(instance.http().get("/jmap/session", "Authorization: Bearer x\r\n").status, 401);
}

/// The page: by cookie, with the token for what changes something; nobody sees what is another's.
#[test]
fn the_page_uses_the_api_with_cookie_and_token_and_sees_its_own_only() {
    let instance = web();
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    let cookie = format!("{}\r\n", alice.lines().next().unwrap());
    assert_eq!(http.get("/jmap/session", &cookie).json()["apiUrl"], "/jmap/api");
    let body = r#"{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"a":1},"0"]]}"#;
    assert_eq!(instance.http().post_json("/jmap/api", &cookie, body).status, 403, "without its token");
    assert_eq!(http.post_json("/jmap/api", &alice, body).json()["methodResponses"][0][1]["a"], 1);
    let other = call(&mut http, &alice, "Mailbox/get", json!({ "accountId": "bob", "ids": null }));
    assert_eq!(other["type"], "accountNotFound", "{other}");
    for path in ["/jmap/upload/bob", "/jmap/upload/..%2fbob"] {
        let mut another = instance.http();
        assert_eq!(another.ask("POST", path, &alice, b"x").status, 404, "{path}");
    }
    for blob in ["x", "../../etc/passwd", "..%2f..%2fconfig%2flocal.conf", "%2e"] {
        let path = format!("/jmap/download/alice/{blob}/name");
        assert!(matches!(instance.http().get(&path, &alice).status, 400 | 404), "{path}");
    }
    for wrong in ["", "{", "[]", "null", r#"{"using":[]}"#] {
        assert_eq!(http.post_json("/jmap/api", &alice, wrong).status, 400, "{wrong}");
    }
}

/// S131: what is uploaded waits in local.tmpdir, streamed; it comes back whole or in parts, to its owner only.
#[test]
fn what_is_uploaded_waits_in_the_scratch_folder_and_comes_back_in_ranges() {
    let place = tempfile_dir();
    let mut instance = Setup::default().set("local.tmpdir", place.path().to_str().unwrap()).create();
    instance.start_web();
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    let mut content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    // What says to be an image must begin like one, of no more pixels than can be shown.
    content[..24].copy_from_slice(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09");
    let fields = format!("{alice}Content-Type: image/png\r\n");
    let uploaded = http.ask("POST", "/jmap/upload/alice", &fields, &content);
    assert_eq!(uploaded.status, 201, "{}", uploaded.text());
    let uploaded = uploaded.json();
    assert_eq!((uploaded["size"].as_u64(), uploaded["type"].as_str()), (Some(1_200_000), Some("image/png")));
    assert!(holds(place.path(), 1_200_000), "it is not in local.tmpdir");
    assert!(!holds(&instance.path("tmp"), 1_200_000));
    let path =
        format!("/jmap/download/alice/{}/x%22%0d.png?type=image/png", uploaded["blobId"].as_str().unwrap());
    assert_eq!(instance.http().get(&path, &alice).status, 400, "a name with a line end");
    let path = path.replace("%0d", "");
    let whole = http.get(&path, &alice);
    assert_eq!((whole.status, whole.field("content-type"), whole.body == content), (200, "image/png", true));
    assert_eq!(whole.field("content-disposition"), "attachment; filename=\"x_.png\"");
    assert!(whole.field("content-security-policy").contains("sandbox"));
    for (range, status, expected) in [
        ("bytes=0-9", 206, &content[..10]),
        ("bytes=1199990-", 206, &content[1_199_990..]),
        ("bytes=-4", 206, &content[1_199_996..]),
        ("bytes=0-1,4-5", 200, &content[..]),
    ] {
        let part = http.get(&path, &format!("{alice}Range: {range}\r\n"));
        assert_eq!((part.status, part.body == expected), (status, true), "{range}");
    }
    let beyond = http.get(&path, &format!("{alice}Range: bytes=1200000-\r\n"));
    assert_eq!((beyond.status, beyond.field("content-range")), (416, "bytes */1200000"));
    assert_eq!(http.ask("HEAD", &path, &alice, b"").field("content-length"), "1200000");
    let page = path.replace("image/png", "text/html");
    assert_eq!(http.get(&page, &alice).field("content-type"), "application/octet-stream");
    let bob = http.sign_in("bob", "bob-secret");
    for account in ["alice", "bob"] {
        let stolen = path.replace("/alice/", &format!("/{account}/"));
        assert_eq!(http.get(&stolen, &bob).status, 404);
    }
    instance.stop("http");
    std::fs::remove_dir_all(place.path().join("jmap")).unwrap();
    instance.start_one("http");
    assert_eq!(
        instance.http().get(&path, &alice).status,
        404,
        "what was deleted while it did not run is gone"
    );
    let again = instance.http().ask("POST", "/jmap/upload/alice", &fields, b"more");
    assert_eq!(again.status, 201);
}

/// All that is attached to a message in one archive: to be saved, by names that stay in the folder, for its owner only.
#[test]
fn what_is_attached_comes_in_one_archive() {
    let instance = web();
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let encoded = STANDARD.encode("decoded bytes");
    let message = [
        "Subject: files\r\nDate: Thu, 01 Jan 2026 12:02:03 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned(),
        part("Content-Type: text/plain", "The text."),
        part(
            "Content-Type: text/html\r\nContent-Disposition: attachment; filename=\"../../x.html\"\r\nContent-Transfer-Encoding: base64",
            &encoded,
        ),
        part("Content-Type: application/x-sh\r\nContent-Disposition: attachment; filename=X.html", "second"),
        part("Content-Type: image/png\r\nContent-Disposition: inline\r\nContent-Id: <i@x>", "shown in the text"),
        "--b--\r\n".to_owned(),
    ]
    .concat();
    let fields = format!("{alice}Content-Type: message/rfc822\r\n");
    let uploaded = http.ask("POST", "/jmap/upload/alice", &fields, message.as_bytes()).json();
    let path = format!("/jmap/archive/alice/{}/files.zip", uploaded["blobId"].as_str().unwrap());
    let answer = http.get(&path, &alice);
    assert_eq!((answer.status, answer.field("content-type")), (200, "application/zip"), "{}", answer.text());
    assert_eq!(answer.field("content-disposition"), "attachment; filename=\"files.zip\"");
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    assert!(answer.field("content-security-policy").contains("sandbox"));
    assert_eq!(answer.field("content-length"), answer.body.len().to_string());
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.starts_with("PK\u{3}\u{4}"));
    for held in ["x.html", "X (2).html", "decoded bytes", "second"] {
        assert!(text.contains(held), "{held}: {text:?}");
    }
    for foreign in ["..", "shown in the text", "The text.", &encoded] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let bob = http.sign_in("bob", "bob-secret");
    for account in ["alice", "bob"] {
        let stolen = path.replace("/alice/", &format!("/{account}/"));
        assert_eq!(http.get(&stolen, &bob).status, 404, "{account}");
    }
    assert_eq!(http.get(&path, "").status, 401);
    let plain = http.ask("POST", "/jmap/upload/alice", &fields, b"Subject: x\r\n\r\nNothing.").json();
    let none = format!("/jmap/archive/alice/{}/x.zip", plain["blobId"].as_str().unwrap());
    assert_eq!(http.get(&none, &alice).status, 404);
}

fn tempfile_dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Whether a file of so many bytes is anywhere below.
fn holds(folder: &std::path::Path, bytes: u64) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let found = entry.metadata().unwrap();
        if found.is_dir() { holds(&entry.path(), bytes) } else { found.len() == bytes }
    })
}

/// An upload of any size costs no memory, and one that is too large is refused before it is read.
#[test]
fn uploads_have_a_limit_and_cost_no_memory() {
    let instance = web();
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    http.wire.send(
        format!("POST /jmap/upload/alice HTTP/1.1\r\nHost: localhost\r\n{alice}Content-Length: 60000000\r\nExpect: 100-continue\r\n\r\n")
            .as_bytes(),
    );
    let refused = http.response();
    assert_eq!((refused.status, refused.json()["limit"].as_str()), (413, Some("maxSizeUpload")));
    let memory = |instance: &Instance| {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", instance.pid("http").unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = memory(&instance);
    let mut http = instance.http();
    let content = vec![b'x'; 40_000_000];
    let uploaded = http.ask("POST", "/jmap/upload/alice", &alice, &content).json();
    let path = format!("/jmap/download/alice/{}/x", uploaded["blobId"].as_str().unwrap());
    assert_eq!(http.get(&path, &alice).body.len(), content.len());
    let grown = memory(&instance).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more for 40 MB");
}

/// One event of a stream: the lines up to the empty one.
fn event(http: &mut Http) -> String {
    String::from_utf8(http.chunk().expect("an event")).unwrap()
}

/// RFC 8620 section 7.3, and a second's half from delivery to the page.
#[test]
fn an_open_page_hears_of_a_delivery_at_once() {
    let instance = with_imap();
    let mut imap = instance.imap("alice");
    let alice = instance.http().sign_in("alice", "alice-secret");
    let mut stream = instance.http();
    stream.send("GET", "/jmap/events?types=*&closeafter=no&ping=0", &alice, b"");
    let head = stream.head();
    assert_eq!((head.status, head.field("content-type")), (200, "text/event-stream; charset=utf-8"));
    let first = event(&mut stream);
    assert!(first.starts_with("event: state\nid: ") && first.contains("\"Email\""), "{first}");
    in_one_of_ten("a delivery is told within half a second", || {
        let begun = Instant::now();
        imap.append("INBOX", "", "Subject: next\r\n\r\nx\r\n");
        let next = event(&mut stream);
        assert!(next.contains("\"@type\":\"StateChange\"") && next != first, "{next}");
        begun.elapsed() < Duration::from_millis(500)
    });
    let mut reconnected = instance.http();
    let id = first.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let fields = format!("{alice}Last-Event-ID: {id}\r\n");
    reconnected.send("GET", "/jmap/events?types=Email&closeafter=state&ping=0", &fields, b"");
    assert_eq!(reconnected.head().status, 200);
    assert!(event(&mut reconnected).contains("\"Email\""), "what was missed is told");
    assert!(reconnected.chunk().is_none(), "and then it ends");
}

#[test]
fn a_stream_pings_and_ends_with_its_sign_in() {
    let instance = with_imap();
    let mut imap = instance.imap("alice");
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    let mut stream = instance.http();
    let begun = Instant::now();
    stream.send("GET", "/jmap/events?types=Email&ping=1", &alice, b"");
    stream.head();
    assert!(event(&mut stream).contains("event: state"));
    let ping = "event: ping\ndata: {\"interval\":5}\n\n";
    assert_eq!(event(&mut stream), ping);
    let is_ping = |chunk: &[u8]| {
        assert_eq!(chunk, ping.as_bytes(), "somebody who has signed out still hears of mail");
        true
    };
    let other = http.sign_in("alice", "alice-secret");
    let mut others = instance.http();
    others.send("GET", "/jmap/events?types=Email", &other, b"");
    others.head();
    assert!(others.chunk().is_some());
    assert_eq!(http.ask("POST", "/auth/sign-out", &alice, b"").status, 204);
    // On a loaded machine some pings came before, and are read now.
    let pings = 1 + (0..).take_while(|_| stream.chunk().is_some_and(|chunk| is_ping(&chunk))).count();
    assert!(pings as u64 <= begun.elapsed().as_secs() / 5, "{pings} pings: one came after the end");
    imap.append("INBOX", "", "Subject: x\r\n\r\nx\r\n");
    assert!(event(&mut others).contains("StateChange"), "another sign-in's stream goes on");
    for query in ["closeafter=never", "ping=x", "ping=-1"] {
        let alice = http.sign_in("alice", "alice-secret");
        assert_eq!(http.get(&format!("/jmap/events?{query}"), &alice).status, 400, "{query}");
    }
}

/// RFC 6750: a token of the site's issuer lets a program in, as its user; one that is over or of somebody else does not.
#[test]
fn a_program_comes_with_a_token() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut instance = Setup::default()
        .set("service.saslmechanisms", "OAUTHBEARER PLAIN")
        .set("service.oauthissuer", "https://id.example")
        .set("service.oauthaudience", "mail")
        .create();
    let key = openssl::pkey::PKey::generate_ed25519().unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.raw_public_key().unwrap());
    let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x }] });
    std::fs::write(instance.path("config/oauth-keys.json"), set.to_string()).unwrap();
    instance.start_web();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = |email: &str, audience: &str, until: u64| {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({ "iss": "https://id.example", "aud": audience, "exp": until, "email": email });
        let signed = format!("{}.{}", part(json!({ "alg": "EdDSA", "kid": "k" })), part(claims));
        let mut signer = openssl::sign::Signer::new_without_digest(&key).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        format!("Authorization: Bearer {signed}.{}\r\n", URL_SAFE_NO_PAD.encode(signature))
    };
    let good = token("alice@example.test", "mail", now + 600);
    let mut http = instance.http();
    let session = http.get("/jmap/session", &good);
    assert_eq!(
        (session.status, session.json()["username"].as_str()),
        (200, Some("alice")),
        "{}",
        session.text()
    );
    let mailboxes = call(&mut http, &good, "Mailbox/get", json!({ "accountId": "alice", "ids": null }));
    assert!(!mailboxes["list"].as_array().unwrap().is_empty());
    for wrong in [
        token("alice@example.test", "mail", 1_000_000_000),
        token("alice@example.test", "shop", now + 600),
        token("nobody@example.test", "mail", now + 600),
        good.replace("\r\n", "A\r\n"),
    ] {
        assert_eq!(instance.http().get("/jmap/session", &wrong).status, 401, "{wrong}");
    }
}

/// A stream ends with the right to it: another password, of a sign-in and of who says it with the request.
#[test]
fn event_streams_end_with_the_password_they_were_opened_by() {
    let instance = web();
    let basic = basic("alice");
    let cookie = instance.http().sign_in("alice", "alice-secret");
    let mut streams: Vec<Http> = (0..2).map(|_| instance.http()).collect();
    for (stream, fields) in streams.iter_mut().zip([cookie, basic]) {
        stream.send("GET", "/jmap/events?types=*&closeafter=no&ping=5", &fields, b"");
        assert_eq!(stream.head().status, 200);
        assert!(stream.chunk().is_some());
    }
    black_box::run(instance.tool("dirutil").args(["password", "alice"]));
    for (number, stream) in streams.iter_mut().enumerate() {
        let ended = (0..12).any(|_| stream.chunk().is_none());
        assert!(ended, "stream {number} goes on for a minute");
    }
}
