//! Where the two differ, and why.

use super::{Accepted, Ours, accepted, framed, stream};

/// Commands that one accepts and the other does not, or that they take for different ones.
pub struct Class {
    pub name: &'static str,
    pub accepted: Accepted,
    /// The command without what makes the difference.
    pub mend: fn(&[u8]) -> Option<Vec<u8>>,
    /// Some of them.
    pub of: &'static [&'static [u8]],
}

/// INBOX is written in any case (RFC 3501 §5.1), and imap-codec writes it in capitals.
pub fn is_same(again: &Ours, ours: &Ours) -> bool {
    let canonical = |value: &Ours| {
        let text = format!("{value:?}");
        let mut out = String::new();
        for (number, piece) in text.split("Named(\"").enumerate() {
            out.push_str(if number > 0 { "Named(\"" } else { "" });
            match piece.get(..6).filter(|name| name.eq_ignore_ascii_case("INBOX\"")) {
                Some(name) => out.extend([&name.to_ascii_uppercase(), &piece[6..]]),
                None => out.push_str(piece),
            }
        }
        out
    };
    canonical(again) == canonical(ours)
}

pub const CLASSES: [Class; 17] = [
    Class {
        name: "blanks at the end of the command do no harm: RFC 3501 §9 has none there, some clients send them",
        accepted: Accepted::Ours,
        mend: |command| Some(command.trim_ascii_end().to_vec()),
        of: &[b"a NOOP ", b"a SELECT x  "],
    },
    Class {
        name: "a system flag that nobody has defined cannot be stored: RFC 3501 §2.3.2 reserves them all, and flag-extension is for clients to accept",
        accepted: Accepted::Theirs,
        mend: unknown_flags,
        of: &[b"a STORE 1 FLAGS (\\Foo)", b"a STORE 1 +FLAGS \\Seen \\Bar", b"a APPEND x (\\Foo) {0}\r\n"],
    },
    Class {
        name: "an initial response that is no base64 is the mechanism's to refuse",
        accepted: Accepted::Ours,
        mend: initial_response,
        of: &[b"a AUTHENTICATE PLAIN AGEAYg=s", b"a AUTHENTICATE PLAIN A"],
    },
    Class {
        name: "APPEND of several messages: RFC 3502, which imap-codec does not know",
        accepted: Accepted::Ours,
        mend: first_message,
        of: &[b"a APPEND x {1}\r\na (\\Seen) {2+}\r\nbc"],
    },
    Class {
        name: "sizes are of 63 bits: RFC 9051 §9, number64",
        accepted: Accepted::Ours,
        mend: |command| numbers(command, |digits| digits.parse::<u32>().is_err().then_some("1")),
        of: &[b"a SEARCH LARGER 4294967296", b"a SEARCH SMALLER 9223372036854775807"],
    },
    Class {
        name: "bytes above 127 in quoted strings: RFC 9051 §9 and RFC 9755 §3 have them; imap-codec is of RFC 3501",
        accepted: Accepted::Ours,
        mend: |command| Some(command.iter().map(|byte| if byte.is_ascii() { *byte } else { b'x' }).collect()),
        of: &[b"a SELECT \"\xe4\"", b"a SEARCH SUBJECT \"\xc3\xa4\""],
    },
    Class {
        name: "no number of a message or a part begins with 0: RFC 3501 §9, nz-number = digit-nz *DIGIT",
        accepted: Accepted::Theirs,
        mend: |command| {
            numbers(command, |digits| {
                (digits.len() > 1).then(|| digits.trim_start_matches('0')).filter(|rest| !rest.is_empty())
            })
        },
        of: &[b"a FETCH 01 FLAGS", b"a FETCH 1 BODY[01.2]"],
    },
    Class {
        name: "a list of items has one at least: RFC 3501 §9, fetch and status",
        accepted: Accepted::Theirs,
        mend: |command| {
            let item = if verb(command) == b"STATUS" { "(MESSAGES)" } else { "(FLAGS)" };
            Some(text(command)?.replace("()", item).into_bytes())
        },
        of: &[b"a STATUS x ()", b"a FETCH 1 ()"],
    },
    Class {
        name: "no field has such a name: RFC 5322 §2.2; RFC 3501 §9 has any astring here, which would find nothing",
        accepted: Accepted::Theirs,
        mend: field_names,
        of: &[
            b"a FETCH 1 BODY[HEADER.FIELDS (\"a b\")]",
            b"a FETCH 1 BODY[HEADER.FIELDS (a:b)]",
            b"a FETCH 1 BODY[HEADER.FIELDS ({2}\r\na )]",
            b"a SEARCH HEADER \"\" a",
        ],
    },
    Class {
        name: "a day of one digit: RFC 3501 §9 has a blank before it (date-day-fixed), some clients have not",
        accepted: Accepted::Ours,
        mend: |command| {
            let digits = '1'..='9';
            let mended = |text: String, digit| {
                let text = text.replace(&format!(" \"{digit}-"), &format!(" \" {digit}-"));
                (0..10).fold(text, |text, last| {
                    text.replace(&format!(" \" {digit}{last}-"), &format!(" \"{digit}{last}-"))
                })
            };
            Some(digits.fold(text(command)?.to_owned(), mended).into_bytes())
        },
        of: &[
            b"a APPEND x \"1-Feb-2024 01:02:03 +0000\" {1}\r\na",
            b"a APPEND x \" 11-Feb-2024 01:02:03 +0000\" {1}\r\na",
        ],
    },
    Class {
        name: "a leap second: RFC 5322 §3.3",
        accepted: Accepted::Ours,
        mend: |command| Some(text(command)?.replace(":60 ", ":59 ").into_bytes()),
        of: &[b"a APPEND x \"31-Dec-2016 23:59:60 +0000\" {1}\r\na"],
    },
    Class {
        name: "a text to search for that is not in the charset, which is US-ASCII if none is named: RFC 3501 §6.4.4",
        accepted: Accepted::Theirs,
        mend: |command| Some(command.iter().map(|byte| if byte.is_ascii() { *byte } else { b'x' }).collect()),
        of: &[b"a SEARCH CHARSET US-ASCII TEXT {1}\r\n\xe4"],
    },
    Class {
        name: "commands of extensions that imap-codec does not know",
        accepted: Accepted::Ours,
        mend: |command| {
            let tag = text(command)?.split(' ').next()?;
            let known = ["ID", "ESEARCH", "SORT", "THREAD", "NAMESPACE", "MYRIGHTS", "GETACL", "LANGUAGE"];
            known.contains(&text(&verb(command))?).then(|| format!("{tag} NOOP").into_bytes())
        },
        of: &[b"a ID NIL", b"a NAMESPACE", b"a SORT (DATE) UTF-8 ALL", b"a ESEARCH ALL", b"a MYRIGHTS x"],
    },
    Class {
        name: "LIST with several patterns: RFC 5258 §6",
        accepted: Accepted::Ours,
        mend: |command| {
            let text = text(command)?;
            let (open, close) = (text.rfind(" (")?, text.rfind(')')?);
            (verb(command) == b"LIST")
                .then(|| [text.get(..open).unwrap_or(""), " *", &text[close + 1..]].concat().into_bytes())
        },
        of: &[b"a LIST \"\" (a b*)"],
    },
    Class {
        name: "the result of the last search: RFC 5182",
        accepted: Accepted::Ours,
        mend: |command| {
            let text = text(command)?;
            let words = text.split(' ').map(|word| match word.trim_matches(['(', ')']) {
                "$" => word.replace('$', "1"),
                _ => word.to_owned(),
            });
            Some(words.collect::<Vec<_>>().join(" ").into_bytes())
        },
        of: &[b"a STORE $ FLAGS ()", b"a SEARCH (SEEN $)", b"a UID FETCH $ FLAGS"],
    },
    Class {
        name: "a zone has less than 60 minutes: RFC 5322 §3.3; the grammar of RFC 3501 §9 has any four digits",
        accepted: Accepted::Theirs,
        mend: zone,
        of: &[b"a APPEND x \" 1-Feb-2024 01:02:03 -1170\" {1}\r\na"],
    },
    Class {
        name: "a charset is an astring, RFC 3501 §9; imap-codec has the atom of RFC 9051",
        accepted: Accepted::Ours,
        mend: |command| {
            let text = text(command)?;
            let at = text.to_ascii_uppercase().find("CHARSET ")? + 8;
            let end = text[at..].find(' ')?;
            Some([&text[..at], "UTF-8", &text[at + end..]].concat().into_bytes())
        },
        of: &[b"a SEARCH CHARSET x] ALL"],
    },
];

fn text(command: &[u8]) -> Option<&str> {
    std::str::from_utf8(command).ok()
}

fn verb(command: &[u8]) -> Vec<u8> {
    command.split(|byte| *byte == b' ').nth(1).unwrap_or_default().to_ascii_uppercase()
}

fn unknown_flags(command: &[u8]) -> Option<Vec<u8>> {
    let mut out = String::new();
    for (number, piece) in text(command)?.split('\\').enumerate() {
        let end = piece.find([' ', ')']).unwrap_or(piece.len());
        let known = ["SEEN", "ANSWERED", "FLAGGED", "DELETED", "DRAFT"]
            .contains(&piece[..end].to_ascii_uppercase().as_str());
        match number {
            0 => out.push_str(piece),
            // what stands in a quoted string is no flag
            _ if known || piece.is_empty() || piece.starts_with('"') => out.extend(["\\", piece]),
            _ => out.extend(["\\Seen", &piece[end..]]),
        }
    }
    Some(out.into_bytes())
}

/// With the zone +0000 in the date of an APPEND.
fn zone(command: &[u8]) -> Option<Vec<u8>> {
    let text = text(command)?;
    let end = text.rfind("\" {").filter(|_| verb(command) == b"APPEND")?;
    Some([text.get(..end.checked_sub(5)?)?, "+0000", &text[end..]].concat().into_bytes())
}

fn initial_response(command: &[u8]) -> Option<Vec<u8>> {
    if verb(command) != b"AUTHENTICATE" {
        return None;
    }
    let mut words = text(command)?.split(' ');
    Some(format!("{} {} {} =", words.next()?, words.next()?, words.next()?).into_bytes())
}

/// Up to the literal behind which an APPEND may end.
fn first_message(command: &[u8]) -> Option<Vec<u8>> {
    let whole = stream(command);
    let (announcements, _) = framed(&whole)?;
    let ends = announcements.into_iter().filter_map(|at| {
        let literal = imap_wire::Literal::at_end(&whole[..at])?;
        whole.get(..at + 2 + literal.size? as usize)
    });
    ends.map(<[u8]>::to_vec).find(|one| one.len() < command.len() && accepted(&stream(one)) == Accepted::Both)
}

/// With another number where `change` has one, but not in announcements of literals.
fn numbers(command: &[u8], change: impl Fn(&str) -> Option<&str>) -> Option<Vec<u8>> {
    let text = text(command)?;
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|one: char| one.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        let digits = &rest[at..];
        let end = digits.find(|one: char| !one.is_ascii_digit()).unwrap_or(digits.len());
        let is_word =
            out.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '{') || out.is_empty();
        out.push_str(change(&digits[..end]).filter(|_| !is_word).unwrap_or(&digits[..end]));
        rest = &digits[end..];
    }
    out.push_str(rest);
    Some(out.into_bytes())
}

/// With `a` for each astring that follows HEADER, and for the list that follows HEADER.FIELDS.
fn field_names(command: &[u8]) -> Option<Vec<u8>> {
    let whole = text(command)?;
    let upper = whole.to_ascii_uppercase();
    let mut places: Vec<usize> = upper.match_indices("HEADER.FIELDS").map(|(at, _)| at).collect();
    places.reverse();
    let mut out = whole.to_owned();
    for place in places {
        let open = place + whole[place..].find('(')?;
        let close = open + whole[open..].find(")]")?;
        out.replace_range(open..=close, "(a)");
    }
    let mut from = if upper.contains("SEARCH ") { 0 } else { out.len() };
    while let Some(at) = out[from..].to_ascii_uppercase().find("HEADER ").map(|at| from + at + 7) {
        let mut cursor = imap_wire::Cursor::new(&out.as_bytes()[at..]);
        imap_wire::words::astring(&mut cursor).ok()?;
        out.replace_range(at..at + cursor.offset, "a");
        from = at;
    }
    Some(out.into_bytes())
}
