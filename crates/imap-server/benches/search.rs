//! How long SEARCH takes with and without the index of words, how large the index is, and what making it costs: a table on
//! standard output. Run by `scripts/bench-search`, not by `cargo test`.
//!
//! The texts are made up, but shaped like mail: words by Zipf's law, headers with random ids and signatures, some HTML, some
//! attachments. `MAILBOAT_BENCH_MESSAGES` says how many there are.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use commit_journal::{SyncLevel, SyncLevels};
use common::{Client, Site};
use message_store::{Mailbox, MailboxName, NewMessage};

const VOCABULARY: usize = 200_000;
const PEOPLE: usize = 3000;

/// xorshift64*: the same texts in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A rank by Zipf's law: 1/rank, up to `count`.
    fn rank(&mut self, count: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((count as f64).powf(unit) as usize).saturating_sub(1).min(count - 1)
    }

    fn base64(&mut self, length: usize) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..length).map(|_| char::from(DIGITS[self.below(64)])).collect()
    }
}

struct Corpus {
    random: Random,
    words: Vec<String>,
    people: Vec<String>,
}

impl Corpus {
    fn new() -> Corpus {
        let mut random = Random(88_172_645_463_325_252);
        let word = |random: &mut Random, rank: usize| {
            let length = 2 + rank.max(1).ilog2() as usize / 3 + random.below(5);
            let mut word = String::new();
            while word.len() < length {
                word.push(char::from(b"bcdfghklmnprstvw"[random.below(16)]));
                word.push(char::from(b"aeiou"[random.below(5)]));
            }
            let _ = write!(word, "{}", ["", "s", "n", "ing", "ed"][rank % 5]);
            word
        };
        let words: Vec<String> = (0..VOCABULARY).map(|rank| word(&mut random, rank)).collect();
        let people = (0..PEOPLE)
            .map(|number| {
                let (one, other) = (random.below(VOCABULARY), random.below(VOCABULARY));
                format!("{}.{}@{}.example.com", words[one], words[other], words[number % 400 + 1000])
            })
            .collect();
        Corpus { random, words, people }
    }

    fn sentence(&mut self, count: usize, text: &mut String) {
        for place in 0..count {
            let rank = self.random.rank(VOCABULARY);
            text.push_str(&self.words[rank]);
            text.push_str(if place % 11 == 10 { ".\r\n" } else { " " });
        }
        text.push_str("\r\n");
    }

    fn message(&mut self, number: usize) -> Vec<u8> {
        let from = self.people[self.random.rank(PEOPLE)].clone();
        let mut text = String::with_capacity(8192);
        for hop in 1..4 {
            let id = self.random.base64(14);
            let _ = write!(
                text,
                "Received: from relay{hop}.example.net (relay{hop}.example.net [192.0.2.{hop}])\r\n\tby mx{hop}.example.com (Postfix) with ESMTPS id {id}\r\n\tfor <joe@example.com>; Sat, {} Nov 2026 {:02}:{:02}:{:02} +0000 (UTC)\r\n",
                1 + number % 30,
                number / 3600 % 24,
                number / 60 % 60,
                number % 60
            );
        }
        let (signature, hash, id) = (self.random.base64(344), self.random.base64(43), self.random.base64(20));
        let _ = write!(
            text,
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=one;\r\n\th=from:to:subject:date:message-id; bh={hash}=;\r\n\tb={signature}\r\nFrom: {from}\r\nTo: joe@example.com\r\nMessage-ID: <{id}@mail.example.com>\r\nDate: Sat, {} Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nSubject: ",
            1 + number % 30
        );
        let count = 3 + self.random.below(6);
        self.sentence(count, &mut text);
        text.push_str("Content-Type: multipart/mixed; boundary=zzzz\r\n\r\n--zzzz\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
        // Most are short, a few are long.
        let count = 40 + (2.0f64.powf(self.random.below(700) as f64 / 100.0) * 20.0) as usize;
        self.sentence(count, &mut text);
        if number % 3 == 0 {
            text.push_str("--zzzz\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body style=\"font-family: sans-serif\">\r\n");
            for _ in 0..8 {
                let token = self.random.base64(24).replace(['+', '/'], "_");
                let _ = write!(text, "<p class=\"text\"><a href=\"https://news.example.com/click/{token}\">");
                self.sentence(20, &mut text);
                text.push_str("</a></p>\r\n");
            }
            text.push_str("</body></html>\r\n");
        }
        if number % 10 == 0 {
            text.push_str(
                "--zzzz\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            );
            for _ in 0..200 {
                text.push_str(&self.random.base64(76));
                text.push_str("\r\n");
            }
        }
        text.push_str("--zzzz--\r\n");
        text.into_bytes()
    }
}

fn fill(mailbox: &Arc<Mailbox>, corpus: &mut Corpus, count: usize) {
    let mut number = 0;
    while number < count {
        let batch = (count - number).min(1000);
        let complete: Vec<_> = (0..batch)
            .map(|place| {
                let mut incoming = mailbox.begin_append().unwrap();
                std::io::Write::write_all(&mut incoming, &corpus.message(number + place)).unwrap();
                (incoming.complete().unwrap(), NewMessage::default())
            })
            .collect();
        mailbox.append_all(&complete).unwrap();
        number += batch;
    }
}

/// The first and the shortest time, and what was said.
fn time(joe: &mut Client, command: &str, rounds: usize) -> (Duration, Duration, String) {
    let mut times = Vec::new();
    let mut said = String::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        said = joe.ok(command);
        times.push(begin.elapsed());
    }
    (times[0], times.iter().min().copied().unwrap(), said)
}

/// Messages stored in a second, one transaction each, alone and while the index of another mailbox is made as stored makes it:
/// 20 MB a second, by a thread that gives way. The best of three rounds, taken in turns.
fn deliveries(site: &Site, busy: &Arc<Mailbox>, corpus: &mut Corpus) -> (f64, f64) {
    site.store.ensure_user("amy").unwrap();
    let mailbox = site.store.open_mailbox(&MailboxName::parse("user/amy/INBOX").unwrap()).unwrap();
    let messages: Vec<Vec<u8>> = (0..2000).map(|number| corpus.message(number)).collect();
    let round = || {
        let begin = Instant::now();
        for message in &messages {
            let mut incoming = mailbox.begin_append().unwrap();
            std::io::Write::write_all(&mut incoming, message).unwrap();
            incoming.finish(NewMessage::default()).unwrap();
        }
        messages.len() as f64 / begin.elapsed().as_secs_f64()
    };
    let (mut alone, mut beside) = (0.0f64, 0.0f64);
    for _ in 0..3 {
        alone = alone.max(round());
        let stop = Arc::new(AtomicBool::new(false));
        let (their_stop, busy) = (Arc::clone(&stop), Arc::clone(busy));
        let thread = std::thread::spawn(move || {
            let _ = os::process::give_way(19);
            let mut owed = 0;
            while !their_stop.load(Ordering::Relaxed) {
                busy.remove_text_index().unwrap();
                let pace = &mut |bytes: u64| {
                    owed += bytes;
                    if owed > 1 << 20 {
                        std::thread::sleep(Duration::from_millis(owed * 1000 / 20_971_520));
                        owed = 0;
                    }
                    !their_stop.load(Ordering::Relaxed)
                };
                busy.index_texts(1, pace).unwrap();
            }
        });
        beside = beside.max(round());
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
    (alone, beside)
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn main() {
    let count: usize =
        std::env::var("MAILBOAT_BENCH_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let site = Site::with_store(|settings| settings.sync = SyncLevels::all(SyncLevel::None));
    site.store.ensure_user("joe").unwrap();
    let mailbox = site.store.open_mailbox(&MailboxName::parse("user/joe/INBOX").unwrap()).unwrap();
    let mut corpus = Corpus::new();
    let begin = Instant::now();
    fill(&mailbox, &mut corpus, count);
    println!(
        "{count} messages, {} MB, stored in {:.0} s",
        mailbox.status().unwrap().size_bytes >> 20,
        begin.elapsed().as_secs_f64()
    );
    let word = |rank: usize| corpus.words[rank].clone();
    let queries = [
        ("a word in most messages", format!("TEXT {}", word(3))),
        ("a common word", format!("BODY {}", word(60))),
        ("a word of rank 3,000", format!("TEXT {}", word(3000))),
        ("the same, BODY", format!("BODY {}", word(3000))),
        ("a word of rank 150,000", format!("TEXT {}", word(150_000))),
        ("a part of a word", format!("BODY {}", &word(9000)[1..])),
        ("two letters", "BODY qu".to_owned()),
        ("the address of a sender", format!("TEXT {}", corpus.people[50])),
        ("a host in every message", "TEXT mail.example.com".to_owned()),
        ("what is nowhere", "TEXT xylophone".to_owned()),
        ("FROM", format!("FROM {}", corpus.people[50])),
        ("SUBJECT", format!("SUBJECT {}", word(3000))),
        ("two words, both rare", format!("TEXT \"{} {}\"", word(20_000), word(30_000))),
        ("two words, one rare", format!("TEXT \"{} {}\"", word(10), word(30_000))),
        ("two words, both common", format!("BODY \"{} {}\"", word(10), word(20))),
    ];
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    let ask = |query: &str| format!("SEARCH RETURN (COUNT) {query}");
    let without: Vec<_> = queries.iter().map(|(_, query)| time(&mut joe, &ask(query), 1)).collect();
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    let done = mailbox
        .index_texts(1, &mut |_| {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            true
        })
        .unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = folder_bytes(&site.find("store.idx").with_file_name("store.fts"));
    println!(
        "index: {:.0} s, {:.0} messages/s; {} MB of text, {} MB of index: {:.1} %",
        seconds,
        count as f64 / seconds,
        done.text_bytes >> 20,
        bytes >> 20,
        bytes as f64 * 100.0 / done.text_bytes as f64
    );
    println!("| search | found | without | with, first | with, warm |\n| --- | ---: | ---: | ---: | ---: |");
    for ((what, query), (without, _, said)) in queries.iter().zip(without) {
        let (first, warm, with) = time(&mut joe, &ask(query), 5);
        assert_eq!(with, said, "{query}");
        let found = said.trim().rsplit(' ').next().unwrap().to_owned();
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        println!("| {what} | {found} | {} | {} | {} |", ms(without), ms(first), ms(warm));
    }
    let (alone, beside) = deliveries(&site, &mailbox, &mut corpus);
    println!("stored: {alone:.0} messages/s alone, {beside:.0} while an index is made");
}
