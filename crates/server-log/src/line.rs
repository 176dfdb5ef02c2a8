//! One line, as text or as JSON. Whatever a stranger sent cannot end it or pretend to be another.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::{Format, Level};

/// What a line says.
pub(crate) struct Line<'a> {
    /// See [`stamp`].
    pub stamp: &'a str,
    pub host: &'a str,
    pub program: &'a str,
    pub category: &'a str,
    pub level: Level,
    pub text: &'a str,
}

impl Line<'_> {
    /// The line with its end.
    pub fn render(&self, format: Format) -> String {
        let pid = std::process::id();
        let Line { stamp, host, program, category, level, text } = self;
        let level = level.name();
        match format {
            // NMS: the sample line of guide L424
            Format::Text => {
                format!("[{stamp}] {host} {program}[{pid}]: {category} {level}: {}\n", escape(text))
            }
            Format::Json => format!(
                "{{\"time\":{},\"host\":{},\"program\":{},\"pid\":{pid},\"category\":{},\"level\":{},\"text\":{}}}\n",
                base::json::quote(stamp),
                base::json::quote(host),
                base::json::quote(program),
                base::json::quote(category),
                base::json::quote(level),
                base::json::quote(text)
            ),
        }
    }
}

/// The local time of a second since 1970: `28/Feb/2000:10:00:00 -0800`, or RFC 3339 for JSON.
pub(crate) fn stamp(second: i64, format: Format) -> String {
    let time = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    match format {
        Format::Text => time.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
        Format::Json => time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

/// Control characters, and those that turn the writing round, as `\xNN` and a backslash doubled, so that no text forges a line and nothing is ambiguous.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            c if c.is_control() || is_line_break(c) || base::is_directional(c) => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// What some programs take for the end of a line besides the control characters.
fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line {
            stamp: "28/Feb/2000:10:00:00 -0800",
            host: "mail",
            program: "smtpd",
            category: "General",
            level: Level::Notice,
            text,
        }
    }

    #[test]
    fn the_text_line_is_the_originals() {
        let expected = format!(
            "[28/Feb/2000:10:00:00 -0800] mail smtpd[{}]: General Notice: DNS cache is disabled\n",
            std::process::id()
        );
        assert_eq!(line("DNS cache is disabled").render(Format::Text), expected);
    }

    #[test]
    fn no_text_ends_the_line() {
        let evil = "a\r\nb\u{2028}c\u{85}d\0\\x0d\u{202e}e";
        assert!(
            line(evil).render(Format::Text).ends_with(": a\\x0d\\x0ab\\x2028c\\x85d\\x00\\\\x0d\\x202ee\n")
        );
        let json = line("say \"x\"\n\\").render(Format::Json);
        assert!(json.ends_with("\"text\":\"say \\\"x\\\"\\u000a\\\\\"}\n"), "{json}");
        assert_eq!(json.matches('\n').count(), 1);
    }

    #[test]
    fn the_stamp_names_the_second_in_both_forms() {
        // The zone is the machine's; the seconds are the same everywhere.
        let text = stamp(951_760_805, Format::Text);
        assert!(text.contains("/Feb/2000:") && text.contains(":05 "), "{text}");
        let parsed: Timestamp = stamp(951_760_805, Format::Json).parse().unwrap();
        assert_eq!(parsed.as_second(), 951_760_805);
    }
}
