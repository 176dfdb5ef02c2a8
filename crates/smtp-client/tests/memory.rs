//! How much memory a large message takes. Alone in its process, since the peak is the process's.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{BufWriter, Write};

use black_box::StubMta;
use common::{Message, open, send, words};

const SIZE: u64 = 64 << 20;

fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn large() -> File {
    let mut file = BufWriter::new(tempfile::tempfile().unwrap());
    for _ in 0..SIZE / 64 {
        file.write_all(b".a line of sixty-four bytes, with a dot at its very beginning.\r\n").unwrap();
    }
    file.into_inner().unwrap()
}

#[test]
fn a_large_message_takes_no_more_memory_than_a_small_one() {
    let message =
        Message { content: base::content::Content::File(large()), size: SIZE, eight_bit: false, front: b"" };
    for offers in [&["PIPELINING"][..], &["CHUNKING"]] {
        let stub = StubMta::new().offers(offers).discard_content().start();
        let mut session = open(&stub);
        assert_eq!(words(&send(&mut session, &common::small(), &["b@y.example"])), ["ok"]);
        let before = peak_kilobytes();
        assert_eq!(words(&send(&mut session, &message, &["b@y.example"])), ["ok"]);
        // The kernel counts on each processor by itself, and what it says may be some pages more or less, even less than before.
        let grown = peak_kilobytes().saturating_sub(before);
        assert!(grown < 8192, "{offers:?}: {grown} KiB more");
        assert!(stub.wait_for(2)[1].size as u64 > SIZE - 1024);
    }
}
