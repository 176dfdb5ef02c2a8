//! Clients that ask for much and read nothing.

use std::time::{Duration, Instant};

use black_box::{Vigil, quick};

use crate::{GROWTH_MAX_BYTES, instance, selected};

/// "10,000 pipelined commands, none read back": each connection has a bounded queue, nobody's thread is held, and others are
/// served as before.
#[test]
fn who_reads_nothing_costs_a_bounded_queue_and_no_thread() {
    let instance = instance();
    let big = format!("Subject: big\r\n\r\n{}", format!("{}\r\n", "x".repeat(70)).repeat(3000));
    assert!(instance.imap("alice").append("INBOX", "", &big).starts_with("OK"));
    let vigil = Vigil::begin(&instance);
    let clients = if quick() { 20 } else { 100 }; // more than there are threads of one process
    let mut silent: Vec<_> = (0..clients).map(|_| selected(&instance)).collect();
    for imap in &mut silent {
        imap.wire.socket().set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        // 10,000 answers of 210 KB: 2 GB for each of them.
        for _ in 0..10 {
            if !imap.wire.try_send("f FETCH 2 BODY.PEEK[]\r\n".repeat(1000).as_bytes()) {
                break;
            }
        }
    }
    let begun = Instant::now();
    let mut other = selected(&instance);
    other.ok("FETCH 1:* (UID FLAGS ENVELOPE)");
    assert!(begun.elapsed() < Duration::from_secs(50), "others waited {:?}", begun.elapsed());
    // 1 MiB of answers and a buffer of commands each.
    vigil.end(&instance, GROWTH_MAX_BYTES + clients * (2 << 20));
    // Who begins to read gets everything in order.
    let mut late = silent.pop().unwrap();
    drop(silent);
    for _ in 0..20 {
        let row = late.response();
        assert!(row.starts_with("* 2 FETCH (BODY[] {"), "{}", &row[..40]);
        assert!(late.response().starts_with("f OK"));
    }
}
