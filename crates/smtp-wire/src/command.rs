//! One command line to one typed command (RFC 5321 §4.1). The line comes without its CRLF.

use crate::address::{self, Address, AddressError};
use crate::parameters::{self, MailParameters, RcptParameters};
use crate::reply::Reply;

const NAME_MAX: usize = 255;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO with its name.
    Helo(String),
    /// EHLO with its name.
    Ehlo(String),
    /// LHLO with its name (RFC 2033 §4.1).
    Lhlo(String),
    /// MAIL FROM; no address is the null path `<>`.
    Mail(Option<Address>, MailParameters),
    /// RCPT TO; the address may lack its domain (postmaster, submission).
    Rcpt(Address, RcptParameters),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2).
    Bdat {
        /// Octets that follow.
        size: u64,
        /// Whether they are the last.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY with what is asked about, and whether SMTPUTF8 was said (RFC 6531 §3.7.4).
    Vrfy(String, bool),
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954): the mechanism in upper case, and the initial response as it was written.
    Auth(String, Option<Vec<u8>>),
    /// EXPN with its address, which may lack its domain, and whether SMTPUTF8 was said (RFC 6531 §3.7.4).
    Expn(Address, bool),
    /// ETRN (RFC 1985).
    Etrn(Node),
    /// ONEX: one message, then no more (sendmail).
    Onex,
    /// VERB: longer replies (sendmail).
    Verb,
    /// A command that is known but not done here: TURN, SEND, SOML, SAML.
    NotDone(&'static str),
    /// XCLIENT with its attributes as they were written: only who may say it is worth reading ([`crate::xclient`]).
    XClient(Vec<u8>),
    /// XHELD and XUNDO, ours, for who submits for users of this host: the id of what was accepted, and domains that it may
    /// wait for.
    Held(Held, String, Vec<String>),
    /// XFORWARD: for trusted peers only, and there are none.
    NotTrusted,
    /// A web browser's first line.
    Http,
}

/// What is asked about a message that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Where it is.
    Tell,
    /// Take it back.
    Undo,
}

/// Whose mail ETRN asks for (RFC 1985 §5.2), lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A domain.
    Domain(String),
    /// `@domain`: the domain and all below it.
    Below(String),
    /// `#queue`
    Queue,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No such command.
    Unknown,
    /// Control bytes inside.
    Control,
    /// Arguments of the wrong form.
    Arguments(&'static str),
    /// MAIL or RCPT without its keyword or angle brackets.
    Path,
    /// No sender address.
    Sender,
    /// No recipient address.
    Recipient,
    /// The domain of an address is too long.
    Domain,
    /// Non-ASCII address without SMTPUTF8.
    NeedsUtf8,
    /// An unknown parameter.
    Parameter,
    /// A bad value of a parameter.
    Value(&'static str),
    /// A number beyond all limits.
    TooBig,
    /// BDAT that tells no size: what follows cannot be told from commands, so the connection must be closed.
    Bdat,
    /// The same, with a size beyond all numbers.
    BdatTooBig,
}

impl CommandError {
    /// The reply to such a line.
    pub fn reply(self) -> Reply {
        match self {
            CommandError::Unknown => Reply::new(500, (5, 5, 2), "Command not recognized"),
            CommandError::Control => Reply::new(500, (5, 5, 2), "Control characters in command"),
            CommandError::Arguments(text) => Reply::new(501, (5, 5, 4), text),
            CommandError::Path => Reply::new(501, (5, 5, 2), "Syntax: address in angle brackets expected"),
            CommandError::Sender => Reply::new(501, (5, 1, 7), "Bad sender address syntax"),
            CommandError::Recipient => Reply::new(501, (5, 1, 3), "Bad recipient address syntax"),
            CommandError::Domain => Reply::new(501, (5, 1, 2), "Domain too long"),
            CommandError::NeedsUtf8 => Reply::new(553, (5, 6, 7), "Non-ASCII address needs SMTPUTF8"),
            CommandError::Parameter => Reply::new(555, (5, 5, 4), "Parameter not recognized"),
            CommandError::Value(text) => Reply::new(501, (5, 5, 4), text),
            CommandError::TooBig => Reply::new(552, (5, 3, 4), "Message size exceeds the limit"),
            CommandError::Bdat => Reply::new(501, (5, 5, 4), "Syntax: BDAT count [LAST]"),
            CommandError::BdatTooBig => Reply::new(552, (5, 3, 4), "Chunk too large"),
        }
    }

    /// Whether the connection cannot go on after it.
    pub fn is_fatal(self) -> bool {
        matches!(self, CommandError::Bdat | CommandError::BdatTooBig)
    }
}

/// Reads one line.
///
/// `utf8` says that the present transaction has SMTPUTF8, for the address of RCPT.
///
/// # Errors
/// See [`CommandError`].
pub fn parse(line: &[u8], utf8: bool) -> Result<Command, CommandError> {
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let verb = line[..end].to_ascii_uppercase();
    let rest = line[end..].trim_ascii();
    if line.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
        return Err(match verb.as_slice() {
            b"MAIL" => CommandError::Sender,
            b"RCPT" => CommandError::Recipient,
            b"BDAT" => CommandError::Bdat,
            _ => CommandError::Control,
        });
    }
    let alone = |command: Command| {
        if rest.is_empty() { Ok(command) } else { Err(CommandError::Arguments("No argument expected")) }
    };
    match verb.as_slice() {
        b"HELO" => name(rest).map(Command::Helo),
        b"EHLO" => name(rest).map(Command::Ehlo),
        b"LHLO" => name(rest).map(Command::Lhlo),
        b"MAIL" => mail(rest),
        b"RCPT" => rcpt(rest, utf8),
        b"DATA" => alone(Command::Data),
        b"BDAT" => bdat(rest),
        b"RSET" => alone(Command::Rset),
        b"NOOP" => Ok(Command::Noop),
        b"QUIT" => alone(Command::Quit),
        b"STARTTLS" => alone(Command::StartTls),
        b"HELP" => Ok(Command::Help),
        b"VRFY" => vrfy(rest),
        b"AUTH" => auth(rest),
        b"EXPN" => expn(rest),
        b"ETRN" => etrn(rest).map(Command::Etrn),
        b"ONEX" => alone(Command::Onex),
        b"VERB" => Ok(Command::Verb),
        b"TURN" => Ok(Command::NotDone("TURN")),
        b"SEND" | b"SOML" | b"SAML" => Ok(Command::NotDone("SEND")),
        b"XCLIENT" => Ok(Command::XClient(rest.to_vec())),
        b"XHELD" => held(Held::Tell, rest),
        b"XUNDO" => held(Held::Undo, rest),
        b"XFORWARD" => Ok(Command::NotTrusted),
        b"GET" | b"POST" | b"CONNECT" | b"HEAD" | b"PUT" | b"OPTIONS" if !rest.is_empty() => {
            Ok(Command::Http)
        }
        _ => Err(CommandError::Unknown),
    }
}

/// Domains that XHELD may name.
const HELD_DOMAINS_MAX: usize = 16;

fn held(what: Held, rest: &[u8]) -> Result<Command, CommandError> {
    let bad = CommandError::Arguments("Syntax: XHELD or XUNDO id, and domains");
    let text = std::str::from_utf8(rest).map_err(|_| bad)?;
    let mut words = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    let id = words.next().ok_or(bad)?;
    let domains: Vec<String> = words.collect();
    if domains.len() > HELD_DOMAINS_MAX { Err(bad) } else { Ok(Command::Held(what, id, domains)) }
}

/// The name of HELO and EHLO: a domain or an address literal. It goes into the header, so nothing else passes.
fn name(rest: &[u8]) -> Result<String, CommandError> {
    let bad = CommandError::Arguments("Syntax: HELO or EHLO host name");
    if rest.is_empty() || rest.len() > NAME_MAX || !rest.is_ascii() {
        return Err(bad);
    }
    let text = std::str::from_utf8(rest).map_err(|_| bad)?;
    address::domain(text).map_err(|_| bad)?;
    Ok(text.to_owned())
}

/// Takes the word SMTPUTF8 from behind an argument (RFC 6531 §3.7.4): replies may then be in UTF-8.
fn smtputf8(rest: &[u8]) -> (&[u8], bool) {
    const WORD: &[u8] = b" SMTPUTF8";
    match rest.len().checked_sub(WORD.len()).and_then(|at| rest.split_at_checked(at)) {
        Some((argument, word)) if word.eq_ignore_ascii_case(WORD) => (argument.trim_ascii(), true),
        _ => (rest, false),
    }
}

fn vrfy(rest: &[u8]) -> Result<Command, CommandError> {
    let (who, utf8) = smtputf8(rest);
    if who.is_empty() {
        return Err(CommandError::Arguments("Syntax: VRFY address"));
    }
    if !utf8 && !who.is_ascii() {
        return Err(CommandError::NeedsUtf8);
    }
    let who = std::str::from_utf8(who).map_err(|_| CommandError::Recipient)?;
    Ok(Command::Vrfy(who.to_owned(), utf8))
}

fn expn(rest: &[u8]) -> Result<Command, CommandError> {
    let (rest, utf8) = smtputf8(rest);
    if rest.is_empty() {
        return Err(CommandError::Arguments("Syntax: EXPN address"));
    }
    let inner = rest.strip_prefix(b"<").and_then(|inner| inner.strip_suffix(b">")).unwrap_or(rest);
    let address = address::path(inner, true, utf8);
    address.map(|address| Command::Expn(address, utf8)).map_err(|e| explain(e, CommandError::Recipient))
}

fn etrn(rest: &[u8]) -> Result<Node, CommandError> {
    let bad = CommandError::Arguments("Syntax: ETRN domain");
    let text = std::str::from_utf8(rest).map_err(|_| bad)?;
    if text.starts_with('#') {
        return Ok(Node::Queue);
    }
    let (name, below) = text.strip_prefix('@').map_or((text, false), |name| (name, true));
    let is_domain = !name.is_empty() && name.len() <= NAME_MAX && name.is_ascii() && !name.starts_with('[');
    let name = address::domain(name).ok().filter(|_| is_domain).ok_or(bad)?.to_ascii_lowercase();
    Ok(if below { Node::Below(name) } else { Node::Domain(name) })
}

fn keyword<'a>(rest: &'a [u8], word: &[u8]) -> Result<&'a [u8], CommandError> {
    match rest.split_at_checked(word.len()) {
        Some((head, tail)) if head.eq_ignore_ascii_case(word) => Ok(tail.trim_ascii_start()),
        _ => Err(CommandError::Path),
    }
}

/// Splits `<path> parameters`; a `>` inside quotes does not end the path.
fn angle(rest: &[u8], bad: CommandError) -> Result<(&[u8], &[u8]), CommandError> {
    let inner = rest.strip_prefix(b"<").ok_or(CommandError::Path)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let (path, tail) = (&inner[..at], &inner[at + 1..]);
                return match tail.first() {
                    None | Some(b' ') => Ok((path, tail)),
                    Some(b'>') => Err(bad),
                    Some(_) => Err(CommandError::Value("Space expected after the address")),
                };
            }
            _ => {}
        }
    }
    Err(bad)
}

fn explain(error: AddressError, bad: CommandError) -> CommandError {
    match error {
        AddressError::Syntax => bad,
        AddressError::DomainTooLong => CommandError::Domain,
        AddressError::NeedsUtf8 => CommandError::NeedsUtf8,
    }
}

fn mail(rest: &[u8]) -> Result<Command, CommandError> {
    let (path, tail) = angle(keyword(rest, b"FROM:")?, CommandError::Sender)?;
    let parameters = parameters::mail(tail)?;
    if path.is_empty() {
        return Ok(Command::Mail(None, parameters));
    }
    let sender =
        address::path(path, true, parameters.smtputf8).map_err(|e| explain(e, CommandError::Sender))?;
    Ok(Command::Mail(Some(sender), parameters))
}

fn rcpt(rest: &[u8], utf8: bool) -> Result<Command, CommandError> {
    let (path, tail) = angle(keyword(rest, b"TO:")?, CommandError::Recipient)?;
    let to = address::path(path, true, utf8).map_err(|e| explain(e, CommandError::Recipient))?;
    Ok(Command::Rcpt(to, parameters::rcpt(tail, utf8)?))
}

fn bdat(rest: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(rest).map_err(|_| CommandError::Bdat)?;
    let mut words = text.split_ascii_whitespace();
    let count = words.next().filter(|c| c.bytes().all(|b| b.is_ascii_digit())).ok_or(CommandError::Bdat)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(CommandError::Bdat),
    };
    if words.next().is_some() {
        return Err(CommandError::Bdat);
    }
    let size = count.parse().map_err(|_| CommandError::BdatTooBig)?;
    Ok(Command::Bdat { size, last })
}

fn auth(rest: &[u8]) -> Result<Command, CommandError> {
    let bad = CommandError::Arguments("Syntax: AUTH mechanism [initial response]");
    let mut words = rest.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let mechanism = words.next().ok_or(bad)?;
    if !mechanism.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_') {
        return Err(bad);
    }
    let initial = words.next().map(<[u8]>::to_vec);
    if words.next().is_some() {
        return Err(bad);
    }
    Ok(Command::Auth(String::from_utf8_lossy(mechanism).to_ascii_uppercase(), initial))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &[u8]) -> String {
        match parse(line, false) {
            Ok(_) => "ok".to_owned(),
            Err(error) => String::from_utf8_lossy(&error.reply().encode()[..9]).into_owned(),
        }
    }

    #[test]
    fn every_line_of_the_catalogue_is_read_or_refused_as_written_there() {
        let long = format!("EHLO {}", "a".repeat(256));
        let label = format!("RCPT TO:<u@{}.test>", "a".repeat(64));
        let table: &[(&[u8], &str)] = &[
            (b"MAIL FROM:<>", "ok"),
            (b"mail from: <a@b.test>", "ok"),
            (b"MAIL FROM:<a@b.test> ", "ok"),
            (b"MAIL FROM:a@b.test", "501 5.5.2"),
            (b"MAIL FROM:<a@b.test", "501 5.1.7"),
            (b"MAIL FROM:<a\0@b.test>", "501 5.1.7"),
            (b"MAIL FROM:<;id;@b.test>", "501 5.1.7"),
            (b"MAIL FROM:<a@b.test> X", "555 5.5.4"),
            (b"MAIL FROM:<a@b.test> BODY=8BITMIME", "ok"),
            (b"MAIL FROM:<a@b.test> BODY=BINARYMIME", "ok"),
            (b"MAIL FROM:<a@b.test> BODY=FOO", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> FOO=BAR", "555 5.5.4"),
            (b"MAIL FROM:<a@b.test> SIZE=100", "ok"),
            (b"MAIL FROM:<a@b.test> SIZE=abc", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> SIZE=99999999999999999999999", "552 5.3.4"),
            (b"MAIL FROM:<a@b.test> SIZE=-1", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> SIZE=", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> RET=FOO", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> RET=HDRS ENVID=a+b", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> ENVID=a+00b", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> ENVID=x ENVID=y", "501 5.5.4"),
            (b"MAIL FROM:<a@b.test> AUTH=<>", "ok"),
            (b"MAIL FROM:<a@b.test> REQUIRETLS", "ok"),
            ("MAIL FROM:<ü@b.test>".as_bytes(), "553 5.6.7"),
            ("MAIL FROM:<ü@b.test> SMTPUTF8".as_bytes(), "ok"),
            (b"MAIL FROM:<\xff@b.test> SMTPUTF8", "501 5.1.7"),
            (b"RCPT TO:<a@b.test> NOTIFY=NEVER", "ok"),
            (b"RCPT TO:<a@b.test> NOTIFY=NEVER,FAILURE", "501 5.5.4"),
            (b"RCPT TO:<a@b.test> NOTIFY=FOO", "501 5.5.4"),
            (b"RCPT TO:<a@b.test> ORCPT=rfc822;a@b", "ok"),
            (b"RCPT TO:<a@b.test> ORCPT=bad", "501 5.5.4"),
            (b"RCPT TO:<a@b.test> ORCPT=rfc822;a+ZZ", "501 5.5.4"),
            (b"RCPT TO:<a@b.test> ORCPT=rfc822;a+0D+0AX", "501 5.5.4"),
            (b"RCPT TO:<a@b.test> FOO=BAR", "555 5.5.4"),
            (b"RCPT TO:<>", "501 5.1.3"),
            (b"RCPT TO:<postmaster>", "ok"),
            (b"RCPT TO:<u1@mta.test>>", "501 5.1.3"),
            (b"RCPT TO:<u1@mta.test", "501 5.1.3"),
            (b"RCPT TO:u1@mta.test", "501 5.5.2"),
            (b"RCPT TO:<u1@mta.test>NOTIFY=NEVER", "501 5.5.4"),
            (b"RCPT TO:<${run{id}}@mta.test>", "ok"),
            (label.as_bytes(), "501 5.1.2"),
            (b"BDAT 5", "ok"),
            (b"BDAT 0 LAST", "ok"),
            (b"BDAT -1", "501 5.5.4"),
            (b"BDAT abc", "501 5.5.4"),
            (b"BDAT ", "501 5.5.4"),
            (b"BDAT 99999999999999999999", "552 5.3.4"),
            (b"BDAT 5 FOO", "501 5.5.4"),
            (b"BDAT 0x10", "501 5.5.4"),
            (b"BDAT 10 LAST X", "501 5.5.4"),
            (b"EXPN staff", "ok"),
            (b"expn <staff@b.test>", "ok"),
            (b"EXPN", "501 5.5.4"),
            ("EXPN ü SMTPUTF8".as_bytes(), "ok"),
            ("EXPN ü".as_bytes(), "553 5.6.7"),
            ("VRFY ü smtputf8".as_bytes(), "ok"),
            ("VRFY ü".as_bytes(), "553 5.6.7"),
            (b"VRFY \xff SMTPUTF8", "501 5.1.3"),
            (b"VRFY", "501 5.5.4"),
            (b"VRFY SMTPUTF8", "ok"),
            (b"EXPN a b", "501 5.1.3"),
            (b"ETRN b.test", "ok"),
            (b"ETRN @b.test", "ok"),
            (b"ETRN #b", "ok"),
            (b"ETRN", "501 5.5.4"),
            (b"ETRN ../../x", "501 5.5.4"),
            (b"ETRN b.test c.test", "501 5.5.4"),
            (b"ETRN [127.0.0.1]", "501 5.5.4"),
            (b"LHLO a.test", "ok"),
            (b"LHLO", "501 5.5.4"),
            (b"ONEX", "ok"),
            (b"VERB", "ok"),
            (b"EHLO ", "501 5.5.4"),
            (b"EHLO a b", "501 5.5.4"),
            (b"EHLO [127.0.0.1]", "ok"),
            (b"EHLO <script>", "501 5.5.4"),
            (b"EHLO .", "501 5.5.4"),
            (b"EHLO a..b", "501 5.5.4"),
            (b"EHLO \xfc", "501 5.5.4"),
            (long.as_bytes(), "501 5.5.4"),
            (b"HELO", "501 5.5.4"),
            (b"NOOP x y", "ok"),
            (b"DATA x", "501 5.5.4"),
            (b"XYZZY", "500 5.5.2"),
            (b"", "500 5.5.2"),
            (b"   ", "500 5.5.2"),
            (b"NOOP\0", "500 5.5.2"),
            (b"NO\rOP", "500 5.5.2"),
            (b"WIZ", "500 5.5.2"),
            (b"GET / HTTP/1.1", "ok"),
        ];
        for (line, expected) in table {
            assert_eq!(answer(line), *expected, "{}", String::from_utf8_lossy(line));
        }
    }
}
