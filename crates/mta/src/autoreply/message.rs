//! An automatic answer as a message (RFC 3834 §3, RFC 5322 §3.6.4).

use std::fmt::Write as _;

use mail_format::{EncodedText, decode_words, encode_text, encode_words, format_date, header_field, unfold};

use crate::autoreply::texts::Words;

/// Characters of the answered subject that the answer's repeats.
const SUBJECT_CHARACTERS_MAX: usize = 200;
/// Bytes of a References field at most; older ones are left out.
const REFERENCES_BYTES_MAX: usize = 900;

/// What an answer is made of.
pub struct Answer<'a> {
    /// `mail.example.org`
    pub host: &'a str,
    /// The name of who answers, as people write it.
    pub name: &'a str,
    /// The address of who answers.
    pub from: &'a str,
    /// The sender of what is answered.
    pub to: &'a str,
    /// The answer's own id.
    pub id: &'a str,
    pub now: i64,
    /// Of what is answered.
    pub header: &'a [u8],
    pub words: &'a Words,
    /// The user's own; without one it repeats that of what is answered.
    pub subject: Option<&'a str>,
}

/// How the answered message stands in an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Or its header only.
    pub whole: bool,
    pub eight_bit: bool,
}

/// The subject of a message as people read it, in one line and not too long.
pub fn subject_of(header: &[u8]) -> String {
    let subject = header_field(header, "Subject").map(decode_words).unwrap_or_default();
    one_line(&subject)
}

/// A subject without what would end its line, and not too long.
pub fn one_line(subject: &str) -> String {
    let line: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(SUBJECT_CHARACTERS_MAX).collect()
}

impl Answer<'_> {
    /// The message, or what stands before the original in an echo. [`Answer::end`] follows that.
    pub fn head(&self, original: Option<Original>) -> String {
        let EncodedText { charset, transfer_encoding, body } = encode_text(&self.words.text);
        let mut text = self.fields();
        let mut part = format!(
            "Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {transfer_encoding}\r\n"
        );
        if let Some(language) = &self.words.language {
            let _ = write!(part, "Content-Language: {language}\r\n");
        }
        let Some(original) = original else { return text + &part + "\r\n" + &body };
        let boundary = self.boundary();
        let eight_bit = if original.eight_bit { "Content-Transfer-Encoding: 8bit\r\n" } else { "" };
        let kind = if original.whole { "message/rfc822" } else { "text/rfc822-headers" };
        let _ = write!(
            text,
            "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n{eight_bit}\r\n\
             --{boundary}\r\n{part}\r\n{body}\r\n--{boundary}\r\nContent-Type: {kind}\r\n{eight_bit}\r\n"
        );
        text
    }

    /// What follows the original.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary())
    }

    fn boundary(&self) -> String {
        format!("=_answer_{}_{}", self.id, self.now)
    }

    fn fields(&self) -> String {
        let mut text = String::with_capacity(1024);
        let _ = write!(text, "Date: {}\r\n", format_date(self.now, 0));
        let _ = write!(text, "From: {}<{}>\r\n", display_name(self.name), self.from);
        let _ = write!(text, "To: <{}>\r\n", self.to);
        // RFC 3834 §3.1.5
        let subject =
            self.subject.map_or_else(|| format!("Auto: {}", subject_of(self.header)), str::to_owned);
        let _ = write!(text, "Subject: {}\r\n", encode_words(&subject));
        let _ = write!(text, "Message-ID: <{}@{}>\r\n", self.id, self.host);
        if let Some(answered) = message_ids(self.header, "Message-ID").pop() {
            let mut references = message_ids(self.header, "References");
            if references.is_empty() {
                references = message_ids(self.header, "In-Reply-To");
                references.truncate(1);
            }
            let _ = write!(text, "In-Reply-To: {answered}\r\n");
            references.retain(|id| *id != answered);
            references.push(answered);
            while references.iter().map(|id| id.len() + 3).sum::<usize>() > REFERENCES_BYTES_MAX {
                references.remove(0);
            }
            if !references.is_empty() {
                let _ = write!(text, "References: {}\r\n", references.join("\r\n "));
            }
        }
        text.push_str("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"); // RFC 3834 §5
        text
    }
}

/// The `<id>`s of a field, those that are well-formed and of a reasonable length.
fn message_ids(header: &[u8], name: &str) -> Vec<String> {
    let value = header_field(header, name).map(unfold).unwrap_or_default();
    let value = String::from_utf8_lossy(&value).into_owned();
    let words = value.split_whitespace().filter(|word| {
        let inner = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        word.len() <= 250
            && inner.is_some_and(|inner| {
                inner.contains('@')
                    && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>')
            })
    });
    words.map(str::to_owned).collect()
}

/// A display name with its blank, quoted or encoded; nothing for none.
fn display_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
    let name = name.trim();
    if name.is_empty() {
        return String::new();
    }
    if !name.is_ascii() {
        return format!("{} ", encode_words(name));
    }
    format!("\"{}\" ", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_format::{decode_text, scan};

    fn answer<'a>(header: &'a [u8], words: &'a Words) -> Answer<'a> {
        Answer {
            host: "mail.example.test",
            name: "Alice \"A\" Smith",
            from: "alice@example.test",
            to: "bob@example.org",
            id: "GPM7U00A.1B2",
            now: 951_760_800,
            header,
            words,
            subject: None,
        }
    }

    #[test]
    fn a_subject_of_ones_own_stands_in_one_line() {
        let words = japanese();
        let own = one_line("Away\r\nBcc: x@y.example");
        let answer = Answer { subject: Some(&own), ..answer(b"Subject: hello\r\n", &words) };
        let head = answer.head(None);
        assert!(head.contains("\r\nSubject: Away  Bcc: x@y.example\r\n"), "{head}");
    }

    fn japanese() -> Words {
        Words { language: Some("ja".into()), text: "不在です。".into() }
    }

    #[test]
    fn an_answer_has_the_fields_of_the_standard() {
        let header = b"Message-ID: <m1@a.example>\r\nReferences: <r1@a.example>\r\n <r2@a.example> nonsense\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?Q?=0D=0ABcc:_x?=\r\n\r\n";
        let words = japanese();
        let message = answer(header, &words).head(None);
        for field in [
            "From: \"Alice \\\"A\\\" Smith\" <alice@example.test>\r\nTo: <bob@example.org>\r\n",
            "In-Reply-To: <m1@a.example>\r\nReferences: <r1@a.example>\r\n <r2@a.example>\r\n <m1@a.example>\r\n",
            "\r\nAuto-Submitted: auto-replied\r\n",
            "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-Language: ja\r\n\r\n",
        ] {
            assert!(message.contains(field), "{field} in {message}");
        }
        let header = &message.as_bytes()[..mail_format::header::header_length(message.as_bytes())];
        assert_eq!(decode_words(header_field(header, "Subject").unwrap()), "Auto: Grüße  Bcc: x");
        assert_eq!(header_field(header, "Bcc"), None);
        let body = &message.as_bytes()[header.len()..];
        assert_eq!(decode_text(body, "base64", "utf-8"), "不在です。\r\n");
    }

    #[test]
    fn an_echo_holds_the_message() {
        let words = japanese();
        let answer = answer(b"Subject: x\r\n", &words);
        let head = answer.head(Some(Original { whole: true, eight_bit: true }));
        let message = format!("{head}Subject: x\r\n\r\nbody\r\n{}", answer.end());
        let structure = scan(message.as_bytes());
        let body = |path: &[u32]| {
            let (start, end) = structure.part(path).unwrap().body;
            &message[start as usize..end as usize]
        };
        assert_eq!(decode_text(body(&[1]).as_bytes(), "base64", "utf-8"), "不在です。\r\n");
        assert_eq!(body(&[2]), "Subject: x\r\n\r\nbody\r\n");
    }

    #[test]
    fn many_references_are_cut_from_the_front() {
        let many: String = (0..100).map(|n| format!(" <reference-number-{n}@a.example>")).collect();
        let header = format!("References:{many}\r\nMessage-ID: <last@a.example>\r\n\r\n");
        let words = japanese();
        let fields = answer(header.as_bytes(), &words).fields();
        let value = header_field(fields.as_bytes(), "References").unwrap();
        assert!(value.len() < 1000 && value.ends_with(b"<last@a.example>"));
    }
}
