//! Delivery status notifications (RFC 3464): multipart/report with words for people, words for programs, and the message.
//! About a message that came with SMTPUTF8 the last two are of the types for UTF-8 (RFC 6533 §4 to §6).

use std::fmt::Write as _;

use crate::date::format_date;
use crate::encode::encode_text;
use crate::words::encode_words;

/// What happened to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    /// `local@domain`
    pub final_recipient: String,
    /// The same for programs: `rfc822; ...`, or `utf-8; ...` (RFC 6533 §3), in ASCII unless the report is in UTF-8.
    pub final_field: String,
    /// `rfc822;...` as the sender gave it, or `utf-8;...`.
    pub original_recipient: Option<String>,
    /// `failed`, `delayed`, `delivered`, `relayed`, `expanded` (RFC 3464 §2.3.3)
    pub action: &'static str,
    /// `5.1.1`
    pub status: String,
    /// What a person should know.
    pub diagnostic: String,
    /// Seconds since 1970, when it is delayed.
    pub retry_until: Option<i64>,
}

/// A report about one message.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who writes it: `mail.example.org`.
    pub reporting_host: &'a str,
    /// `MAILER-DAEMON@mail.example.org`
    pub from: &'a str,
    /// The sender of the message.
    pub to: &'a str,
    pub subject: &'a str,
    /// For Message-ID and the boundary.
    pub id: &'a str,
    /// Seconds since 1970.
    pub now: i64,
    pub arrived: i64,
    pub envid: Option<&'a str>,
    /// `for;30` or `until;...`: the time that the sender chose (RFC 4865 §8).
    pub hold: Option<&'a str>,
    /// The first lines of the text, which end in LF.
    pub introduction: &'a str,
    pub recipients: &'a [RecipientReport],
    /// Language of the text.
    pub language: &'a str,
    /// Addresses and the header of the original may be in UTF-8.
    pub utf8: bool,
}

impl Report<'_> {
    /// Everything up to where the original message, or its header, follows.
    /// `full` says which of the two it is. Then [`Report::end`] follows.
    pub fn head(&self, full: bool, eight_bit: bool) -> String {
        let boundary = self.boundary();
        let mut text = String::with_capacity(2048);
        let mut line = |words: &str| {
            text.push_str(words);
            text.push_str("\r\n");
        };
        line(&format!("Date: {}", format_date(self.now, 0)));
        line(&format!("From: Mail Delivery System <{}>", self.from));
        line(&format!("To: <{}>", self.to));
        line(&format!("Subject: {}", encode_words(self.subject)));
        line(&format!("Message-ID: <{}@{}>", self.id, self.reporting_host));
        line("Auto-Submitted: auto-replied"); // RFC 3834 §5
        line("MIME-Version: 1.0");
        line(&format!(
            "Content-Type: multipart/report; report-type={};\r\n\tboundary=\"{boundary}\"",
            self.status_type()
        ));
        let status = self.status();
        let eight_bit = eight_bit || !status.is_ascii();
        if eight_bit {
            line("Content-Transfer-Encoding: 8bit");
        }
        line("");
        line("This is a report in MIME format.");
        line(&format!("\r\n--{boundary}"));
        let words = encode_text(&self.words());
        line(&format!("Content-Type: text/plain; charset={}", words.charset));
        line(&format!("Content-Transfer-Encoding: {}", words.transfer_encoding));
        line(&format!("Content-Language: {}", self.language));
        line("");
        line(words.body.trim_end());
        line(&format!("\r\n--{boundary}"));
        line(&format!("Content-Type: message/{}", self.status_type()));
        if !status.is_ascii() {
            line("Content-Transfer-Encoding: 8bit");
        }
        line("");
        text.push_str(&status);
        let kind = match (full, self.utf8) {
            (true, false) => "message/rfc822",
            (false, false) => "text/rfc822-headers",
            (true, true) => "message/global",
            (false, true) => "message/global-headers",
        };
        let encoding = if eight_bit { "Content-Transfer-Encoding: 8bit\r\n" } else { "" };
        let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: {kind}\r\n{encoding}\r\n");
        text
    }

    /// RFC 6533 §4; RFC 6522 §3: the report's type is its second part's.
    fn status_type(&self) -> &'static str {
        if self.utf8 { "global-delivery-status" } else { "delivery-status" }
    }

    /// The part for people.
    fn words(&self) -> String {
        let mut text = self.introduction.to_owned();
        for recipient in self.recipients {
            let why = one_line(&recipient.diagnostic);
            let _ = write!(text, "\n\n<{}>\n    {why}", recipient.final_recipient);
        }
        text
    }

    /// What follows the original.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary())
    }

    /// Made of the queue id, which occurs in no other message.
    fn boundary(&self) -> String {
        format!("=_report_{}_{}", self.id, self.now)
    }

    /// The fields for programs (RFC 3464 §2.2, §2.3).
    fn status(&self) -> String {
        let mut text = String::new();
        if let Some(envid) = self.envid {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", one_line(envid));
        }
        let _ = write!(text, "Reporting-MTA: dns; {}\r\n", self.reporting_host);
        let _ = write!(text, "Arrival-Date: {}\r\n", format_date(self.arrived, 0));
        if let Some(hold) = self.hold {
            let _ = write!(text, "Future-Release-Request: {}\r\n", one_line(hold));
        }
        for recipient in self.recipients {
            text.push_str("\r\n");
            if let Some(original) = &recipient.original_recipient {
                let _ = write!(text, "Original-Recipient: {}\r\n", one_line(original));
            }
            let _ = write!(
                text,
                "Final-Recipient: {}\r\nAction: {}\r\nStatus: {}\r\n",
                one_line(&recipient.final_field),
                recipient.action,
                recipient.status,
            );
            if matches!(recipient.action, "failed" | "delayed") {
                let why = one_line(&recipient.diagnostic);
                text.push_str(&why_fields(if self.utf8 { why } else { ascii(&why) }));
            }
            if let Some(second) = recipient.retry_until {
                let _ = write!(text, "Will-Retry-Until: {}\r\n", format_date(second, 0));
            }
        }
        text
    }
}

/// Remote-MTA and Diagnostic-Code (RFC 3464 §2.3.5, §2.3.6): the reply of another host as SMTP has it, else our own words.
fn why_fields(why: String) -> String {
    match reply_in(&why) {
        Some((host, reply)) => format!("Remote-MTA: dns; {host}\r\nDiagnostic-Code: smtp; {reply}\r\n"),
        None => format!("Diagnostic-Code: x-mailboat; {why}\r\n"),
    }
}

/// The name of the host and its reply in `mx.example.org[192.0.2.1]:25 said: 550 no`.
fn reply_in(why: &str) -> Option<(&str, &str)> {
    let (before, reply) = why.split_once(" said: ")?;
    let peer = before.rsplit(' ').next()?;
    let (host, address) = peer.split_once('[')?;
    let code = reply.as_bytes().first_chunk::<3>()?;
    let is_reply = matches!(code[0], b'4' | b'5') && code.iter().all(u8::is_ascii_digit);
    (is_reply && !host.is_empty() && address.contains(']')).then_some((host, reply))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Structure, header_field, scan};

    #[test]
    fn a_report_has_its_three_parts() {
        let recipients = [RecipientReport {
            final_recipient: "no@x.example".into(),
            final_field: "rfc822; no@x.example".into(),
            original_recipient: Some("rfc822;No@x.example".into()),
            action: "failed",
            status: "5.1.1".into(),
            diagnostic: "no such\nuser".into(),
            retry_until: None,
        }];
        let report = Report {
            reporting_host: "mail.x.example",
            from: "MAILER-DAEMON@mail.x.example",
            to: "joe@x.example",
            subject: "Undelivered: Grüße",
            id: "GPM7U00A.1B2",
            now: 951_760_800,
            arrived: 951_760_700,
            envid: Some("E1"),
            hold: Some("for;30"),
            introduction: "Your message could not be delivered to:",
            recipients: &recipients,
            language: "en",
            utf8: false,
        };
        let mut message = report.head(true, false).into_bytes();
        message.extend_from_slice(b"Subject: original\r\n\r\nbody\r\n");
        message.extend_from_slice(report.end().as_bytes());
        let structure: Structure = scan(&message);
        let part = |path: &[u32]| {
            let (start, end) = structure.part(path).unwrap().body;
            String::from_utf8(message[start as usize..end as usize].to_vec()).unwrap()
        };
        assert!(part(&[1]).contains("<no@x.example>\r\n    no such user"));
        assert!(part(&[2]).contains("\r\n\r\nOriginal-Recipient: rfc822;No@x.example\r\nFinal-Recipient: rfc822; no@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
        assert!(part(&[2]).starts_with("Original-Envelope-Id: E1\r\n"));
        assert!(
            part(&[2]).contains("\r\nFuture-Release-Request: for;30\r\n\r\n"),
            "of the message, not of a recipient"
        );
        assert!(part(&[3]).starts_with("Subject: original"));
        assert_eq!(structure.part(&[4]), None);
        assert_eq!(header_field(&message, "Auto-Submitted"), Some(&b" auto-replied"[..]));
    }

    #[test]
    fn the_reply_of_another_host_is_told_as_its_own() {
        let fields = |why: &str| why_fields(why.into());
        let reply = "Remote-MTA: dns; mx.x.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n";
        assert_eq!(fields("mx.x.example[192.0.2.1]:25 said: 550 5.1.1 no"), reply);
        let long = "given up after 120 hours: mx.x.example[192.0.2.1]:25 said: 550 5.1.1 no";
        assert_eq!(fields(long), reply);
        for ours in ["no such user", "he said: 550 no", "mx[1] said: no", "[192.0.2.1] said: 550"] {
            assert_eq!(fields(ours), format!("Diagnostic-Code: x-mailboat; {ours}\r\n"));
        }
    }

    #[test]
    fn a_report_in_utf8_says_so_in_every_part() {
        let recipients = [RecipientReport {
            final_recipient: "jürgen@x.example".into(),
            final_field: "utf-8; jürgen@x.example".into(),
            original_recipient: None,
            action: "failed",
            status: "5.1.1".into(),
            diagnostic: "jürgen is unknown".into(),
            retry_until: None,
        }];
        let report = Report {
            reporting_host: "mail.x.example",
            from: "MAILER-DAEMON@mail.x.example",
            to: "joe@x.example",
            subject: "s",
            id: "GPM7U00A.1B2",
            now: 951_760_800,
            arrived: 951_760_700,
            envid: None,
            hold: None,
            introduction: "i",
            recipients: &recipients,
            language: "en",
            utf8: true,
        };
        let (headers, full) = (report.head(false, false), report.head(true, true));
        assert!(headers.contains("report-type=global-delivery-status;"), "{headers}");
        assert!(
            headers.contains(
                "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"
            )
        );
        assert!(headers.contains("Final-Recipient: utf-8; jürgen@x.example\r\n"));
        assert!(headers.contains("Diagnostic-Code: x-mailboat; jürgen is unknown\r\n"));
        assert!(headers.contains("Content-Type: message/global-headers\r\n"));
        assert!(full.contains("Content-Type: message/global\r\n"));
        let top = headers.split("\r\n\r\n").next().unwrap();
        assert!(top.is_ascii() && top.ends_with("Content-Transfer-Encoding: 8bit"), "{top}");
    }
}
