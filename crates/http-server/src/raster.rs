//! Images by their own bytes: what is shown is what a raster image begins with, whatever the message or the host calls it.

/// Pixels of an image that is shown: more would fill the browser's memory.
const PIXELS_MAX: u64 = 100_000_000;
/// Bytes from the beginning that are enough to know an image by, JPEG's size apart.
pub const HEAD_BYTES: usize = 64;

/// The media type of a raster image, by how it begins.
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    let at = |from: usize, text: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(text));
    if at(0, b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Some("image/gif")
    } else if at(0, b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some("image/webp")
    } else if at(4, b"ftypavif") || at(4, b"ftypavis") {
        Some("image/avif")
    } else {
        None
    }
}

/// Whether an image says that it has more pixels than are shown. What does not say it is not one.
pub fn is_bomb(bytes: &[u8]) -> bool {
    size(bytes).is_some_and(|(width, height)| u64::from(width) * u64::from(height) > PIXELS_MAX)
}

/// Width and height in pixels.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let pair = |at: usize| bytes.get(at..at + 2)?.try_into().ok();
    let big = |at| pair(at).map(u16::from_be_bytes).map(u32::from);
    let little = |at| pair(at).map(u16::from_le_bytes).map(u32::from);
    match kind(bytes)? {
        "image/png" => Some((big(16)? << 16 | big(18)?, big(20)? << 16 | big(22)?)),
        "image/gif" => Some((little(6)?, little(8)?)),
        "image/webp" if bytes.get(12..16) == Some(b"VP8X") => {
            let three = |at: usize| Some(little(at)? | u32::from(*bytes.get(at + 2)?) << 16);
            Some((three(24)? + 1, three(27)? + 1))
        }
        "image/jpeg" => jpeg_size(bytes),
        _ => None, // VP8 and VP8L have at most 16384 in each direction; of AVIF browsers have limits
    }
}

/// From the first start of frame (ITU T.81 B.2.2).
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let &[0xff, marker, high, low] = bytes.get(at..at + 4)? else { return None };
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let &[h1, h2, w1, w2] = bytes.get(at + 5..at + 9)? else { return None };
            return Some((u32::from(u16::from_be_bytes([w1, w2])), u32::from(u16::from_be_bytes([h1, h2]))));
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_bytes() {
        for (bytes, known) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Some("image/png")),
            (b"GIF89a", Some("image/gif")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x20ftypavif", Some("image/avif")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
            (b"<html>", None),
            (b"RIFF\0\0\0\0WAVE", None),
            (b" GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(kind(bytes), known);
        }
    }

    #[test]
    fn images_beyond_all_memory_are_not_shown() {
        let png = |width: u32, height: u32| {
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()]
                .concat()
        };
        assert!(
            !is_bomb(&png(10_000, 10_000))
                && is_bomb(&png(10_001, 10_000))
                && is_bomb(&png(u32::MAX, u32::MAX))
        );
        assert!(!is_bomb(b"GIF89a\x10\x27\x10\x27") && is_bomb(b"GIF89a\xff\xff\xff\xff"));
        let jpeg = |size: [u8; 4]| [b"\xff\xd8\xff\xe0\0\x04JF\xff\xc2\0\x11\x08".as_slice(), &size].concat();
        assert!(!is_bomb(&jpeg([0x10, 0, 0x10, 0])) && is_bomb(&jpeg([0xff, 0xff, 0xff, 0xff])));
        assert!(is_bomb(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff"));
        assert!(!is_bomb(b"\xff\xd8\xff\xe0\0\0\xff\xe0"));
    }
}
