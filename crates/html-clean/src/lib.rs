//! What of a message's HTML may be shown, and its ways to and from plain text.
//!
//! [`clean`] parses HTML as browsers do, writes what the lists of `elements.rs` and `style.rs` allow, and reads the result again
//! until reading changes nothing: `clean(clean(x)) = clean(x)`, so a browser sees the tree that was looked at. What does not
//! come to rest becomes text, and so does what takes too long with all its parts. Time and memory are bounded by `parse.rs`. A [`CleanHtml`] cannot be changed: nothing is
//! done to HTML after it was cleaned.
//!
//! Not a defence by itself: who shows it sends a Content-Security-Policy with `sandbox` as well.

mod elements;
mod filter;
mod images;
mod link;
mod parse;
mod plain;
mod style;
mod text;
mod tree;

use std::time::Duration;

pub use images::Rewrite;
pub use link::Source;
pub use plain::to_text;
pub use text::{Format, from_text};

use filter::Written;
use images::Images;
use parse::{Deadline, TIME_MAX};

/// Readings until a document must have come to rest.
const READINGS_MAX: usize = 8;

/// HTML that may be shown. There is no way to make one but [`clean`] and [`from_text`], and none to change one.
#[derive(Debug)]
pub struct CleanHtml {
    body: String,
    sheet: String,
    blocked: usize,
    has_colours: bool,
    is_cut: bool,
}

impl CleanHtml {
    /// The `body` element, with its tags.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The message's style sheets, for one `style` element: CSS without `<` and `&`.
    pub fn sheet(&self) -> &str {
        &self.sheet
    }

    /// Remote images that are not shown.
    pub fn blocked_images(&self) -> usize {
        self.blocked
    }

    /// Whether the message sets colours, so that others than white cannot be behind it.
    pub fn has_colours(&self) -> bool {
        self.has_colours
    }

    /// Whether something was left out because there was too much.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// A text of a message, already decoded.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    Html(&'a str),
    Text(&'a str, Format),
}

/// Cleans what a message holds as text/html, already decoded to text. `rewrite` is asked once for each address of an image; what it
/// gives must be a path on the own host of characters that need no escape, or it counts as None.
pub fn clean<'a>(html: &str, rewrite: &'a mut Rewrite<'a>) -> CleanHtml {
    clean_parts(&[Part::Html(html)], rewrite)
}

/// The same for a message that has several texts, one below the other.
pub fn clean_parts<'a>(parts: &[Part<'_>], rewrite: &'a mut Rewrite<'a>) -> CleanHtml {
    clean_parts_within(TIME_MAX, parts, rewrite)
}

/// The same, with this time for all of them in the place of two seconds: what takes longer becomes text without tags.
pub fn clean_parts_within<'a>(time: Duration, parts: &[Part<'_>], rewrite: &'a mut Rewrite<'a>) -> CleanHtml {
    if let [Part::Text(text, format)] = parts {
        return from_text(text, *format);
    }
    let mut images = Images::new(rewrite);
    let mut is_cut = false;
    let deadline = Deadline::after(time);
    let each: Vec<Written> =
        parts.iter().map(|part| written(part, &mut images, &mut is_cut, deadline)).collect();
    let joined = join(each);
    images.again = true;
    match rested(joined, &mut images, deadline) {
        Some(Written { body, sheet }) => {
            CleanHtml { body, sheet, blocked: images.blocked, has_colours: images.has_colours, is_cut }
        }
        None if deadline.is_over() => {
            let text = parts.iter().map(bare).collect::<Vec<_>>().join("\n\n");
            CleanHtml { is_cut: true, ..from_text(&text, Format::Fixed) }
        }
        None => from_text(&parts.iter().map(as_text).collect::<Vec<_>>().join("\n\n"), Format::Fixed),
    }
}

fn written(part: &Part<'_>, images: &mut Images<'_>, is_cut: &mut bool, deadline: Deadline) -> Written {
    match part {
        Part::Html(html) => {
            let parsed = parse::parse(html, deadline);
            let (written, is_full) = filter::write(&parsed.nodes, images);
            *is_cut |= parsed.is_cut || is_full;
            written
        }
        Part::Text(text, format) => {
            let clean = from_text(text, *format);
            *is_cut |= clean.is_cut;
            Written { body: clean.body, sheet: String::new() }
        }
    }
}

fn as_text(part: &Part<'_>) -> String {
    match part {
        Part::Html(html) => to_text(html),
        Part::Text(text, _) => (*text).to_owned(),
    }
}

/// The text of a part for which there is no time.
fn bare(part: &Part<'_>) -> String {
    match part {
        Part::Html(html) => plain::without_tags(html),
        Part::Text(text, _) => (*text).to_owned(),
    }
}

/// One document of several: what is in the body of each, in a block of its own.
fn join(mut each: Vec<Written>) -> Written {
    if each.len() == 1 {
        return each.remove(0);
    }
    let mut all = Written { body: "<body>".to_owned(), sheet: String::new() };
    for one in each {
        // In an attribute no `>` is written as itself.
        let inner = one.body.split_once('>').map_or("", |(_, inner)| inner.trim_end_matches("</body>"));
        all.body.push_str(&format!("<div class=\"part\">{inner}</div>"));
        all.sheet.push_str(&one.sheet);
    }
    all.body.push_str("</body>");
    all
}

/// What is written when reading it again changes nothing any more. None: it never was so.
fn rested(mut written: Written, images: &mut Images<'_>, deadline: Deadline) -> Option<Written> {
    for _ in 0..READINGS_MAX {
        if deadline.is_over() {
            return None;
        }
        let again = parse::parse(&page(&written), deadline);
        let (next, is_full) = filter::write(&again.nodes, images);
        if next == written && !again.is_cut && !is_full {
            return Some(written);
        }
        written = next;
    }
    None
}

/// A whole document, as a browser is given it.
fn page(written: &Written) -> String {
    format!("<!doctype html><html><head><style>{}</style></head>{}</html>", written.sheet, written.body)
}

/// A name that can mean nothing outside the message.
fn prefixed(name: &str) -> String {
    if name.starts_with("m-") { name.to_owned() } else { format!("m-{name}") }
}
