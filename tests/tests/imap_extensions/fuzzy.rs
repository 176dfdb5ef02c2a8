//! SEARCH=FUZZY: texts in another form, and how well messages match (RFC 6203).

use super::*;

/// An INBOX with these subjects and bodies, selected.
fn inbox(messages: &[(&str, &str)]) -> (Instance, Imap) {
    let (instance, mut imap) = mailbox_of(0);
    for (subject, body) in messages {
        let message = format!(
            "From: Amy <amy@example.org>\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
        );
        assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    }
    imap.ok("NOOP");
    (instance, imap)
}

/// What a command answers behind its tag.
fn answer(imap: &mut Imap, command: &str) -> String {
    let line = imap.ok(command).into_iter().find(|line| line.contains("ESEARCH")).unwrap();
    line.split_once("\") ").or_else(|| line.split_once("\")")).unwrap().1.to_owned()
}

#[test]
fn words_in_another_form_are_found_and_scored() {
    let (_instance, mut imap) = inbox(&[
        ("meeting", "nothing"),         // the word itself
        ("meetings", "nothing"),        // its beginning
        ("offmeeting", "nothing"),      // inside another
        ("meetnig", "nothing"),         // misspelt
        ("greeting", "nothing"),        // another word, two letters away
        ("lunch", "the meeting is on"), // not in the subject
    ]);
    assert!(is_offered(&mut imap, "SEARCH=FUZZY"));
    assert_eq!(imap.ok("SEARCH FUZZY SUBJECT meeting"), ["* SEARCH 1 2 3 4"]);
    assert_eq!(imap.ok("SEARCH SUBJECT meeting"), ["* SEARCH 1 2 3"]);
    let told = answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT meeting");
    assert_eq!(told, "ALL 1:4 RELEVANCY (100 80 60 40)");
    // From eight letters on two misspellings are overlooked.
    assert_eq!(
        answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT meetingss"),
        "ALL 1:2 RELEVANCY (20 40)"
    );
    let told = answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT offmeetnigs");
    assert_eq!(told, "ALL 3 RELEVANCY (20)");
    // Every word must be there, wherever; what is found is scored on average.
    let told = answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL COUNT) FUZZY TEXT \"nothing, metings\"");
    assert_eq!(told, "COUNT 1 ALL 2 RELEVANCY (70)");
    assert_eq!(imap.ok("SEARCH FUZZY TEXT \"nothing lunch\""), ["* SEARCH"]);
    // Without any letters there is nothing to be misspelt.
    assert_eq!(imap.ok("SEARCH FUZZY HEADER From \"\""), ["* SEARCH 1 2 3 4 5 6"]);
    // Other keys are exact, and say nothing of the score; the best one of those in OR counts.
    let told = answer(
        &mut imap,
        "UID SEARCH RETURN (RELEVANCY ALL) FUZZY (SUBJECT meeting UID 2:4 UNSEEN) TEXT amy",
    );
    assert_eq!(told, "UID ALL 2:4 RELEVANCY (80 60 40)");
    let told = answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) OR FUZZY SUBJECT meeting FUZZY BODY meeting");
    assert_eq!(told, "ALL 1:4,6 RELEVANCY (100 80 60 40 100)");
    let told = answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) NOT FUZZY SUBJECT meeting");
    assert_eq!(told, "ALL 5:6 RELEVANCY (100 100)");
    assert_eq!(answer(&mut imap, "SEARCH RETURN (RELEVANCY ALL) FUZZY TEXT zzzz"), "RELEVANCY ()");
}

#[test]
fn sort_begins_with_the_best() {
    let (_instance, mut imap) =
        inbox(&[("meetnig", "b"), ("meeting", "a"), ("offmeeting", "d"), ("meetings", "c"), ("lunch", "x")]);
    let criteria = "(RELEVANCY) UTF-8 FUZZY SUBJECT meeting";
    assert_eq!(imap.ok(&format!("SORT {criteria}")), ["* SORT 2 4 3 1"]);
    assert_eq!(imap.ok("SORT (REVERSE RELEVANCY) UTF-8 FUZZY SUBJECT meeting"), ["* SORT 1 3 4 2"]);
    let told = answer(&mut imap, &format!("SORT RETURN (RELEVANCY ALL) {criteria}"));
    assert_eq!(told, "ALL 2,4,3,1 RELEVANCY (100 80 60 40)");
    // The scores of a page are those of its messages (RFC 6203 section 6).
    let told = answer(&mut imap, &format!("SORT RETURN (PARTIAL 2:3 RELEVANCY) {criteria}"));
    assert_eq!(told, "PARTIAL (2:3 4,3) RELEVANCY (80 60)");
    let told = answer(&mut imap, &format!("SORT RETURN (PARTIAL 8:9 RELEVANCY) {criteria}"));
    assert_eq!(told, "PARTIAL (8:9 NIL) RELEVANCY ()");
    // By another criterion.
    let told = answer(&mut imap, "SORT RETURN (RELEVANCY ALL) (REVERSE ARRIVAL) UTF-8 FUZZY SUBJECT meeting");
    assert!(told.ends_with(')') && told.contains("RELEVANCY ("), "{told}");
    let told = imap.ok(&format!("UID SORT RETURN (UPDATE COUNT) {criteria}"));
    assert!(told[0].starts_with("* NO [NOUPDATE "), "{told:?}");
    let threads = imap.ok("THREAD ORDEREDSUBJECT UTF-8 FUZZY SUBJECT metings");
    assert_eq!(threads, ["* THREAD (4)"]);
}

#[test]
fn nonsense_is_refused_and_words_are_bounded() {
    let (_instance, mut imap) = inbox(&[("meeting", "x")]);
    all_bad(
        &mut imap,
        &[
            "SEARCH FUZZY",
            "SEARCH FUZZY ()",
            "SEARCH FUZZY SUBJECT",
            "SEARCH RETURN (RELEVANCY) SUBJECT x",
            "SEARCH RETURN (RELEVANCY ALL) ALL",
            "SORT (RELEVANCY) UTF-8 SUBJECT x",
            "SORT RETURN (RELEVANCY) (DATE) UTF-8 SUBJECT x",
            "SORT (RELEVANCY) UTF-8 FUZZY",
            "THREAD RELEVANCY UTF-8 ALL",
        ],
    );
    let words = |count: u32| (0..count).map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
    assert_eq!(imap.ok(&format!("SEARCH FUZZY TEXT \"{}\"", words(16))), ["* SEARCH"]);
    assert!(imap.refused(&format!("SEARCH FUZZY TEXT \"{}\"", words(17))).starts_with("NO [LIMIT]"));
}

/// In several mailboxes (RFC 7377).
#[test]
fn other_mailboxes_are_scored_too() {
    let (_instance, mut imap) = inbox(&[("meeting", "x"), ("meetings", "x")]);
    let told = imap.ok("ESEARCH IN (personal) RETURN (RELEVANCY ALL) FUZZY SUBJECT meeting");
    assert!(told[0].contains("MAILBOX") && told[0].ends_with(" UID ALL 1:2 RELEVANCY (100 80)"), "{told:?}");
}
