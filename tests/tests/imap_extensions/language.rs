//! LANGUAGE (RFC 5255 §3).

use super::*;

#[test]
fn there_is_english_and_nothing_else_is_promised() {
    let instance = Instance::start();
    let mut imap = Imap::open(instance.connect(black_box::instance::IMAP));
    assert!(imap.greeting.contains(" LANGUAGE "), "{}", imap.greeting);
    // Before the log-in too, where a wrong password is refused in some language.
    assert_eq!(imap.ok("LANGUAGE"), ["* LANGUAGE (i-default en)"]);
    imap.ok("LOGIN alice alice-secret");
    for (ranges, chosen) in [
        ("en", "en"),
        ("EN", "en"),
        ("fr \"en\"", "en"),
        ("de default", "i-default"),
        ("I-Default", "i-default"),
        ("*", "i-default"),
    ] {
        assert_eq!(imap.ok(&format!("LANGUAGE {ranges}")), [format!("* LANGUAGE ({chosen})")], "{ranges}");
    }
    for ranges in ["de", "fr it", "en-GB", "\"\"", "x-klingon"] {
        let (told, end) = imap.command(&format!("LANGUAGE {ranges}"));
        assert!(told.is_empty() && end.starts_with("NO "), "{ranges}: {told:?} {end}");
    }
    all_bad(&mut imap, &["LANGUAGE (en)", "LANGUAGE \"en"]);
}
