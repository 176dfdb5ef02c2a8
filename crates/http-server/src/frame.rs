//! `GET /message/{account}/{email}`: one message as a page of its own, for a frame of the web mail. In place of the email's id
//! may be the blobId of a message that is attached to one.
//!
//! What it may do is said twice: html-clean leaves nothing in it that runs, loads or sends, and the response's policy would not
//! let it: `sandbox` without scripts, images of this host only. Either alone is enough against all that is known; the tests in
//! `tests/browser/lab` take each away in turn.
//!
//! Query: `images=1` shows images of other hosts, fetched by this one (`image_proxy.rs`); `text=1` prefers the plain text;
//! `theme=dark` has light text on dark where the message sets no colours. The `html` element says how many images are not
//! shown (`data-blocked`), whether they can be (`data-images`: `ask`, `shown`, `off`), whether the message sets colours
//! (`data-colours`) and whether it was cut (`data-cut`).

use std::collections::HashMap;
use std::fmt::Write;

use html_clean::{CleanHtml, Format, Part, Source};
use jmap::{InlinePart, MessageParts, ShownText};

use crate::response::Policy;
use crate::routes::jmap::{problem, who};
use crate::session::Desk;
use crate::{Body, Request, Response, sign_in};

/// `allow-same-origin` lets the page around it measure its height; popups are where links lead.
pub const POLICY: &str = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:; \
     style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

/// What is around a message: its own sheet comes behind this one.
const SHEET: &str = "html{color-scheme:light;background:#fff;color:#1b1b1f}\
    html.dark{color-scheme:dark;background:#1b1b1f;color:#e4e2e6}\
    body{margin:0;padding:8px;font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
    img{max-width:100%}img:not([src]){display:inline-block;color:inherit;font-size:14px;border:1px dashed;opacity:.6}\
    img:not([src]):not([alt]),img:not([src])[alt=\"\"]{display:none}\
    .lines{white-space:pre-wrap;unicode-bidi:plaintext}.signature{opacity:.7}\
    blockquote{margin:0 0 0 4px;padding:0 0 0 12px;border-inline-start:3px solid #8a8a94}\
    blockquote[style*=border]{border-inline-start:0}\
    pre{white-space:pre-wrap}table{max-width:100%}";

/// How images of other hosts are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Images {
    Ask,
    Shown,
    Off,
}

/// See the module.
pub fn message(desk: &Desk, request: &Request) -> Response {
    let Some(visitor) = request.visitor.as_deref() else { return sign_in::wanted() };
    let who = who(visitor, request);
    let turn = match desk.jmap.begin(&who) {
        Ok(turn) => turn,
        Err(refusal) => return problem(&refusal),
    };
    let parts = match desk.jmap.message_parts(&who, request.parameter(0), request.parameter(1)) {
        Ok(parts) => parts,
        Err(refusal) => return problem(&refusal),
    };
    let images = match (&desk.images, request.query("images").as_deref()) {
        (None, _) => Images::Off,
        (Some(_), Some("1")) => Images::Shown,
        (Some(_), _) => Images::Ask,
    };
    let inline = Inline::of(&parts.inline, request.parameter(0));
    let mut rewrite = |source: Source<'_>| match source {
        Source::Inline(id) => inline.address(id),
        Source::Remote(url) if images == Images::Shown => desk.images.as_ref()?.address(&who.uid, url),
        Source::Remote(_) => None,
    };
    let texts = if request.query("text").as_deref() == Some("1") { &parts.text } else { &parts.html };
    let clean = html_clean::clean_parts(&texts.iter().map(part).collect::<Vec<_>>(), &mut rewrite);
    let is_dark = request.query("theme").as_deref() == Some("dark");
    let page = page(&parts, &clean, images, is_dark);
    Response::of(200, "text/html; charset=utf-8", Body::Bytes(page.into_bytes()))
        .policy(Policy::Frame(POLICY.to_owned()))
        .in_turn(turn)
}

fn part(text: &ShownText) -> Part<'_> {
    if text.is_html { Part::Html(&text.value) } else { Part::Text(&text.value, format(text)) }
}

fn format(text: &ShownText) -> Format {
    text.flowed.map_or(Format::Fixed, |delete_space| Format::Flowed { delete_space })
}

/// Written from what was cleaned, and from nothing else of the message.
fn page(parts: &MessageParts, clean: &CleanHtml, images: Images, is_dark: bool) -> String {
    let mut page = String::with_capacity(clean.body().len() + clean.sheet().len() + 2_000);
    let class = if is_dark && !clean.has_colours() { " class=\"dark\"" } else { "" };
    let images = match images {
        Images::Ask => "ask",
        Images::Shown => "shown",
        Images::Off => "off",
    };
    let is_cut = clean.is_cut() || parts.is_truncated;
    let _ = write!(
        page,
        "<!doctype html><html{class} data-images=\"{images}\" data-blocked=\"{}\" data-colours=\"{}\" data-cut=\"{is_cut}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title></title><style>{SHEET}</style><style>{}</style></head>{}</html>",
        clean.blocked_images(),
        clean.has_colours(),
        clean.sheet(),
        clean.body()
    );
    page
}

/// The parts of the message that its HTML may show, by Content-Id.
struct Inline<'a> {
    account: String,
    parts: HashMap<&'a str, &'a InlinePart>,
}

impl<'a> Inline<'a> {
    fn of(parts: &'a [InlinePart], account: &str) -> Inline<'a> {
        let parts = parts.iter().map(|part| (part.cid.as_str(), part)).collect();
        Inline { account: percent(account), parts }
    }

    fn address(&self, id: &str) -> Option<String> {
        let part = self.parts.get(id)?;
        let kind = crate::attachment::raster_kind(&part.media_type)?;
        let (account, blob) = (&self.account, percent(&part.blob_id));
        Some(format!("/jmap/download/{account}/{blob}/inline?type={}", percent(kind)))
    }
}

/// All but letters, digits and `-._~` as escapes.
fn percent(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}
