//! `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")`
//! (RFC 3501 §6.4.5).

use crate::command::partial::{self as page, Partial};
use crate::cursor::{Cursor, Parsed};
use crate::sequence::{self, SequenceSet};
use crate::words;

/// Numbers in a part specifier; no message is nested deeper.
const PART_DEPTH_MAX: usize = 100;

/// What to fetch of which messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Whether `set` holds UIDs.
    pub uid: bool,
    pub set: SequenceSet,
    /// Each once; macros are resolved.
    pub items: Vec<Item>,
    /// Only what changed after this modification sequence (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// With the UIDs that are gone since then (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// Only this page of them (RFC 9394 §3.3).
    pub partial: Option<Partial>,
}

/// One thing to fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Uid,
    Flags,
    InternalDate,
    Size,
    Envelope,
    Body,
    BodyStructure,
    Section(Section),
    /// RFC 3516 §4.2
    Binary(Binary),
    /// RFC 3516 §4.2: the size of a part without its transfer encoding.
    BinarySize(Binary),
    /// RFC 8970. LAZY asks for no more than there is at hand, which is always all.
    Preview,
    /// RFC 7162
    ModSeq,
    /// RFC 8474
    EmailId,
    ThreadId,
    /// RFC 8514
    SaveDate,
    /// NMS: original.md 6
    XSender,
}

/// `BODY[1.2.HEADER]<0.512>`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// The numbers before the text; empty: the message itself.
    pub part: Vec<u32>,
    pub text: SectionText,
    /// First byte and count.
    pub partial: Option<(u32, u32)>,
    /// Does not set \Seen.
    pub peek: bool,
    /// How the response names it: `BODY[1.2.HEADER]<0>`, `RFC822.TEXT`.
    pub label: String,
}

/// `BINARY[1.2]<0.512>`: a part without its transfer encoding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binary {
    /// Empty: the whole message, as it is.
    pub part: Vec<u32>,
    /// First byte and count of what is decoded.
    pub partial: Option<(u32, u32)>,
    /// Does not set \Seen.
    pub peek: bool,
    /// How the response names it: `BINARY[1.2]<0>`, `BINARY.SIZE[1.2]`.
    pub label: String,
}

/// `section-text` (RFC 3501 §6.4.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SectionText {
    /// `BODY[]`, `BODY[1.2]`
    All,
    Header,
    Fields(Vec<String>),
    FieldsNot(Vec<String>),
    Text,
    Mime,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Fetch> {
    cursor.space()?;
    let set = sequence::sequence_set(cursor)?;
    cursor.space()?;
    let items = items(cursor)?;
    let mut fetch = Fetch { uid, set, items, changed_since: None, vanished: false, partial: None };
    if cursor.rest().starts_with(b" (") {
        cursor.skip(2);
        modifiers(cursor, &mut fetch)?;
    }
    Ok(fetch)
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466 §2.4, RFC 7162 §7).
fn modifiers(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Parsed<()> {
    let start = cursor.clone();
    loop {
        if cursor.keyword(b"CHANGEDSINCE") {
            cursor.space()?;
            if fetch.changed_since.replace(cursor.number64()?).is_some() {
                return start.error("CHANGEDSINCE once");
            }
        } else if cursor.keyword(b"VANISHED") {
            fetch.vanished = true;
        } else if fetch.partial.is_none() && cursor.keyword(b"PARTIAL") {
            fetch.partial = Some(page::partial(cursor)?);
        } else {
            return cursor.error("CHANGEDSINCE, VANISHED or one PARTIAL");
        }
        if cursor.take(b')') {
            break;
        }
        cursor.space()?;
    }
    if fetch.vanished && (!fetch.uid || fetch.changed_since.is_none()) {
        return start.error("VANISHED in a UID FETCH with CHANGEDSINCE"); // RFC 7162 §3.2.6
    }
    Ok(())
}

fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<Item>> {
    if cursor.keyword(b"ALL") {
        return Ok(vec![Item::Flags, Item::InternalDate, Item::Size, Item::Envelope]);
    }
    if cursor.keyword(b"FAST") {
        return Ok(vec![Item::Flags, Item::InternalDate, Item::Size]);
    }
    if cursor.keyword(b"FULL") {
        return Ok(vec![Item::Flags, Item::InternalDate, Item::Size, Item::Envelope, Item::Body]);
    }
    if cursor.peek() != Some(b'(') {
        return Ok(vec![item(cursor)?]);
    }
    list(cursor)
}

/// `"(" fetch-att *(SP fetch-att) ")"`, each once.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<Vec<Item>> {
    cursor.expect(b'(', "a list of items to fetch")?;
    let mut items: Vec<Item> = Vec::new();
    loop {
        let item = item(cursor)?;
        if items.len() >= ITEMS_MAX {
            return cursor.error("fewer fetch items");
        }
        if !items.contains(&item) {
            items.push(item);
        }
        if cursor.take(b')') {
            return Ok(items);
        }
        cursor.space()?;
    }
}

/// Items of one command.
const ITEMS_MAX: usize = 1000;

/// `fetch-att`
fn item(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    let start = cursor.clone();
    let word = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let whole = |text: SectionText, peek: bool, label: &str| {
        let label = label.to_owned();
        Item::Section(Section { part: Vec::new(), text, partial: None, peek, label })
    };
    Ok(match word.to_ascii_uppercase().as_slice() {
        b"UID" => Item::Uid,
        b"FLAGS" => Item::Flags,
        b"INTERNALDATE" => Item::InternalDate,
        b"RFC822.SIZE" => Item::Size,
        b"ENVELOPE" => Item::Envelope,
        b"BODYSTRUCTURE" => Item::BodyStructure,
        b"MODSEQ" => Item::ModSeq,
        b"EMAILID" => Item::EmailId,
        b"THREADID" => Item::ThreadId,
        b"SAVEDATE" => Item::SaveDate,
        b"XSENDER" => Item::XSender,
        b"RFC822" => whole(SectionText::All, false, "RFC822"),
        b"RFC822.HEADER" => whole(SectionText::Header, true, "RFC822.HEADER"),
        b"RFC822.TEXT" => whole(SectionText::Text, false, "RFC822.TEXT"),
        b"BODY" if cursor.peek() == Some(b'[') => Item::Section(section(cursor, false)?),
        b"BODY.PEEK" => Item::Section(section(cursor, true)?),
        b"BODY" => Item::Body,
        b"BINARY" => Item::Binary(binary(cursor, false)?),
        b"BINARY.PEEK" => Item::Binary(binary(cursor, true)?),
        b"BINARY.SIZE" => {
            let (part, label) = section_binary(cursor, "BINARY.SIZE[")?;
            Item::BinarySize(Binary { part, partial: None, peek: true, label })
        }
        b"PREVIEW" => preview(cursor)?,
        _ => return start.error("something to fetch"),
    })
}

/// `section ["<" number "." nz-number ">"]`, `section = "[" [section-spec] "]"`
pub(crate) fn section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<Section> {
    cursor.expect(b'[', "a section in brackets")?;
    let mut part = Vec::new();
    let mut label = String::from("BODY[");
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        if part.len() == PART_DEPTH_MAX {
            return cursor.error("a shorter part number");
        }
        let number = cursor.nz_number()?;
        part.push(number);
        label.push_str(&number.to_string());
        if !cursor.take(b'.') {
            break;
        }
        label.push('.');
    }
    let text = match cursor.peek() {
        Some(b']') if !label.ends_with('.') => SectionText::All,
        _ if part.is_empty() || label.ends_with('.') => section_text(cursor, !part.is_empty(), &mut label)?,
        _ => return cursor.error("the end of a section"),
    };
    cursor.expect(b']', "the end of a section")?;
    label.push(']');
    let (partial, origin) = partial(cursor)?;
    if partial.is_some() {
        label.push_str(&format!("<{origin}>"));
    }
    Ok(Section { part, text, partial, peek, label })
}

/// `section-binary ["<" number "." nz-number ">"]` (RFC 3516 §7)
fn binary(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<Binary> {
    let (part, mut label) = section_binary(cursor, "BINARY[")?;
    let (partial, origin) = partial(cursor)?;
    if partial.is_some() {
        label.push_str(&format!("<{origin}>"));
    }
    Ok(Binary { part, partial, peek, label })
}

/// `section-binary = "[" [section-part] "]"`: the numbers, and `name` with them.
fn section_binary(cursor: &mut Cursor<'_>, name: &str) -> Parsed<(Vec<u32>, String)> {
    cursor.expect(b'[', "a part in brackets")?;
    let mut part = Vec::new();
    while !cursor.take(b']') {
        if !part.is_empty() {
            cursor.expect(b'.', "the end of a part number")?;
        }
        if part.len() == PART_DEPTH_MAX {
            return cursor.error("a shorter part number");
        }
        part.push(cursor.nz_number()?);
    }
    let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
    Ok((part, format!("{name}{}]", numbers.join("."))))
}

/// `"PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]`, `preview-mod = "LAZY"` (RFC 8970 §6)
fn preview(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    // Alone, it may be followed by the modifiers of FETCH (RFC 4466 §2.4).
    let mut ahead = cursor.clone();
    if ahead.take(b' ') && ahead.take(b'(') && ahead.keyword(b"LAZY") {
        ahead.expect(b')', "LAZY once")?;
        *cursor = ahead;
    }
    Ok(Item::Preview)
}

/// `section-msgtext / "MIME"`
fn section_text(cursor: &mut Cursor<'_>, of_part: bool, label: &mut String) -> Parsed<SectionText> {
    let start = cursor.clone();
    let word = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    label.push_str(&String::from_utf8_lossy(&word));
    Ok(match word.as_slice() {
        b"HEADER" => SectionText::Header,
        b"TEXT" => SectionText::Text,
        b"MIME" if of_part => SectionText::Mime,
        b"HEADER.FIELDS" => SectionText::Fields(header_list(cursor, label)?),
        b"HEADER.FIELDS.NOT" => SectionText::FieldsNot(header_list(cursor, label)?),
        _ => return start.error("HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, or MIME of a part"),
    })
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(cursor: &mut Cursor<'_>, label: &mut String) -> Parsed<Vec<String>> {
    cursor.space()?;
    cursor.expect(b'(', "a list of header fields")?;
    label.push_str(" (");
    let mut names = Vec::new();
    loop {
        let name = words::field_name(cursor)?;
        if names.len() >= ITEMS_MAX {
            return cursor.error("fewer header fields");
        }
        if name.bytes().all(words::is_astring_char) {
            label.push_str(&name);
        } else {
            label.push_str(&String::from_utf8_lossy(&words::quote(name.as_bytes())));
        }
        names.push(name);
        if cursor.take(b')') {
            label.push(')');
            return Ok(names);
        }
        cursor.space()?;
        label.push(' ');
    }
}

/// `"<" number64 "." nz-number64 ">"` (RFC 9051 §9), and the origin as it is answered. No message has more bytes than a
/// `u32` can say.
fn partial(cursor: &mut Cursor<'_>) -> Parsed<(Option<(u32, u32)>, u64)> {
    if !cursor.take(b'<') {
        return Ok((None, 0));
    }
    let origin = cursor.number64()?;
    cursor.expect(b'.', "a dot and a count")?;
    let start = cursor.clone();
    let count = cursor.number64()?;
    if count == 0 {
        return start.error("a number from 1 to 9223372036854775807");
    }
    cursor.expect(b'>', "the end of a range")?;
    let clamped = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok((Some((clamped(origin), clamped(count))), origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed<Vec<Item>> {
        let mut cursor = Cursor::new(text.as_bytes());
        let items = items(&mut cursor)?;
        cursor.end()?;
        Ok(items)
    }

    fn label(text: &str) -> String {
        match read(text).unwrap().remove(0) {
            Item::Section(section) => section.label,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn macros_and_lists_are_read() {
        assert_eq!(read("fast").unwrap().len(), 3);
        assert_eq!(read("(UID FLAGS uid BODY BODYSTRUCTURE)").unwrap().len(), 4);
        assert_eq!(read("BODY"), Ok(vec![Item::Body]));
    }

    #[test]
    fn sections_are_named_as_the_response_names_them() {
        for (asked, named) in [
            ("BODY[]", "BODY[]"),
            ("body.peek[1.2.header]<3.4>", "BODY[1.2.HEADER]<3>"),
            ("BODY[header.fields (from {1}\r\nx)]", "BODY[HEADER.FIELDS (from x)]"),
            ("BODY[1.MIME]", "BODY[1.MIME]"),
            ("BODY[TEXT]<4294967295.1>", "BODY[TEXT]<4294967295>"),
            ("RFC822.TEXT", "RFC822.TEXT"),
        ] {
            assert_eq!(label(asked), named);
        }
        let Item::Section(section) = read("BODY.PEEK[1.2]").unwrap().remove(0) else { panic!() };
        assert_eq!((section.part, section.text, section.peek), (vec![1, 2], SectionText::All, true));
    }

    #[test]
    fn parts_without_their_encoding_are_named_too() {
        for (asked, named) in [
            ("binary[]", "BINARY[]"),
            ("BINARY.PEEK[1.2]<3.4>", "BINARY[1.2]<3>"),
            ("Binary.Size[1.2]", "BINARY.SIZE[1.2]"),
        ] {
            match read(asked).unwrap().remove(0) {
                Item::Binary(binary) | Item::BinarySize(binary) => assert_eq!(binary.label, named),
                other => panic!("{other:?}"),
            }
        }
        let deep = format!("BINARY[{}1]", "1.".repeat(200));
        for bad in [
            "BINARY",
            "BINARY.PEEK",
            "BINARY.SIZE[1]<0.1>",
            "BINARY[0]",
            "BINARY[1.]",
            "BINARY[.1]",
            "BINARY[1 2]",
            "BINARY[HEADER]",
            "BINARY[1.TEXT]",
            "BINARY[1",
            "BINARY[]<0.0>",
            &deep,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn previews_may_be_lazy() {
        assert_eq!(read("(PREVIEW (LAZY) UID)"), Ok(vec![Item::Preview, Item::Uid]));
        assert_eq!(read("preview (lazy)"), Ok(vec![Item::Preview]));
        for bad in
            ["(PREVIEW ())", "(PREVIEW (FAST))", "(PREVIEW (LAZY LAZY))", "(PREVIEW (LAZY)", "PREVIEW=FUZZY"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        let mut cursor = Cursor::new(b" 1 PREVIEW (CHANGEDSINCE 7)");
        assert_eq!(arguments(&mut cursor, false).unwrap().changed_since, Some(7));
    }

    #[test]
    fn modifiers_are_read() {
        let read = |text: &str, uid: bool| {
            let mut cursor = Cursor::new(text.as_bytes());
            arguments(&mut cursor, uid).and_then(|fetch| cursor.end().map(|()| fetch))
        };
        let fetch = read(" 1:* (FLAGS MODSEQ) (changedsince 5 VANISHED)", true).unwrap();
        assert_eq!((fetch.changed_since, fetch.vanished), (Some(5), true));
        assert!(read(" 1 FLAGS (CHANGEDSINCE 0)", false).is_ok());
        assert!(read(" 1:* UID (PARTIAL -1:-30 CHANGEDSINCE 5)", true).unwrap().partial.unwrap().from_end);
        for bad in [
            " 1 FLAGS ()",
            " 1 FLAGS (CHANGEDSINCE)",
            " 1 FLAGS (CHANGEDSINCE x)",
            " 1 FLAGS (CHANGEDSINCE 18446744073709551616)",
            " 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
            " 1 FLAGS (VANISHED)",
            " 1 FLAGS (SOMETHING 1)",
            " 1 FLAGS (PARTIAL)",
            " 1 FLAGS (PARTIAL 1:2 PARTIAL 1:2)",
            " 1 FLAGS (CHANGEDSINCE 1",
            " 1 FLAGS(CHANGEDSINCE 1)",
        ] {
            assert!(read(bad, true).is_err(), "{bad}");
        }
        assert!(read(" 1 FLAGS (CHANGEDSINCE 1 VANISHED)", false).is_err());
    }

    #[test]
    fn broken_items_are_refused() {
        let deep = format!("BODY[{}1]", "1.".repeat(200));
        for bad in [
            "",
            "()",
            "(UID",
            "BODY[0]",
            &deep,
            "BODY[]<0.0>",
            "BODY[]<0>",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS]",
            "BODY[MIME]",
            "BODY[1.]",
            "BODY[1HEADER]",
            "BODY[FOO]",
            "BODY.PEEK",
            "BODY[",
            "(ALL)",
            "FLAGSX",
            "((((",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
