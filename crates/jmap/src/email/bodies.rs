//! Which parts of a message are its text, its HTML and its attachments: the algorithm of RFC 8621 §4.1.4.

use super::body_part::BodyPart;

/// Parts in the order in which they are shown.
#[derive(Debug, Default)]
pub struct Bodies<'p> {
    pub text: Vec<&'p BodyPart>,
    pub html: Vec<&'p BodyPart>,
    pub attachments: Vec<&'p BodyPart>,
}

impl<'p> Bodies<'p> {
    pub fn of(root: &'p BodyPart) -> Bodies<'p> {
        let mut bodies = Bodies::default();
        bodies.parse(std::slice::from_ref(root), "mixed", false, Lists { text: true, html: true });
        bodies
    }

    /// Whether something is to be offered for download: an attachment that is not inline.
    pub fn has_attachment(&self) -> bool {
        self.attachments.iter().any(|part| part.disposition.as_deref() != Some("inline"))
    }

    fn parse(&mut self, parts: &'p [BodyPart], kind: &str, in_alternative: bool, mut lists: Lists) {
        let (text_before, html_before) = (self.text.len(), self.html.len());
        for (place, part) in parts.iter().enumerate() {
            if part.is_multipart() {
                let sub_kind = part.media_type.split_once('/').map_or("", |(_, kind)| kind);
                self.parse(&part.sub_parts, sub_kind, in_alternative || sub_kind == "alternative", lists);
            } else if is_inline(part, place, kind) {
                self.inline(part, kind, in_alternative, &mut lists);
            } else {
                self.attachments.push(part);
            }
        }
        if kind == "alternative" && lists.text && lists.html {
            let (text_now, html_now) = (self.text.len(), self.html.len());
            if text_now == text_before && html_now != html_before {
                self.text.extend_from_slice(&self.html[html_before..]);
            }
            if html_now == html_before && text_now != text_before {
                self.html.extend_from_slice(&self.text[text_before..text_now]);
            }
        }
    }

    fn inline(&mut self, part: &'p BodyPart, kind: &str, in_alternative: bool, lists: &mut Lists) {
        if kind == "alternative" {
            match part.media_type.as_str() {
                "text/plain" if lists.text => self.text.push(part),
                "text/html" if lists.html => self.html.push(part),
                "text/plain" | "text/html" => {}
                _ => self.attachments.push(part),
            }
            return;
        }
        if in_alternative {
            match part.media_type.as_str() {
                "text/plain" => lists.html = false,
                "text/html" => lists.text = false,
                _ => {}
            }
        }
        if lists.text {
            self.text.push(part);
        }
        if lists.html {
            self.html.push(part);
        }
        if !(lists.text && lists.html) && part.is_inline_media() {
            self.attachments.push(part);
        }
    }
}

/// Which lists a part goes to.
#[derive(Clone, Copy)]
struct Lists {
    text: bool,
    html: bool,
}

/// Whether it is a body part rather than an attachment.
fn is_inline(part: &BodyPart, place: usize, kind: &str) -> bool {
    let is_shown = matches!(part.media_type.as_str(), "text/plain" | "text/html") || part.is_inline_media();
    let is_first_or_free =
        place == 0 || (kind != "related" && (part.is_inline_media() || part.name.is_none()));
    part.disposition.as_deref() != Some("attachment") && is_shown && is_first_or_free
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::message::Message;

    fn multipart(kind: &str, boundary: &str, parts: &[String]) -> String {
        let inside: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
        format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{inside}--{boundary}--\r\n")
    }

    fn part(kind: &str, disposition: &str, id: &str) -> String {
        let disposition = if disposition.is_empty() {
            String::new()
        } else {
            format!("Content-Disposition: {disposition}\r\n")
        };
        format!("Content-Type: {kind}\r\n{disposition}Content-Id: <{id}>\r\n\r\n{id}")
    }

    fn lists(message: &str) -> [String; 3] {
        let message = Message::of_bytes(message.as_bytes().to_vec());
        let tree = BodyPart::tree(&message);
        let bodies = Bodies::of(&tree);
        let ids =
            |parts: &[&BodyPart]| parts.iter().filter_map(|part| part.cid.as_deref()).collect::<String>();
        [ids(&bodies.text), ids(&bodies.html), ids(&bodies.attachments)]
    }

    /// The example of RFC 8621 §4.1.4.
    #[test]
    fn the_standards_example() {
        let inner = multipart(
            "mixed",
            "b3",
            &[
                part("text/plain", "inline", "B"),
                part("image/jpeg", "inline", "C"),
                part("text/plain", "inline", "D"),
            ],
        );
        let related = multipart("related", "b4", &[part("text/html", "", "E"), part("image/jpeg", "", "F")]);
        let alternative = multipart("alternative", "b2", &[inner, related]);
        let middle = multipart(
            "mixed",
            "b1",
            &[
                alternative,
                part("image/jpeg", "attachment", "G"),
                part("application/x-excel", "", "H"),
                part("message/rfc822", "", "J"),
            ],
        );
        let message = multipart(
            "mixed",
            "b0",
            &[part("text/plain", "inline", "A"), middle, part("text/plain", "inline", "K")],
        );
        assert_eq!(lists(&message), ["ABCDK", "AEK", "CFGHJ"]);
    }

    #[test]
    fn what_has_no_alternative_is_both() {
        assert_eq!(lists(&part("text/html", "", "A")), ["A", "A", ""]);
        assert_eq!(lists(&multipart("alternative", "b", &[part("text/html", "", "A")])), ["A", "A", ""]);
        assert_eq!(lists(&multipart("alternative", "b", &[part("text/plain", "", "A")])), ["A", "A", ""]);
        let both = multipart(
            "alternative",
            "b",
            &[part("text/plain", "", "A"), part("text/html", "", "B"), part("text/calendar", "", "C")],
        );
        assert_eq!(lists(&both), ["A", "B", "C"]);
        let named = multipart(
            "mixed",
            "b",
            &[part("text/plain", "", "A"), part("text/plain; name=x", "", "B"), part("image/png", "", "C")],
        );
        assert_eq!(lists(&named), ["AC", "AC", "B"]);
        assert_eq!(lists(&part("application/pdf", "", "A")), ["", "", "A"]);
    }
}
