//! The same run of a client against Mailboat and against a Dovecot leaves the same mailboxes: names, subscriptions, messages byte
//! for byte, flags. (mbsync and offlineimap are in two_way.rs, alpine in alpine.rs.)

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use black_box::instance::{IMAP, POP, wait_for};
use black_box::{Dovecot, Imap, Instance, Value, run};

/// Where a client logs in.
pub struct Server {
    pub host: String,
    pub imap: u16,
    pub pop: u16,
    pub user: &'static str,
    pub password: &'static str,
}

/// What a server has in the end.
#[derive(PartialEq, Debug)]
pub struct State {
    subscribed: Vec<String>,
    /// By mailbox: messages and their flags, sorted.
    mailboxes: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

/// What `work` leaves with both servers, Mailboat first: it is given where to log in, and a session that is logged in already.
pub fn both_servers(work: impl Fn(&Server, &mut Imap)) -> [State; 2] {
    let instance = Instance::start();
    let host = instance.address.to_string();
    let ours = Server { host, imap: IMAP, pop: POP, user: "bob", password: "bob-secret" };
    let mut imap = instance.imap("bob");
    work(&ours, &mut imap);
    let state = state(&mut imap);
    // Dovecot lets RETR set \Seen unless it is told not to; POP3 has no flags (RFC 1939), and here RETR leaves them alone.
    let mut dovecot = Dovecot::start("sdbox:{mail}/%n", "pop3_no_flag_updates = yes");
    let mut imap = dovecot.imap("bob");
    let host = "127.0.0.1".to_owned();
    let theirs = Server { host, imap: dovecot.port, pop: dovecot.pop_port, user: "bob", password: "secret" };
    work(&theirs, &mut imap);
    [state, self::state(&mut imap)]
}

/// The names in the answers to LIST or LSUB.
fn names(imap: &mut Imap, command: &str) -> Vec<String> {
    let name = |line: &String| line.rsplit_once("\"/\" ").map(|(_, name)| name.trim_matches('"').to_owned());
    let mut names: Vec<String> = imap.ok(command).iter().filter_map(name).collect();
    names.sort();
    names
}

fn state(imap: &mut Imap) -> State {
    let mut mailboxes = BTreeMap::new();
    for name in names(imap, "LIST \"\" *") {
        imap.ok(&format!("EXAMINE \"{name}\""));
        let (rows, end) = imap.raw("UID FETCH 1:* (FLAGS BODY.PEEK[])");
        assert!(end.starts_with("OK"), "{name}: {end}");
        let mut messages = Vec::new();
        for row in rows.iter().filter(|row| row.windows(7).any(|part| part == b" FETCH ")) {
            let items: BTreeMap<String, Value> = Value::fetched(row).into_iter().collect();
            let (Value::Text(text), Value::List(flags)) = (&items["BODY[]"], &items["FLAGS"]) else {
                panic!("{items:?}")
            };
            let mut flags: Vec<String> = flags.iter().map(|flag| format!("{flag:?}")).collect();
            flags.retain(|flag| flag != "\\Recent");
            flags.sort();
            messages.push((text.escape_ascii().to_string(), flags));
        }
        messages.sort();
        mailboxes.insert(name, messages);
    }
    State { subscribed: names(imap, "LSUB \"\" *"), mailboxes }
}

/// Messages into INBOX: `count` of them, the first one seen, the second with a keyword.
pub fn fill(imap: &mut Imap, count: usize) {
    for number in 0..count {
        let text = format!(
            "From: A <a@b.test>\r\nTo: bob@example.test\r\nSubject: letter {number}\r\nMessage-ID: <{number}@b.test>\r\n\r\n\
             .dot\r\nFrom here {number}\r\n{}",
            "x\r\n".repeat(number)
        );
        let flags = ["(\\Seen) ", "($Work) "].get(number).unwrap_or(&"");
        assert!(imap.append("INBOX", flags, &text).starts_with("OK"));
    }
}

/// A client that has logged out may still be there for a moment, as its server sees it.
pub fn wait_for_maildrop(server: &Server) {
    wait_for("the maildrop", || {
        let stream = std::net::TcpStream::connect((server.host.as_str(), server.pop)).ok()?;
        let mut pop = black_box::Pop::open(stream);
        pop.ok(&format!("USER {}", server.user));
        pop.ask(&format!("PASS {}", server.password)).starts_with("+OK").then(|| pop.ok("QUIT"))
    });
}

/// mutt at a terminal, with keys that were pressed before.
fn mutt(server: &Server, keys: &str) {
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("muttrc");
    let text = format!(
        "set imap_user={} imap_pass={} ssl_starttls=no ssl_force_tls=no\n\
         set folder=imap://{}:{}/ record='' confirmcreate=no quit=yes\n\
         set delete=yes move=no confirmappend=no sleep_time=0 sort=mailbox-order mark_old=no\n\
         push '{keys}'\n",
        server.user, server.password, server.host, server.imap
    );
    fs::write(&rc, text).unwrap();
    let inbox = format!("imap://{}:{}/INBOX", server.host, server.imap);
    let output = Command::new("script")
        .args(["-qec", &format!("mutt -F {} -f '{inbox}'", rc.display()), "/dev/null"])
        .env("HOME", home.path())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn mutt_ends_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        fill(imap, 6);
        mutt(
            server,
            "<first-entry><save-message><kill-line>=Kept<enter>\
             3<enter><copy-message><kill-line>=Kept<enter>4<enter><flag-message>\
             5<enter><delete-message>6<enter><toggle-new><sync-mailbox><quit>",
        );
        assert_eq!((imap.exists("INBOX"), imap.exists("Kept")), (4, 2));
    });
    assert_eq!(states[0], states[1]);
}

fn fetchmail(server: &Server, protocol: &str, port: u16, more: &str, home: &Path) {
    let rc = home.join("fetchmailrc");
    let text = format!(
        "poll {} protocol {protocol} service {port} user \"{}\" password \"{}\" sslproto \"\" {more} mda \"cat >>{}\"\n",
        server.host,
        server.user,
        server.password,
        home.join("mbox").display()
    );
    fs::write(&rc, text).unwrap();
    fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("fetchmail");
    command.arg("-f").arg(&rc).args(["--nosyslog", "--pidfile"]).arg(home.join("pid"));
    run(command.env("HOME", home).env("FETCHMAILHOME", home));
}

/// What it has seen, what it keeps, what it takes away, by IMAP and by POP.
#[test]
fn fetchmail_ends_as_with_dovecot() {
    for (protocol, more, left) in [
        ("imap", "keep", 5),
        ("imap", "nokeep", 1),
        ("pop3", "keep fetchall", 5),
        ("pop3", "nokeep fetchall", 0),
    ] {
        let states = both_servers(|server, imap| {
            fill(imap, 5);
            let home = tempfile::tempdir().unwrap();
            let port = if protocol == "imap" { server.imap } else { server.pop };
            fetchmail(server, protocol, port, more, home.path());
            wait_for_maildrop(server);
            assert_eq!(imap.exists("INBOX"), left, "{protocol} {more}");
            let mbox = fs::read_to_string(home.path().join("mbox")).unwrap();
            let all = if protocol == "imap" { 4 } else { 5 }; // what was seen is not asked for by IMAP
            assert_eq!(mbox.matches("Subject: letter ").count(), all, "{protocol} {more}");
        });
        assert_eq!(states[0], states[1], "{protocol} {more}");
    }
}

fn getmail(server: &Server, kind: &str, port: u16, delete: bool) {
    let home = tempfile::tempdir().unwrap();
    let maildir = home.path().join("Maildir");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    // It delivers nothing as root: to the user mail, then.
    run(Command::new("chown").args(["-R", "mail:mail"]).arg(home.path()));
    let rc = home.path().join("getmailrc");
    let text = format!(
        "[retriever]\ntype = {kind}\nserver = {}\nport = {port}\nusername = {}\npassword = {}\n\
         [destination]\ntype = Maildir\npath = {}/\nuser = mail\n[options]\nread_all = true\ndelete = {delete}\n",
        server.host,
        server.user,
        server.password,
        maildir.display()
    );
    fs::write(&rc, text).unwrap();
    // It forks for each message, and can miss that the child has ended, when that is fast: then it waits for a minute and fails,
    // with nothing deleted that it has not delivered. A second run goes on.
    let mut get = Command::new("getmail");
    get.arg("--getmaildir").arg(home.path()).arg("--rcfile").arg(&rc).stdin(Stdio::null());
    let ended = wait_for_success(&mut get);
    let messages = crate::messages_in(&maildir);
    assert!(messages == 5 || !ended && messages > 5, "{kind}: {messages}");
}

/// Whether it succeeded the first time.
fn wait_for_success(command: &mut Command) -> bool {
    for attempt in 0..4 {
        let output = command.output().unwrap();
        if output.status.success() {
            return attempt == 0;
        }
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("waiting child pid"), "{command:?}: {said}");
    }
    panic!("{command:?} failed four times")
}

#[test]
fn getmail_ends_as_with_dovecot() {
    for (kind, delete) in [
        ("SimpleIMAPRetriever", false),
        ("SimpleIMAPRetriever", true),
        ("SimplePOP3Retriever", false),
        ("SimplePOP3Retriever", true),
    ] {
        let states = both_servers(|server, imap| {
            fill(imap, 5);
            getmail(server, kind, if kind.contains("POP") { server.pop } else { server.imap }, delete);
            wait_for_maildrop(server);
            assert_eq!(imap.exists("INBOX"), if delete { 0 } else { 5 }, "{kind}");
        });
        assert_eq!(states[0], states[1], "{kind}, delete {delete}");
    }
}

/// Each command of curl is a session of its own.
#[test]
fn curl_ends_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        fill(imap, 5);
        let home = tempfile::tempdir().unwrap();
        let letter = home.path().join("letter");
        fs::write(&letter, "From: a@b.test\r\nSubject: by curl\r\n\r\nhello\r\n").unwrap();
        let account = format!("{}:{}", server.user, server.password);
        let curl = |path: &str, more: &[&str]| {
            let url = format!("imap://{}:{}/{path}", server.host, server.imap);
            run(Command::new("curl").args(["-sS", "--max-time", "60", "-u", &account, &url]).args(more))
        };
        curl("", &["-X", "CREATE Work"]);
        curl("", &["-X", "SUBSCRIBE Work"]);
        curl("", &["-X", "CREATE Work/Old"]);
        curl("INBOX", &["-T", letter.to_str().unwrap()]);
        curl("INBOX", &["-X", "COPY 2:3 Work"]);
        curl("INBOX", &["-X", "STORE 4 +FLAGS (\\Flagged \\Answered)"]);
        assert!(curl("INBOX;MAILINDEX=3", &[]).contains("Subject: letter 2\r\n")); // which is read then
        curl("INBOX", &["-X", "STORE 1 +FLAGS (\\Deleted)"]);
        curl("INBOX", &["-X", "EXPUNGE"]);
        curl("", &["-X", "RENAME Work/Old Done"]);
        let pop = |path: &str, more: &[&str]| {
            let url = format!("pop3://{}:{}/{path}", server.host, server.pop);
            run(Command::new("curl").args(["-sS", "--max-time", "60", "-u", &account, &url]).args(more))
        };
        wait_for_maildrop(server);
        assert!(pop("1", &[]).contains("Subject: letter 1\r\n"));
        pop("5", &["-X", "DELE", "-l"]);
        wait_for_maildrop(server);
        assert_eq!((imap.exists("INBOX"), imap.exists("Work")), (4, 2));
    });
    assert_eq!(states[0], states[1]);
}

const PYTHON_DAY: &str = r#"
import imaplib, poplib, sys
host, port, pop_port, user, password = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
imap = imaplib.IMAP4(host, port, timeout=60)
def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]
ok(imap.login(user, password))
for name in ("Work", "Work/Old", "Gone", "K&APY-ln", '"with blanks"'):
    ok(imap.create(name))
ok(imap.subscribe("Work"))
ok(imap.subscribe("K&APY-ln"))
ok(imap.delete("Gone"))
ok(imap.rename("Work/Old", "Work/Older"))
ok(imap.append("Work", "(\\Draft $Work)", imaplib.Time2Internaldate(1000000000), b"Subject: mine\r\n\r\n.\r\n"))
ok(imap.select("INBOX"))
ok(imap.copy("1:2", "Work/Older"))
ok(imap.store("2:3", "+FLAGS", "(\\Answered $Work)"))
ok(imap.store("2", "-FLAGS", "($Work)"))
ok(imap.store("4", "FLAGS", "(\\Flagged)"))
ok(imap.uid("MOVE", ok(imap.uid("SEARCH", None, "SUBJECT", '"letter 4"'))[0].decode(), '"with blanks"'))
ok(imap.fetch("5", "(BODY[TEXT])"))
ok(imap.store("1", "+FLAGS", "\\Deleted"))
ok(imap.expunge())
ok(imap.store("1", "+FLAGS", "\\Deleted"))
ok(imap.close())
ok(imap.unsubscribe("K&APY-ln"))
imap.logout()
pop = poplib.POP3(host, pop_port, timeout=60)
pop.user(user)
pop.pass_(password)
assert pop.stat()[0] == 3, pop.stat()
pop.dele(1)
pop.rset()
pop.dele(2)
pop.quit()
"#;

#[test]
fn pythons_libraries_end_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        fill(imap, 6);
        run(Command::new("python3").args(["-c", PYTHON_DAY, &server.host]).args([
            &server.imap.to_string(),
            &server.pop.to_string(),
            server.user,
            server.password,
        ]));
        wait_for_maildrop(server);
        assert_eq!((imap.exists("INBOX"), imap.exists("Work/Older")), (2, 2));
    });
    assert_eq!(states[0], states[1]);
}

const PERL_DAY: &str = r#"
use strict; use warnings; use Mail::IMAPClient;
my ($server, $port, $user, $password) = @ARGV;
my $imap = Mail::IMAPClient->new(Server => $server, Port => $port, User => $user, Password => $password, Uid => 1) or die $@;
sub must { $_[0] or die "$_[1]: " . ($imap->LastError // "") }
must($imap->create("Work/Old"), "create"); must($imap->subscribe("Work/Old"), "subscribe");
must($imap->select("INBOX"), "select");
must($imap->append_string("INBOX", "Subject: p\r\nFrom: A <a\@b.test>\r\n\r\n\x{e4}\r\n", "\\Seen \\Flagged"), "append");
my @all = $imap->messages;
must($imap->see($all[2]), "see"); must($imap->deny_seeing($all[0]), "deny_seeing");
must($imap->copy("Work/Old", $all[1], $all[2]), "copy"); must($imap->move("Work/Old", $all[3]), "move");
must($imap->delete_message($all[4]), "delete_message"); must($imap->expunge, "expunge");
must($imap->rename("Work/Old", "Elsewhere"), "rename");
must($imap->logout, "logout");
"#;

#[test]
fn perls_imap_client_ends_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        fill(imap, 6);
        let port = server.imap.to_string();
        run(Command::new("perl").args(["-e", PERL_DAY, &server.host, &port, server.user, server.password]));
        assert_eq!((imap.exists("INBOX"), imap.exists("Elsewhere")), (5, 3));
    });
    assert_eq!(states[0], states[1]);
}
