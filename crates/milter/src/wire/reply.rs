//! What a filter says: verdicts, modifications of the message, and that it is still at work.

use super::{Malformed, Options, nothing_left, take_number, take_string};

/// Lines of a reply that a filter words, and bytes of one (RFC 5321 §4.5.3.1.5 allows 512 with code and line end).
const LINES_MAX: usize = 32;
const LINE_BYTES_MAX: usize = 490;

/// One reply (`SMFIR_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Negotiate(Options),
    Continue,
    Accept,
    Reject,
    TempFail,
    Discard,
    /// No more of the body is needed.
    Skip,
    /// Still at work: the time limit begins anew.
    Progress,
    /// The client is sent away with 421.
    Shutdown,
    /// The connection fails.
    ConnectionFails,
    /// The filter words the refusal.
    Refuse(Refusal),
    /// Only at the end of the message.
    Change(Change),
}

/// What a filter wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    AddHeader {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// Before the field that has this place, from 0.
    InsertHeader {
        place: u32,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// The n-th field of this name, from 1. An empty value deletes it.
    ChangeHeader {
        nth: u32,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    Sender {
        path: Vec<u8>,
        arguments: Vec<u8>,
    },
    AddRecipient {
        path: Vec<u8>,
        arguments: Vec<u8>,
    },
    DeleteRecipient(Vec<u8>),
    /// The next piece of the body that takes the place of the present one.
    Body(Vec<u8>),
    Quarantine(Vec<u8>),
}

/// A refusal that a filter worded: checked, and clean enough to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub code: u16,
    /// Enhanced code (RFC 3463), of the code's class.
    pub status: Option<(u8, u16, u16)>,
    /// One at least.
    pub lines: Vec<String>,
}

impl Reply {
    /// # Errors
    /// There is no such reply, or its data is not what it has.
    pub fn decode(code: u8, mut data: &[u8]) -> Result<Reply, Malformed> {
        let bare = |reply: Reply| nothing_left(data).map(|()| reply);
        match code {
            b'O' => Options::decode(data).map(Reply::Negotiate),
            b'c' => bare(Reply::Continue),
            b'a' => bare(Reply::Accept),
            b'r' => bare(Reply::Reject),
            b't' => bare(Reply::TempFail),
            b'd' => bare(Reply::Discard),
            b's' => bare(Reply::Skip),
            b'p' => bare(Reply::Progress),
            b'4' => bare(Reply::Shutdown),
            b'f' => bare(Reply::ConnectionFails),
            b'y' => Refusal::decode(take_string(&mut data)?)
                .and_then(|refusal| nothing_left(data).map(|()| Reply::Refuse(refusal))),
            _ => Change::decode(code, data).map(Reply::Change),
        }
    }
}

impl Change {
    fn decode(code: u8, mut data: &[u8]) -> Result<Change, Malformed> {
        if code == b'b' {
            return Ok(Change::Body(data.to_vec()));
        }
        let change = match code {
            b'h' => Change::AddHeader { name: name(&mut data)?, value: text(&mut data)? },
            b'i' => Change::InsertHeader {
                place: take_number(&mut data)?,
                name: name(&mut data)?,
                value: text(&mut data)?,
            },
            b'm' => Change::ChangeHeader {
                nth: take_number(&mut data)?,
                name: name(&mut data)?,
                value: text(&mut data)?,
            },
            b'e' => Change::Sender { path: text(&mut data)?, arguments: argument(&mut data)? },
            b'+' => Change::AddRecipient { path: text(&mut data)?, arguments: Vec::new() },
            b'2' => Change::AddRecipient { path: text(&mut data)?, arguments: argument(&mut data)? },
            b'-' => Change::DeleteRecipient(text(&mut data)?),
            b'q' => Change::Quarantine(text(&mut data)?),
            _ => return Err(Malformed("no such reply")),
        };
        nothing_left(data).map(|()| change)
    }
}

fn text(data: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    take_string(data).map(<[u8]>::to_vec)
}

/// A second string that may be left out.
fn argument(data: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    if data.is_empty() { Ok(Vec::new()) } else { text(data) }
}

/// The name of a header field (RFC 5322 §3.6.8).
fn name(data: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let name = text(data)?;
    let good = (1..=255).contains(&name.len()) && name.iter().all(|b| matches!(b, 0x21..=0x7e) && *b != b':');
    if good { Ok(name) } else { Err(Malformed("a header field without a proper name")) }
}

impl Refusal {
    /// `550 5.7.1 text`, of one or more lines, each with the code in front or not. `%%` means `%`: sendmail, which filters
    /// are written for, takes the text as a format.
    ///
    /// # Errors
    /// The code is no refusal, or the enhanced code does not fit it.
    pub fn decode(text: &[u8]) -> Result<Refusal, Malformed> {
        let text = String::from_utf8_lossy(text).replace("%%", "%");
        let code: u16 = digits(text.get(..3).unwrap_or("")).ok_or(Malformed("a reply without its code"))?;
        if !(400..=599).contains(&code) {
            return Err(Malformed("a reply whose code is no refusal"));
        }
        let mut status = None;
        let mut lines = Vec::new();
        for (at, line) in text.split('\n').take(LINES_MAX).enumerate() {
            let line = match line.strip_prefix(&text[..3]).map(|rest| rest.split_at_checked(1)) {
                Some(Some((" " | "-", rest))) => rest,
                Some(None) => "",
                _ if at == 0 => return Err(Malformed("a reply without a blank behind its code")),
                _ => line,
            };
            let (own, line) = split_status(line);
            if own.is_some_and(|(class, ..)| u16::from(class) != code / 100) {
                return Err(Malformed("a reply whose enhanced code is of another class"));
            }
            status = status.or(own);
            lines.push(clean(line));
        }
        if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Ok(Refusal { code, status, lines })
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| good)
}

/// `5.7.1 text` apart.
fn split_status(line: &str) -> (Option<(u8, u16, u16)>, &str) {
    let (word, rest) = line.split_once([' ', '\r']).unwrap_or((line, ""));
    let mut parts = word.split('.').map(digits::<u16>);
    let (class, subject, detail, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    match (class.flatten(), subject.flatten(), detail.flatten(), more) {
        (Some(class @ (2 | 4 | 5)), Some(subject @ ..=999), Some(detail @ ..=999), None) => {
            (u8::try_from(class).ok().map(|class| (class, subject, detail)), rest)
        }
        _ => (None, line),
    }
}

/// One line of text as it can be said: RFC 5321 §4.2 has printable US-ASCII and tabs.
fn clean(line: &str) -> String {
    let text: String =
        line.trim_end_matches('\r').chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    text.get(..LINE_BYTES_MAX).map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Packet, packet, write_packet, write_string};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The filter's half.
    fn encode(reply: &Reply) -> Vec<u8> {
        let mut out = Vec::new();
        let code = match reply {
            Reply::Negotiate(_) => b'O',
            Reply::Continue => b'c',
            Reply::Accept => b'a',
            Reply::Reject => b'r',
            Reply::TempFail => b't',
            Reply::Discard => b'd',
            Reply::Skip => b's',
            Reply::Progress => b'p',
            Reply::Shutdown => b'4',
            Reply::ConnectionFails => b'f',
            Reply::Refuse(_) => b'y',
            Reply::Change(change) => match change {
                Change::AddHeader { .. } => b'h',
                Change::InsertHeader { .. } => b'i',
                Change::ChangeHeader { .. } => b'm',
                Change::Sender { .. } => b'e',
                Change::AddRecipient { arguments, .. } if arguments.is_empty() => b'+',
                Change::AddRecipient { .. } => b'2',
                Change::DeleteRecipient(_) => b'-',
                Change::Body(_) => b'b',
                Change::Quarantine(_) => b'q',
            },
        };
        write_packet(&mut out, code, |out| match reply {
            Reply::Negotiate(options) => options.write(out),
            Reply::Refuse(refusal) => write_string(out, wording(refusal).as_bytes()),
            Reply::Change(change) => match change {
                Change::AddHeader { name, value } => {
                    [name, value].iter().for_each(|text| write_string(out, text))
                }
                Change::InsertHeader { place: number, name, value }
                | Change::ChangeHeader { nth: number, name, value } => {
                    out.extend_from_slice(&number.to_be_bytes());
                    [name, value].iter().for_each(|text| write_string(out, text));
                }
                Change::Sender { path, arguments } | Change::AddRecipient { path, arguments } => {
                    write_string(out, path);
                    if !arguments.is_empty() {
                        write_string(out, arguments);
                    }
                }
                Change::DeleteRecipient(text) | Change::Quarantine(text) => write_string(out, text),
                Change::Body(bytes) => out.extend_from_slice(bytes),
            },
            _ => {}
        });
        out
    }

    fn wording(refusal: &Refusal) -> String {
        let status = refusal.status.map(|(a, b, c)| format!("{a}.{b}.{c} ")).unwrap_or_default();
        let last = refusal.lines.len() - 1;
        let line = |(at, text): (usize, &String)| {
            let mark = if at == last { ' ' } else { '-' };
            format!("{}{mark}{status}{}", refusal.code, text.replace('%', "%%"))
        };
        refusal.lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    fn some_text() -> impl Strategy<Value = Vec<u8>> {
        vec(1u8..=255, 0..40)
    }

    fn some_name() -> impl Strategy<Value = Vec<u8>> {
        "[!-9;-~]{1,30}".prop_map(String::into_bytes)
    }

    fn some_reply() -> impl Strategy<Value = Reply> {
        let simple = proptest::sample::select(vec![
            Reply::Continue,
            Reply::Accept,
            Reply::Reject,
            Reply::TempFail,
            Reply::Discard,
            Reply::Skip,
            Reply::Progress,
            Reply::Shutdown,
            Reply::ConnectionFails,
            Reply::Negotiate(Options::offered()),
        ]);
        let refusal =
            (400u16..600, proptest::option::of((0u16..1000, 0u16..1000)), vec("[a-z][ -~]{0,60}", 1..5))
                .prop_map(|(code, status, lines)| {
                    let class = u8::try_from(code / 100).unwrap();
                    Reply::Refuse(Refusal { code, status: status.map(|(b, c)| (class, b, c)), lines })
                });
        let header =
            (any::<u32>(), some_name(), some_text(), 0..3).prop_map(|(number, name, value, kind)| {
                Reply::Change(match kind {
                    0 => Change::AddHeader { name, value },
                    1 => Change::InsertHeader { place: number, name, value },
                    _ => Change::ChangeHeader { nth: number, name, value },
                })
            });
        let envelope = (some_text(), some_text(), 0..5).prop_map(|(path, arguments, kind)| {
            Reply::Change(match kind {
                0 => Change::Sender { path, arguments },
                1 => Change::AddRecipient { path, arguments },
                2 => Change::DeleteRecipient(path),
                3 => Change::Quarantine(path),
                _ => Change::Body(path),
            })
        });
        prop_oneof![simple, refusal, header, envelope]
    }

    proptest! {
        #[test]
        fn every_reply_reads_as_it_was_written(reply in some_reply()) {
            let bytes = encode(&reply);
            let Packet { code, data, length: used } = packet(&bytes).unwrap().unwrap();
            prop_assert_eq!(used, bytes.len());
            prop_assert_eq!(Reply::decode(code, data).unwrap(), reply);
        }

        #[test]
        fn any_refusal_can_be_said(text in vec(any::<u8>(), 0..300)) {
            let text = [b"550 ".as_slice(), &text].concat();
            if let Ok(refusal) = Refusal::decode(&text) {
                prop_assert!(!refusal.lines.is_empty() && refusal.lines.len() <= LINES_MAX);
                for line in refusal.lines {
                    prop_assert!(line.len() <= LINE_BYTES_MAX && line.bytes().all(|b| (0x20..0x7f).contains(&b)));
                }
            }
        }
    }

    #[test]
    fn a_refusal_is_checked_before_it_is_said() {
        let decoded = |text: &str| Refusal::decode(text.as_bytes());
        let one = decoded("550 5.7.1 100%% spam").unwrap();
        assert_eq!((one.code, one.status, one.lines), (550, Some((5, 7, 1)), vec!["100% spam".to_owned()]));
        let many = decoded("451-4.7.1 wait\r\n451 4.7.1 a while").unwrap();
        assert_eq!((many.code, many.lines), (451, vec!["wait".to_owned(), "a while".to_owned()]));
        let forged = decoded("550 no\r\n250 yes").unwrap();
        assert_eq!(forged.lines, ["no", "250 yes"], "said behind 550");
        for wrong in
            ["", "250 2.0.0 fine", "55", "550", "550x", "abc text", "550 4.7.1 no", "354 go on", "-50 x"]
        {
            let wrong_one = decoded(wrong);
            assert!(wrong_one.is_err() || wrong == "550", "{wrong}: {wrong_one:?}");
        }
        assert_eq!(decoded("550").unwrap().lines, [""]);
    }

    #[test]
    fn a_reply_has_its_data_and_no_more() {
        for (code, data) in [
            (b'c', b"x".as_slice()),
            (b'y', b"550 no"),
            (b'y', b"550 no\0more"),
            (b'h', b"Name\0value"),
            (b'h', b"Na me\0value\0"),
            (b'h', b"\0value\0"),
            (b'h', b"X:\0value\0"),
            (b'i', b"\0\0\x01"),
            (b'i', b"\0\0\0\x01Name\0value"),
            (b'+', b"<a@b>"),
            (b'?', b""),
        ] {
            assert!(Reply::decode(code, data).is_err(), "{code} {data:?}");
        }
    }
}
