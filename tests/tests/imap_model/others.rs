//! Who is at the mailbox without IMAP.

use std::collections::BTreeMap;

use black_box::Instance;

use crate::ledger::Ledger;
use crate::{End, Numbers};

/// Deliveries by SMTP, each of another subject.
pub fn deliver(instance: &Instance, ledger: &Ledger, end: &End, mut numbers: Numbers) {
    let mut number = 0;
    while !end.is_reached() {
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example.org");
        for _ in 0..=numbers.below(4) {
            number += 1;
            let subject = format!("smtp-{number}");
            let text = format!("Subject: {subject}\r\n\r\nbody\r\n");
            smtp.send_message("sender@example.org", &["alice@example.test"], &text);
            ledger.book().delivered.push(subject);
        }
        smtp.ok("QUIT");
        std::thread::sleep(std::time::Duration::from_millis(100)); // paced: the others have to keep up
    }
}

/// A POP client whose view stays as it was when it logged in, and who deletes at QUIT.
pub fn pop(instance: &Instance, ledger: &Ledger, end: &End, mut numbers: Numbers) {
    while !end.is_reached() {
        let mut pop = instance.pop("alice");
        let (state, ids) = (pop.ok("STAT"), pop.lines("UIDL"));
        let sizes = pop.lines("LIST");
        let mut marked = BTreeMap::new();
        for _ in 0..numbers.below(3) {
            if ids.is_empty() {
                break;
            }
            let number = 1 + numbers.below(ids.len());
            let answer = pop.ask(&format!("TOP {number} 0"));
            if !answer.starts_with("+OK") {
                continue; // it is gone meanwhile
            }
            let lines = rest(&mut pop);
            let subject = lines.iter().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            let place = ("INBOX", uid(&ids[number - 1]));
            ledger.book().see(place, subject);
            marked.insert(number, place);
        }
        std::thread::sleep(std::time::Duration::from_millis(numbers.below(300) as u64)); // paced: others change it meanwhile
        assert_eq!((pop.ok("STAT"), pop.lines("UIDL"), pop.lines("LIST")), (state, ids, sizes));
        for (number, place) in marked {
            ledger.book().marked.insert(place);
            pop.ok(&format!("DELE {number}"));
        }
        pop.ok("QUIT");
    }
}

fn rest(pop: &mut black_box::Pop) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match pop.wire.line() {
            line if line == "." => return lines,
            line => lines.push(line),
        }
    }
}

/// The UID in a line of UIDL: the unique id is UIDVALIDITY and UID.
fn uid(line: &str) -> u32 {
    line.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
