//! The web mail's files, built by `web/` and embedded: no path of a request ever reaches a file system.
//!
//! `assets/table.rs` is made with them. A name carries the hash of its content, so it is kept for ever; the page itself has a
//! tag.

use http_wire::{Head, negotiate};

use crate::response::{Body, Cache};
use crate::{Policy, Response};

/// One file in three codings.
pub struct Asset {
    pub name: &'static str,
    pub media_type: &'static str,
    /// Of the plain form, hexadecimal.
    pub sha256: &'static str,
    pub plain: &'static [u8],
    pub gzip: &'static [u8],
    pub brotli: &'static [u8],
}

static ASSETS: &[Asset] = include!("../assets/table.rs");
/// The page that everything begins with.
const PAGE: &str = "index.html";

fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.binary_search_by(|asset| asset.name.cmp(name)).ok().map(|place| &ASSETS[place])
}

/// `/assets/{name}`; the page is not among them.
pub fn file(name: &str, head: &Head) -> Response {
    match named(name).filter(|asset| asset.name != PAGE) {
        Some(asset) => coded(asset, head).cache(Cache::Immutable),
        None => Response::plain_problem(404, "there is no such file"),
    }
}

/// `/`: the page for those who have signed in and those who have not.
pub fn page(head: &Head) -> Response {
    let Some(asset) = named(PAGE) else {
        return Response::plain_problem(404, "this program was built without the web mail");
    };
    let tag = format!("\"{}\"", &asset.sha256[..16]);
    let known = head.all("if-none-match").flat_map(|value| value.split(',')).any(|have| {
        let have = have.trim();
        have == "*" || have.strip_prefix("W/").unwrap_or(have) == tag
    });
    let response =
        if known { Response::empty(304).with("Vary", "Accept-Encoding") } else { coded(asset, head) };
    response.with("ETag", tag).cache(Cache::Revalidate).policy(Policy::Shell)
}

fn coded(asset: &'static Asset, head: &Head) -> Response {
    let takes = |coding| negotiate::takes_coding(head, coding);
    let (coding, bytes) = if takes("br") {
        (Some("br"), asset.brotli)
    } else if takes("gzip") {
        (Some("gzip"), asset.gzip)
    } else {
        (None, asset.plain)
    };
    let response = Response::of(200, asset.media_type, Body::Static(bytes)).with("Vary", "Accept-Encoding");
    match coding {
        Some(coding) => response.with("Content-Encoding", coding),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use http_wire::head::parse;

    use super::*;

    fn head(fields: &str) -> Head {
        parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).unwrap()
    }

    fn field(response: &Response, name: &str) -> Option<String> {
        response.fields.iter().find(|(have, _)| *have == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_table_is_sorted_and_says_what_the_files_hold() {
        assert!(ASSETS.is_sorted_by(|one, next| one.name < next.name));
        for asset in ASSETS {
            let hash = openssl::sha::sha256(asset.plain);
            let hash: String = base::hex::encode(&hash);
            assert_eq!(hash, asset.sha256, "{}", asset.name);
        }
        assert!(named(PAGE).is_some());
    }

    #[test]
    fn the_page_comes_in_the_coding_that_is_taken_and_once() {
        let page_for = |fields: &str| page(&head(fields));
        assert_eq!(
            field(&page_for("Accept-Encoding: gzip, br\r\n"), "Content-Encoding").as_deref(),
            Some("br")
        );
        assert_eq!(
            field(&page_for("Accept-Encoding: gzip\r\n"), "Content-Encoding").as_deref(),
            Some("gzip")
        );
        let plain = page_for("");
        assert_eq!(field(&plain, "Content-Encoding"), None);
        let tag = field(&plain, "ETag").unwrap();
        assert_eq!(page_for(&format!("If-None-Match: {tag}\r\n")).status, 304);
        assert_eq!(page_for("If-None-Match: \"other\"\r\n").status, 200);
    }

    #[test]
    fn names_that_are_none_are_not_found() {
        for name in ["", "..", "../Cargo.toml", "table.rs", PAGE, "/etc/passwd"] {
            assert_eq!(file(name, &head("")).status, 404, "{name}");
        }
    }
}
