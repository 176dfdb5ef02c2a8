//! The clients that people have: swaks, curl, mutt, alpine, mbsync, offlineimap, fetchmail, getmail, Evolution's mail engine, and the libraries of Python and Perl.
#![allow(clippy::unwrap_used)]

#[path = "clients/alpine.rs"]
mod alpine;
#[path = "clients/evolution.rs"]
mod evolution;
#[path = "clients/same_state.rs"]
mod same_state;
#[path = "clients/two_way.rs"]
mod two_way;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use black_box::instance::{IMAP, IMAPS, POP, POPS, SMTP, SUBMISSION, SUBMISSIONS};
use black_box::{Instance, Setup, run};

fn messages_in(maildir: &Path) -> usize {
    ["cur", "new"]
        .iter()
        .map(|part| fs::read_dir(maildir.join(part)).map_or(0, |entries| entries.count()))
        .sum()
}

#[test]
fn swaks_submits_over_starttls_and_over_tls() {
    let instance = Instance::start();
    let ca = instance.path("config/certs/ca.pem");
    for (port, tls) in [(SUBMISSION, "--tls"), (SUBMISSIONS, "--tls-on-connect")] {
        let said = run(Command::new("swaks")
            .args(["--server", &instance.address.to_string(), "--port", &port.to_string(), tls])
            .args(["--tls-verify", "--tls-ca-path"])
            .arg(&ca)
            .args(["-a", "PLAIN", "-au", "alice@example.test", "-ap", "alice-secret"])
            .args(["-f", "alice@example.test", "-t", "bob@example.test", "--header", "Subject: swaks"]));
        assert!(said.contains("250 2."), "{said}");
    }
    instance.wait_for_messages("bob", 2);
}

#[test]
fn swaks_logs_in_with_the_login_mechanism_and_is_refused_with_a_wrong_password() {
    let instance = Instance::start();
    let swaks = |password: &str| {
        Command::new("swaks")
            .args(["--server", &instance.address.to_string(), "--port", &SUBMISSION.to_string(), "--tls"])
            .args(["-a", "LOGIN", "-au", "alice", "-ap", password])
            .args(["-f", "alice@example.test", "-t", "bob@example.test"])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    assert!(swaks("alice-secret").status.success());
    let refused = swaks("wrong");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stdout).contains("535 5.7.8"), "{refused:?}");
}

#[test]
fn curl_speaks_smtp_imap_and_pop3() {
    let instance = Instance::start();
    let ca = instance.path("config/certs/ca.pem");
    let text = instance.path("tmp/letter");
    fs::write(
        &text,
        "From: <alice@example.test>\r\nTo: <bob@example.test>\r\nSubject: by curl\r\n\r\nhello\r\n",
    )
    .unwrap();
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert"]).arg(&ca);
        for port in [SUBMISSIONS, IMAPS, POPS, IMAP] {
            command.args(["--connect-to", &format!("localhost:{port}:{}:{port}", instance.address)]);
        }
        run(command.args(arguments))
    };
    curl(&[
        &format!("smtps://localhost:{SUBMISSIONS}"),
        "-u",
        "alice@example.test:alice-secret",
        "--mail-from",
        "alice@example.test",
        "--mail-rcpt",
        "bob@example.test",
        "-T",
        text.to_str().unwrap(),
    ]);
    instance.wait_for_messages("bob", 1);
    let by_imap =
        curl(&[&format!("imaps://localhost:{IMAPS}/INBOX;MAILINDEX=1"), "-u", "bob@example.test:bob-secret"]);
    assert!(by_imap.contains("Subject: by curl\r\n") && by_imap.ends_with("\r\n\r\nhello\r\n"), "{by_imap}");
    let by_starttls = curl(&[
        &format!("imap://localhost:{IMAP}/INBOX;MAILINDEX=1"),
        "--ssl-reqd",
        "-u",
        "bob@example.test:bob-secret",
    ]);
    assert_eq!(by_imap, by_starttls);
    let by_pop = curl(&[&format!("pop3s://localhost:{POPS}/1"), "-u", "bob@example.test:bob-secret"]);
    assert_eq!(by_imap, by_pop);
    let search = curl(&[
        &format!("imaps://localhost:{IMAPS}/INBOX"),
        "-u",
        "bob:bob-secret",
        "-X",
        "SEARCH SUBJECT curl",
    ]);
    assert!(search.contains("* SEARCH 1"), "{search}");
    curl(&[
        &format!("imaps://localhost:{IMAPS}/INBOX"),
        "-u",
        "bob:bob-secret",
        "-T",
        text.to_str().unwrap(),
    ]);
    instance.wait_for_messages("bob", 2);
}

fn mbsync(instance: &Instance, home: &Path) {
    mbsync_from(&instance.address.to_string(), IMAP, ("alice@example.test", "alice-secret"), home);
}

/// Both ways, between the server and `mail` in the folder.
fn mbsync_from(host: &str, port: u16, (user, password): (&str, &str), home: &Path) {
    let rc = home.join("mbsyncrc");
    let local = home.join("mail");
    fs::create_dir_all(&local).unwrap();
    fs::write(
        &rc,
        format!(
            "IMAPAccount a\nHost {host}\nPort {port}\nUser {user}\nPass {password}\nSSLType None\n\
             AuthMechs LOGIN\n\nIMAPStore far\nAccount a\n\nMaildirStore near\nPath {local}/\nInbox {local}/INBOX\n\
             SubFolders Verbatim\n\nChannel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\n\
             SyncState *\n",
            local = local.display()
        ),
    )
    .unwrap();
    run(Command::new("mbsync").arg("-c").arg(&rc).arg("-a").env("HOME", home));
}

#[test]
fn mbsync_copies_500_messages_both_ways_and_stays_in_step() {
    let instance = Instance::start();
    let home = tempfile::tempdir().unwrap();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Archive");
    for n in 0..250 {
        let message = format!(
            "Message-ID: <far-{n}@example.test>\r\nSubject: far {n}\r\n\r\n{}\r\n",
            "x\r\n".repeat(n)
        );
        assert!(imap.append("Archive", "(\\Seen) ", &message).starts_with("OK"));
    }
    mbsync(&instance, home.path());
    let mail = home.path().join("mail");
    assert_eq!(messages_in(&mail.join("Archive")), 250);
    // Now 250 that only the client has.
    for n in 0..250 {
        let message = format!("Message-ID: <near-{n}@example.test>\nSubject: near {n}\n\nfrom the client\n");
        fs::write(mail.join(format!("Archive/new/1700000000.{n}.near")), message).unwrap();
    }
    mbsync(&instance, home.path());
    assert_eq!(imap.exists("Archive"), 500);
    imap.ok("SELECT Archive");
    let far = imap.ok("SEARCH SUBJECT far");
    assert_eq!(far[0].split_whitespace().count(), 2 + 250, "{far:?}");
    // Flags and deletions travel.
    imap.ok("STORE 1:10 +FLAGS (\\Flagged)");
    imap.ok("STORE 11:20 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    mbsync(&instance, home.path());
    assert_eq!(messages_in(&mail.join("Archive")), 490);
    let flagged = fs::read_dir(mail.join("Archive/cur"))
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.rsplit_once(":2,").is_some_and(|(_, flags)| flags.contains('F'))
        })
        .count();
    assert_eq!(flagged, 10);
    // A second copy made from nothing is the same.
    let other = tempfile::tempdir().unwrap();
    mbsync(&instance, other.path());
    assert_eq!(messages_in(&other.path().join("mail/Archive")), 490);
}

#[test]
fn fetchmail_empties_a_maildrop_over_pop_and_reads_over_imap() {
    let instance = Instance::start();
    for n in 0..20 {
        instance.send("bob", &format!("fetch {n}"));
    }
    instance.wait_for_messages("bob", 20);
    let home = tempfile::tempdir().unwrap();
    let mbox = home.path().join("mbox");
    let rc = home.path().join("fetchmailrc");
    let fetch = |protocol: &str, port: u16, keep: &str| {
        fs::write(
            &rc,
            format!(
                "poll {} protocol {protocol} service {port} user \"bob@example.test\" password \"bob-secret\" \
                 sslproto \"\" {keep} fetchall mda \"cat >>{}\"\n",
                instance.address,
                mbox.display()
            ),
        )
        .unwrap();
        let mut permissions = fs::metadata(&rc).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        fs::set_permissions(&rc, permissions).unwrap();
        run(Command::new("fetchmail")
            .arg("-f")
            .arg(&rc)
            .args(["--nosyslog", "--pidfile"])
            .arg(home.path().join("pid"))
            .env("HOME", home.path())
            .env("FETCHMAILHOME", home.path()));
    };
    fetch("imap", IMAP, "keep");
    assert_eq!(fs::read_to_string(&mbox).unwrap().matches("Subject: fetch ").count(), 20);
    instance.wait_for_messages("bob", 20);
    fs::remove_file(&mbox).unwrap();
    fetch("pop3", POP, "nokeep");
    assert_eq!(fs::read_to_string(&mbox).unwrap().matches("Subject: fetch ").count(), 20);
    assert_eq!(instance.imap("bob").exists("INBOX"), 0);
}

#[test]
fn mutt_reads_and_saves_over_imap() {
    let instance = Instance::start();
    instance.send("bob", "for mutt");
    instance.wait_for_messages("bob", 1);
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("muttrc");
    let inbox = format!("imap://bob%40example.test:bob-secret@{}:{IMAP}/INBOX", instance.address);
    fs::write(
        &rc,
        format!(
            "set imap_user=bob@example.test imap_pass=bob-secret ssl_starttls=no ssl_force_tls=no\n\
             set folder=imap://{}:{IMAP}/ record='' confirmcreate=no quit=yes\n\
             set delete=yes move=no confirmappend=no sleep_time=0\n\
             push '<save-message><kill-line>=Kept<enter><sync-mailbox><quit>'\n",
            instance.address
        ),
    )
    .unwrap();
    let output = Command::new("script")
        .args(["-qec", &format!("mutt -F {} -f '{inbox}'", rc.display()), "/dev/null"])
        .env("HOME", home.path())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut imap = instance.imap("bob");
    assert_eq!(imap.exists("INBOX"), 0);
    assert_eq!(imap.exists("Kept"), 1);
}

/// curl, mutt and imaplib in a folder of somebody else's that they may read.
#[test]
fn curl_mutt_and_imaplib_read_a_shared_folder() {
    let instance = Instance::start();
    let mut alice = instance.imap("alice");
    alice.ok("CREATE Work");
    alice.append("Work", "", "Subject: plans\r\n\r\nfor all\r\n");
    alice.ok("SETACL Work bob lrsw"); // without w it is READ-ONLY (RFC 4314 §5.2), which imaplib does not select
    let by_curl = run(Command::new("curl").args(["-sS", "--max-time", "60", "-u", "bob:bob-secret"]).arg(
        format!("imap://{}:{IMAP}/Shared%20Folders%2FUser%2Falice%2FWork;MAILINDEX=1", instance.address),
    ));
    assert_eq!(by_curl, "Subject: plans\r\n\r\nfor all\r\n");
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("muttrc");
    let inbox = format!("imap://{}:{IMAP}/Shared Folders/User/alice/Work", instance.address);
    let commands = format!(
        "set imap_user=bob@example.test imap_pass=bob-secret ssl_starttls=no ssl_force_tls=no\n\
         set folder=imap://{}:{IMAP}/ record='' confirmcreate=no quit=yes\n\
         set delete=no move=no confirmappend=no sleep_time=0\n\
         push '<copy-message><kill-line>=Kept<enter><quit>'\n",
        instance.address
    );
    fs::write(&rc, commands).unwrap();
    let output = Command::new("script")
        .args(["-qec", &format!("mutt -F {} -f '{inbox}'", rc.display()), "/dev/null"])
        .env("HOME", home.path())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(instance.imap("bob").exists("Kept"), 1);
    let script = format!(
        "import imaplib\n\
         imap = imaplib.IMAP4('{}', {IMAP}, timeout=60)\n\
         imap.login('bob', 'bob-secret')\n\
         name = '\"Shared Folders/User/alice/Work\"'\n\
         print(imap.namespace()[1][0].decode())\n\
         print(imap.myrights(name)[1][0].decode())\n\
         print(imap.select(name), imap.is_readonly)\n\
         print(imap.store('1', '+FLAGS', '(\\\\Seen)')[0], imap.search(None, 'SEEN')[1])\n\
         print(imap.getacl(name)[0], imap.setacl(name, 'bob', 'lrswi')[0], imap.expunge()[0])\n\
         imap.logout()\n",
        instance.address
    );
    let said = run(Command::new("python3").args(["-c", &script]));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("((\"Shared Folders/User/\" \"/\"))"), "{said}");
    assert!(lines[1].ends_with(" lrsw"), "{said}");
    assert!(lines[2].starts_with("('OK', [b'1'])"), "{said}");
    assert_eq!(lines[3..], ["OK [b'1']", "NO NO NO"], "{said}");
    // What bob read is new for alice.
    alice.ok("SELECT Work");
    assert_eq!(alice.ok("SEARCH UNSEEN"), ["* SEARCH 1"]);
}

/// smtplib, imaplib and poplib, strict as they are.
#[test]
fn pythons_libraries_go_through_a_whole_day() {
    let instance = Setup::default().start();
    let script = black_box::instance::top().join("tests/tests/clients.py");
    let said = run(Command::new("python3")
        .arg(script)
        .arg(instance.address.to_string())
        .args([SMTP, SUBMISSION, IMAP, IMAPS, POP, POPS].map(|port| port.to_string()))
        .arg(instance.path("config/certs/ca.pem")));
    assert!(said.ends_with("all well\n"), "{said}");
}

/// By POP and by IMAP into a Maildir, each message once, and deleted behind it.
#[test]
fn getmail_fetches_each_message_once() {
    let instance = Instance::start();
    let mut imap = instance.imap("bob");
    for number in 0..5 {
        let message = format!("From: a@b.test\r\nSubject: get {number}\r\n\r\n.dot\r\n");
        assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    }
    let home = tempfile::tempdir().unwrap();
    let maildir = home.path().join("Maildir");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    // It delivers nothing as root: to the user mail, then.
    run(Command::new("chown").args(["-R", "mail:mail"]).arg(home.path()));
    let rc = home.path().join("getmailrc");
    let get = |kind: &str, port: u16, delete: bool| {
        let text = format!(
            "[retriever]\ntype = {kind}\nserver = {}\nport = {port}\nusername = bob\npassword = bob-secret\n\
             [destination]\ntype = Maildir\npath = {}/\nuser = mail\n[options]\nread_all = false\ndelete = {delete}\n",
            instance.address,
            maildir.display()
        );
        fs::write(&rc, text).unwrap();
        run(Command::new("getmail").arg("--getmaildir").arg(home.path()).arg("--rcfile").arg(&rc));
    };
    get("SimplePOP3Retriever", POP, false);
    get("SimplePOP3Retriever", POP, false); // their unique ids are known
    assert_eq!(messages_in(&maildir), 5);
    assert_eq!(imap.exists("INBOX"), 5);
    get("SimpleIMAPRetriever", IMAP, true);
    assert_eq!(messages_in(&maildir), 10);
    assert_eq!(imap.exists("INBOX"), 0);
}

const PERL_DAY: &str = r#"
use strict; use warnings; use Mail::IMAPClient;
my ($server, $port) = @ARGV;
my $imap = Mail::IMAPClient->new(Server => $server, Port => $port, User => "bob", Password => "bob-secret", Uid => 1) or die $@;
sub must { $_[0] or die "$_[1]: " . ($imap->LastError // "") }
must($imap->has_capability("UIDPLUS"), "UIDPLUS");
must($imap->create("Work/Old"), "create");
must($imap->select("INBOX"), "select");
my $uid = $imap->append_string("INBOX", "Subject: p\r\nFrom: A <a\@b.test>\r\n\r\n\x{e4}\r\n");
must($uid, "append");
must($imap->message_string($uid) eq "Subject: p\r\nFrom: A <a\@b.test>\r\n\r\n\x{e4}\r\n", "message_string");
must($imap->get_header($uid, "Subject") eq "p", "get_header");
my $envelope = $imap->get_envelope($uid); must($envelope->from_addresses eq "A <a\@b.test>", "get_envelope");
my $type = $imap->get_bodystructure($uid)->bodytype; must(lc($type) eq "text", "get_bodystructure says $type");
must($imap->see($uid) && $imap->flags($uid), "see");
must(($imap->search("SEEN"))[0] == $uid, "search");
must($imap->move("Work/Old", $uid), "move"); must($imap->expunge, "expunge");
must($imap->message_count("INBOX") == 0 && $imap->message_count("Work/Old") == 1, "message_count");
must((grep { $_ eq "Work/Old" } $imap->folders), "folders");
must($imap->logout, "logout"); print "all well\n";
"#;

#[test]
fn perls_imap_client_goes_through_a_day() {
    let instance = Instance::start();
    let said =
        run(Command::new("perl").args(["-e", PERL_DAY, &instance.address.to_string(), &IMAP.to_string()]));
    assert!(said.ends_with("all well\n"), "{said}");
}
