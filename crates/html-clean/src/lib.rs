//! What of a message's HTML may be shown, and its ways to and from plain text.
//!
//! [`clean`] parses HTML as browsers do, writes what the lists of `elements.rs` and `style.rs` allow, and reads the result again
//! until reading changes nothing: `clean(clean(x)) = clean(x)`, so a browser sees the tree that was looked at. What does not
//! come to rest becomes text. Time and memory are bounded by `parse.rs`. A [`CleanHtml`] cannot be changed: nothing is
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

pub use images::Rewrite;
pub use link::Source;
pub use plain::to_text;
pub use text::{Format, from_text};

use filter::Written;
use images::Images;

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

/// Cleans what a message holds as text/html, already decoded to text. `rewrite` is asked once for each address of an image; what it
/// gives must be a path on the own host of characters that need no escape, or it counts as None.
pub fn clean<'a>(html: &str, rewrite: &'a mut Rewrite<'a>) -> CleanHtml {
    let mut images = Images::new(rewrite);
    let parsed = parse::parse(html);
    let (mut written, is_full) = filter::write(&parsed.nodes, &mut images);
    let mut is_cut = parsed.is_cut || is_full;
    images.again = true;
    let mut rests = false;
    for _ in 0..READINGS_MAX {
        let again = parse::parse(&page(&written));
        is_cut |= again.is_cut;
        let (next, _) = filter::write(&again.nodes, &mut images);
        rests = next == written;
        if rests {
            break;
        }
        written = next;
    }
    if !rests {
        return from_text(&to_text(html), Format::Fixed);
    }
    let Written { body, sheet } = written;
    CleanHtml { body, sheet, blocked: images.blocked, has_colours: images.has_colours, is_cut }
}

/// A whole document, as a browser is given it.
fn page(written: &Written) -> String {
    format!("<!doctype html><html><head><style>{}</style></head>{}</html>", written.sheet, written.body)
}

/// A name that can mean nothing outside the message.
fn prefixed(name: &str) -> String {
    if name.starts_with("m-") { name.to_owned() } else { format!("m-{name}") }
}
