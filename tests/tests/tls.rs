//! TLS of the daemons: which certificate is shown, what is stapled, who logs in by a certificate, and renewal.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use black_box::instance::{HTTPS, IMAP, IMAPS, POP, POPS, SMTP, SUBMISSION, SUBMISSIONS, WEB, wait_for};
use black_box::{Certificate, Instance, Pop, Setup, Smtp, Wire, run};
use openssl::pkey::PKey;
use openssl::x509::X509;
use tempfile::TempDir;

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn ok(folder: &Path, arguments: &[&str]) {
    let output = openssl(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority in a folder: `ca.pem`, `ca.key`, and what it issues.
struct Authority(TempDir);

impl Authority {
    fn new() -> Authority {
        let folder = tempfile::Builder::new().prefix("authority-").tempdir().unwrap();
        let key =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"];
        ok(
            folder.path(),
            &[&key[..], &["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"]].concat(),
        );
        Authority(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `NAME.crt` and `NAME.key`, with a key of this kind, for these alternative names.
    fn issue(&self, name: &str, kind: &[&str], subject: &str, alternatives: &str) {
        let (key, crt, request) = (format!("{name}.key"), format!("{name}.crt"), format!("{name}.csr"));
        let new = [&["req", "-new"], kind, &["-nodes", "-subj", subject, "-keyout", &key, "-out", &request]]
            .concat();
        ok(self.0.path(), &new);
        fs::write(self.path("extensions"), format!("subjectAltName={alternatives}\n")).unwrap();
        let sign = ["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        ok(self.0.path(), &[&sign[..], &["-days", "9", "-extfile", "extensions", "-out", &crt]].concat());
        fs::set_permissions(self.path(&key), Permissions::from_mode(0o600)).unwrap();
    }

    fn put(&self, instance: &Instance, name: &str, place: &str) {
        for ending in ["key", "crt"] {
            let to = instance.path("config/certs").join(format!("{place}.{ending}"));
            fs::copy(self.path(&format!("{name}.{ending}")), to).unwrap();
        }
    }
}

const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: [&str; 2] = ["-newkey", "rsa:2048"];

/// TLS 1.2 has forward secrecy and AEAD (RFC 9325 §4.2), whatever the key; what an old client needs can be added.
#[test]
fn ciphers_of_tls_1_2_without_forward_secrecy_or_aead_are_not_spoken() {
    let old = "ECDHE-RSA-AES256-SHA384";
    let usual = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
    for (ciphers, spoken) in [(None, false), (Some(format!("{usual}:{old}")), true)] {
        let mut setup = Setup::default();
        if let Some(ciphers) = &ciphers {
            setup = setup.set("local.encryption.ciphers", ciphers);
        }
        let mut instance = setup.create();
        let authority = Authority::new();
        for (name, kind) in [("one", &EC[..]), ("one-rsa", &RSA)] {
            authority.issue(name, kind, &format!("/CN={name}"), "DNS:one.example");
            authority.put(&instance, name, name);
        }
        instance.start_all();
        let speaks = |cipher: &str| {
            let more = ["-servername", "one.example", "-tls1_2", "-cipher", &format!("{cipher}:@SECLEVEL=0")];
            shown(&instance, IMAPS, &more).contains("Server certificate\n")
        };
        for cipher in usual.split(':') {
            assert!(speaks(cipher), "{ciphers:?}: {cipher}");
        }
        assert_eq!(speaks(old), spoken, "{ciphers:?}");
        for cipher in ["AES128-GCM-SHA256", "AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256"]
        {
            assert!(!speaks(cipher), "{ciphers:?}: {cipher}");
        }
    }
    let mut nonsense = Setup::default().set("local.encryption.ciphers", "NOTHING").create();
    nonsense.start_one("store");
    let refused = nonsense.refused_start("imap");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("local.encryption.ciphers: 'NOTHING'"), "{text}");
}

/// What a client sees that asks for a name.
fn shown(instance: &Instance, port: u16, more: &[&str]) -> String {
    let at = instance.at(port).to_string();
    let output = openssl(Path::new("/"), &[&["s_client", "-connect", &at], more].concat());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_certificate_is_chosen_by_name_and_by_the_kind_of_key() {
    let mut instance = Setup::default().create();
    let authority = Authority::new();
    authority.issue("one", &EC, "/CN=one", "DNS:one.example,DNS:*.one.example");
    authority.issue("one-rsa", &RSA, "/CN=one-rsa", "DNS:one.example,DNS:*.one.example");
    authority.issue("two", &EC, "/CN=two", "DNS:two.example");
    for name in ["one", "one-rsa", "two"] {
        authority.put(&instance, name, name);
    }
    // As certbot has them.
    let folder = instance.path("config/certs/three.example");
    authority.issue("three", &EC, "/CN=three", "DNS:three.example");
    fs::create_dir(&folder).unwrap();
    fs::copy(authority.path("three.crt"), folder.join("fullchain.pem")).unwrap();
    fs::copy(authority.path("three.key"), folder.join("privkey.pem")).unwrap();
    instance.start_all();
    let of = |port: u16, more: &[&str]| {
        let text = shown(&instance, port, more);
        let line =
            text.lines().find(|line| line.trim_start().starts_with("0 s:")).unwrap_or("none").to_owned();
        line.trim().trim_start_matches("0 s:CN = ").to_owned()
    };
    for port in [IMAPS, POPS, SUBMISSIONS] {
        assert_eq!(of(port, &["-servername", "one.example"]), "one", "{port}");
        assert_eq!(of(port, &["-servername", "MAIL.One.Example"]), "one", "{port}");
        assert_eq!(of(port, &["-servername", "two.example"]), "two", "{port}");
        assert_eq!(of(port, &["-servername", "three.example"]), "three", "{port}");
        let usual = of(port, &["-noservername"]);
        assert!(!["one", "two", "three", "none"].contains(&usual.as_str()), "{usual}");
        for other in ["four.example", "a.b.one.example", "xtwo.example"] {
            assert_eq!(of(port, &["-servername", other]), usual, "{other}");
        }
    }
    let rsa = ["-servername", "one.example", "-tls1_2", "-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256"];
    assert_eq!(of(IMAPS, &[&rsa[..], &["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]].concat()), "one-rsa");
    assert_eq!(of(IMAP, &["-starttls", "imap", "-servername", "two.example"]), "two");
    assert_eq!(of(SMTP, &["-starttls", "smtp", "-servername", "two.example"]), "two");
}

/// TLS 1.3 and 1.2 and nothing older.
#[test]
fn what_is_older_than_tls_1_2_is_not_spoken() {
    let instance = Instance::start();
    for (version, spoken) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false), ("-tls1", false)] {
        let text = shown(&instance, IMAPS, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert_eq!(text.contains("Server certificate\n"), spoken, "{version}: {text}");
    }
    for weak in ["NULL", "RC4", "3DES", "aNULL", "EXPORT", "kRSA"] {
        let text = shown(&instance, IMAPS, &["-tls1_2", "-cipher", &format!("{weak}:@SECLEVEL=0")]);
        assert!(!text.contains("Server certificate\n"), "{weak}: {text}");
    }
}

#[test]
fn what_the_authority_says_of_a_certificate_is_stapled() {
    let mut instance = Setup::default().create();
    let authority = Authority::new();
    authority.issue("one", &EC, "/CN=one", "DNS:one.example");
    authority.put(&instance, "one", "one");
    let folder = authority.0.path();
    fs::write(authority.path("index.txt"), "").unwrap();
    let serial = openssl(folder, &["x509", "-in", "one.crt", "-noout", "-serial"]).stdout;
    let serial = String::from_utf8(serial).unwrap().trim().trim_start_matches("serial=").to_owned();
    fs::write(authority.path("index.txt"), format!("V\t301231000000Z\t\t{serial}\tunknown\t/CN=one\n"))
        .unwrap();
    ok(folder, &["ocsp", "-issuer", "ca.pem", "-cert", "one.crt", "-reqout", "request.der", "-no_nonce"]);
    let answer = ["ocsp", "-index", "index.txt", "-rsigner", "ca.pem", "-rkey", "ca.key", "-CA", "ca.pem"];
    ok(folder, &[&answer[..], &["-ndays", "5", "-reqin", "request.der", "-respout", "one.ocsp"]].concat());
    fs::copy(authority.path("one.ocsp"), instance.path("config/certs/one.ocsp")).unwrap();
    instance.start_all();
    let stapled = shown(&instance, IMAPS, &["-servername", "one.example", "-status"]);
    assert!(
        stapled.contains("OCSP Response Status: successful") && stapled.contains("Cert Status: good"),
        "{stapled}"
    );
    let usual = shown(&instance, IMAPS, &["-noservername", "-status"]);
    assert!(usual.contains("OCSP response: no response sent"), "{usual}");
}

/// A renewed certificate is shown without anybody telling the daemons, sessions go on, and a broken one changes nothing.
#[test]
fn a_renewed_certificate_is_taken_by_itself() {
    let mut instance = Setup::default().create();
    let authority = Authority::new();
    authority.issue("old", &EC, "/CN=old", "DNS:one.example");
    authority.issue("new", &EC, "/CN=new", "DNS:one.example");
    authority.put(&instance, "old", "one");
    instance.start_all();
    let sees = |name: &str| {
        shown(&instance, IMAPS, &["-servername", "one.example"]).contains(&format!("s:CN = {name}"))
    };
    assert!(sees("old"));
    let mut session = Wire::tls(instance.connect(IMAPS), &instance.path("config/certs/ca.pem"));
    session.line();
    authority.put(&instance, "new", "one");
    wait_for("the new certificate", || sees("new").then_some(()));
    session.send(b"a NOOP\r\n");
    assert!(session.line().starts_with("a OK"));
    fs::write(instance.path("config/certs/one.crt"), "nonsense").unwrap();
    wait_for("the broken one to be told", || {
        assert!(sees("new"), "the former one stays");
        instance.log("imap").contains("one.crt: there is no PEM text of the right kind").then_some(())
    });
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    let mut instance = Setup::default().create();
    instance.start_one("store");
    let key = instance.path("config/certs/server.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let said = String::from_utf8(instance.refused_start("imap").stderr).unwrap();
    assert!(said.contains("server.key: its mode is 644") && said.lines().count() == 1, "{said}");
    let output = instance.tool("configutil").arg("check").output().unwrap();
    assert!(!output.status.success());
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    instance.start_one("imap");
}

/// EXTERNAL, as whom the certificate names: by curl in IMAP, by hand in POP. Whether it is let in.
fn external(instance: &Instance, authority: &Authority, port: u16, name: &str) -> bool {
    let (crt, key) = (authority.path(&format!("{name}.crt")), authority.path(&format!("{name}.key")));
    let at = instance.at(port).to_string();
    if port == IMAPS {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
            .arg(instance.path("config/certs/ca.pem"))
            .args(["--cert".as_ref(), crt.as_os_str(), "--key".as_ref(), key.as_os_str()])
            .args(["--user", ":", "--login-options", "AUTH=EXTERNAL"])
            .args(["--connect-to", &format!("localhost:{port}:{at}"), &format!("imaps://localhost:{port}/")]);
        return curl.output().unwrap().status.success();
    }
    if port == SUBMISSIONS {
        let leaf = X509::from_pem(&fs::read(crt).unwrap()).unwrap();
        let key = PKey::private_key_from_pem(&fs::read(key).unwrap()).unwrap();
        let certificate = Certificate { issuer: leaf.clone(), leaf, key };
        let ca = instance.path("config/certs/ca.pem");
        let mut smtp = Smtp::over(Wire::tls_as(instance.connect(port), &ca, Some(&certificate)));
        smtp.ok("EHLO client.example");
        return smtp.ask("AUTH EXTERNAL =").starts_with("235 ");
    }
    let mut client = Command::new("openssl");
    client.args(["s_client", "-quiet", "-connect", &at]);
    client.args(["-cert".as_ref(), crt.as_os_str(), "-key".as_ref(), key.as_os_str()]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = client.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"AUTH EXTERNAL =\r\nQUIT\r\n").unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    said.lines().nth(1).is_some_and(|answer| answer.starts_with("+OK"))
}

#[test]
fn a_client_logs_in_by_its_certificate() {
    let mut instance = Setup::default().set("service.saslmechanisms", "EXTERNAL PLAIN").create();
    let (authority, stranger) = (Authority::new(), Authority::new());
    fs::copy(authority.path("ca.pem"), instance.path("config/certs/clients.pem")).unwrap();
    instance.set("local.encryption.clientauthorities", "config/certs/clients.pem");
    authority.issue("alice", &EC, "/CN=Alice", "email:alice@example.test");
    authority.issue("bob", &EC, "/CN=Bob/UID=bob", "DNS:laptop.example");
    authority.issue("nobody", &EC, "/CN=alice", "email:nobody@example.test");
    stranger.issue("alice", &EC, "/CN=Alice", "email:alice@example.test");
    instance.start_all();
    for port in [IMAPS, POPS, SUBMISSIONS] {
        for name in ["alice", "bob"] {
            assert!(external(&instance, &authority, port, name), "{port} {name}: {}", instance.logs());
        }
        // The name alone is not asked for, and of whoever else's certificate nothing is believed.
        assert!(!external(&instance, &authority, port, "nobody"));
        assert!(!external(&instance, &stranger, port, "alice"));
    }
    for service in ["imap", "pop", "smtp"] {
        let log = instance.log(service);
        assert!(log.contains("alice TLS") && log.contains("bob TLS") && log.contains(" EXTERNAL"), "{log}");
    }
    // Without a certificate it is not offered, and everything else is as before.
    let mut wire = Wire::tls(instance.connect(IMAPS), &instance.path("config/certs/ca.pem"));
    assert!(!wire.line().contains("EXTERNAL"));
    wire.send(b"a LOGIN alice alice-secret\r\n");
    wait_for("the log-in", || wire.line().starts_with("a OK").then_some(()));
    run(instance.tool("configutil").args(["-o", "service.saslmechanisms", "-v", "PLAIN"]));
}

/// One connection by OpenSSL's client, which shows the session in `shown` if it is there, and keeps the one it gets in `kept`;
/// whether it was resumed.
fn resumes(instance: &Instance, port: u16, version: &str, shown: &Path, kept: &Path) -> bool {
    let (starttls, end) = match port {
        IMAP => (Some("imap"), "a LOGOUT\r\n"),
        POP => (Some("pop3"), "quit\r\n"),
        SUBMISSION => (Some("smtp"), "quit\r\n"),
        _ => (None, "a LOGOUT\r\n"),
    };
    let mut client = Command::new("openssl");
    client.args(["s_client", "-ign_eof", version, "-connect", &instance.at(port).to_string()]);
    client.args(starttls.map(|protocol| ["-starttls", protocol]).into_iter().flatten());
    if shown.exists() {
        client.args(["-sess_in".as_ref(), shown.as_os_str()]);
    }
    client.args(["-sess_out".as_ref(), kept.as_os_str()]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = client.spawn().unwrap();
    child.stdin.take().unwrap().write_all(end.as_bytes()).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let (reused, new) = (said.contains("\nReused, TLSv1."), said.contains("\nNew, TLSv1."));
    assert!(reused != new, "{port} {version}: {said}");
    reused
}

/// Tickets (RFC 8446 §4.6.1, RFC 5077): in each protocol, until the process ends whose keys they are under.
#[test]
fn a_session_is_resumed_and_never_after_a_restart() {
    let mut instance = Setup::default().set("service.imap.numprocesses", "1").start();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for version in ["-tls1_2", "-tls1_3"] {
        for port in [IMAPS, IMAP, POP, SUBMISSION] {
            let kept = file(&format!("{port}{version}"));
            assert!(!resumes(&instance, port, version, &kept, &kept), "{port} {version}: the first");
            assert!(resumes(&instance, port, version, &kept, &file("next")), "{port} {version}");
        }
    }
    instance.stop("imap");
    instance.start_one("imap");
    for version in ["-tls1_2", "-tls1_3"] {
        let kept = file(&format!("{IMAPS}{version}"));
        assert!(!resumes(&instance, IMAPS, version, &kept, &file("next")), "{version}: other keys");
        assert!(resumes(&instance, IMAPS, version, &file("next"), &kept), "{version}: of this process");
    }
}

/// service.*.sslusessl: without it neither STARTTLS nor the port with TLS from the first byte, and the others have theirs.
#[test]
fn a_service_may_do_without_tls() {
    let mut instance = Setup::default()
        .set("service.imap.sslusessl", "no")
        .set("service.pop.sslusessl", "no")
        .set("service.http.sslusessl", "no")
        .start();
    instance.start_one(WEB.0);
    let mut imap = Wire::plain(instance.connect(IMAP));
    assert!(!imap.line().contains("STARTTLS"));
    imap.send(b"a CAPABILITY\r\n");
    assert!(!imap.line().contains("STARTTLS"));
    assert!(imap.line().starts_with("a OK"));
    imap.send(b"b STARTTLS\r\n");
    assert!(imap.line().starts_with("b BAD"));
    let mut pop = Pop::open(instance.connect(POP));
    assert!(!pop.lines("CAPA").contains(&"STLS".to_owned()));
    pop.refused("STLS");
    for port in [IMAPS, POPS, HTTPS] {
        assert!(TcpStream::connect(instance.at(port)).is_err(), "{port}");
    }
    assert_eq!(instance.http().get("/", "").status, 200);
    assert!(shown(&instance, SUBMISSIONS, &[]).contains("Server certificate\n"));
}
