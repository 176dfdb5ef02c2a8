//! From servers that lie: the import ends, says so, and takes what is good.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

/// Answers each command by `answer`: untagged lines, and how it ends; nothing closes.
fn server(answer: fn(&str, &mut TcpStream) -> Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"* OK hello\r\n");
            let reader = BufReader::new(stream.try_clone().unwrap());
            for line in reader.lines() {
                let Ok(line) = line else { break };
                let (tag, command) = line.split_once(' ').unwrap();
                let usual = usual(command, &mut stream);
                let end = if usual { Some("OK done") } else { answer(command, &mut stream) };
                let Some(end) = end else { break };
                if stream.write_all(format!("{tag} {end}\r\n").as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    port
}

fn usual(command: &str, stream: &mut TcpStream) -> bool {
    let text = match command.split(' ').next().unwrap() {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n",
        "LOGIN" | "LSUB" | "LOGOUT" => "",
        "LIST" => "* LIST () \"/\" INBOX\r\n* LIST () \"/\" Other\r\n",
        "STATUS" => "* STATUS x (MESSAGES 4294967295)\r\n",
        "EXAMINE" => "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 4] x\r\n",
        _ => return false,
    };
    let _ = stream.write_all(text.as_bytes());
    true
}

fn listed(stream: &mut TcpStream) {
    for uid in 1..=3 {
        let line = format!(
            "* {uid} FETCH (UID {uid} FLAGS (\\Seen) INTERNALDATE \" 1-Feb-2001 10:20:30 +0000\" RFC822.SIZE 5)\r\n"
        );
        let _ = stream.write_all(line.as_bytes());
    }
}

fn run_against(answer: fn(&str, &mut TcpStream) -> Option<&'static str>) -> (Instance, String) {
    let instance = Instance::start();
    let passwords = password_file(&instance, "alice:secret\n");
    let place = format!("imap://127.0.0.1:{}", server(answer));
    let passwords = passwords.to_str().unwrap().to_owned();
    let arguments = [
        "--password-file",
        &passwords,
        "--no-tls",
        "--timeout",
        "5",
        "--message-max",
        "1000",
        "--only",
        "INBOX",
    ];
    let said = differs(&instance, &[&arguments[..], &["alice", &place]].concat());
    (instance, said)
}

#[test]
fn a_message_that_breaks_the_server_does_not_take_the_others_with_it() {
    let (instance, said) = run_against(|command, stream| {
        if command.contains("FLAGS") {
            listed(stream);
            return Some("OK done");
        }
        let set = command.split(' ').nth(2)?;
        if set.split(',').any(|uid| uid == "2") {
            return None; // it closes
        }
        for uid in set.split(',') {
            let _ =
                stream.write_all(format!("* 1 FETCH (BODY[] {{5}}\r\nA: {uid}\n UID {uid})\r\n").as_bytes());
        }
        Some("OK done")
    });
    assert!(said.contains("INBOX: message 2: the server closed the connection"), "{said}");
    assert!(said.contains("3 messages: 2 taken (2 with their UIDs)"), "{said}");
    assert_eq!(instance.imap("alice").exists("INBOX"), 2);
}

#[test]
fn a_message_that_is_longer_than_allowed_is_not_read_and_one_that_is_not_asked_for_not_kept() {
    let (instance, said) = run_against(|command, stream| {
        if command.contains("FLAGS") {
            listed(stream);
            return Some("OK done");
        }
        if command.contains(" 3 ") {
            let _ = stream.write_all(b"* 1 FETCH (UID 3 BODY[] {4294967290}\r\n");
            let _ = stream.write_all(&[b'x'; 100_000]);
            return Some("OK done");
        }
        // Somebody else's, one without a UID, one twice, one without bytes.
        let text = "* 9 FETCH (UID 9 BODY[] {1}\r\nx)\r\n* 1 FETCH (BODY[] {1}\r\nx)\r\n\
                    * 1 FETCH (UID 1 BODY[] \"ab\")\r\n* 1 FETCH (UID 1 BODY[] {2}\r\ncd)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n";
        let _ = stream.write_all(text.as_bytes());
        Some("OK done")
    });
    assert!(said.contains("message 3: limit reached: a message (--message-max)"), "{said}");
    assert!(said.contains("message 2: the server does not give it"), "{said}");
    let mut imap = instance.imap("alice");
    assert_eq!(imap.exists("INBOX"), 1);
    assert!(listing(&mut imap, "INBOX")[0].contains("ab"));
}

#[test]
fn a_line_without_an_end_and_a_literal_without_measure_end_the_session() {
    let (_, said) = run_against(|_, stream| {
        let piece = vec![b'x'; 1 << 16];
        while stream.write_all(&piece).is_ok() {}
        None
    });
    assert!(said.contains("limit reached: a line of the server"), "{said}");
    let (_, said) = run_against(|_, stream| {
        let _ = stream.write_all(b"* 1 FETCH (UID 1 FLAGS ({2000000000}\r\n");
        Some("OK done")
    });
    assert!(said.contains("limit reached: a literal of the server"), "{said}");
    let (_, said) = run_against(|_, stream| {
        let _ = stream.write_all("* LIST (((((((((((((((((((((((\r\n".repeat(3).as_bytes());
        Some("OK done")
    });
    assert!(said.contains("lists inside lists"), "{said}");
}

#[test]
fn a_server_that_hides_messages_is_told() {
    let (_, said) = run_against(|command, stream| {
        if command.contains("FLAGS") {
            let _ = stream.write_all(
                b"* 1 FETCH (FLAGS () INTERNALDATE \" 1-Feb-2001 10:20:30 +0000\" RFC822.SIZE 5)\r\n",
            );
        }
        Some("OK done")
    });
    assert!(said.contains("the server has 3 messages and tells of 0, and of 1 without UIDs"), "{said}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let (_, said) = run_against(|_, stream| {
        let mut nothing = String::new();
        let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut nothing); // until the client has gone
        None
    });
    assert!(said.contains("time-out: the server says nothing"), "{said}");
}
