//! Others agree with us, both ways: python3-dkim (DKIM and ARC) and opendkim, from Debian.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::signing::MESSAGE;
use super::{NOW, Zone, crlf, key};
use crate::arc::{ChainResult, Seal, check, seal};
use crate::{Algorithm, Signing, SigningKey, sign, verify};

/// Speaks for python3-dkim. Arguments: what to do, a folder with one file for each TXT record, and for signing selector,
/// domain, file of the key and more. The message is the standard input.
const PYTHON: &str = r#"
import sys, os, dkim
what, zone = sys.argv[1:3]
message = sys.stdin.buffer.read()
def txt(name, timeout=5):
    path = os.path.join(zone, name.decode().rstrip('.'))
    return open(path, 'rb').read() if os.path.exists(path) else None
out = sys.stdout.buffer
def safe(act):
    try:
        return act()
    except Exception as why:
        return 'no: %s' % why
if what == 'verify':
    count = sum(1 for name, _ in dkim.DKIM(message).headers if name.lower() == b'dkim-signature')
    for index in range(count):
        one = dkim.DKIM(message)
        print('pass' if safe(lambda: one.verify(index, dnsfunc=txt)) is True else 'fail')
elif what == 'arc':
    verdict = safe(lambda: dkim.arc_verify(message, dnsfunc=txt))
    print(verdict[0].decode() if isinstance(verdict, tuple) else verdict)
elif what == 'sign':
    selector, domain, key, algorithm, header, body, length = (one.encode() for one in sys.argv[3:10])
    out.write(dkim.sign(message, selector, domain, open(key, 'rb').read(), canonicalize=(header, body),
        signature_algorithm=algorithm, length=length == b'l') + message)
elif what == 'seal':
    selector, domain, key = (one.encode() for one in sys.argv[3:6])
    fields = dkim.arc_sign(message, selector, domain, open(key, 'rb').read(), b'mx.example')
    out.write(b''.join(fields) + message)
"#;

fn python(message: &[u8], arguments: &[&str]) -> Vec<u8> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", PYTHON])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with python3-dkim is needed: scripts/packages");
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3-dkim (scripts/packages): {arguments:?}");
    output.stdout
}

/// The zone as files, and the private keys in both spellings that are wanted.
fn on_disk(folder: &Path, keys: &[&SigningKey]) {
    for key in keys {
        std::fs::write(folder.join(key.record_name()), key.record().unwrap()).unwrap();
        let private = match key.algorithm() {
            Algorithm::Ed25519Sha256 => {
                let raw = key.private().raw_private_key().unwrap();
                openssl::base64::encode_block(&raw).into_bytes()
            }
            _ => key.private().rsa().unwrap().private_key_to_pem().unwrap(),
        };
        std::fs::write(folder.join(key.selector()), private).unwrap();
    }
}

fn names(message: &[u8], keys: &[&SigningKey]) -> Vec<&'static str> {
    verify(message, &Zone::of(keys), NOW).iter().map(|one| one.result.name()).collect()
}

/// What they say of a message's signatures.
fn theirs(message: &[u8], folder: &Path) -> Vec<String> {
    let said = python(message, &["verify", folder.to_str().unwrap()]);
    String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
}

/// Bodies and headers on which implementations like to differ.
fn messages() -> Vec<String> {
    let header = "From: Joe <joe@example.org>\r\nTo: a@b.example\r\nSubject:  a \r\n\t b\r\n";
    [
        "",
        "\r\n",
        "\r\n\r\n",
        "\r\n \r\n",
        "\r\na",
        "\r\na  b \t\r\n\r\n \r\n",
        "\r\n\r\n\r\na\r\n\r\n\r\n",
        "\r\n  a\r\n",
    ]
    .iter()
    .map(|body| format!("{header}{body}"))
    .chain([crlf(MESSAGE)])
    .collect()
}

#[test]
fn they_verify_what_we_sign() {
    let folder = tempfile::tempdir().unwrap();
    let keys =
        [key("example.org", "r", Algorithm::RsaSha256), key("example.org", "e", Algorithm::Ed25519Sha256)];
    on_disk(folder.path(), &[&keys[0], &keys[1]]);
    for message in messages() {
        let fields = sign(message.as_bytes(), &keys, Signing { now: NOW, lifetime: None }).unwrap();
        let text = [fields.as_slice(), message.as_bytes()].concat();
        assert_eq!(theirs(&text, folder.path()), ["pass", "pass"], "{message:?}");
        let changed = String::from_utf8(text).unwrap().replace("Joe", "Jane");
        assert_eq!(theirs(changed.as_bytes(), folder.path()), ["fail", "fail"], "{message:?}");
    }
}

#[test]
fn we_verify_what_they_sign() {
    let folder = tempfile::tempdir().unwrap();
    let keys =
        [key("example.org", "r", Algorithm::RsaSha256), key("example.org", "e", Algorithm::Ed25519Sha256)];
    let both = [&keys[0], &keys[1]];
    on_disk(folder.path(), &both);
    let zone = folder.path().to_str().unwrap();
    for (at, message) in messages().iter().enumerate() {
        let (key, algorithm) = (&keys[at % 2], keys[at % 2].algorithm().to_string());
        let file = folder.path().join(key.selector());
        for (header, body) in
            [("simple", "simple"), ("simple", "relaxed"), ("relaxed", "simple"), ("relaxed", "relaxed")]
        {
            let how = [
                "sign",
                zone,
                key.selector(),
                "example.org",
                file.to_str().unwrap(),
                &algorithm,
                header,
                body,
            ];
            let has_body = message.contains("\r\n\r\n");
            for length in ["l", "-"] {
                let text = python(message.as_bytes(), &[&how[..], &[length]].concat());
                assert_eq!(names(&text, &both), ["pass"], "{header}/{body} {message:?}");
                if !has_body {
                    continue; // more would be header
                }
                let longer = [&text[..], b"more\r\n"].concat();
                let expected = theirs(&longer, folder.path());
                assert_eq!(names(&longer, &both), expected, "{header}/{body} {length} {message:?}");
            }
        }
    }
}

#[test]
fn chains_of_theirs_and_ours_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let key = key("example.org", "r", Algorithm::RsaSha256);
    on_disk(folder.path(), &[&key]);
    let zone = folder.path().to_str().unwrap();
    let file = folder.path().join("r");
    let mut text = crlf(MESSAGE).into_bytes();
    for round in 0..4 {
        // They take what was found of the chain from here.
        let found = if round == 0 { "none" } else { "pass" };
        let results = format!("mx.example; spf=pass smtp.mailfrom=a@b.example; arc={found}");
        let field = format!("Authentication-Results: {results}\r\n");
        text.splice(..0, field.bytes());
        if round % 2 == 0 {
            let chain = check(&text, &Zone::of(&[&key]), NOW).result;
            let how = Seal { chain: &chain, results: &results, now: NOW };
            text.splice(..0, seal(&text, &key, &how).unwrap().unwrap());
        } else {
            text = python(&text, &["seal", zone, "r", "example.org", file.to_str().unwrap()]);
        }
        let at = memchr::memmem::find(&text, field.as_bytes()).unwrap();
        text.drain(at..at + field.len());
        let chain = check(&text, &Zone::of(&[&key]), NOW);
        assert_eq!(chain.result, ChainResult::Pass, "{round}");
        assert_eq!(python(&text, &["arc", zone]), b"pass\n", "{round}: {}", String::from_utf8_lossy(&text));
    }
    let changed = String::from_utf8(text).unwrap().replace("Hello", "Hullo");
    assert_eq!(python(changed.as_bytes(), &["arc", zone]), b"fail\n");
    assert!(matches!(check(changed.as_bytes(), &Zone::of(&[&key]), NOW).result, ChainResult::Fail(_)));
}

#[test]
fn opendkim_verifies_what_we_sign_and_we_refuse_what_its_tool_signs_with_sha1() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = key("example.org", "r", Algorithm::RsaSha256);
    on_disk(folder.path(), &[&key]);
    std::fs::write(path("keys"), format!("{} {}\n", key.record_name(), key.record().unwrap())).unwrap();
    let conf = format!("Mode v\nSocket inet:0@localhost\nSyslog no\nTestPublicKeys {}\n", path("keys"));
    std::fs::write(path("conf"), conf).unwrap();
    let opendkim = |text: &[u8]| {
        std::fs::write(path("message"), text).unwrap();
        let mut command = Command::new("/usr/sbin/opendkim");
        let said = command.args(["-x", &path("conf"), "-t", &path("message"), "-v"]).output();
        let said = said.expect("opendkim is needed: scripts/packages");
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr)
    };
    let whole = |message: &&String| message.ends_with('\n') && message.contains("\r\n\r\n");
    for message in messages().iter().filter(whole) {
        let fields =
            sign(message.as_bytes(), std::slice::from_ref(&key), Signing { now: NOW, lifetime: None });
        let text = [fields.unwrap().as_slice(), message.as_bytes()].concat();
        let said = opendkim(&text);
        assert!(
            said.contains("verification (s=r, d=example.org, 2048-bit key) succeeded"),
            "{said} {message:?}"
        );
        let changed = String::from_utf8(text).unwrap().replace("Joe", "Jane");
        assert!(
            opendkim(changed.as_bytes()).contains("failed: signature verification failed"),
            "{message:?}"
        );

        let mut child = Command::new("/usr/sbin/opendkim-testmsg")
            .args([
                "-C",
                "-d",
                "example.org",
                "-s",
                "r",
                "-k",
                &path("r"),
                "-t",
                folder.path().to_str().unwrap(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("opendkim-testmsg is needed: scripts/packages");
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        let theirs = child.wait_with_output().unwrap().stdout;
        // It signs with SHA-1, and only what has a date.
        let expected: &[&str] = if message.contains("Date:") { &["policy"] } else { &[] };
        assert_eq!(names(&theirs, &[&key]), expected, "{message:?} {}", String::from_utf8_lossy(&theirs));
    }
}
