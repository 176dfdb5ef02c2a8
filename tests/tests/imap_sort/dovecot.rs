//! The same mailbox in Dovecot: the same answers to SORT and THREAD.

use std::fmt::Write as _;

use black_box::Dovecot;

use super::*;

const COMMANDS: [&str; 17] = [
    "SORT (DATE) UTF-8 ALL",
    "SORT (REVERSE DATE) UTF-8 ALL",
    "SORT (ARRIVAL) UTF-8 ALL",
    "SORT (SIZE) UTF-8 ALL",
    "SORT (SUBJECT) UTF-8 ALL",
    "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
    "SORT (FROM) UTF-8 ALL",
    "SORT (TO CC) UTF-8 ALL",
    "SORT (DISPLAYFROM) UTF-8 ALL",
    "SORT (DISPLAYTO REVERSE ARRIVAL) UTF-8 ALL",
    "UID SORT RETURN (ALL) (CC SIZE) UTF-8 ALL",
    "SORT RETURN (PARTIAL 5:9) (DATE) UTF-8 ALL",
    "SORT (DATE) UTF-8 FROM zoe",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 20:90",
    "THREAD REFS UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
];
const SUBJECTS: [&str; 17] = [
    "alpha",
    "Re: alpha",
    "[list] Beta",
    "Fwd: beta",
    "=?utf-8?q?=C3=A4pfel?=",
    "",
    "Re:",
    "gamma (fwd)",
    "gamma",
    "[fwd: Re: delta]",
    "delta",
    "zeta [x]",
    "  Re: [a] [b]: c",
    "ALPHA",
    "AW: alpha",
    "[a][b]",
    "Fw : [x] Re[2]: alpha",
];
const ADDRESSES: [&str; 7] = [
    "amy@a.test",
    "Zed <bill@a.test>",
    "=?utf-8?q?=C3=84nne?= <zoe@b.test>",
    "\"Quoted, Name\" <Carl@c.test>",
    "",
    "Group: x@y;",
    "bob",
];

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    /// Message `number`: some have no subject, no date, no id or somebody else's; references to those before and behind.
    fn message(&mut self, number: u64) -> String {
        let mut text = String::new();
        if self.below(10) > 0 {
            write!(text, "Subject: {}\r\n", self.one_of(&SUBJECTS)).unwrap();
        }
        for field in ["From", "To", "Cc"] {
            write!(text, "{field}: {}\r\n", self.one_of(&ADDRESSES)).unwrap();
        }
        if self.below(6) > 0 {
            let (day, hour) = (1 + self.below(28), self.below(24));
            let zone = self.one_of(&["+0000", "-0800", "+0200"]);
            write!(text, "Date: {day:02} Mar 2025 {hour:02}:00:00 {zone}\r\n").unwrap();
        }
        if self.below(10) > 0 {
            let id = if self.below(15) == 0 { self.below(number + 1) } else { number };
            write!(text, "Message-ID: <{id}@t>\r\n").unwrap();
        }
        match self.below(5) {
            0 | 1 => {
                text.push_str("References:");
                for _ in 0..1 + self.below(3) {
                    write!(text, " <{}@t>", self.below(140)).unwrap();
                }
                text.push_str("\r\n");
            }
            2 => write!(text, "In-Reply-To: <{}@t>\r\n", self.below(140)).unwrap(),
            _ => {}
        }
        write!(text, "\r\n{}\r\n", "x".repeat(self.below(500) as usize)).unwrap();
        text
    }
}

/// What is answered to a command; the tag in it left out.
fn answer(imap: &mut Imap, command: &str) -> String {
    let line = imap.ok(command).pop().unwrap();
    match line.split_once("\") ") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    }
}

#[test]
fn dovecot_says_the_same() {
    let mut dovecot = Dovecot::start("sdbox:{mail}/%n", "");
    let instance = Instance::start();
    let (mut ours, mut theirs) = (instance.imap("alice"), dovecot.imap("alice"));
    let mut numbers = Numbers(11);
    for number in 0..120 {
        let message = numbers.message(number);
        let arguments = format!("\"{:02}-Apr-2025 10:00:00 +0000\" ", 1 + numbers.below(28));
        for imap in [&mut ours, &mut theirs] {
            assert!(imap.append("INBOX", &arguments, &message).starts_with("OK"));
        }
    }
    ours.ok("SELECT INBOX");
    theirs.ok("SELECT INBOX");
    for command in COMMANDS {
        assert_eq!(answer(&mut ours, command), answer(&mut theirs, command), "{command}");
    }
}
