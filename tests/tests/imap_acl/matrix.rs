//! Every right against every command: a user who has all rights but one is refused exactly what needs it, and who has just
//! what a command needs may do it (RFC 4314 §4).

use black_box::{Imap, Instance};

use super::{MESSAGE, flags, name, share};

const RIGHTS: &str = "lrswipkxtea";

struct People {
    alice: Imap,
    bob: Imap,
}

/// A command, or one of its effects.
struct Case {
    what: &'static str,
    needed: &'static str,
    /// Whether bob had his way with this mailbox of alice's.
    works: fn(&mut People, &str) -> bool,
}

fn says_ok(imap: &mut Imap, command: &str) -> bool {
    imap.command(command).1.starts_with("OK")
}

/// Selects the mailbox, then says `command`.
fn selected(people: &mut People, folder: &str, command: &str) -> bool {
    let ok =
        says_ok(&mut people.bob, &format!("SELECT {}", name(folder))) && says_ok(&mut people.bob, command);
    says_ok(&mut people.bob, "UNSELECT");
    ok
}

/// What bob sees of the flags, if he sees any.
fn bob_sees(people: &mut People, folder: &str, flag: &str) -> bool {
    let examined = says_ok(&mut people.bob, &format!("EXAMINE {}", name(folder)));
    examined && flags(&mut people.bob, &name(folder)).contains(flag)
}

fn stored(people: &mut People, folder: &str, flag: &str) -> bool {
    selected(people, folder, &format!("STORE 1 +FLAGS ({flag})")) && bob_sees(people, folder, flag)
}

/// Appends with a flag; whether the message came, with the flag.
fn appended(people: &mut People, folder: &str, flag: &str) -> bool {
    people.bob.append(&name(folder), &format!("({flag}) "), MESSAGE);
    people.alice.exists(folder) == 2 && (flag.is_empty() || flags(&mut people.alice, folder).contains(flag))
}

/// Copies a message with a flag from bob's own; whether it came, with the flag.
fn copied(people: &mut People, folder: &str, verb: &str, flag: &str) -> bool {
    assert!(people.bob.append("INBOX", &format!("({flag}) "), MESSAGE).starts_with("OK"));
    people.bob.ok("SELECT INBOX");
    people.bob.command(&format!("{verb} * {}", name(folder)));
    people.bob.ok("UNSELECT");
    people.alice.exists(folder) == 2 && (flag.is_empty() || flags(&mut people.alice, folder).contains(flag))
}

/// Whether alice's message is gone after bob did this with it, \Deleted as it is.
fn expunged(people: &mut People, folder: &str, commands: &[&str]) -> bool {
    people.alice.ok(&format!("SELECT {folder}"));
    people.alice.ok("STORE 1 +FLAGS (\\Deleted)");
    people.alice.ok("UNSELECT");
    if says_ok(&mut people.bob, &format!("SELECT {}", name(folder))) {
        for command in commands {
            people.bob.command(command);
        }
    }
    says_ok(&mut people.bob, "UNSELECT");
    people.alice.exists(folder) == 0
}

const CASES: &[Case] = &[
    Case {
        what: "LIST",
        needed: "l",
        works: |people, folder| !people.bob.ok(&format!("LIST \"\" {}", name(folder))).is_empty(),
    },
    Case {
        what: "LIST *",
        needed: "l",
        works: |people, folder| people.bob.ok("LIST \"\" *").iter().any(|row| row.ends_with(&name(folder))),
    },
    Case {
        what: "LIST RETURN (MYRIGHTS)",
        needed: "l",
        works: |people, folder| {
            let rows = people.bob.ok(&format!("LIST \"\" {} RETURN (MYRIGHTS)", name(folder)));
            rows.iter().any(|row| row.starts_with("* MYRIGHTS"))
        },
    },
    Case {
        what: "LIST RETURN (STATUS)",
        needed: "lr",
        works: |people, folder| {
            let rows = people.bob.ok(&format!("LIST \"\" {} RETURN (STATUS (MESSAGES))", name(folder)));
            rows.iter().any(|row| row.starts_with("* STATUS"))
        },
    },
    Case {
        what: "LIST (SUBSCRIBED)",
        needed: "l",
        works: |people, folder| {
            let all = "SUBSCRIBE ".to_owned() + &name(folder);
            let subscribed = says_ok(&mut people.bob, &all);
            let rows = people.bob.ok("LIST (SUBSCRIBED) \"\" *");
            subscribed
                && rows.iter().any(|row| row.ends_with(&name(folder)) && !row.contains("\\NonExistent"))
        },
    },
    Case {
        what: "SUBSCRIBE",
        needed: "l",
        works: |people, folder| says_ok(&mut people.bob, &format!("SUBSCRIBE {}", name(folder))),
    },
    Case {
        what: "UNSUBSCRIBE",
        needed: "",
        works: |people, folder| says_ok(&mut people.bob, &format!("UNSUBSCRIBE {}", name(folder))),
    },
    Case {
        what: "CREATE",
        needed: "k",
        works: |people, folder| {
            says_ok(&mut people.bob, &format!("CREATE {}", name(&format!("{folder}/New"))))
        },
    },
    Case {
        what: "DELETE",
        needed: "x",
        works: |people, folder| says_ok(&mut people.bob, &format!("DELETE {}", name(folder))),
    },
    Case {
        what: "RENAME from",
        needed: "x",
        works: |people, folder| {
            people.alice.command("CREATE Place");
            people.alice.ok("SETACL Place bob k");
            let to = name(&format!("Place/{folder}"));
            says_ok(&mut people.bob, &format!("RENAME {} {to}", name(folder)))
        },
    },
    Case {
        what: "RENAME to",
        needed: "k",
        works: |people, folder| {
            people.bob.ok(&format!("CREATE Own{folder}"));
            let below = name(&format!("{folder}/In"));
            says_ok(&mut people.bob, &format!("RENAME Own{folder} {below}"))
        },
    },
    Case { what: "SELECT", needed: "r", works: |people, folder| selected(people, folder, "NOOP") },
    Case {
        what: "EXAMINE",
        needed: "r",
        works: |people, folder| says_ok(&mut people.bob, &format!("EXAMINE {}", name(folder))),
    },
    Case {
        what: "STATUS",
        needed: "r",
        works: |people, folder| says_ok(&mut people.bob, &format!("STATUS {} (MESSAGES)", name(folder))),
    },
    Case {
        what: "GETQUOTAROOT",
        needed: "r",
        works: |people, folder| says_ok(&mut people.bob, &format!("GETQUOTAROOT {}", name(folder))),
    },
    Case {
        what: "FETCH, SEARCH, SORT, THREAD",
        needed: "r",
        works: |people, folder| {
            selected(people, folder, "FETCH 1 (FLAGS BODY.PEEK[])")
                && selected(people, folder, "SEARCH ALL")
                && selected(people, folder, "SORT (DATE) UTF-8 ALL")
                && selected(people, folder, "THREAD REFERENCES UTF-8 ALL")
        },
    },
    Case {
        what: "FETCH sets \\Seen",
        needed: "rs",
        works: |people, folder| {
            selected(people, folder, "FETCH 1 BODY[]") && bob_sees(people, folder, "\\Seen")
        },
    },
    Case { what: "STORE \\Seen", needed: "rs", works: |people, folder| stored(people, folder, "\\Seen") },
    Case {
        what: "STORE \\Flagged",
        needed: "rw",
        works: |people, folder| stored(people, folder, "\\Flagged"),
    },
    Case { what: "STORE \\Draft", needed: "rw", works: |people, folder| stored(people, folder, "\\Draft") },
    Case { what: "STORE keyword", needed: "rw", works: |people, folder| stored(people, folder, "$Label1") },
    Case {
        what: "STORE \\Deleted",
        needed: "rt",
        works: |people, folder| stored(people, folder, "\\Deleted"),
    },
    Case { what: "COPY out", needed: "r", works: |people, folder| selected(people, folder, "COPY 1 INBOX") },
    Case {
        what: "MOVE out",
        needed: "rte",
        works: |people, folder| selected(people, folder, "MOVE 1 INBOX") && people.alice.exists(folder) == 0,
    },
    Case { what: "EXPUNGE", needed: "re", works: |people, folder| expunged(people, folder, &["EXPUNGE"]) },
    Case {
        what: "UID EXPUNGE",
        needed: "re",
        works: |people, folder| expunged(people, folder, &["UID EXPUNGE 1:*"]),
    },
    Case { what: "CLOSE", needed: "re", works: |people, folder| expunged(people, folder, &["CLOSE"]) },
    Case {
        what: "REPLACE",
        needed: "rite",
        works: |people, folder| {
            if !says_ok(&mut people.bob, &format!("SELECT {}", name(folder))) {
                return false;
            }
            let text = MESSAGE.replace("noon", "midnight");
            let wire = format!("x REPLACE 1 {} {{{}+}}\r\n{text}\r\n", name(folder), text.len());
            people.bob.wire.send(wire.as_bytes());
            let replaced = people.bob.until_tagged("x").1.starts_with("OK");
            people.bob.ok("UNSELECT");
            people.alice.ok(&format!("EXAMINE {folder}"));
            let found = people.alice.ok("SEARCH BODY midnight").concat().contains('1');
            people.alice.ok("UNSELECT");
            assert_eq!(replaced, found);
            replaced
        },
    },
    Case { what: "APPEND", needed: "i", works: |people, folder| appended(people, folder, "") },
    Case {
        what: "APPEND \\Flagged",
        needed: "iw",
        works: |people, folder| appended(people, folder, "\\Flagged"),
    },
    Case { what: "APPEND keyword", needed: "iw", works: |people, folder| appended(people, folder, "$Work") },
    Case {
        what: "APPEND \\Deleted",
        needed: "it",
        works: |people, folder| appended(people, folder, "\\Deleted"),
    },
    Case {
        what: "APPEND \\Seen",
        needed: "ris",
        works: |people, folder| {
            people.bob.append(&name(folder), "(\\Seen) ", MESSAGE);
            bob_sees(people, folder, "\\Seen")
        },
    },
    Case { what: "COPY in", needed: "i", works: |people, folder| copied(people, folder, "COPY", "") },
    Case { what: "MOVE in", needed: "i", works: |people, folder| copied(people, folder, "MOVE", "") },
    Case {
        what: "COPY in \\Answered",
        needed: "iw",
        works: |people, folder| copied(people, folder, "COPY", "\\Answered"),
    },
    Case {
        what: "COPY in keyword",
        needed: "iw",
        works: |people, folder| copied(people, folder, "COPY", "$Work"),
    },
    Case {
        what: "MOVE in \\Deleted",
        needed: "it",
        works: |people, folder| copied(people, folder, "MOVE", "\\Deleted"),
    },
    Case {
        what: "COPY in \\Seen",
        needed: "ris",
        works: |people, folder| {
            assert!(people.bob.append("INBOX", "(\\Seen) ", MESSAGE).starts_with("OK"));
            people.bob.ok("SELECT INBOX");
            people.bob.command(&format!("COPY * {}", name(folder)));
            people.bob.ok("UNSELECT");
            bob_sees(people, folder, "\\Seen")
        },
    },
    Case {
        what: "SETACL",
        needed: "a",
        works: |people, folder| says_ok(&mut people.bob, &format!("SETACL {} carol lr", name(folder))),
    },
    Case {
        what: "DELETEACL",
        needed: "a",
        works: |people, folder| says_ok(&mut people.bob, &format!("DELETEACL {} carol", name(folder))),
    },
    Case {
        what: "GETACL",
        needed: "a",
        works: |people, folder| says_ok(&mut people.bob, &format!("GETACL {}", name(folder))),
    },
    Case {
        what: "LISTRIGHTS",
        needed: "a",
        works: |people, folder| says_ok(&mut people.bob, &format!("LISTRIGHTS {} carol", name(folder))),
    },
];

fn start() -> (Instance, People) {
    let instance = black_box::Setup::default().users(&["alice", "bob", "carol"]).start();
    let (alice, bob) = (instance.imap("alice"), instance.imap("bob"));
    (instance, People { alice, bob })
}

#[test]
fn every_command_is_refused_without_any_one_of_the_rights_it_needs_and_with_all_others_not() {
    let (_instance, mut people) = start();
    let mut number = 0;
    for case in CASES {
        for right in RIGHTS.chars() {
            number += 1;
            let folder = format!("f{number}");
            share(&mut people.alice, &folder, &RIGHTS.replace(right, ""));
            let expected = !case.needed.contains(right);
            let worked = (case.works)(&mut people, &folder);
            assert_eq!(worked, expected, "{} without {right}", case.what);
        }
    }
}

#[test]
fn every_command_is_done_with_just_the_rights_it_needs() {
    let (_instance, mut people) = start();
    for (number, case) in CASES.iter().enumerate() {
        let folder = format!("f{number}");
        share(&mut people.alice, &folder, case.needed);
        assert!((case.works)(&mut people, &folder), "{} with {:?} alone", case.what, case.needed);
    }
}

/// RFC 4314 §4: any of l, r, i, k, x, a.
#[test]
fn myrights_needs_any_of_six_rights() {
    let (_instance, mut people) = start();
    for right in RIGHTS.chars() {
        let folder = format!("f{right}");
        share(&mut people.alice, &folder, &right.to_string());
        let (rows, end) = people.bob.command(&format!("MYRIGHTS {}", name(&folder)));
        if "lrikxa".contains(right) {
            let obsolete = match right {
                'k' | 'x' => "c",
                _ => "",
            };
            assert_eq!(rows, [format!("* MYRIGHTS {} {right}{obsolete}", name(&folder))]);
        } else {
            assert!(end.starts_with("NO [NONEXISTENT]") && rows.is_empty(), "{right}: {end}");
        }
    }
}

/// RFC 4314 §6: whatever is said of a mailbox that is not seen is what is said of one that is not there.
#[test]
fn mailboxes_that_are_not_seen_answer_like_missing_ones() {
    let (_instance, mut people) = start();
    share(&mut people.alice, "Secret", "");
    let commands = [
        "SELECT {}",
        "EXAMINE {}",
        "STATUS {} (MESSAGES)",
        "SUBSCRIBE {}",
        "DELETE {}",
        "CREATE {}",
        "CREATE {}/x",
        "RENAME {} Mine",
        "RENAME Sent {}",
        "RENAME Sent {}/x",
        "GETACL {}",
        "SETACL {} bob lr",
        "SETACL {} bob q",
        "SETACL {} nobody lr",
        "DELETEACL {} bob",
        "LISTRIGHTS {} bob",
        "MYRIGHTS {}",
        "GETQUOTAROOT {}",
        "LIST \"\" {}",
        "LIST \"\" {}/%",
        "LIST \"\" {}*",
        "LIST (SUBSCRIBED) \"\" {}",
    ];
    people.bob.ok("CREATE Sent");
    assert!(people.bob.append("INBOX", "", MESSAGE).starts_with("OK"));
    for spelling in ["\"Shared Folders/User/alice/{}\"", "user/alice/{}"] {
        let place = |folder: &str| spelling.replace("{}", folder);
        for command in commands {
            let said = |folder: &str| {
                let place = place(folder);
                match (command.contains("{}/") || command.contains("{}*"), place.strip_suffix('"')) {
                    (true, Some(open)) => command.replace("{}", open) + "\"",
                    _ => command.replace("{}", &place),
                }
            };
            let there = people.bob.command(&said("Secret"));
            let missing = people.bob.command(&said("Nothing"));
            assert_eq!(there, missing, "{command}");
            assert!(there.0.is_empty(), "{command}: {there:?}");
        }
        people.bob.ok("SELECT INBOX");
        for verb in ["COPY 1", "MOVE 1"] {
            let there = people.bob.refused(&format!("{verb} {}", place("Secret")));
            assert_eq!(there, people.bob.refused(&format!("{verb} {}", place("Nothing"))));
            assert!(there.starts_with("NO [NONEXISTENT]"), "{there}");
        }
        people.bob.ok("UNSELECT");
        let there = people.bob.append(&place("Secret"), "", MESSAGE);
        let missing = people.bob.append(&place("Nothing"), "", MESSAGE);
        assert_eq!(there.split_once(' ').unwrap().1, missing.split_once(' ').unwrap().1);
    }
    assert_eq!(people.alice.exists("Secret"), 1);
}
