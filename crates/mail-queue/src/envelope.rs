//! The envelope of a message and its text form. The table is in `docs/formats/queue.md`.

use std::fmt::{self, Write as _};

use smtp_wire::{Ret, xtext};

use crate::QueueId;
use crate::escape::{escape, unescape};
use crate::progress::{Step, apply, read_steps, whole_steps_length};

/// Bytes of an envelope file at most: a hundred thousand recipients and their progress.
pub const BYTES_MAX: u64 = 256 << 20;

/// In which way a message came to a good end for a recipient: the actions of RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    Delivered,
    /// Another host has it, which sends no reports (RFC 3461 §5.2.2).
    Relayed,
    /// It goes to those whom the address stands for (RFC 3461 §5.2.7.3).
    Expanded,
}

impl Success {
    const ALL: [Success; 3] = [Success::Delivered, Success::Relayed, Success::Expanded];

    /// As the report's Action field has it.
    pub fn word(self) -> &'static str {
        match self {
            Success::Delivered => "delivered",
            Success::Relayed => "relayed",
            Success::Expanded => "expanded",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Success> {
        Success::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// How far a recipient is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Pending,
    /// Delivered, or replaced by those it stands for.
    Done,
    /// For good; a report is due. The status is `5.1.1` and the like (RFC 3463).
    Failed { status: String, text: String },
    /// Has it, and the sender wants to know; a report is due.
    Succeeded { success: Success, text: String },
    /// The report is in the queue (or none was wanted).
    Reported,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recipient {
    /// `local@domain`, as SMTP writes it.
    pub address: String,
    /// As RCPT gave it: `rfc822;xtext`, or `utf-8;` and a form of RFC 6533 §3.
    pub orcpt: Option<String>,
    /// As RCPT gave it: `never`, or of `success,failure,delay`.
    pub notify: Option<String>,
    pub state: State,
    /// Others, perhaps none, took its place.
    pub expanded: bool,
    /// The recipient (from 1) that this one was made from by forwarding or a group.
    pub from: Option<usize>,
    /// By which way, when an account has several; what the mta wrote there.
    pub via: Option<String>,
    /// The sender was told that it is delayed.
    pub warned: bool,
}

impl Recipient {
    /// Whether its sender, or the postmaster, is to be told what became of it.
    pub fn is_report_due(&self) -> bool {
        matches!(self.state, State::Failed { .. } | State::Succeeded { .. })
    }

    /// Whether a report was asked for on `success`, `failure` or `delay`; nothing when the sender did not say.
    pub fn asks_for(&self, event: &str) -> Option<bool> {
        self.notify.as_deref().map(|notify| notify.split(',').any(|word| word == event))
    }
}

/// Not to be sent before a time that its sender chose (RFC 4865).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Seconds since 1970.
    pub until: i64,
    /// As MAIL asked for it, `for;30` or `until;2026-11-29T12:00:00Z`: what reports tell (RFC 4865 §8).
    pub request: String,
}

/// The envelope of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub id: QueueId,
    /// Nanoseconds since 1970.
    pub arrived_ns: i64,
    /// Bytes of the message file.
    pub message_size: u64,
    /// Where the relayed form begins.
    pub relay_offset: u64,
    /// Received lines that came with it.
    pub hops: u32,
    /// The content has bytes above 127.
    pub eight_bit: bool,
    /// It came with SMTPUTF8 (RFC 6531): addresses or header may be in UTF-8.
    pub smtputf8: bool,
    /// It came with REQUIRETLS (RFC 8689): it goes on under TLS that proves the other host, or back.
    pub require_tls: bool,
    /// `ESMTPSA` and the like (RFC 3848).
    pub protocol: String,
    /// The client's name and address.
    pub host_from: String,
    /// The uid of who logged in.
    pub auth_sender: Option<String>,
    pub envid: Option<String>,
    /// The entry that this one was split from.
    pub parent: Option<QueueId>,
    /// RET as MAIL gave it.
    pub ret: Option<Ret>,
    /// Nothing for the null reverse-path.
    pub sender: Option<String>,
    pub recipients: Vec<Recipient>,
    /// Attempts so far that left somebody pending.
    pub attempts: u32,
    /// Not tried again before this second.
    pub next_attempt: i64,
    /// Of the last attempt.
    pub last_error: String,
    /// The sender's wish for a later time. `next_attempt` is that time until something else happens.
    pub hold: Option<Hold>,
    /// Not tried until somebody releases it. From its first moment: `last_error` says why.
    pub held: bool,
    /// The site's rules were asked about it.
    pub filtered: bool,
    /// Of a copy: the addresses by whose members or forwardings it came, the last one first.
    pub through: Vec<String>,
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The end mark is missing or its check fails: torn, or never finished.
    Torn,
    /// The check holds, and yet: which line.
    Line(&'static str),
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::Torn => f.write_str("the envelope is torn"),
            EnvelopeError::Line(name) => write!(f, "the envelope's {name} is missing or wrong"),
        }
    }
}

impl std::error::Error for EnvelopeError {}

const VERSION_LINE: &str = "Mailboat-Envelope: 1";

impl Envelope {
    /// A new one; the rest is filled in by its maker.
    pub fn new(id: QueueId) -> Envelope {
        Envelope {
            id,
            arrived_ns: base::clock::unix_nanos(),
            message_size: 0,
            relay_offset: 0,
            hops: 0,
            eight_bit: false,
            smtputf8: false,
            require_tls: false,
            protocol: "SMTP".into(),
            host_from: String::new(),
            auth_sender: None,
            envid: None,
            parent: None,
            ret: None,
            sender: None,
            recipients: Vec::new(),
            attempts: 0,
            next_attempt: 0,
            last_error: String::new(),
            hold: None,
            held: false,
            filtered: false,
            through: Vec::new(),
        }
    }

    /// It is not to be sent before this time.
    pub fn hold_until(&mut self, hold: Hold) {
        self.next_attempt = hold.until;
        self.hold = Some(hold);
    }

    /// Whether its time has not come, and nobody let it go before.
    pub fn waits_for_release(&self, now: i64) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.until > now && self.next_attempt >= hold.until)
    }

    /// From when on it counts how long it waits: its arrival, or the time that its sender chose.
    pub fn waits_since(&self) -> i64 {
        self.hold.as_ref().map_or(self.arrived(), |hold| hold.until.max(self.arrived()))
    }

    /// Seconds since 1970.
    pub fn arrived(&self) -> i64 {
        self.arrived_ns.div_euclid(1_000_000_000)
    }

    /// Whether somebody still waits for this message or for a report.
    pub fn is_open(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.state == State::Pending || recipient.is_report_due())
    }

    /// The step of a recipient who has it: the end, but for a sender who asked to be told (RFC 3461 §4.1). Nobody is told of
    /// what has the null sender.
    pub fn succeeded(&self, place: usize, success: Success, text: &str) -> Step {
        match self.wants_success(place) {
            true => Step::Succeeded { success, text: text.to_owned() },
            false => Step::Done,
        }
    }

    /// Whether the sender asked to be told that the recipient at `place` has it.
    pub fn wants_success(&self, place: usize) -> bool {
        let asked = self.recipients.get(place).and_then(|recipient| recipient.asks_for("success"));
        self.sender.is_some() && asked == Some(true)
    }

    /// The original recipient (RFC 3461 §4.2), `rfc822;xtext`, or `utf-8;` beyond ASCII (RFC 6533 §3): as the sender gave it, else the address that this one was made
    /// from, however many lie between.
    pub fn orcpt(&self, place: usize) -> Option<String> {
        let recipient = self.recipients.get(place)?;
        if recipient.orcpt.is_some() {
            return recipient.orcpt.clone();
        }
        let (mut at, mut above) = (place, recipient.from);
        // Numbers only go back, so this ends.
        while let Some(next) = above.and_then(|number| number.checked_sub(1)).filter(|next| *next < at) {
            at = next;
            above = self.recipients.get(at).and_then(|one| one.from);
        }
        let root = self.recipients.get(at).filter(|_| at != place)?;
        Some(match root.address.is_ascii() {
            true => format!("rfc822;{}", xtext::encode(root.address.as_bytes())),
            false => format!("utf-8;{}", xtext::encode_utf8(&root.address)),
        })
    }

    /// Whether it came from outside, not by LMTP, and nothing was done with it yet: what the rules of the UBE filter are asked about.
    pub fn is_for_filter(&self) -> bool {
        let untouched = |one: &Recipient| one.state == State::Pending && one.from.is_none();
        !self.filtered
            && self.parent.is_none()
            && self.attempts == 0
            && !self.protocol.contains("LMTP")
            && self.recipients.iter().all(untouched)
    }

    /// Places (from 0) of those not done with.
    pub fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        self.recipients
            .iter()
            .enumerate()
            .filter(|(_, recipient)| recipient.state == State::Pending)
            .map(|(place, _)| place)
    }

    /// What tells one delivery of this message from any other for ever: the id, and the moment. Of one that was made from
    /// another its id and the other's: made again after a crash, it is the same, though the moment is not.
    pub fn delivery_key(&self) -> String {
        match &self.parent {
            None => format!("{} {}", self.id, self.arrived_ns),
            Some(parent) => format!("{} of {parent}", self.id),
        }
    }

    /// The file's text, end mark included.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(512);
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name}: {}", escape(value));
        };
        line("Mailboat-Envelope", "1");
        line("Id", self.id.as_str());
        line("Arrived", &self.arrived_ns.to_string());
        line("Message-Size", &self.message_size.to_string());
        line("Relay-Offset", &self.relay_offset.to_string());
        line("Hops", &self.hops.to_string());
        line("Body", if self.eight_bit { "8bit" } else { "7bit" });
        if self.smtputf8 {
            line("Smtputf8", "yes");
        }
        if self.require_tls {
            line("Require-TLS", "yes");
        }
        line("Protocol", &self.protocol);
        line("Host-From", &self.host_from);
        if let Some(auth) = &self.auth_sender {
            line("Auth-Sender", auth);
        }
        if let Some(envid) = &self.envid {
            line("Envid", envid);
        }
        match self.ret {
            Some(Ret::Headers) => line("Ret", "hdrs"),
            Some(Ret::Full) => line("Ret", "full"),
            None => {}
        }
        if let Some(parent) = &self.parent {
            line("Parent", parent.as_str());
        }
        if let Some(hold) = &self.hold {
            line("Hold-Until", &format!("{} {}", hold.until, hold.request));
        }
        if self.held {
            line("Held", &self.last_error);
        }
        line("Sender", &format!("<{}>", self.sender.as_deref().unwrap_or("")));
        for recipient in &self.recipients {
            let mut value = format!("<{}>", recipient.address);
            if let Some(notify) = &recipient.notify {
                let _ = write!(value, " notify={notify}");
            }
            if let Some(orcpt) = &recipient.orcpt {
                let _ = write!(value, " orcpt={orcpt}");
            }
            if recipient.warned {
                value.push_str(" warned=yes");
            }
            line("Recipient", &value);
        }
        for address in &self.through {
            let _ = writeln!(text, "Through: {}", escape(&format!("<{address}>")));
        }
        let crc = base::crc32(text.as_bytes());
        let _ = writeln!(text, "End: {crc:08x}");
        text
    }

    /// Reads a file's bytes, progress included.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn decode(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        let end = find_end(bytes).ok_or(EnvelopeError::Torn)?;
        let head = std::str::from_utf8(&bytes[..end.start]).map_err(|_| EnvelopeError::Torn)?;
        let mut envelope = read_head(head)?;
        for (place, step) in read_steps(&bytes[end.end..]) {
            apply(&mut envelope, place, step);
        }
        Ok(envelope)
    }

    /// How many of these bytes are head and whole steps. What stands behind did not happen.
    pub(crate) fn whole_length(bytes: &[u8]) -> usize {
        find_end(bytes).map_or(0, |end| end.end + whole_steps_length(&bytes[end.end..]))
    }

    /// Applies what was just recorded.
    pub(crate) fn apply(&mut self, place: usize, step: Step) {
        apply(self, place, step);
    }
}

/// Where the end mark stands, if there is one whose check holds.
fn find_end(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    const MARK: &[u8] = b"\nEnd: ";
    let at = memchr::memmem::find(bytes, MARK)? + 1;
    let line_end = at + memchr::memchr(b'\n', &bytes[at..])?;
    let digits = std::str::from_utf8(&bytes[at + MARK.len() - 1..line_end]).ok()?;
    let crc = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 8)?;
    (base::crc32(&bytes[..at]) == crc).then_some(at..line_end + 1)
}

fn read_head(head: &str) -> Result<Envelope, EnvelopeError> {
    let mut lines = head.lines();
    if lines.next() != Some(VERSION_LINE) {
        return Err(EnvelopeError::Line("version"));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("Id: ")).and_then(QueueId::parse);
    let mut envelope = Envelope::new(id.ok_or(EnvelopeError::Line("Id"))?);
    let mut sender_seen = false;
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or(EnvelopeError::Line("form"))?;
        let value = unescape(value).ok_or(EnvelopeError::Line("form"))?;
        match name {
            "Arrived" => envelope.arrived_ns = number(&value, "Arrived")?,
            "Message-Size" => envelope.message_size = number(&value, "Message-Size")?,
            "Relay-Offset" => envelope.relay_offset = number(&value, "Relay-Offset")?,
            "Hops" => envelope.hops = number(&value, "Hops")?,
            "Body" => envelope.eight_bit = value == "8bit",
            "Smtputf8" => envelope.smtputf8 = value == "yes",
            "Require-TLS" => envelope.require_tls = value == "yes",
            "Protocol" => envelope.protocol = value,
            "Host-From" => envelope.host_from = value,
            "Auth-Sender" => envelope.auth_sender = Some(value),
            "Envid" => envelope.envid = Some(value),
            "Parent" => envelope.parent = QueueId::parse(&value),
            "Hold-Until" => {
                let (until, request) = value.split_once(' ').ok_or(EnvelopeError::Line("Hold-Until"))?;
                let until = number(until, "Hold-Until")?;
                envelope.hold_until(Hold { until, request: request.to_owned() });
            }
            "Held" => {
                envelope.held = true;
                envelope.last_error = value;
            }
            "Ret" => envelope.ret = Some(if value == "hdrs" { Ret::Headers } else { Ret::Full }),
            "Sender" => {
                let sender = in_angles(&value).ok_or(EnvelopeError::Line("Sender"))?.0;
                envelope.sender = (!sender.is_empty()).then(|| sender.to_owned());
                sender_seen = true;
            }
            "Recipient" => envelope.recipients.push(recipient(&value)?),
            "Through" => {
                let address = in_angles(&value).ok_or(EnvelopeError::Line("Through"))?.0;
                envelope.through.push(address.to_owned());
            }
            _ => {} // of a later version
        }
    }
    if !sender_seen {
        return Err(EnvelopeError::Line("Sender"));
    }
    Ok(envelope)
}

fn number<T: std::str::FromStr>(value: &str, name: &'static str) -> Result<T, EnvelopeError> {
    value.parse().map_err(|_| EnvelopeError::Line(name))
}

/// What stands between the first `<` and its `>`, and the rest. A quoted local part may hold a `>`, so the last one
/// before the parameters counts.
pub(crate) fn in_angles(value: &str) -> Option<(&str, &str)> {
    let inner = value.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

fn recipient(value: &str) -> Result<Recipient, EnvelopeError> {
    let (address, rest) = in_angles(value).ok_or(EnvelopeError::Line("Recipient"))?;
    let mut recipient = Recipient { address: address.to_owned(), ..Recipient::default() };
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("notify", notify)) => recipient.notify = Some(notify.to_owned()),
            Some(("orcpt", orcpt)) => recipient.orcpt = Some(orcpt.to_owned()),
            Some(("warned", warned)) => recipient.warned = warned == "yes",
            _ => {}
        }
    }
    Ok(recipient)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Filtered, Target};
    use proptest::prelude::*;

    pub fn sample() -> Envelope {
        let mut envelope = Envelope::new(QueueId::parse("GPM7U00A.1B2").unwrap());
        envelope.arrived_ns = 1_772_272_800_123_456_789;
        envelope.message_size = 1234;
        envelope.relay_offset = 35;
        envelope.hops = 3;
        envelope.eight_bit = true;
        envelope.host_from = "client [127.0.0.1]".into();
        envelope.auth_sender = Some("alice".into());
        envelope.sender = Some("alice@example.org".into());
        envelope.through = vec!["staff@example.org".into(), "all@example.org".into()];
        envelope.recipients = vec![
            Recipient {
                address: "bob@example.org".into(),
                notify: Some("failure,delay".into()),
                orcpt: Some("rfc822;bob@example.org".into()),
                ..Recipient::default()
            },
            Recipient { address: "\"a > b\"@example.org".into(), ..Recipient::default() },
        ];
        envelope
    }

    #[test]
    fn a_time_that_the_sender_chose_holds_until_it_comes_or_somebody_lets_it_go() {
        let mut envelope = sample();
        assert!(!envelope.waits_for_release(0) && envelope.waits_since() == envelope.arrived());
        envelope.hold_until(Hold { until: 2_000_000_000, request: "for;60".into() });
        let mut envelope = Envelope::decode(envelope.encode().as_bytes()).unwrap();
        assert!(envelope.waits_for_release(1_999_999_999) && !envelope.waits_for_release(2_000_000_000));
        assert_eq!(envelope.waits_since(), 2_000_000_000);
        envelope.apply(0, Step::Held);
        assert!(envelope.waits_for_release(1_999_999_999));
        envelope.apply(0, Step::Due(1_900_000_000));
        assert!(!envelope.waits_for_release(1_900_000_000));
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written() {
        let envelope = sample();
        let text = envelope.encode();
        assert!(
            text.contains(
                "\nRecipient: <bob@example.org> notify=failure,delay orcpt=rfc822;bob@example.org\n"
            )
        );
        assert_eq!(Envelope::decode(text.as_bytes()), Ok(envelope));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_recognised() {
        let bytes = sample().encode().into_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The check is in hexadecimal digits: a flipped case bit of a digit spells the same number.
            if let Ok(read) = Envelope::decode(&damaged) {
                assert!(bit / 8 > bytes.len() - 10, "bit {bit} of {}", bytes.len());
                assert_eq!(read, sample());
            }
        }
        for length in 0..bytes.len() {
            assert!(Envelope::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_recipient_that_was_split_has_a_place_for_each_way() {
        let ways = [
            ("x@a.example", None),
            ("\"b c\"@a.example", Some("mailbox")),
            ("\"b c\"@a.example", Some("program sort \"a <b>\" 100% \n#;")),
        ];
        let target = |(address, via): (&str, Option<&str>)| Target {
            address: address.into(),
            via: via.map(str::to_owned),
        };
        let ways_of = Step::Ways(ways.map(target).to_vec());
        let text = format!("{}{}{}", sample().encode(), ways_of.encode(0, 7), Step::Done.encode(4, 8));
        let read = Envelope::decode(text.as_bytes()).unwrap();
        assert_eq!(read.recipients[0].state, State::Done);
        let found: Vec<_> =
            read.recipients[2..].iter().map(|one| (one.address.as_str(), one.via.as_deref())).collect();
        assert_eq!(found, ways);
        assert!(read.recipients[2..].iter().all(|one| one.from == Some(1) && one.orcpt.is_some()));
        assert_eq!(read.pending().collect::<Vec<_>>(), [1, 2, 3]);
    }

    /// RFC 3461 §5.2.7: who asked for a report on success gets one for the address that he knows.
    #[test]
    fn success_is_asked_of_one_of_those_who_take_a_place() {
        let mut envelope = sample();
        envelope.ret = Some(Ret::Full);
        envelope.recipients[0].notify = Some("success,delay".into());
        envelope.recipients[1].notify = Some("success".into());
        let two = || ["x@a.example", "y@a.example"].map(str::to_owned).to_vec();
        let targets = two().into_iter().map(|address| Target { address, via: None }).collect();
        let text = [
            envelope.encode(),
            Step::Expanded(two()).encode(0, 7),
            Step::Group(targets).encode(1, 7),
            Step::Warned.encode(3, 7),
            Step::Succeeded { success: Success::Relayed, text: "to mx".into() }.encode(2, 7),
        ]
        .concat();
        let read = Envelope::decode(text.as_bytes()).unwrap();
        let asked: Vec<_> = read.recipients[2..].iter().map(|one| one.notify.as_deref().unwrap()).collect();
        assert_eq!(asked, ["success,delay", "delay", "never", "never"]);
        assert_eq!(read.recipients[0].state, State::Done);
        let expanded = State::Succeeded { success: Success::Expanded, text: String::new() };
        assert_eq!(read.recipients[1].state, expanded);
        assert_eq!(
            read.recipients[2].state,
            State::Succeeded { success: Success::Relayed, text: "to mx".into() }
        );
        assert!(read.recipients[3].warned && !read.recipients[2].warned);
        assert_eq!(read.ret, Some(Ret::Full));
        assert_eq!(read.orcpt(4).unwrap(), "rfc822;\"a+20>+20b\"@example.org");
        assert_eq!(read.orcpt(2).unwrap(), "rfc822;bob@example.org");
        // What was told is known in an entry of its own, too.
        let again = Envelope::decode(read.encode().as_bytes()).unwrap();
        assert!(again.recipients[3].warned && again.is_open());
        let mut null = read;
        null.sender = None;
        assert_eq!(null.succeeded(2, Success::Delivered, ""), Step::Done);
    }

    /// One line says it for all who wait, and what was done before stays.
    #[test]
    fn what_rules_said_concerns_everybody_who_waits() {
        let read = |filtered: Filtered| {
            let text = format!(
                "{}{}{}",
                sample().encode(),
                Step::Done.encode(0, 5),
                Step::Filtered(filtered).encode(0, 6)
            );
            Envelope::decode(text.as_bytes()).unwrap()
        };
        let passed = read(Filtered::Passed);
        assert!(passed.filtered && !passed.held && passed.pending().eq(1..passed.recipients.len()));
        assert!(!sample().filtered);
        let dropped = read(Filtered::Dropped);
        assert!(dropped.filtered && !dropped.is_open());
        let held = read(Filtered::Held("by a\nrule".into()));
        assert!(held.held && held.last_error == "by a\nrule" && held.pending().next() == Some(1));
        let rejected = read(Filtered::Rejected("no thanks".into()));
        assert_eq!(rejected.recipients[0].state, State::Done);
        let failed = State::Failed { status: "5.7.1".into(), text: "no thanks".into() };
        assert!(rejected.recipients[1..].iter().all(|one| one.state == failed));
    }

    #[test]
    fn progress_is_applied_and_a_torn_step_is_not() {
        let mut text = sample().encode();
        text.push_str(&Step::Done.encode(0, 1_772_272_801));
        text.push_str(
            &Step::Expanded(vec!["x@a.example".into(), "y@a.example".into()]).encode(1, 1_772_272_801),
        );
        text.push_str(&Step::Failed { status: "5.1.1".into(), text: "no\nsuch user".into() }.encode(2, 5));
        let whole = Envelope::decode(text.as_bytes()).unwrap();
        assert_eq!(whole.recipients.len(), 4);
        assert_eq!(whole.recipients[0].state, State::Done);
        assert_eq!(whole.recipients[1].state, State::Done);
        assert_eq!(whole.recipients[3].from, Some(2));
        assert_eq!(whole.pending().collect::<Vec<_>>(), [3]);
        assert!(matches!(&whole.recipients[2].state, State::Failed { text, .. } if text == "no\nsuch user"));
        let torn = &text.as_bytes()[..text.len() - 3];
        assert_eq!(Envelope::decode(torn).unwrap().recipients[2].state, State::Pending);
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_cannot_forge_a_line(host in "\\PC*|[\\x00-\\x7f]{0,40}", auth in ".*") {
            let mut envelope = sample();
            envelope.host_from = host;
            envelope.auth_sender = Some(auth);
            prop_assert_eq!(Envelope::decode(envelope.encode().as_bytes()), Ok(envelope));
        }

        #[test]
        fn every_step_is_read_as_it_was_written(text in ".*", via in proptest::option::of("[ -~]{1,30}"), kind in 0..6) {
            let targets = vec![Target { address: "\"a > b\"@x.test".into(), via }];
            let step = match kind {
                0 => Step::Succeeded { success: Success::Delivered, text },
                4 => Step::Filtered(Filtered::Held(text)),
                5 => Step::Filtered(Filtered::Rejected(text)),
                1 => Step::Failed { status: "5.1.1".into(), text },
                2 => Step::Group(targets),
                _ => Step::Ways(targets),
            };
            let mut expected = sample();
            expected.recipients[1].notify = Some("success".into());
            let written = expected.encode() + &step.encode(1, 7) + &Step::Warned.encode(1, 8);
            expected.apply(1, step);
            expected.apply(1, Step::Warned);
            prop_assert_eq!(Envelope::decode(written.as_bytes()), Ok(expected));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = Envelope::decode(&bytes);
            let mut behind = sample().encode().into_bytes();
            behind.extend_from_slice(&bytes);
            prop_assert!(Envelope::decode(&behind).is_ok());
        }
    }
}
