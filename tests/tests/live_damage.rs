//! Files of a mailbox that are damaged while sessions have it selected: flipped, cut, replaced and removed, each kind of file in
//! each way. No daemon dies, nobody else notices, no message and no flag is lost, and no answer is one of a mailbox that is none:
//! each command is done, refused, or ends the session with `* BYE`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, wait_for};
use black_box::{Http, Imap, Instance, Vigil, run};
use serde_json::{Value, json};

/// More than one block of the index.
const MESSAGES: u32 = 260;

const HARMS: [Harm; 6] =
    [Harm::Flipped, Harm::Zeroed, Harm::Cut, Harm::Emptied, Harm::Replaced, Harm::Removed];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    /// A bit in each of sixteen places.
    Flipped,
    Zeroed,
    Cut,
    Emptied,
    /// By another file of the same length, without sense.
    Replaced,
    Removed,
}

fn do_harm(path: &Path, harm: Harm) {
    let mut bytes = fs::read(path).unwrap();
    let write = |bytes: &[u8]| {
        fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, 0).unwrap();
    };
    let cut = |length: u64| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    match harm {
        Harm::Flipped => {
            let step = (bytes.len() / 16).max(1);
            bytes.iter_mut().step_by(step).for_each(|byte| *byte ^= 4);
            write(&bytes);
        }
        Harm::Zeroed => write(&vec![0; bytes.len()]),
        Harm::Cut => cut(bytes.len() as u64 / 2),
        Harm::Emptied => cut(0),
        Harm::Replaced => {
            let other = path.with_extension("other");
            fs::write(&other, vec![b'?'; bytes.len()]).unwrap();
            fs::rename(&other, path).unwrap();
        }
        Harm::Removed => fs::remove_file(path).unwrap(),
    }
}

fn user_folder(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"))
}

/// Alice, in whose session one thing after the other is asked; again in a new one when the server ended it, with a word.
struct Alice<'i> {
    instance: &'i Instance,
    imap: Imap,
    byes: u32,
}

impl<'i> Alice<'i> {
    fn new(instance: &'i Instance) -> Alice<'i> {
        Alice { instance, imap: selected(instance), byes: 0 }
    }

    /// Asks until it is done; every other answer must be one that a client can live with. A record of which a bit flipped is
    /// refused until `reconstruct` makes it anew.
    fn reads(&mut self, command: &str, harm: Harm) {
        if harm != Harm::Flipped {
            return self.done(command);
        }
        let tag = format!("r{} ", self.byes);
        self.imap.wire.send(format!("{tag}{command}\r\n").as_bytes());
        match self.answer(&tag, command) {
            Some((_, end)) => assert!(end.starts_with("OK") || end.starts_with("NO [SERVERBUG]"), "{end}"),
            None => self.imap = selected(self.instance),
        }
    }

    fn done(&mut self, command: &str) {
        for _ in 0..4 {
            let number = self.imap.number() + 1;
            self.imap.wire.send(format!("t{number} {command}\r\n").as_bytes());
            match self.answer(&format!("t{number} "), command) {
                Some((_, end)) if end.starts_with("OK") => return,
                Some((_, end)) => {
                    assert!(
                        end.starts_with("NO [SERVERBUG]") || end.starts_with("NO [UNAVAILABLE]"),
                        "{end}"
                    );
                    self.imap = selected(self.instance);
                }
                None => self.imap = selected(self.instance),
            }
        }
        panic!("{command} is never done");
    }

    /// Nothing when the session was ended.
    fn answer(&mut self, tag: &str, command: &str) -> Option<(Vec<String>, String)> {
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.imap.wire.try_line() else { panic!("{command}: ended without a word") };
            assert!(!line.contains("EXPUNGE") && !line.contains("UID 0 "), "{command}: {line}");
            if let Some(end) = line.strip_prefix(tag) {
                return Some((lines, end.to_owned()));
            }
            if line.starts_with("* BYE") {
                assert!(line.starts_with("* BYE [UNAVAILABLE]"), "{line}");
                self.byes += 1;
                return None;
            }
            lines.push(line);
        }
    }
}

fn selected(instance: &Instance) -> Imap {
    let mut imap = instance.imap("alice");
    for _ in 0..2 {
        let (_, end) = imap.command("SELECT INBOX");
        if end.starts_with("OK") {
            return imap;
        }
    }
    panic!("INBOX cannot be selected");
}

fn uids(lines: &[String]) -> Vec<u32> {
    let found = lines.iter().filter(|line| line.starts_with("* SEARCH"));
    found
        .flat_map(|line| line["* SEARCH".len()..].split_whitespace())
        .map(|uid| uid.parse().unwrap())
        .collect()
}

fn uid_validity(imap: &mut Imap) -> String {
    imap.ok("STATUS INBOX (UIDVALIDITY)").join("")
}

/// One file, one harm, a whole life of a mailbox.
fn survives(file: &str, harm: Harm) {
    let instance = Instance::start();
    let folder = user_folder(&instance, "alice");
    let path = match file {
        "store.ring" => instance.path("run/store.ring"),
        other => folder.join(other),
    };
    let mut alice = Alice::new(&instance);
    for number in 1..=MESSAGES {
        assert!(
            alice
                .imap
                .append("INBOX", "", &format!("Subject: {number}\r\n\r\nbody {number}\r\n"))
                .starts_with("OK")
        );
    }
    alice.imap.ok("NOOP");
    alice.imap.ok("STORE 7 +FLAGS (\\Flagged)");
    let validity = uid_validity(&mut alice.imap);
    let mut beside = instance.imap("bob");
    beside.ok("SELECT INBOX");
    let vigil = Vigil::begin(&instance);
    do_harm(&path, harm);
    // Seven commands of a client that knows nothing of it.
    alice.done("NOOP");
    alice.reads("UID FETCH 1:* (FLAGS)", harm);
    alice.reads("UID FETCH 9 (ENVELOPE)", harm);
    alice.done("UID STORE 9 +FLAGS (\\Flagged)");
    assert!(instance.imap("alice").append("INBOX", "", "Subject: new\r\n\r\nnew\r\n").starts_with("OK"));
    alice.done("NOOP");
    assert!(beside.append("INBOX", "", "Subject: x\r\n\r\nx\r\n").starts_with("OK"));
    assert_eq!(beside.ok("FETCH 1 (BODY[TEXT])").len(), 1);
    // What another process changes is seen here, whatever happened to the file that both had open.
    let mut pop = instance.pop("alice");
    assert!(pop.ok("STAT").starts_with("+OK"));
    pop.ok("QUIT");
    run(instance.tool("reconstruct").arg("user/alice/INBOX"));
    let mut after = selected(&instance);
    assert_eq!(uids(&after.ok("UID SEARCH ALL")), (1..=MESSAGES + 1).collect::<Vec<_>>());
    assert_eq!(uids(&after.ok("UID SEARCH FLAGGED")), [7, 9]);
    assert_eq!(uid_validity(&mut after), validity);
    for uid in [1, 200, MESSAGES] {
        let text = after.ok(&format!("UID FETCH {uid} (BODY.PEEK[TEXT])")).join("");
        assert!(text.contains(&format!("body {uid}\r\n")), "{text}");
    }
    vigil.end(&instance, 16 << 20);
    println!("{file} {harm:?}: {} sessions had to begin anew", alice.byes);
    assert!(run(&mut instance.tool("storecheck")).contains(" 0 differences"));
}

#[test]
fn an_index_that_is_damaged_under_live_sessions_is_made_anew_and_no_daemon_dies() {
    HARMS.iter().for_each(|harm| survives("store.idx", *harm));
}

#[test]
fn a_log_that_is_damaged_under_live_sessions_costs_nothing() {
    HARMS.iter().for_each(|harm| survives("store.log", *harm));
}

#[test]
fn a_cache_that_is_damaged_under_live_sessions_costs_nothing() {
    HARMS.iter().for_each(|harm| survives("store.c00", *harm));
}

#[test]
fn counts_locks_and_notices_that_are_damaged_under_live_sessions_cost_nothing() {
    for file in ["store.use", "store.lck", "store.ring"] {
        for harm in [Harm::Zeroed, Harm::Emptied, Harm::Removed] {
            survives(file, harm);
        }
    }
}

/// The index that is made in place of one that was removed has its messages elsewhere, where the former had those that are gone
/// since: the numbers of a session go on to mean the same messages.
#[test]
fn numbers_of_a_session_mean_the_same_messages_when_the_index_was_made_anew() {
    let instance = Instance::start();
    let mut other = instance.imap("alice");
    for number in 1..=9 {
        other.append("INBOX", "", &format!("Subject: letter {number}\r\n\r\nx\r\n"));
    }
    let folder = user_folder(&instance, "alice");
    let loses_its_index = || {
        fs::remove_file(folder.join("store.idx")).unwrap();
        instance.pop("alice").ok("STAT"); // another process finds that it is missing
    };
    loses_its_index(); // what is made anew a second time is not to look like the first
    let mut alice = selected(&instance);
    other.ok("SELECT INBOX");
    other.ok("STORE 1:3 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    drop(other);
    alice.ok("NOOP");
    // stored does this after a while, and then nothing of them is made anew.
    for uid in 1..=3 {
        fs::remove_file(folder.join(format!("00/{uid}.msg"))).unwrap();
    }
    loses_its_index();
    let said = instance.imap("alice").append("INBOX", "", "Subject: letter 10\r\n\r\nx\r\n");
    assert!(said.starts_with("OK"), "{said}");
    wait_for("the session to see the new index", || {
        alice.ok("NOOP").iter().any(|line| line == "* 7 EXISTS").then_some(())
    });
    for _ in 0..2 {
        let subjects: Vec<String> = (1..=7)
            .map(|number| alice.ok(&format!("FETCH {number} (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).join(""))
            .collect();
        for (subject, number) in subjects.iter().zip(4..) {
            assert!(subject.contains(&format!("letter {number}\r\n")), "{number}: {subjects:?}");
        }
        alice.ok("NOOP");
    }
    alice.ok("STORE 1 +FLAGS (\\Flagged)");
    assert_eq!(uids(&selected(&instance).ok("UID SEARCH FLAGGED")), [4]);
}

/// A message of more than 64 KiB is mapped where it is taken apart.
#[test]
fn a_message_that_is_cut_under_a_live_session_is_no_death_of_the_daemon() {
    let instance = Instance::start();
    let mut alice = selected(&instance);
    let text = format!("Subject: long\r\n\r\n{}", "a line of the message\r\n".repeat(20_000));
    assert!(alice.append("INBOX", "", &text).starts_with("OK"));
    alice.ok("NOOP");
    let vigil = Vigil::begin(&instance);
    let folder = user_folder(&instance, "alice").join("00");
    let message = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    do_harm(&message, Harm::Cut);
    let mut other = Imap::open(instance.connect(IMAP));
    other.ok("LOGIN alice alice-secret");
    other.ok("SELECT INBOX");
    // The session may end; a whole message is never what comes.
    alice.wire.send(b"x FETCH 1 (BODY[])\r\n");
    let mut lines = 0;
    while let Some(line) = alice.wire.try_line() {
        assert!(!line.starts_with("x OK"), "{line}");
        if line.starts_with("x ") {
            break;
        }
        lines += usize::from(line == "a line of the message");
    }
    assert!(lines < 20_000);
    other.ok("NOOP");
    vigil.end(&instance, 16 << 20);
}

/// What the tests ask of JMAP and the web mail, as alice.
struct Web {
    http: Http,
    fields: String,
}

impl Web {
    fn new(instance: &Instance) -> Web {
        let password = STANDARD.encode("alice:alice-secret");
        Web { http: instance.http(), fields: format!("Authorization: Basic {password}\r\n") }
    }

    /// Name and arguments of the response.
    fn method(&mut self, name: &str, mut arguments: Value) -> (String, Value) {
        arguments["accountId"] = json!("alice");
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] });
        let response = self.http.post_json("/jmap/api", &self.fields, &body.to_string());
        let first = &response.json()["methodResponses"][0];
        (first[0].as_str().unwrap().to_owned(), first[1].clone())
    }

    fn email(&mut self, id: &str) -> (String, Value) {
        let properties = ["subject", "bodyValues", "attachments"];
        let arguments = json!({ "ids": [id], "properties": properties, "fetchTextBodyValues": true });
        self.method("Email/get", arguments)
    }

    fn status(&mut self, path: &str) -> u16 {
        self.http.get(path, &self.fields).status
    }
}

fn email_id(imap: &mut Imap, sequence: u32) -> String {
    let row = imap.ok(&format!("FETCH {sequence} (EMAILID)")).join("");
    row.split_once("EMAILID (").unwrap().1.split(')').next().unwrap().to_owned()
}

fn authorized(imap: &mut Imap, uid: u32) -> String {
    let url = format!("imap://alice@localhost/INBOX/;UID={uid};URLAUTH=user+alice");
    let line = imap.ok(&format!("GENURLAUTH \"{url}\" INTERNAL")).remove(0);
    line.strip_prefix("* GENURLAUTH \"").unwrap().strip_suffix('"').unwrap().to_owned()
}

/// A text that is before the cut, and an attachment that is not.
fn of_two_parts(name: &str) -> String {
    let header = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let file = "Content-Type: image/png; name=a.png\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64";
    let lines = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\r\n".repeat(4000);
    format!(
        "Subject: {name}\r\n{header}\r\n--b\r\n\r\ntext of {name}\r\n--b\r\n{file}\r\n\r\n{lines}--b--\r\n"
    )
}

#[test]
fn half_of_a_message_is_given_out_as_a_whole_by_nobody() {
    let mut instance = Instance::start();
    instance.start_one("http");
    let mut alice = selected(&instance);
    alice.ok("CREATE Other");
    assert!(alice.append("INBOX", "", &of_two_parts("first")).starts_with("OK"));
    let folder = user_folder(&instance, "alice").join("00");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    assert!(alice.append("INBOX", "", &of_two_parts("second")).starts_with("OK"));
    alice.ok("NOOP");
    let ids = [1, 2].map(|sequence| email_id(&mut alice, sequence));
    let urls = [1, 2].map(|uid| authorized(&mut alice, uid));
    let mut web = Web::new(&instance);
    let parts = ids.each_ref().map(|id| {
        let (name, got) = web.email(id);
        assert_eq!(name, "Email/get", "{got}");
        got["list"][0]["attachments"][0]["blobId"].as_str().unwrap().to_owned()
    });
    let paths = |place: usize| {
        let blob = |id: &str| format!("/jmap/download/alice/{id}/x?type=image/png");
        [
            blob(&format!("G{}", &ids[place][1..])),
            blob(&parts[place]),
            format!("/message/alice/{}", ids[place]),
        ]
    };
    for path in paths(0) {
        assert_eq!(web.status(&path), 200, "{path}");
    }
    do_harm(&file, Harm::Cut);
    // Nobody gets the half that is there.
    let (name, got) = web.email(&ids[0]);
    assert_eq!((name.as_str(), &got["type"]), ("error", &json!("serverFail")), "{got}");
    for path in paths(0) {
        assert_eq!(web.status(&path), 500, "{path}");
    }
    let search = |text: &str| json!({ "filter": { "body": text } });
    let (name, got) = web.method("Email/query", search("text of"));
    assert_eq!((name.as_str(), &got["ids"]), ("Email/query", &json!([ids[1]])), "{got}");
    let mut is_refused = |command: &str| {
        let (lines, end) = alice.command(command);
        assert!(end.starts_with("NO"), "{command}: {end}");
        assert!(!lines.join("").contains("text of"), "{command}: {lines:?}");
    };
    is_refused("UID FETCH 1 (BODY.PEEK[])");
    is_refused("UID FETCH 1 (BODY.PEEK[1])");
    is_refused(&format!("URLFETCH \"{}\"", urls[0]));
    is_refused("APPEND Other CATENATE (URL \"/INBOX/;UID=1\")");
    is_refused("APPEND Other CATENATE (URL \"/INBOX/;UID=1/;SECTION=1\")");
    let mut pop = instance.pop("alice");
    pop.wire.send(b"RETR 1\r\n");
    assert!(pop.wire.line().starts_with("-ERR [SYS/TEMP]"));
    // A copy is another name of the same bytes.
    alice.ok("UID COPY 1 Other");
    alice.ok("SELECT Other");
    assert!(alice.command("FETCH 1 (BODY.PEEK[])").1.starts_with("NO [SERVERBUG]"));
    alice.ok("SELECT INBOX");
    let tape = instance.path("backup.tar");
    assert!(!instance.tool("imsbackup").arg("-f").arg(&tape).arg("/").output().unwrap().status.success());
    let tape = String::from_utf8_lossy(&fs::read(tape).unwrap()).into_owned();
    assert!(tape.contains("text of second") && !tape.contains("text of first"));
    // The other message is as it was, and what is known of the one without its file.
    let (_, got) = web.email(&ids[1]);
    assert!(got["list"][0]["bodyValues"].to_string().contains("text of second"), "{got}");
    for path in paths(1) {
        assert_eq!(web.status(&path), 200, "{path}");
    }
    let (_, got) = web.method("Email/get", json!({ "ids": ids, "properties": ["subject", "size"] }));
    assert_eq!(got["list"].as_array().unwrap().len(), 2, "{got}");
    assert!(alice.ok("UID FETCH 2 (BODY.PEEK[1])").join("").contains("text of second"));
    assert!(alice.ok(&format!("URLFETCH \"{}\"", urls[1])).join("").contains("text of second"));
    alice.ok("APPEND Other CATENATE (URL \"/INBOX/;UID=2\")");
    assert_eq!(alice.ok("UID SEARCH SUBJECT first"), ["* SEARCH 1"]);
    assert_eq!(alice.ok("UID SEARCH BODY \"text of\""), ["* SEARCH 2"]);
    assert!(pop.ok("RETR 2").starts_with("+OK"));
}
