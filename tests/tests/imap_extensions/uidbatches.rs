//! UIDBATCHES (RFC 10022).

use super::*;

/// So many messages; every third one is gone, so that UIDs have holes.
fn with_holes(count: u32) -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    let piece = format!(" {{{}+}}\r\n{MESSAGE}", MESSAGE.len());
    for _ in 0..count / 100 {
        imap.ok(&format!("APPEND INBOX{}", piece.repeat(100)));
    }
    imap.ok("SELECT INBOX");
    let gone: Vec<String> = (1..=count).step_by(3).map(|uid| uid.to_string()).collect();
    imap.ok(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", gone.join(",")));
    imap.ok("EXPUNGE");
    (instance, imap)
}

fn ranges(imap: &mut Imap, command: &str) -> Vec<(u32, u32)> {
    let told = imap.ok(command);
    assert_eq!(told.len(), 1, "{told:?}");
    let begin = format!("* UIDBATCHES (TAG \"t{}\")", imap.number());
    let rest = told[0].strip_prefix(&begin).unwrap_or_else(|| panic!("{told:?}"));
    let pairs = rest.trim().split(',').filter(|range| !range.is_empty());
    pairs
        .map(|range| {
            let (high, low) = range.split_once(':').unwrap();
            (high.parse().unwrap(), low.parse().unwrap())
        })
        .collect()
}

#[test]
fn batches_have_so_many_messages_and_leave_no_uid_out() {
    let (_instance, mut imap) = with_holes(2000);
    assert!(is_offered(&mut imap, "UIDBATCHES"));
    let exists = imap.exists("INBOX") as usize;
    assert_eq!(exists, 1333);
    let all = ranges(&mut imap, "UIDBATCHES 500");
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!((all[0].0, all[2].1), (2000, 1));
    for (one, next) in all.iter().zip(&all[1..]) {
        assert_eq!(one.1 - 1, next.0, "{all:?}");
    }
    let mut counted = Vec::new();
    for (high, low) in &all {
        let told = imap.ok(&format!("UID SEARCH RETURN (COUNT) UID {high}:{low}")).concat();
        counted.push(told.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    }
    assert_eq!(counted, [500, 500, 333]);
    // A part of them is the same part.
    assert_eq!(ranges(&mut imap, "UIDBATCHES 500 2:3"), all[1..]);
    assert_eq!(ranges(&mut imap, "UIDBATCHES 500 1:1"), all[..1]);
    assert_eq!(ranges(&mut imap, "UIDBATCHES 500 3:50"), all[2..]);
    assert!(ranges(&mut imap, "UIDBATCHES 500 4:5").is_empty());
    assert_eq!(ranges(&mut imap, "UIDBATCHES 1333"), [(2000, 1)]);
    assert_eq!(ranges(&mut imap, "UIDBATCHES 4294967295"), [(2000, 1)]);
    // `$` stays what it was.
    imap.ok("UID SEARCH RETURN (SAVE) UID 2");
    imap.ok("UIDBATCHES 500");
    assert_eq!(imap.ok("UID SEARCH $"), ["* SEARCH 2"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let (_instance, mut imap) = mailbox_of(0);
    assert!(ranges(&mut imap, "UIDBATCHES 500").is_empty(), "of nothing there is nothing");
    assert!(imap.refused("UIDBATCHES 499").starts_with("NO [TOOFEW]"));
    assert!(imap.refused("UIDBATCHES 500 1:201").starts_with("NO [TOOMANY]"));
    assert!(imap.refused("UIDBATCHES 4294967295 1:4294967295").starts_with("NO [TOOMANY]"));
    assert!(imap.refused("UIDBATCHES 500 20:10").starts_with("BAD [CLIENTBUG]"));
    all_bad(
        &mut imap,
        &["UIDBATCHES", "UIDBATCHES 0", "UIDBATCHES x", "UIDBATCHES 500 1", "UIDBATCHES 500 1:*"],
    );
    imap.ok("UNSELECT");
    all_bad(&mut imap, &["UIDBATCHES 500"]);
}
