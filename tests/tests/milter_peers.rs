//! Real mail filters from Debian: opendkim signs and verifies, rspamd judges. Each runs with a configuration of its own, on
//! a port of its own, without the network, as long as its test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use black_box::addresses::free_port;
use black_box::instance::wait_for;
use black_box::{Instance, Setup, Smtp, run};

/// A program that is stopped by its process id.
struct Service {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|ended| ended.is_some());
        while !ended(&mut self.child) && std::time::Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(20)); // a child that ends wakes nobody
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts a program and waits until it listens.
    fn start(folder: tempfile::TempDir, port: u16, command: &mut Command) -> Service {
        let out = fs::File::create(folder.path().join("out")).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let mut service = Service { child: command.spawn().unwrap(), folder, port };
        wait_for("the filter", || {
            assert!(service.child.try_wait().unwrap().is_none(), "{}", service.said());
            TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(())
        });
        service
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    /// An instance whose mail this filter sees, with clients on loopback that may be anybody.
    fn instance(&self) -> Instance {
        Setup::default()
            .set("local.service.smtp.milter.peer.address", &format!("inet:{}@127.0.0.1", self.port))
            .set("local.service.smtp.milters", "peer")
            .set("local.service.smtp.smtp-accept.xclienthosts", "127.0.0.0/8")
            .start()
    }
}

fn message(instance: &Instance, user: &str, number: u32) -> String {
    instance.wait_for_messages(user, number);
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let fetched = imap.ok(&format!("FETCH {number} (BODY.PEEK[])")).concat();
    let (_, text) = fetched.split_once("}\r\n").unwrap();
    text.strip_suffix(")\r\n").or(text.strip_suffix(')')).unwrap_or(text).to_owned()
}

/// A client from elsewhere.
fn stranger(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO relay.example.org");
    assert!(smtp.ask("XCLIENT ADDR=192.0.2.7 NAME=client.example HELO=client.example").starts_with("220"));
    smtp
}

fn opendkim() -> Service {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    run(Command::new("opendkim-genkey")
        .args(["-b", "2048", "-s", "sel", "-d", "example.test", "-D"])
        .arg(folder.path()));
    // The record as opendkim reads keys from a file in the place of DNS.
    let record = fs::read_to_string(at("sel.txt")).unwrap();
    let value: String = record.split('"').skip(1).step_by(2).collect();
    fs::write(at("keys"), format!("sel._domainkey.example.test {value}\n")).unwrap();
    let port = free_port();
    let conf = format!(
        "Mode sv\nSocket inet:{port}@127.0.0.1\nDomain example.test\nSelector sel\nKeyFile {}\n\
         TestPublicKeys {}\nRequireSafeKeys no\nCanonicalization relaxed/simple\nSyslog no\n\
         AlwaysAddARHeader yes\nAuthservID peer.example.test\nPidFile {}\n",
        at("sel.private"),
        at("keys"),
        at("pid")
    );
    fs::write(at("conf"), conf).unwrap();
    let conf = at("conf");
    Service::start(folder, port, Command::new("/usr/sbin/opendkim").args(["-f", "-x", &conf]))
}

#[test]
fn opendkim_signs_what_users_send_and_verifies_what_comes_in() {
    let peer = opendkim();
    let instance = peer.instance();
    let text = "From: alice@example.test\r\nTo: bob@example.test\r\nDate: Sun, 29 Nov 2026 12:00:00 +0000\r\n\
                Subject: signed\r\n folded\r\nMessage-ID: <1@example.test>\r\n\r\nhello\r\n\r\nworld\r\n";
    instance.submission("alice").send_message("alice@example.test", &["bob@example.test"], text);
    let signed = message(&instance, "bob", 1);
    assert!(
        signed.contains("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.test;"),
        "{signed}"
    );
    assert!(signed.find("DKIM-Signature:") < signed.find("Received:"), "where opendkim wants it: {signed}");
    // The same comes in from elsewhere: whole, and changed on its way.
    let start = signed.find("DKIM-Signature:").unwrap();
    let mut smtp = stranger(&instance);
    smtp.send_message("alice@example.test", &["alice@example.test"], &signed[start..]);
    let verified = message(&instance, "alice", 1);
    let result = verified.split("Authentication-Results: peer.example.test;").nth(1).unwrap_or(&verified);
    assert!(result.trim_start().starts_with("dkim=pass"), "{verified}\n{}", peer.said());
    smtp.send_message(
        "alice@example.test",
        &["alice@example.test"],
        &signed[start..].replace("world", "World"),
    );
    let verified = message(&instance, "alice", 2);
    let result = verified.split("Authentication-Results: peer.example.test;").nth(1).unwrap_or(&verified);
    assert!(result.trim_start().starts_with("dkim=fail"), "{verified}");
}

fn rspamd() -> Service {
    let folder = tempfile::tempdir().unwrap();
    let (root, port) = (folder.path().display().to_string(), free_port());
    fs::write(folder.path().join("tld"), "com\norg\nexample\ntest\n").unwrap();
    let rules = "rspamd_config:register_symbol({ name = 'MARK', type = 'normal', score = 0.0, callback = function(task)\n\
                 if task:get_header('X-Spoofed') == 'plain' then return false end\n\
                 local from = task:get_from('smtp')\n\
                 task:set_milter_reply({ add_headers = { ['X-Peer-From'] = from and from[1] and from[1].addr or 'none',\n\
                 ['X-Peer-Ip'] = tostring(task:get_from_ip()), ['X-Peer-User'] = task:get_user() or 'nobody',\n\
                 ['X-Peer-Helo'] = task:get_helo() or 'none' },\n\
                 remove_headers = { ['X-Spoofed'] = 1 } })\n\
                 return true\nend })\n";
    fs::write(folder.path().join("rules.lua"), rules).unwrap();
    let conf = format!(
        "options {{ pidfile = \"{root}/pid\"; filters = \"\"; tempdir = \"{root}\"; dbdir = \"{root}\";\n\
         dns {{ nameserver = [\"127.0.0.1:1\"]; timeout = 0.1s; retransmits = 1; }}\n\
         dynamic_conf = \"{root}/dynamic\"; history_file = \"{root}/history\"; url_tld = \"{root}/tld\";\n\
         hs_cache_dir = \"{root}/\"; control_socket = \"{root}/control\"; explicit_modules = [\"settings\"];\n\
         enable_test_patterns = true; }}\n\
         logging {{ type = \"console\"; level = \"info\"; }}\n\
         metric {{ name = \"default\"; actions {{ reject = 15; add_header = 6; greylist = null; }} }}\n\
         worker \"rspamd_proxy\" {{ bind_socket = \"127.0.0.1:{port}\"; milter = yes; timeout = 30s; count = 1;\n\
         upstream \"local\" {{ default = yes; self_scan = yes; }} }}\n\
         lua = \"{root}/rules.lua\";\n"
    );
    fs::write(folder.path().join("rspamd.conf"), conf).unwrap();
    let conf = folder.path().join("rspamd.conf");
    Service::start(folder, port, Command::new("/usr/bin/rspamd").args(["-f", "-i", "-c"]).arg(conf))
}

/// What rspamd takes for spam, for tests: it is refused, or marked (its documentation, "GTUBE patterns").
fn gtube(letter: char) -> String {
    let pattern = format!("{letter}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");
    format!(
        "From: a@x.example\r\nTo: alice@example.test\r\nSubject: x\r\nX-Spoofed: plain\r\n\r\n{pattern}\r\n"
    )
}

#[test]
fn rspamd_refuses_marks_and_lets_pass() {
    let peer = rspamd();
    let instance = peer.instance();
    let mut smtp = stranger(&instance);
    for line in ["MAIL FROM:<a@x.example>", "RCPT TO:<alice@example.test>", "DATA"] {
        smtp.ok(line);
    }
    smtp.wire.send(format!("{}.\r\n", gtube('X')).as_bytes());
    let said = smtp.reply();
    assert!(said.starts_with("554 5.7.1 Gtube pattern"), "{said}\n{}", peer.said());
    smtp.send_message("a@x.example", &["alice@example.test"], &gtube('Y'));
    let marked = message(&instance, "alice", 1);
    assert!(marked.contains("X-Spam: Yes\r\n"), "{marked}");
    let ham = "From: a@x.example\r\nSubject: x\r\nX-Spoofed: y\r\nMessage-ID: <1@x.example>\r\n\r\nhello\r\n";
    smtp.send_message("a@x.example", &["alice@example.test"], ham);
    let passed = message(&instance, "alice", 2);
    assert!(!passed.contains("X-Spam:") && !passed.contains("X-Spoofed"), "{passed}");
    for (name, value) in
        [("From", "a@x.example"), ("Ip", "192.0.2.7"), ("User", "nobody"), ("Helo", "client.example")]
    {
        assert!(passed.contains(&format!("X-Peer-{name}: {value}\r\n")), "{name} in {passed}");
    }
    instance.submission("bob").send_message("bob@example.test", &["alice@example.test"], ham);
    assert!(message(&instance, "alice", 3).contains("X-Peer-User: bob\r\n"));
}
