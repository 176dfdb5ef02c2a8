//! testssl.sh looks at every service that speaks TLS, with an EC and with an RSA certificate: nothing is below its best but
//! what is argued here.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use black_box::instance::{HTTPS, IMAP, IMAPS, POP, POPS, SMTP, SUBMISSION, SUBMISSIONS, WEB};
use black_box::{Instance, Setup, quick, run};
use serde_json::Value;

/// What it says that is not about the services.
const ARGUED: [(&str, &str); 7] = [
    ("sessionresumption_ticket", "resuming is about speed; its client may have gone before the ticket came"),
    ("sessionresumption_ID", "sessions are resumed by tickets alone; behind STARTTLS it cannot tell"),
    ("engine_problem", "the OpenSSL of this machine has no engine for GOST, which nobody asks for"),
    (
        "cert_revocation",
        "the tests' own authority has no list of what it has revoked: nothing to reach on loopback",
    ),
    ("cert_expirationStatus", "the certificates of a test are for days"),
    (
        "service",
        "POP is no service that it knows by its greeting; what is asked of HTTP alone is not asked then",
    ),
    (
        "BREACH",
        "the page's own files are compressed, which are the same for everybody; no answer with a secret in it is",
    ),
];

/// A finding: id, severity, text.
type Finding = (String, String, String);

/// Runs it with these checks against a port, for everything that it can find fault with.
fn findings(instance: &Instance, port: u16, arguments: &[&str]) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let found = folder.path().join("found.json");
    let mut testssl = Command::new("timeout");
    testssl.args(["1800", "testssl", "--quiet", "--color", "0", "--warnings", "batch"]);
    testssl.args(["--openssl", "/usr/bin/openssl", "--nodns", "none", "--ip", &instance.address.to_string()]);
    testssl.arg("--add-ca").arg(instance.path("config/certs/ca.pem")).arg("--jsonfile").arg(&found);
    testssl.args(arguments).arg(format!("localhost:{port}")).env("TMPDIR", folder.path());
    // Its status is the number of findings of a kind, and says nothing when it could not look.
    let output = testssl.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = fs::read_to_string(&found).unwrap_or_else(|why| panic!("{port}: {why}: {said}"));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{port}: {why}: {said}"));
    let of = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let found: Vec<Finding> =
        all.iter().map(|one| (of(one, "id"), of(one, "severity"), of(one, "finding"))).collect();
    // It went to the end, and it was TLS that it met.
    let tls = |version: &str| found.iter().any(|(id, severity, _)| id == version && severity == "OK");
    assert!(found.iter().any(|(id, severity, _)| id == "scanTime" && severity == "INFO"), "{port}: {said}");
    if arguments.is_empty() || arguments.contains(&"-p") {
        assert!(tls("TLS1_2") && tls("TLS1_3"), "{port}: {said}");
    }
    found
}

/// Those that are below the best.
fn faults(findings: Vec<Finding>) -> Vec<Finding> {
    let argued = |id: &str| {
        // With several certificates their findings are numbered.
        let name = id.split(" <").next().unwrap_or(id);
        ARGUED.iter().any(|(known, _)| *known == name)
    };
    findings
        .into_iter()
        .filter(|(id, severity, _)| !matches!(severity.as_str(), "OK" | "INFO") && !argued(id))
        .collect()
}

/// A second certificate for the same names, with an RSA key, of the instance's own authority.
fn add_rsa(instance: &Instance) {
    let folder = instance.path("config/certs");
    let openssl = |arguments: &[&str]| run(Command::new("openssl").args(arguments).current_dir(&folder));
    let names = openssl(&["x509", "-in", "server.crt", "-noout", "-ext", "subjectAltName"]);
    let names = names.lines().last().unwrap().trim().replace("IP Address:", "IP:");
    fs::write(
        folder.join("extensions"),
        format!("subjectAltName={names}\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n"),
    )
    .unwrap();
    let new =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "rsa.key"];
    openssl(&[&new[..], &["-out", "rsa.csr"]].concat());
    let sign = ["x509", "-req", "-in", "rsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(&[&sign[..], &["-days", "90", "-extfile", "extensions", "-out", "rsa.crt"]].concat());
    fs::set_permissions(folder.join("rsa.key"), Permissions::from_mode(0o600)).unwrap();
}

fn instance_with(parameters: &[(&str, &str)]) -> Instance {
    let setup = parameters.iter().fold(Setup::default(), |setup, (name, value)| setup.set(name, value));
    let mut instance = setup.create();
    add_rsa(&instance);
    instance.start_all();
    instance.start_one(WEB.0);
    instance
}

#[test]
fn testssl_finds_nothing_below_its_best() {
    let instance = instance_with(&[]);
    if quick() {
        assert_eq!(faults(findings(&instance, POPS, &["-p"])), []);
        return;
    }
    // Everything it knows, where browsers and where mail programs come; of the others what could differ by service.
    let of_service = ["-p", "-s", "-f", "-P", "-S", "-R"];
    let starttls = |protocol: &'static str| [&["-t", protocol][..], &of_service].concat();
    let runs: Vec<(u16, Vec<&str>)> = vec![
        (IMAPS, vec![]),
        (HTTPS, vec![]),
        (POPS, of_service.to_vec()),
        (SUBMISSIONS, of_service.to_vec()),
        (IMAP, starttls("imap")),
        (POP, starttls("pop3")),
        (SUBMISSION, starttls("smtp")),
        (SMTP, starttls("smtp")),
    ];
    // Two at once: half of its time it waits.
    let runs = Mutex::new(runs.into_iter());
    let next = || runs.lock().unwrap().next();
    let look = || {
        while let Some((port, arguments)) = next() {
            assert_eq!(faults(findings(&instance, port, &arguments)), [], "{port}");
        }
    };
    thread::scope(|scope| {
        scope.spawn(look);
        look();
    });
}

/// What was switched on against the advice is found: the test above can fail.
#[test]
fn testssl_finds_an_old_cipher_that_was_added() {
    if quick() {
        return; // it is the proof of the other test, and takes minutes on a loaded machine
    }
    let ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA";
    let instance = instance_with(&[("local.encryption.ciphers", ciphers)]);
    let faults = faults(findings(&instance, IMAPS, &["-s"]));
    assert!(faults.iter().any(|(id, ..)| id == "cipherlist_AVERAGE"), "{faults:?}");
}
