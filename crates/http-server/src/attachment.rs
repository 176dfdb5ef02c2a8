//! Parts of messages as files: under which type each is given. Every response of that kind says `nosniff` and has the policy
//! of data besides, and is to be saved: so what a part is called never decides what a browser does with it.

use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;

use jmap::{Blob, BlobContent};

use crate::raster;

/// What an `img` of ours may show.
const RASTER: [&str; 5] = ["image/png", "image/gif", "image/jpeg", "image/webp", "image/avif"];

/// The type of a raster image under which a part may be shown, by what the message says of it.
pub fn raster_kind(claimed: &str) -> Option<&'static str> {
    let kind = essence(claimed);
    let kind = if matches!(kind.as_str(), "image/jpg" | "image/pjpeg") { "image/jpeg" } else { &kind };
    RASTER.into_iter().find(|known| *known == kind)
}

/// The type that a part is given under: the one that the client asks for, if it is an image and begins as one, or is of those
/// that nothing runs.
pub fn media_type(claimed: &str, begin: &[u8]) -> &'static str {
    match raster_kind(claimed) {
        Some(kind) if raster::kind(begin) == Some(kind) && !raster::is_bomb(begin) => kind,
        Some(_) => UNKNOWN,
        None => passive(claimed),
    }
}

/// The first bytes of a blob, which is whole afterwards.
///
/// # Errors
/// It cannot be read.
pub fn peek(blob: Blob) -> io::Result<(Vec<u8>, Blob)> {
    let mut begin = vec![0; raster::HEAD_BYTES.min(usize::try_from(blob.size).unwrap_or(raster::HEAD_BYTES))];
    match blob.content {
        BlobContent::File { file, offset } => {
            file.read_exact_at(&mut begin, offset)?;
            Ok((begin, Blob { content: BlobContent::File { file, offset }, ..blob }))
        }
        BlobContent::Decoded(mut reader) => {
            reader.read_exact(&mut begin)?;
            let whole = Cursor::new(begin.clone()).chain(reader);
            Ok((begin, Blob { content: BlobContent::Decoded(Box::new(whole)), ..blob }))
        }
    }
}

const UNKNOWN: &str = "application/octet-stream";

/// Types that nothing reads as a script, a style sheet or a page, whatever refers to it. Every other is a file.
fn passive(claimed: &str) -> &'static str {
    const PASSIVE: [&str; 15] = [
        "text/plain",
        "application/pdf",
        "application/zip",
        "application/gzip",
        "application/msword",
        "application/rtf",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "message/rfc822",
        "text/calendar",
        "text/vcard",
        "text/csv",
    ];
    let kind = essence(claimed);
    PASSIVE.into_iter().find(|known| *known == kind).unwrap_or(UNKNOWN)
}

/// `type/subtype` in lower case.
fn essence(claimed: &str) -> String {
    claimed.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

    #[test]
    fn an_image_is_one_by_its_name_and_by_its_bytes() {
        assert_eq!(media_type("image/png", PNG), "image/png");
        assert_eq!(media_type("IMAGE/JPG; name=x", b"\xff\xd8\xff\xe0"), "image/jpeg");
        for (claimed, bytes) in [
            ("image/png", &b"<svg>"[..]),
            ("image/gif", PNG),
            ("image/svg+xml", PNG),
            ("text/html", PNG),
            ("image/png,text/html", PNG),
            ("", PNG),
        ] {
            assert_eq!(media_type(claimed, bytes), UNKNOWN, "{claimed}");
        }
    }

    #[test]
    fn no_part_has_a_type_that_runs() {
        assert_eq!(media_type("Application/PDF; x=y", b"%PDF"), "application/pdf");
        assert_eq!(media_type("text/plain", b"<script>"), "text/plain");
        for active in [
            "text/html",
            "text/javascript",
            "application/ecmascript",
            "text/css",
            "image/svg+xml",
            "application/wasm",
            "text/xml",
            "x",
        ] {
            assert_eq!(media_type(active, b""), UNKNOWN, "{active}");
        }
    }

    #[test]
    fn a_blob_is_whole_after_a_look() {
        for text in ["", "abc", &"x".repeat(1000)] {
            let reader = Box::new(Cursor::new(text.as_bytes().to_vec()));
            let (begin, blob) =
                peek(Blob { size: text.len() as u64, content: BlobContent::Decoded(reader) }).unwrap();
            assert!(text.as_bytes().starts_with(&begin));
            assert_eq!(blob.read(10_000).unwrap().unwrap(), text.as_bytes());
        }
    }
}
