//! What a client takes: codings of contents (RFC 9110 §12.5.3) and languages (§12.5.4).

use crate::Head;

/// Names with their weights in thousandths, in order; those of weight 0 too.
fn weighted(value: &str) -> impl Iterator<Item = (&str, u32)> {
    value.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, quality.map_or(1000, thousandths))
    })
}

/// `0`, `1`, `0.5`, `0.123`; what is none of those counts nothing.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u32>()) {
        ("1", _) => 1000,
        ("0", Ok(fraction)) => fraction,
        _ => 0,
    }
}

/// Whether a content may come in this coding.
pub fn takes_coding(head: &Head, coding: &str) -> bool {
    let mut any = None;
    for (name, weight) in head.all("accept-encoding").flat_map(weighted) {
        if name.eq_ignore_ascii_case(coding) {
            return weight > 0;
        }
        if name == "*" {
            any = Some(weight > 0);
        }
    }
    any.unwrap_or(false)
}

/// The first of ours that the client would like best; by the first subtag (RFC 4647 §3.4), nothing when none fits.
pub fn language<'a>(head: &Head, ours: &[&'a str]) -> Option<&'a str> {
    let mut wanted: Vec<(&str, u32)> =
        head.all("accept-language").flat_map(weighted).filter(|(_, weight)| *weight > 0).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    wanted.iter().find_map(|(tag, _)| ours.iter().copied().find(|have| primary(have) == primary(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::parse;

    fn head(field: &str) -> Head {
        parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn codings_are_taken_as_they_are_weighed() {
        for (value, br, gzip) in [
            ("gzip, deflate, br", true, true),
            ("gzip;q=1.0, br;q=0", false, true),
            ("*", true, true),
            ("*;q=0", false, false),
            ("*;q=0, gzip;q=0.001", false, true),
            ("identity", false, false),
            ("brx", false, false),
            ("br;q=x", false, false),
        ] {
            let head = head(&format!("Accept-Encoding: {value}"));
            assert_eq!((takes_coding(&head, "br"), takes_coding(&head, "gzip")), (br, gzip), "{value}");
        }
    }

    #[test]
    fn languages_are_found_by_weight() {
        let ours = ["en", "de", "ja"];
        assert_eq!(language(&head("Accept-Language: de-AT, en;q=0.5"), &ours), Some("de"));
        assert_eq!(language(&head("Accept-Language: en;q=0.5, ja"), &ours), Some("ja"));
        assert_eq!(language(&head("Accept-Language: sv, de;q=0"), &ours), None);
    }
}
