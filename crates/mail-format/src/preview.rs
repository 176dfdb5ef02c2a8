//! The beginning of a message's text, as a list of messages shows it (RFC 8970 §4).
//!
//! What is quoted is left out while there is something else, HTML loses its tags, blanks become one. The work is bounded by
//! what the caller hands in.

use crate::charset::decode_text;
use crate::content_type::ContentType;
use crate::header::{header_field, unfold};
use crate::structure::{PartKind, Structure, content_type};

/// Characters of a preview at most (RFC 8970 §3.1 has 200 as the limit that should be, 256 as the one that must).
pub const CHARACTERS_MAX: usize = 200;
/// Bytes of a part that are looked at; of HTML most are not text.
pub const PART_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of a part's header that are looked at.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Parts that are looked at for one with text.
const PARTS_MAX: usize = 32;

/// How the text of a part is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    /// From the start of the message.
    pub body: (u32, u32),
    is_html: bool,
    charset: String,
    transfer_encoding: String,
}

/// The first part of plain text that is no attachment, else the first of HTML; nothing in messages inside.
/// `read` gives the bytes between two offsets.
///
/// # Errors
/// As `read`.
pub fn text_part<E>(
    structure: &Structure,
    mut read: impl FnMut(u32, u32) -> Result<Vec<u8>, E>,
) -> Result<Option<TextPart>, E> {
    let mut html = None;
    let is_outer = |place: &usize| {
        let mut parent = structure.parts[*place].parent as usize;
        let mut is_outer = *place == 0 || structure.parts[parent].kind != PartKind::Message;
        while is_outer && parent != 0 {
            parent = structure.parts[parent].parent as usize;
            is_outer = structure.parts[parent].kind != PartKind::Message;
        }
        is_outer
    };
    let leaves = (0..structure.parts.len()).filter(|place| structure.parts[*place].kind == PartKind::Leaf);
    for place in leaves.take(PARTS_MAX).filter(is_outer) {
        let part = structure.parts[place];
        let end = part.body_start.min(part.header_start.saturating_add(HEADER_BYTES_MAX));
        let header = read(part.header_start, end)?;
        let content = content_type(&header, part.in_digest);
        let is_html = content.is("text", "html");
        if !is_html && !content.is("text", "plain") || is_attachment(&header) {
            continue;
        }
        let found = TextPart {
            body: (part.body_start, part.body_end),
            is_html,
            charset: content.parameter("charset").map_or_else(String::new, lossy),
            transfer_encoding: header_field(&header, "Content-Transfer-Encoding")
                .map_or_else(String::new, |value| lossy(&unfold(value))),
        };
        if !is_html {
            return Ok(Some(found));
        }
        html.get_or_insert(found);
    }
    Ok(html)
}

fn is_attachment(header: &[u8]) -> bool {
    let given = header_field(header, "Content-Disposition");
    given
        .and_then(|value| ContentType::parse_disposition(&unfold(value)))
        .is_some_and(|disposition| disposition.is_kind("attachment"))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl TextPart {
    /// The preview of a part that begins with `content`; empty when there is nothing to show.
    pub fn preview(&self, content: &[u8]) -> String {
        let text = decode_text(content, &self.transfer_encoding, &self.charset);
        // The last character may have been cut in two.
        let text = text.trim_end_matches('\u{fffd}');
        if self.is_html { of_html(text) } else { of_plain(text) }
    }
}

fn of_plain(text: &str) -> String {
    let is_quoted = |line: &&str| line.starts_with('>');
    let signed = text.lines().take_while(|line| line.trim_end() != "--");
    let preview = squeeze(signed.filter(|line| !is_quoted(line)).flat_map(words_of_line));
    if !preview.is_empty() {
        return preview;
    }
    squeeze(text.lines().map(|line| line.trim_start_matches(['>', ' '])).flat_map(words_of_line))
}

fn words_of_line(line: &str) -> impl Iterator<Item = char> {
    line.chars().chain([' '])
}

/// One blank between words, no characters that cannot be seen; cut at the limit.
fn squeeze(text: impl Iterator<Item = char>) -> String {
    let mut preview = String::new();
    let mut count = 0;
    let mut waits = false;
    for character in text.filter(|character| !is_invisible(*character)) {
        if character.is_whitespace() || character.is_control() {
            waits = count > 0;
            continue;
        }
        if std::mem::take(&mut waits) {
            preview.push(' ');
            count += 1;
        }
        if count >= CHARACTERS_MAX {
            break;
        }
        preview.push(character);
        count += 1;
    }
    preview.truncate(preview.trim_end().len());
    preview
}

/// Soft hyphens, joiners and fillers, and what turns the direction of the text around it.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Elements whose content is not shown.
const UNSEEN: [&str; 6] = ["script", "style", "head", "title", "template", "noscript"];
/// Elements that do not divide words.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "mark", "s", "small", "span",
    "strong", "sub", "sup", "tt", "u",
];

/// The text of HTML without what stands in blockquotes; with it when there is nothing else.
fn of_html(html: &str) -> String {
    let preview = squeeze(text_of_html(html, false).chars());
    if preview.is_empty() { squeeze(text_of_html(html, true).chars()) } else { preview }
}

/// The beginning of the text of HTML, without its tags and what is not shown. In time that grows with the length only: each
/// byte is passed once, but for the end of an element that is not shown.
pub fn text_of_html(html: &str, with_quoted: bool) -> String {
    let mut text = String::new();
    let mut quotes = 0u32;
    let mut rest = html;
    while let Some(at) = memchr::memchr2(b'<', b'&', rest.as_bytes()) {
        let is_shown = with_quoted || quotes == 0;
        if is_shown {
            text.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (character, after) = entity(rest);
            if is_shown {
                text.push(character);
            }
            rest = after;
            continue;
        }
        let (tag, after) = tag(rest);
        rest = after;
        match tag {
            Tag::None if is_shown => text.push('<'),
            Tag::None => {}
            Tag::Comment => {}
            Tag::Start(name) if UNSEEN.contains(&name.as_str()) => rest = behind(rest, &name),
            Tag::Start(name) if name == "blockquote" => quotes = quotes.saturating_add(1),
            Tag::End(name) if name == "blockquote" => quotes = quotes.saturating_sub(1),
            Tag::Start(name) | Tag::End(name) if INLINE.contains(&name.as_str()) => {}
            Tag::Start(_) | Tag::End(_) => text.push(' '),
        }
        if text.len() > CHARACTERS_MAX * 64 {
            return text;
        }
    }
    if with_quoted || quotes == 0 {
        text.push_str(rest);
    }
    text
}

enum Tag {
    /// A `<` that begins nothing.
    None,
    Comment,
    /// The name in lower case.
    Start(String),
    End(String),
}

/// The tag at the start of `html`, and what follows.
fn tag(html: &str) -> (Tag, &str) {
    let inside = &html[1..];
    if let Some(comment) = inside.strip_prefix("!--") {
        return (Tag::Comment, comment.find("-->").map_or("", |end| &comment[end + 3..]));
    }
    let (name, is_end) = inside.strip_prefix('/').map_or((inside, false), |name| (name, true));
    if !name.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '!' | '?')) {
        return (Tag::None, inside);
    }
    let length = name.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(name.len());
    let word = name[..length].to_ascii_lowercase();
    let after = &name[length..];
    let after = end_of_tag(after).map_or("", |end| &after[end + 1..]);
    (if is_end { Tag::End(word) } else { Tag::Start(word) }, after)
}

/// Where the `>` is, outside quoted values.
fn end_of_tag(attributes: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in attributes.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if attributes[..at].trim_end().ends_with('=') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    attributes.find('>') // a quote that nobody closed
}

/// What follows the end of an element that is not shown; nothing when it has none.
fn behind<'h>(html: &'h str, name: &str) -> &'h str {
    let mut rest = html;
    while let Some(at) = rest.find("</") {
        let end = &rest[at..];
        rest = &end[2..];
        // The name first: the end of every tag is searched once only.
        let named = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if named && !rest[name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric()) {
            return tag(end).1;
        }
    }
    ""
}

/// The character of `&name;`, `&#8364;` or `&#x20ac;` at the start of `html`, and what follows; `&` when it is none.
fn entity(html: &str) -> (char, &str) {
    let inside = &html[1..];
    let Some(end) = inside.bytes().take(12).position(|byte| byte == b';') else { return ('&', inside) };
    let (name, after) = (&inside[..end], &inside[end + 1..]);
    let number = match name.strip_prefix('#') {
        Some(hex) if hex.starts_with(['x', 'X']) => u32::from_str_radix(&hex[1..], 16).ok(),
        Some(digits) => digits.parse().ok(),
        None => ENTITIES.iter().find(|(one, _)| *one == name).map(|(_, character)| u32::from(*character)),
    };
    number.and_then(char::from_u32).map_or(('&', inside), |character| (character, after))
}

/// The names that stand in mail (HTML 4.01 §24).
const ENTITIES: [(&str, char); 52] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("shy", '\u{ad}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("deg", '°'),
    ("times", '×'),
    ("middot", '·'),
    ("bull", '•'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("ecirc", 'ê'),
    ("aacute", 'á'),
    ("iacute", 'í'),
    ("oacute", 'ó'),
    ("uacute", 'ú'),
    ("ntilde", 'ñ'),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::structure::scan;

    fn preview(message: &[u8]) -> Option<String> {
        let structure = scan(message);
        let read = |from: u32, to: u32| Ok::<_, ()>(message[from as usize..to as usize].to_vec());
        let part = text_part(&structure, read).unwrap()?;
        Some(part.preview(&message[part.body.0 as usize..part.body.1 as usize]))
    }

    fn html(text: &str) -> String {
        preview(format!("Content-Type: text/html; charset=utf-8\r\n\r\n{text}").as_bytes()).unwrap()
    }

    fn plain(text: &str) -> String {
        preview(format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}").as_bytes()).unwrap()
    }

    #[test]
    fn plain_text_loses_quotes_signature_and_blanks() {
        assert_eq!(plain("Joe wrote:\r\n> what?\r\n\r\n  at\tnoon \r\n-- \r\nAmy"), "Joe wrote: at noon");
        assert_eq!(plain("> only\r\n>> this\r\n"), "only this");
        assert_eq!(plain("-- \r\nAmy\r\n"), "-- Amy");
        assert_eq!(plain(" \r\n"), "");
        assert_eq!(plain("a\u{202e}b\u{200b}\u{7}c"), "ab c");
    }

    #[test]
    fn a_preview_ends_at_its_limit() {
        assert_eq!(plain(&"ü".repeat(500)).chars().count(), CHARACTERS_MAX);
        assert_eq!(plain(&"a ".repeat(500)).chars().count(), CHARACTERS_MAX - 1);
    }

    #[test]
    fn html_loses_its_tags() {
        for (text, shown) in [
            (
                "<html><head><title>t</title><style>p { x: '</p>' }</style></head><p>Hi <b>A</b>my&nbsp;&amp; Joe</p><p>x</p>",
                "Hi Amy & Joe x",
            ),
            ("<script>if (a<b) {}</script ><!-- <p>no --><div title=\"a>b\">5 < 6 &lt; 7</div>", "5 < 6 < 7"),
            ("<blockquote>old <blockquote>er</blockquote></blockquote>new", "new"),
            ("<blockquote>all</blockquote>", "all"),
            ("Gr&uuml;&szlig;e &#8364; &#x20AC; &bogus; &", "Grüße € € &bogus; &"),
            ("one<br>two<BR/>three<td>four", "one two three four"),
            ("a<p title='b>c", "a c"),
            ("<style>never closed", ""),
            ("&#0;&#xd800;&#99999999;x", "&#xd800;&#99999999;x"),
        ] {
            assert_eq!(html(text), shown, "{text}");
        }
    }

    #[test]
    fn the_text_is_found_in_what_is_around_it() {
        let parts = |parts: &[&str]| {
            let inside: String = parts.iter().map(|part| format!("--x\r\n{part}\r\n")).collect();
            preview(format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{inside}--x--\r\n").as_bytes())
        };
        let html = "Content-Type: text/html\r\n\r\n<p>html</p>";
        let plain = "Content-Transfer-Encoding: base64\r\n\r\ncGxhaW4=";
        let attached = "Content-Type: text/plain\r\nContent-Disposition: Attachment; filename=a\r\n\r\nno";
        let inside = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nforwarded";
        let picture = "Content-Type: image/png\r\n\r\nxyz";
        assert_eq!(parts(&[attached, html, plain]).as_deref(), Some("plain"));
        assert_eq!(parts(&[picture, attached, html]).as_deref(), Some("html"));
        assert_eq!(parts(&[inside, picture]), None);
        let cut = b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3";
        assert_eq!(preview(cut).as_deref(), Some("Gr\u{fc}"));
    }

    proptest! {
        #[test]
        fn no_html_is_too_strange(text in "([<>&/\"'=;#x!ü -]|p|script|style|blockquote|!--|-->|amp){0,60}") {
            prop_assert!(html(&text).chars().count() <= CHARACTERS_MAX);
        }

        #[test]
        fn no_message_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(preview) = preview(&bytes) {
                prop_assert!(preview.chars().count() <= CHARACTERS_MAX);
                prop_assert!(!preview.contains(['\0', '\r', '\n']));
            }
        }
    }
}
