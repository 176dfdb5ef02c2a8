//! What is searched for, and by what the corpus is sorted.

use black_box::Imap;

pub const SEARCHES: &[&str] = &[
    "ALL",
    "SUBJECT base",
    "SUBJECT \"Re:\"",
    "SUBJECT \"\"",
    "SUBJECT quoted",
    "SUBJECT \"one two\"",
    "SUBJECT pfel",
    "CHARSET UTF-8 SUBJECT Gr\u{fc}\u{df}e",
    "CHARSET UTF-8 SUBJECT \u{c4}PFEL",
    "CHARSET UTF-8 SUBJECT ab\u{e4}",
    "SUBJECT \"abc d\"",
    "FROM a@a.test",
    "FROM \"A B\"",
    "FROM J",
    "CHARSET UTF-8 FROM j\u{fc}rgen",
    "FROM nobody",
    "FROM \"\"",
    "TO b@b.test",
    "TO friends",
    "TO c@c.test",
    "TO undisclosed",
    "CC d@d.test",
    "CC empty",
    "BCC c@c.test",
    "HEADER Message-ID 1@t",
    "HEADER Message-ID \"\"",
    "HEADER References <2@t>",
    "HEADER In-Reply-To \"Your message\"",
    "HEADER X-Field-7 7",
    "HEADER X-Nothing \"\"",
    "HEADER Content-Type multipart",
    "HEADER Content-Type utf-8",
    "HEADER Content-Disposition a.txt",
    "HEADER Content-Description folded",
    "BODY Birnen",
    "BODY \"und Birnen\"",
    "CHARSET UTF-8 BODY \u{c4}pfel",
    "CHARSET UTF-8 BODY \u{e4}PFEL",
    "BODY Apfelmus",
    "BODY one",
    "BODY innermost",
    "BODY preamble",
    "BODY epilogue",
    "BODY \"From here\"",
    "BODY three",
    "BODY \"<b>\"",
    "BODY text/html",
    "TEXT inner",
    "TEXT \"Subject: inner\"",
    "TEXT boundary",
    "TEXT base",
    "TEXT x",
    "LARGER 1000",
    "SMALLER 30",
    "SENTON 3-Mar-2025",
    "SENTBEFORE 3-Mar-2025",
    "SENTSINCE 3-Mar-2025",
    "SENTON 31-Dec-2024",
    "SENTBEFORE 1-Jan-1998",
    "SENTSINCE 1-Jan-2030",
    "ON 3-Apr-2025",
    "BEFORE 5-Apr-2025",
    "SINCE 25-Apr-2025",
    "OR SUBJECT base FROM a@a.test NOT BODY x",
    "NOT SUBJECT base SENTSINCE 1-Mar-2025",
];

pub const ORDERS: &[&str] = &[
    "SORT (ARRIVAL) UTF-8",
    "SORT (DATE) UTF-8",
    "SORT (REVERSE DATE) UTF-8",
    "SORT (SIZE) UTF-8",
    "SORT (SUBJECT) UTF-8",
    "SORT (FROM) UTF-8",
    "SORT (TO) UTF-8",
    "SORT (CC) UTF-8",
    "SORT (DISPLAYFROM) UTF-8",
    "SORT (DISPLAYTO) UTF-8",
    "THREAD REFERENCES UTF-8",
    "THREAD REFS UTF-8",
    "THREAD ORDEREDSUBJECT UTF-8",
];

/// The sequence numbers that a search finds.
pub fn search(imap: &mut Imap, query: &str) -> Vec<u32> {
    // What is not ASCII goes as a literal.
    let answer = match query.rsplit_once(' ') {
        Some((before, word)) if !word.is_ascii() => {
            imap.ok(&format!("SEARCH {before} {{{}+}}\r\n{word}", word.len()))
        }
        _ => imap.ok(&format!("SEARCH {query}")),
    };
    let line = answer.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}
