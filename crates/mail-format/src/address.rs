//! Address lists of header fields (RFC 5322 §3.4), obsolete forms and everyday mistakes included.

use crate::header::header_fields;

/// Comments nested deeper are text.
const COMMENT_DEPTH_MAX: usize = 20;
/// Addresses of one field at most.
const ITEMS_MAX: usize = 100_000;

/// One element of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Mailbox {
        /// The display name, or the comment that stands for one. Encoded words are left as they are.
        name: Option<Vec<u8>>,
        /// `@a,@b` of an obsolete route.
        route: Option<Vec<u8>>,
        /// Unquoted.
        local: Vec<u8>,
        /// Empty when there is none.
        domain: Vec<u8>,
    },
    /// `name:` of a group; its mailboxes follow.
    GroupStart(Vec<u8>),
    /// `;`
    GroupEnd,
}

/// The elements of a list, in order. Never fails.
pub fn address_list(value: &[u8]) -> Vec<Item> {
    let mut reader = Reader { bytes: value, at: 0, comment: None };
    let mut items = Vec::new();
    let mut in_group = false;
    while items.len() < ITEMS_MAX {
        reader.skip_blanks();
        match reader.peek() {
            None => break,
            Some(b',' | b'>') => reader.at += 1,
            Some(b';') => {
                reader.at += 1;
                if std::mem::take(&mut in_group) {
                    items.push(Item::GroupEnd);
                }
            }
            Some(_) => reader.element(&mut items, &mut in_group),
        }
    }
    if in_group {
        items.push(Item::GroupEnd);
    }
    items
}

/// `local@domain` of the one mailbox in the one From field of a header; nothing when there are more, or none, or no domain.
pub fn only_author(header: &[u8]) -> Option<String> {
    let mut fields = header_fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(b"From"));
    let (_, value) = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    match address_list(value).as_slice() {
        [Item::Mailbox { local, domain, .. }] if !local.is_empty() && !domain.is_empty() => {
            let text = |part: &[u8]| String::from_utf8(part.to_vec()).ok();
            Some(format!("{}@{}", text(local)?, text(domain)?))
        }
        _ => None,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last comment passed.
    comment: Option<Vec<u8>>,
}

/// What stands before `<`, `@`, `:` or the end, read both ways.
#[derive(Default)]
struct Words {
    /// Words with single blanks between them.
    phrase: Vec<u8>,
    /// The same without blanks around dots, as a local part has it.
    local: Vec<u8>,
    any: bool,
    /// More than one word, or a quoted one: a name, and no local part by itself.
    is_name: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Blanks and comments; the last comment is remembered.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.at += 1,
                b'(' => self.comment = Some(self.comment_text()),
                _ => return,
            }
        }
    }

    fn comment_text(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                b'(' if depth < COMMENT_DEPTH_MAX => {
                    depth += 1;
                    if depth > 1 {
                        text.push(byte);
                    }
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                    text.push(byte);
                }
                b'\r' | b'\n' => {}
                byte => text.push(byte),
            }
        }
        self.at = self.at.min(self.bytes.len());
        text.trim_ascii().to_vec()
    }

    fn quoted(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return text,
                b'\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                b'\r' | b'\n' => {}
                byte => text.push(byte),
            }
        }
        self.at = self.at.min(self.bytes.len());
        text
    }

    fn words(&mut self, stops: &[u8]) -> Words {
        let mut words = Words::default();
        let mut blank = false;
        loop {
            let before = self.at;
            self.skip_blanks();
            blank |= self.at > before;
            let Some(byte) = self.peek() else { return words };
            if stops.contains(&byte) {
                return words;
            }
            let word = if byte == b'"' {
                words.is_name = true;
                self.quoted()
            } else {
                let start = self.at;
                let is_end = |byte: &u8| {
                    stops.contains(byte) || matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b'"' | 0)
                };
                let length = self.bytes[start..].iter().position(is_end).unwrap_or(self.bytes.len() - start);
                self.at = start + length.max(1);
                self.bytes[start..self.at].to_vec()
            };
            if words.any && blank {
                words.is_name = true;
                words.phrase.push(b' ');
                let joins = words.local.last() == Some(&b'.') || word.first() == Some(&b'.');
                if !joins {
                    words.local.push(b' ');
                }
            }
            words.phrase.extend_from_slice(&word);
            words.local.extend_from_slice(&word);
            words.any = true;
            blank = false;
        }
    }

    fn element(&mut self, items: &mut Vec<Item>, in_group: &mut bool) {
        self.comment = None;
        let words = self.words(b"<>@,:;");
        match self.peek() {
            Some(b'<') => {
                self.at += 1;
                self.in_angles(words.any.then_some(words.phrase), items);
            }
            Some(b'@') => {
                self.at += 1;
                let domain = self.domain();
                self.skip_blanks();
                if self.peek() == Some(b'<') {
                    // `a@b <c@d>`: an address where a name belongs, without the quotes it needs.
                    let name = [&words.phrase, &b"@"[..], &domain].concat();
                    self.at += 1;
                    return self.in_angles(Some(name), items);
                }
                self.pass_junk();
                let name = self.comment.take();
                items.push(Item::Mailbox { name, route: None, local: words.local, domain });
            }
            Some(b':') if !*in_group => {
                self.at += 1;
                *in_group = true;
                items.push(Item::GroupStart(words.phrase));
            }
            Some(b':') => self.at += 1, // a colon where none belongs
            _ if words.any => {
                let (name, local) = match words.is_name {
                    true => (Some(words.phrase), Vec::new()),
                    false => (self.comment.take(), words.local),
                };
                items.push(Item::Mailbox { name, route: None, local, domain: Vec::new() });
            }
            _ => {}
        }
    }

    /// Words behind an address that are no beginning of another.
    fn pass_junk(&mut self) {
        let start = self.at;
        self.words(b"<>@,:;");
        if matches!(self.peek(), Some(b'<' | b'@' | b':')) {
            self.at = start;
        }
    }

    /// Behind the `<`.
    fn in_angles(&mut self, name: Option<Vec<u8>>, items: &mut Vec<Item>) {
        let (route, local, domain) = self.angle();
        self.comment = None;
        self.skip_to_separator();
        let comment = self.comment.take();
        items.push(Item::Mailbox { name: name.or(comment), route, local, domain });
    }

    /// `[route] local@domain>`
    fn angle(&mut self) -> (Option<Vec<u8>>, Vec<u8>, Vec<u8>) {
        self.skip_blanks();
        let mut route = None;
        if self.peek() == Some(b'@') {
            let start = self.at;
            let rest = &self.bytes[start..];
            let colon = memchr::memchr2(b':', b'>', rest).filter(|at| rest[*at] == b':');
            if let Some(length) = colon {
                let text = rest[..length].iter().copied().filter(|byte| !byte.is_ascii_whitespace());
                route = Some(text.collect());
                self.at = start + length + 1;
            }
        }
        let local = self.words(b"@>,").local;
        if self.peek() == Some(b',') && !local.is_empty() {
            // A `<` that is not closed before the next address.
            return (route, local, Vec::new());
        }
        let mut domain = Vec::new();
        if self.peek() == Some(b'@') {
            self.at += 1;
            domain = self.domain();
        }
        if self.peek() == Some(b'>') {
            self.at += 1;
        }
        (route, local, domain)
    }

    /// A domain: words with dots between them, or a literal (RFC 5322 §3.4.1, §4.4); blanks and comments are taken out. It
    /// ends where another word begins.
    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        loop {
            let before = self.at;
            self.skip_blanks();
            let has_blank = self.at > before && !domain.is_empty();
            match self.peek() {
                Some(b'.') => {}
                Some(b'[') if domain.is_empty() => {
                    let rest = &self.bytes[self.at..];
                    let length = memchr::memchr(b']', rest).map_or(rest.len(), |at| at + 1);
                    domain.extend(rest[..length].iter().filter(|byte| !byte.is_ascii_whitespace()));
                    self.at += length;
                    return domain;
                }
                None | Some(b',' | b';' | b'<' | b'>') => return domain,
                Some(_) if has_blank && domain.last() != Some(&b'.') => return domain,
                Some(_) => {}
            }
            domain.extend(self.peek());
            self.at += 1;
        }
    }

    /// Passes over what stands behind `>`, remembering a comment.
    fn skip_to_separator(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some(b',' | b';') => return,
                Some(b'"') => {
                    self.quoted();
                }
                Some(b'<') => return, // the comma before it was forgotten
                Some(_) => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        address_list(value.as_bytes())
            .iter()
            .map(|item| match item {
                Item::Mailbox { name, route, local, domain } => format!(
                    "{}|{}|{}|{}",
                    name.as_deref().map_or("-".into(), text),
                    route.as_deref().map_or("-".into(), text),
                    text(local),
                    text(domain)
                ),
                Item::GroupStart(name) => format!("{}:", text(name)),
                Item::GroupEnd => ";".into(),
            })
            .collect()
    }

    #[test]
    fn an_author_is_the_only_one_of_the_only_from() {
        let of = |header: &str| only_author(header.as_bytes());
        let alice = Some("alice@example.test".to_owned());
        assert_eq!(of("Subject: x\r\nFROM : Alice\r\n <alice@example.test> (at work)\r\n\r\n"), alice);
        assert_eq!(of("Received: x\r\nfrom: alice@example.test\r\nSender: bob@example.test\r\n\r\n"), alice);
        for none in [
            "Subject: x\r\n\r\nFrom: alice@example.test\r\n",
            "From: alice@example.test\r\nFrom: alice@example.test\r\n\r\n",
            "From: alice@example.test, bob@example.test\r\n\r\n",
            "From: all: alice@example.test;\r\n\r\n",
            "From: alice\r\n\r\n",
            "From:\r\n\r\n",
            "Reply-To: alice@example.test\r\n\r\n",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn addresses_are_read_in_every_form_of_the_standard() {
        for (value, expected) in [
            ("joe@x.example", vec!["-|-|joe|x.example"]),
            ("Joe User <joe@x.example>", vec!["Joe User|-|joe|x.example"]),
            ("\"User, Joe\" <joe@x.example>,a@b", vec!["User, Joe|-|joe|x.example", "-|-|a|b"]),
            ("joe@x.example (Joe User)", vec!["Joe User|-|joe|x.example"]),
            ("<joe@x.example> (Joe)", vec!["Joe|-|joe|x.example"]),
            ("Team: a@b, \"C D\" <c@d>;, e@f", vec!["Team:", "-|-|a|b", "C D|-|c|d", ";", "-|-|e|f"]),
            ("undisclosed-recipients:;", vec!["undisclosed-recipients:", ";"]),
            ("<@a,@b:joe@c>", vec!["-|@a,@b|joe|c"]),
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                vec!["Pete|-|pete|silly.test"],
            ),
            ("\"a b\"@c", vec!["-|-|a b|c"]),
            ("first . last @ example . com", vec!["-|-|first.last|example.com"]),
            ("a@[127. 0.0.1]", vec!["-|-|a|[127.0.0.1]"]),
            ("=?utf-8?q?J=C3=B6?= =?utf-8?q?rg?= <j@x>", vec!["=?utf-8?q?J=C3=B6?= =?utf-8?q?rg?=|-|j|x"]),
            ("joe", vec!["-|-|joe|"]),
            ("Joe Q. Public <j@x>", vec!["Joe Q. Public|-|j|x"]),
            ("", vec![]),
            (" , ,; ", vec![]),
            ("a@b,, c@d", vec!["-|-|a|b", "-|-|c|d"]),
            ("Joe <joe", vec!["Joe|-|joe|"]),
            ("group: a@b", vec!["group:", "-|-|a|b", ";"]),
            // Not of the standard, but met every day.
            ("a@b <c@d>", vec!["a@b|-|c|d"]),
            ("a@b.c c@d, e@f\r\n g", vec!["-|-|a|b.c", "-|-|c|d", "-|-|e|f"]),
            ("a@b>, <c@d>>", vec!["-|-|a|b", "-|-|c|d"]),
            ("Joe User", vec!["Joe User|-||"]),
            ("\"Joe\", joe", vec!["Joe|-||", "-|-|joe|"]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            address_list(&value);
        }

        #[test]
        fn nor_one_of_special_characters(value in "[<>@,:;()\"\\\\ a.\\[\\]]{0,80}") {
            address_list(value.as_bytes());
        }
    }

    #[test]
    fn time_grows_with_the_length_only() {
        for piece in ["(", "<", "\"", "a,", "a:", "@", "(\\", "[", "<a@b"] {
            let value = piece.repeat(200_000);
            let begin = std::time::Instant::now();
            address_list(value.as_bytes());
            // Less than a second, unless the machine stands still; with its square it would be hours.
            assert!(begin.elapsed().as_secs() < 60, "{piece}: {:?}", begin.elapsed());
        }
    }
}
