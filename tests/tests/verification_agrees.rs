//! Others come to the same verdicts: rspamd about SPF, DKIM and DMARC, with the same name server and the same messages; and
//! python3-authres reads in our Authentication-Results what we meant. All from Debian.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{PATIENCE, POP, SMTP, wait_for};
use black_box::{Instance, Pop, Setup, Smtp, StubDns};
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;
use tempfile::TempDir;

/// rspamd with SPF, DKIM and DMARC and nothing else, asking one name server.
struct Rspamd {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Rspamd {
    fn start(dns: &StubDns) -> Rspamd {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display().to_string();
        let address = SocketAddr::from(([127, 0, 0, 1], black_box::addresses::free_port()));
        fs::write(folder.path().join("suffixes"), "test\n").unwrap();
        let plugins = "/usr/share/rspamd/plugins";
        fs::write(
            folder.path().join("rspamd.conf"),
            format!(
                r#"
                options {{
                  pidfile = "{at}/pid"; cache_file = "{at}/cache"; hs_cache_dir = "{at}"; tempdir = "{at}";
                  dns {{ nameserver = "{dns}"; timeout = 10s; retransmits = 3; }}
                  filters = "dkim"; local_addrs = "192.0.2.0/24"; url_tld = "{at}/suffixes";
                  control_socket = "{at}/control mode=0600";
                }}
                logging {{ type = "file"; filename = "{at}/log"; level = "info"; }}
                worker "normal" {{ bind_socket = "{address}"; count = 1; task_timeout = 60s; }}
                lua = "/usr/share/rspamd/rules/rspamd.lua"
                modules {{ path = "{plugins}/dmarc.lua"; path = "{plugins}/spf.lua"; }}
                dmarc {{ check_local = true; }}
                spf {{ check_local = true; }}
                dkim {{ check_local = true; }}
                actions {{ reject = 1000; }}
                "#,
                dns = dns.parameter()
            ),
        )
        .unwrap();
        let child = Command::new("/usr/bin/rspamd")
            .args(["--no-fork", "--insecure", "--config"])
            .arg(folder.path().join("rspamd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rspamd is needed: scripts/packages");
        let mut rspamd = Rspamd { child, address, folder };
        wait_for("rspamd to serve", || {
            assert!(rspamd.child.try_wait().unwrap().is_none(), "rspamd ended: {}", rspamd.log());
            TcpStream::connect(address).ok()
        });
        rspamd
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The names of what it found in a message, as the text of its answer has them.
    fn finds(&self, client: [u8; 4], sender: &str, message: &str) -> String {
        let client = client.map(|byte| byte.to_string()).join(".");
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /checkv2 HTTP/1.0\r\nIP: {client}\r\nHelo: mx.good.test\r\nFrom: {sender}\r\n\
             Rcpt: alice@example.test\r\nContent-Length: {}\r\n\r\n",
            message.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(message.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

const GOOD: [u8; 4] = [127, 77, 0, 1];
const BAD: [u8; 4] = [127, 77, 0, 66];

fn zone() -> StubDns {
    StubDns::with(&[
        ("good.test", "TXT", 60, "v=spf1 include:_spf.good.test -all"),
        ("_spf.good.test", "TXT", 60, "v=spf1 ip4:127.77.0.0/29 ~all"),
        ("sub.good.test", "TXT", 60, "v=spf1 redirect=_spf.good.test"),
        ("mx.good.test", "A", 60, "127.77.0.1"),
        ("byname.test", "TXT", 60, "v=spf1 a:mx.good.test mx ?all"),
        ("byname.test", "MX", 60, "10 mx.good.test"),
        ("macro.test", "TXT", 60, "v=spf1 exists:%{ir}.%{l}.list.macro.test -all"),
        ("1.0.77.127.a.list.macro.test", "A", 60, "127.0.0.2"),
        ("soft.test", "TXT", 60, "v=spf1 ~all"),
        ("silent.test", "A", 60, "127.77.0.9"),
        ("_dmarc.good.test", "TXT", 60, "v=DMARC1; p=reject; sp=quarantine"),
        ("_dmarc.strict.test", "TXT", 60, "v=DMARC1; p=quarantine; aspf=s; adkim=s"),
        ("mail.strict.test", "TXT", 60, "v=spf1 ip4:127.77.0.1 -all"),
        ("_dmarc.soft.test", "TXT", 60, "v=DMARC1; p=none"),
    ])
}

/// Signs relaxed/simple with RSA; the key's record is put into `dns`.
fn signed(dns: &StubDns, domain: &str, message: &str) -> String {
    let key: PKey<Private> = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let public = STANDARD.encode(key.public_key_to_der().unwrap());
    dns.add(&format!("s._domainkey.{domain}"), "TXT", 60, &format!("v=DKIM1; p={public}"));
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let body_hash = STANDARD.encode(sha256(body.as_bytes()));
    let from = header.split("\r\n").find_map(|line| line.strip_prefix("From: ")).unwrap();
    let value = format!("v=1; a=rsa-sha256; c=relaxed/simple; d={domain}; s=s; h=From; bh={body_hash}; b=");
    let mut signer = Signer::new(openssl::hash::MessageDigest::sha256(), &key).unwrap();
    signer.update(format!("from:{from}\r\ndkim-signature:{value}").as_bytes()).unwrap();
    format!("DKIM-Signature: {value}{}\r\n{message}", STANDARD.encode(signer.sign_to_vec().unwrap()))
}

fn send(instance: &Instance, client: [u8; 4], sender: &str, message: &str) {
    let mut smtp = Smtp::open(instance.connect_from(client, SMTP));
    smtp.ok("EHLO mx.good.test");
    smtp.send_message(sender, &["alice@example.test"], message);
}

/// The unfolded Authentication-Results of each message, by its Subject.
fn results(instance: &Instance, count: usize) -> Vec<(String, String)> {
    let mut pop = wait_for("the messages", || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER alice");
        pop.ok("PASS alice-secret");
        let there = pop.ok("STAT").starts_with(&format!("+OK {count} "));
        if !there {
            pop.ok("QUIT");
        }
        there.then_some(pop)
    });
    (1..=count)
        .map(|number| {
            let text = pop.lines(&format!("RETR {number}")).join("\n").replace("\n\t", " ");
            let field = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or_else(|| panic!("{text}"))
                    .to_owned()
            };
            (field("Subject: "), field("Authentication-Results:"))
        })
        .collect()
}

struct Case {
    client: [u8; 4],
    sender: &'static str,
    author: &'static str,
    signer: Option<&'static str>,
    /// What rspamd calls it, and what we do.
    spf: [&'static str; 2],
    dmarc: [&'static str; 2],
}

fn case(
    client: [u8; 4],
    sender: &'static str,
    author: &'static str,
    signer: Option<&'static str>,
    spf: [&'static str; 2],
    dmarc: [&'static str; 2],
) -> Case {
    Case { client, sender, author, signer, spf, dmarc }
}

const PASS: [&str; 2] = ["R_SPF_ALLOW", "spf=pass"];
const FAIL: [&str; 2] = ["R_SPF_FAIL", "spf=fail"];
const NONE: [&str; 2] = ["R_SPF_NA", "spf=none"];
const SOFT: [&str; 2] = ["R_SPF_SOFTFAIL", "spf=softfail"];
const ALLOW: [&str; 2] = ["DMARC_POLICY_ALLOW", "dmarc=pass"];
const REJECT: [&str; 2] = ["DMARC_POLICY_REJECT", "dmarc=fail"];
const QUARANTINE: [&str; 2] = ["DMARC_POLICY_QUARANTINE", "dmarc=fail"];
const NO_POLICY: [&str; 2] = ["DMARC_NA", "dmarc=none"];

/// Not among them: policies with faults, which rspamd passes over and RFC 7208 §4.6 does not; the published suite has them.
fn cases() -> Vec<Case> {
    vec![
        case(GOOD, "a@good.test", "good.test", None, PASS, ALLOW),
        case(BAD, "a@good.test", "good.test", None, FAIL, REJECT),
        case(GOOD, "a@sub.good.test", "good.test", None, PASS, ALLOW),
        case(BAD, "a@sub.good.test", "other.good.test", None, SOFT, QUARANTINE),
        case(GOOD, "a@byname.test", "good.test", None, PASS, REJECT),
        case(BAD, "a@byname.test", "silent.test", None, ["R_SPF_NEUTRAL", "spf=neutral"], NO_POLICY),
        case(GOOD, "a@macro.test", "silent.test", None, PASS, NO_POLICY),
        case(GOOD, "b@macro.test", "silent.test", None, FAIL, NO_POLICY),
        case(BAD, "a@silent.test", "soft.test", None, NONE, ["DMARC_POLICY_SOFTFAIL", "dmarc=fail"]),
        case(BAD, "a@soft.test", "good.test", Some("good.test"), SOFT, ALLOW),
        case(BAD, "a@soft.test", "good.test", Some("silent.test"), SOFT, REJECT),
        case(GOOD, "a@mail.strict.test", "strict.test", None, PASS, QUARANTINE),
        case(BAD, "a@soft.test", "strict.test", Some("strict.test"), SOFT, ALLOW),
    ]
}

#[test]
fn rspamd_says_the_same_and_authres_reads_it() {
    let dns = zone();
    let rspamd = Rspamd::start(&dns);
    let instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.exempt", "192.0.2.0/24")
        .set("local.service.smtp.verification.iprev", "yes")
        .set("local.service.smtp.verification.dmarc", "report")
        .start();
    let cases = cases();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let text = format!("From: A <a@{}>\r\nSubject: {number}\r\n\r\nhello\r\n", case.author);
        let message = case.signer.map_or(text.clone(), |signer| signed(&dns, signer, &text));
        send(&instance, case.client, case.sender, &message);
        let found = rspamd.finds(case.client, case.sender, &message);
        for symbol in
            [case.spf[0], case.dmarc[0], if case.signer.is_some() { "R_DKIM_ALLOW" } else { "R_DKIM_NA" }]
        {
            if !found.contains(&format!("\"{symbol}\"")) {
                wrong.push(format!("rspamd: {number}: no {symbol} in {found}"));
            }
        }
    }
    let results = results(&instance, cases.len());
    let mut read = String::new();
    for (subject, said) in &results {
        let case = &cases[subject.trim().parse::<usize>().unwrap()];
        let dkim = if case.signer.is_some() { "dkim=pass" } else { "dkim=none" };
        for word in [case.spf[1], case.dmarc[1], dkim] {
            if !said.contains(&format!("; {word}")) {
                wrong.push(format!("we: {subject}: no {word} in {said}"));
            }
        }
        read.push_str(&format!("Authentication-Results:{said}\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let understood = authres(&read);
    for ((_, said), line) in results.iter().zip(understood.lines()) {
        let methods = said.split("; ").skip(1).map(|result| result.split(' ').next().unwrap());
        let expected: Vec<&str> = methods.collect();
        assert_eq!(line.split(' ').collect::<Vec<_>>(), expected, "{said}");
    }
    assert_eq!(understood.lines().count(), cases.len(), "{understood}");
}

/// `method=result` for each result, a line for each field.
fn authres(fields: &str) -> String {
    const READ: &str = "import sys, authres\n\
        for line in sys.stdin:\n\
        \x20   field = authres.AuthenticationResultsHeader.parse(line.strip())\n\
        \x20   assert field.authserv_id == 'localhost', field.authserv_id\n\
        \x20   print(' '.join('%s=%s' % (result.method, result.result) for result in field.results))\n";
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with python3-authres is needed: scripts/packages");
    child.stdin.take().unwrap().write_all(fields.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3-authres (scripts/packages): {fields}");
    String::from_utf8(output.stdout).unwrap()
}
