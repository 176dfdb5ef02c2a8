//! Differences from Dovecot 2.3 that are meant, and why.

use black_box::Value;

/// Message (`*` for all), item, and the argument.
pub type Argued = (&'static str, &'static str, &'static str);

pub const ITEMS: &[Argued] = &[
    // RFC 3501 §6.4.5: a part that is no multipart and no message has no part 1 of its own; it is part 1 of a message only.
    ("*", "BODY.PEEK[1.1]", "a leaf has no parts"),
    // The same: the blank line is in all header fetches "except in the case of a message which has no body and no blank line".
    ("no header, no empty line", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "there is no blank line"),
    (
        "no header, no empty line",
        "BODY.PEEK[HEADER.FIELDS (DATE x-field-7 nothing)]",
        "there is no blank line",
    ),
    ("no body, no empty line", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "there is no blank line"),
    ("no body, no empty line", "BODY.PEEK[HEADER.FIELDS (DATE x-field-7 nothing)]", "there is no blank line"),
    ("no line end at all", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "there is no blank line"),
    ("no line end at all", "BODY.PEEK[HEADER.FIELDS (DATE x-field-7 nothing)]", "there is no blank line"),
    ("no empty line of the multipart", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "there is no blank line"),
    (
        "no empty line of the multipart",
        "BODY.PEEK[HEADER.FIELDS (DATE x-field-7 nothing)]",
        "there is no blank line",
    ),
    ("message cut in its header", "BODY.PEEK[1.HEADER.FIELDS (Subject)]", "there is no blank line"),
    ("message without empty line", "BODY.PEEK[1.HEADER.FIELDS (Subject)]", "there is no blank line"),
    ("digest of nothing", "BODY.PEEK[1.HEADER.FIELDS (Subject)]", "there is no blank line"),
    // RFC 5322 §2.2: a field ends with its CRLF. RFC 2046 §5.1.1 gives the CRLF before a delimiter to the delimiter, which is
    // meant for bodies: the line that ends a field, or the header, stays with the header.
    ("message cut in its header", "BODY.PEEK[1.HEADER]", "a field has its line end"),
    ("message without empty line", "BODY.PEEK[1.MIME]", "a field has its line end"),
    ("part without empty line", "BODY.PEEK[1.MIME]", "a field has its line end"),
    ("outer ends inner preamble", "BODY.PEEK[1.MIME]", "the blank line is in a header fetch"),
    ("empty part", "BODY.PEEK[1.MIME]", "the blank line is in a header fetch"),
    ("digest of nothing", "BODY.PEEK[1.MIME]", "the blank line is in a header fetch"),
    // RFC 5322 §3.6: these fields stand once. Where they stand twice no standard says which counts; here it is the first, in
    // ENVELOPE, SEARCH, SORT and everywhere else.
    ("two subjects", "ENVELOPE", "the first counts"),
    ("two dates and ids", "ENVELOPE", "the first counts"),
    ("empty first, full second", "ENVELOPE", "the first counts"),
    // RFC 5322 §2.2.3: unfolding removes the CRLF, and nothing else.
    ("folded subject", "ENVELOPE", "blanks stay"),
    ("folds of blanks", "ENVELOPE", "blanks stay"),
    ("tabs inside", "ENVELOPE", "blanks stay"),
    // Blanks around the value are no part of a date or an identifier (RFC 5322 §3.3, §3.6.4: CFWS).
    ("folded at once", "ENVELOPE", "blanks around it are no part of a date"),
    ("folded message ids", "ENVELOPE", "blanks around it are no part of an id"),
    ("blanks at the end", "ENVELOPE", "blanks around it are no part of an id"),
    // RFC 5322 §4.4: obs-local-part is words with dots between them, CFWS around each; obs-addr-list has empty elements.
    ("quoted local part", "ENVELOPE", "obs-local-part: \"x\".y is x.y"),
    ("blanks around dots", "ENVELOPE", "obs-local-part, obs-domain"),
    ("commas astray", "ENVELOPE", "obs-addr-list: empty elements are no addresses"),
    ("domain literal", "ENVELOPE", "obs-domain-literal: FWS is no part of it"),
    ("empty angle", "ENVELOPE", "<> is no address"),
    // What follows has no syntax. Dovecot gives up at the first mistake; here what can be answered or shown is kept.
    ("unclosed comment", "ENVELOPE", "the address before it is whole"),
    ("unclosed quote", "ENVELOPE", "the text is shown"),
    ("unclosed angle", "ENVELOPE", "the address is whole"),
    ("no local part", "ENVELOPE", "the domain is shown"),
    ("two at signs", "ENVELOPE", "nothing is dropped"),
    ("dots at the ends", "ENVELOPE", "nothing is dropped"),
    ("semicolons for commas", "ENVELOPE", "both addresses are whole"),
    ("blanks for commas", "ENVELOPE", "both addresses are whole"),
    ("group in a group", "ENVELOPE", "the address is whole"),
    ("groups one behind the other", "ENVELOPE", "all addresses are whole"),
    ("broken routes", "ENVELOPE", "the addresses are whole"),
    ("names without quotes", "ENVELOPE", "the address in <> is whole"),
    ("mailto", "ENVELOPE", "nothing is dropped"),
    ("address as name", "ENVELOPE", "the address in <> is the one to answer"),
    ("backslashes outside of quotes", "ENVELOPE", "the address is whole"),
    // RFC 2045 §5.2: a Content-Type that cannot be read is text/plain.
    ("type without subtype", "*", "what cannot be read is text/plain"),
    ("empty type", "*", "what cannot be read is text/plain"),
    ("type of slashes", "*", "what stands behind the subtype is passed over"),
    ("semicolons astray", "*", "parameters behind an empty one are read"),
    ("RFC 2231 broken", "*", "RFC 2045 §5.1: the order of parameters has no meaning"),
    ("encoding with a parameter", "*", "the name of the encoding is told"),
    ("empty disposition", "BODYSTRUCTURE", "RFC 2183 §2: a disposition has a type"),
    // RFC 2046 §5.1.1: a multipart has a boundary of one character or more. Without, its content could not be fetched.
    ("no boundary parameter", "*", "the content is shown as one part"),
    ("empty boundary", "*", "the content is shown as one part"),
    ("boundary without quotes", "*", "senders forget the quotes; the boundary is what they use"),
    ("broken type in a digest", "*", "RFC 2046 §5.1.5: the default in a digest is message/rfc822"),
    ("message/global", "*", "RFC 9051 §9, media-message: a message, too"),
    // The bytes of a message are those that came; only an LF without CR gets one.
    ("CR alone in a body", "*", "a CR stays"),
    ("CR before CR LF", "*", "a CR stays"),
];

pub const QUERIES: &[Argued] = &[
    // RFC 3501 §6.4.4: FROM, TO and SUBJECT look at what the envelope has; see there.
    ("folds of blanks", "SUBJECT \"one two\"", "there are three blanks between them"),
    ("unclosed comment", "FROM a@a.test", "as the envelope has it"),
    ("unclosed quote", "FROM a@a.test", "as the field has it"),
    ("unclosed angle", "*", "as the envelope has it"),
    ("semicolons for commas", "TO b@b.test", "as the envelope has it"),
    ("blanks for commas", "TO b@b.test", "as the envelope has it"),
    ("groups one behind the other", "*", "as the envelope has it"),
    ("mailto", "TO b@b.test", "as the envelope has it"),
    ("address as name", "TO b@b.test", "as the envelope has it"),
    ("broken routes", "TO c@c.test", "as the envelope has it"),
    ("address as name", "(OR (SUBJECT base) (FROM a@a.test)) NOT (TO b@b.test)", "as the envelope has it"),
    // What is shown as text is searched, and what is not is not; see ITEMS.
    ("broken type in a digest", "BODY one", "a message"),
    ("broken type in a digest", "CHARSET us-ascii BODY one", "a message"),
    ("empty boundary", "BODY one", "no text but application/octet-stream"),
    ("empty boundary", "CHARSET us-ascii BODY one", "no text but application/octet-stream"),
    ("empty type", "TEXT x", "text/plain"),
    ("empty encoding", "TEXT x", "text/plain"),
    ("30 messages inside each other", "BODY innermost", "no limit is reached"),
    (
        "message in base64",
        "TEXT x",
        "RFC 2046 §5.2.1: a message is not encoded; what is called so is not decoded",
    ),
    ("8-bit everywhere", "TEXT x", "RFC 5322 §2.2: a name with bytes above 126 is no field's"),
    (
        "latin-1 text without a charset",
        "CHARSET UTF-8 BODY \u{c4}pfel",
        "read as windows-1252, since it is no UTF-8",
    ),
    (
        "latin-1 text without a charset",
        "CHARSET UTF-8 BODY \u{e4}PFEL",
        "read as windows-1252, since it is no UTF-8",
    ),
    (
        "latin-1 text without a charset",
        "CHARSET utf-8 TEXT \u{e4}",
        "read as windows-1252, since it is no UTF-8",
    ),
    ("latin-1 bytes", "CHARSET utf-8 TEXT \u{e4}", "read as windows-1252, since it is no UTF-8"),
    // RFC 5322 §3.3, §4.3: years from 1900 on; three digits are added to 1900.
    ("year 1900", "*", "a legal year"),
    ("three digits of a year", "*", "2003"),
    ("full names", "*", "no standard's, but plain enough"),
    ("asctime", "*", "no standard's, but plain enough"),
];

/// What else is left out where the order of messages is compared: each key of it is argued above or here.
pub const UNSORTED: &[(&str, &str)] = &[
    ("year 1900", "its date"),
    ("three digits of a year", "its date"),
    ("full names", "its date"),
    ("asctime", "its date"),
    ("only a name", "RFC 5256 §3: without an address the key is empty; MISSING_MAILBOX is nobody's"),
    ("no domain", "the same of MISSING_DOMAIN"),
    ("broken encoded words", "RFC 2047 §6.3: what is no encoded word is shown as it is"),
    ("a character cut in two", "RFC 2047 §5: each word is whole by itself; the halves are U+FFFD"),
    ("unknown charset", "taken as UTF-8"),
    ("language in a word", "RFC 2231 §5: the language is no part of the charset's name"),
    ("latin-1 bytes", "no UTF-8: U+FFFD"),
    ("bytes cut out of UTF-8", "no UTF-8: U+FFFD"),
];

/// Whether a difference is one of those of the headers of parts that ITEMS argues by name.
pub fn is_of_a_class(item: &str, ours: &Value, theirs: &Value) -> bool {
    let (Value::Text(ours), Value::Text(theirs)) = (ours, theirs) else {
        return item == "BODY.PEEK[1.1]" && *ours == Value::Atom("NIL".to_owned());
    };
    let is_header = item.ends_with("MIME]") || item.ends_with("HEADER]");
    let has_line_end = is_header && ours.strip_suffix(b"\r\n") == Some(theirs.as_slice());
    let no_blank_line =
        item.contains("HEADER.FIELDS") && theirs.strip_suffix(b"\r\n") == Some(ours.as_slice());
    // Where a header is empty Dovecot's parser of fields goes on behind the part.
    let beyond = item.contains(".HEADER.FIELDS") && ours.is_empty();
    has_line_end || no_blank_line || beyond
}

/// Whether something by which messages are sorted is argued.
pub fn is_unsorted(name: &str) -> bool {
    ITEMS.iter().any(|one| one.0 == name) || UNSORTED.iter().any(|(one, _)| *one == name)
}

/// Fails for every difference that is not argued, and for every argument without a difference.
pub fn judge(argued: &[Argued], found: &[(String, String, String)]) {
    let covers = |one: &Argued, name: &str, item: &str| {
        (one.0 == "*" || one.0 == name) && (one.1 == "*" || one.1 == item)
    };
    let mut failed = 0;
    for (name, item, both) in found {
        if !argued.iter().any(|one| covers(one, name, item)) {
            println!("{name} | {item}: {both}");
            failed += 1;
        }
    }
    for one in argued {
        if !found.iter().any(|(name, item, _)| covers(one, name, item)) {
            println!("{} | {}: there is no difference any more ({})", one.0, one.1, one.2);
            failed += 1;
        }
    }
    assert_eq!(failed, 0, "differences from Dovecot, or arguments without one");
}
