//! Plain text as HTML: paragraphs as they stand, quotations by their `>`, the signature behind `-- `, links made of what looks like
//! one. With `format=flowed` (RFC 3676) lines are joined.

use crate::CleanHtml;
use crate::filter::{escape_attribute, escape_text};
use crate::link;
use crate::parse::Boundary;

/// Bytes of text that are shown.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Quotations inside each other.
const QUOTES_MAX: usize = 32;

/// How lines are meant (RFC 3676 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Fixed,
    /// A line that ends with a blank goes on in the next; with `delete_space` (DelSp=yes) without that blank.
    Flowed {
        delete_space: bool,
    },
}

/// One line or, flowed, one paragraph.
struct Line {
    quotes: usize,
    text: String,
}

/// Text of a message as HTML: lines end with line ends, so `white-space: pre-wrap` is the frame's to say for `lines`.
pub fn from_text(text: &str, format: Format) -> CleanHtml {
    let end = text.floor_char_boundary_of(TEXT_BYTES_MAX);
    let mut writer = Writer { body: String::from("<body class=\"plain\">"), quotes: 0, in_lines: false };
    let mut in_signature = false;
    let mut is_cut = end < text.len();
    for line in lines(&text[..end], format) {
        if writer.body.len() > TEXT_BYTES_MAX {
            is_cut = true; // quotations may cost more than they say
            break;
        }
        if line.quotes == 0 && line.text == "-- " && !in_signature {
            writer.quote(0);
            writer.end_lines();
            writer.body.push_str("<div class=\"signature\">");
            in_signature = true;
        }
        writer.quote(if in_signature { 0 } else { line.quotes });
        writer.line(&line.text);
    }
    writer.quote(0);
    writer.end_lines();
    writer.body.push_str(if in_signature { "</div></body>" } else { "</body>" });
    CleanHtml { body: writer.body, sheet: String::new(), blocked: 0, has_colours: false, is_cut }
}

struct Writer {
    body: String,
    /// Quotations that are open.
    quotes: usize,
    /// Whether a block of lines is open.
    in_lines: bool,
}

impl Writer {
    fn quote(&mut self, wanted: usize) {
        if self.quotes != wanted {
            self.end_lines();
        }
        while self.quotes < wanted {
            self.body.push_str("<blockquote class=\"quote\">");
            self.quotes += 1;
        }
        while self.quotes > wanted {
            self.body.push_str("</blockquote>");
            self.quotes -= 1;
        }
    }

    fn line(&mut self, text: &str) {
        self.body.push_str(if self.in_lines { "\n" } else { "<div class=\"lines\">" });
        self.in_lines = true;
        linked(text, &mut self.body);
    }

    fn end_lines(&mut self) {
        if self.in_lines {
            self.body.push_str("</div>");
        }
        self.in_lines = false;
    }
}

fn lines(text: &str, format: Format) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut flows = false;
    for raw in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        let (quotes, rest) = unquoted(raw, format);
        let is_soft = matches!(format, Format::Flowed { .. }) && rest.ends_with(' ') && rest != "-- ";
        let piece = match format {
            Format::Flowed { delete_space: true } if is_soft => &rest[..rest.len() - 1],
            _ => rest,
        };
        match lines.last_mut().filter(|last| flows && last.quotes == quotes && rest != "-- ") {
            Some(last) => last.text.push_str(piece),
            None => lines.push(Line { quotes, text: piece.to_owned() }),
        }
        flows = is_soft;
    }
    if lines.last().is_some_and(|last| last.text.is_empty() && last.quotes == 0) {
        lines.pop(); // the end of the last line is no line
    }
    lines
}

/// How deeply a line is quoted, and the rest of it.
fn unquoted(line: &str, format: Format) -> (usize, &str) {
    let mut rest = line;
    let mut quotes = 0;
    while quotes < QUOTES_MAX {
        // In fixed text people write "> >" as well.
        let inner =
            if quotes > 0 && format == Format::Fixed { rest.strip_prefix(' ').unwrap_or(rest) } else { rest };
        match inner.strip_prefix('>') {
            Some(behind) => (quotes, rest) = (quotes + 1, behind),
            None => break,
        }
    }
    let stuffed = quotes > 0 || matches!(format, Format::Flowed { .. });
    (quotes, if stuffed { rest.strip_prefix(' ').unwrap_or(rest) } else { rest })
}

/// Text with links in it. Only a text is looked at, never markup.
fn linked(text: &str, body: &mut String) {
    let mut rest = text;
    while let Some((at, length)) = next_link(rest) {
        escape_text(&rest[..at], body);
        let shown = &rest[at..at + length];
        let address = match shown {
            _ if shown.contains("://") || starts_with(shown, "mailto:") => shown.to_owned(),
            _ if starts_with(shown, "www.") => format!("https://{shown}"),
            _ => format!("mailto:{shown}"),
        };
        // What would read as another address, or none, the next time is none.
        let rests = |target: &String| link::target(target).as_ref() == Some(target);
        match link::target(&address).filter(rests) {
            Some(target) => {
                body.push_str("<a href=\"");
                escape_attribute(&target, body);
                body.push_str("\" target=\"_blank\" rel=\"noopener noreferrer nofollow\" title=\"");
                escape_attribute(&target.chars().take(300).collect::<String>(), body);
                body.push_str("\">");
                escape_text(shown, body);
                body.push_str("</a>");
            }
            None => escape_text(shown, body),
        }
        rest = &rest[at + length..];
    }
    escape_text(rest, body);
}

/// The next thing that looks like a link: where, and how long. One pass over the words.
fn next_link(text: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    for word in text.split_inclusive(|one: char| {
        one.is_whitespace() || matches!(one, '<' | '>' | '"' | '\u{3000}'..='\u{303f}')
    }) {
        let bare = word.trim_end_matches(|one: char| {
            one.is_whitespace() || matches!(one, '<' | '>' | '"' | '\u{3000}'..='\u{303f}')
        });
        let lead = bare.len() - bare.trim_start_matches(['(', '[', '{', '\'', '*', '_']).len();
        let link = trimmed(&bare[lead..]);
        if is_link(link) {
            return Some((at + lead, link.len()));
        }
        at += word.len();
    }
    None
}

/// Without what ends a sentence, and without a bracket that was opened outside.
fn trimmed(word: &str) -> &str {
    let opened = word.find('(').unwrap_or(usize::MAX);
    let mut word = word;
    loop {
        let shorter = word.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        let shorter = match shorter.strip_suffix(')') {
            Some(before) if opened >= before.len() => before,
            _ => shorter.strip_suffix([']', '}']).unwrap_or(shorter),
        };
        if shorter.len() == word.len() {
            return word;
        }
        word = shorter;
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_link(word: &str) -> bool {
    if word.len() > link::ADDRESS_BYTES_MAX {
        return false;
    }
    let named = |prefix: &str| starts_with(word, prefix) && word.len() > prefix.len() + 1;
    if named("http://") || named("https://") || named("mailto:") || named("www.") {
        return true;
    }
    let Some((local, domain)) = word.split_once('@') else { return false };
    let is_label = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_local = local.len() <= 64
        && !local.is_empty()
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&*+-/=?^_{|}~".contains(&byte));
    is_local && domain.contains('.') && domain.len() <= 253 && domain.split('.').all(is_label)
}
