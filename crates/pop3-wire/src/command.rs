//! One command line to one typed command (RFC 1939 §9, RFC 6856).

/// Bytes of a line without its CRLF (RFC 2449 §4).
pub const LINE_BYTES_MAX: usize = 253;
/// Digits of a message number that are looked at: more is no number.
const DIGITS_MAX: usize = 10;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Everything behind the blank: a name may have blanks.
    User(String),
    /// Everything behind the blank, blanks included (RFC 1939 §7).
    Pass(String),
    /// Mechanism, and the initial response as it was written (RFC 5034 §4). Without a mechanism: which are there?
    Auth(Option<(String, Option<Vec<u8>>)>),
    Capa,
    Stls,
    Quit,
    Stat,
    List(Option<u32>),
    Uidl(Option<u32>),
    Retr(u32),
    Dele(u32),
    Top(u32, u32),
    Noop,
    Rset,
    Utf8,
    /// A language range (RFC 6856 §3.1); without one: which languages are there?
    Lang(Option<String>),
}

/// Why a line is no command: what is said to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError(pub &'static str);

/// Reads a line without its line end.
///
/// # Errors
/// One clear text.
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let text = std::str::from_utf8(line).map_err(|_| SyntaxError("The line is not UTF-8"))?;
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(SyntaxError("Control characters in the line"));
    }
    let (verb, rest) = text.split_once(' ').map_or((text, None), |(verb, rest)| (verb, Some(rest)));
    let verb = verb.to_ascii_uppercase();
    match verb.as_str() {
        "USER" => whole(rest).map(Command::User),
        "PASS" => whole(rest).map(Command::Pass),
        "AUTH" => auth(rest),
        "CAPA" => alone(rest, Command::Capa),
        "STLS" => alone(rest, Command::Stls),
        "QUIT" => alone(rest, Command::Quit),
        "STAT" => alone(rest, Command::Stat),
        "NOOP" => alone(rest, Command::Noop),
        "RSET" => alone(rest, Command::Rset),
        "LIST" => optional(rest).map(Command::List),
        "UIDL" => optional(rest).map(Command::Uidl),
        "RETR" => needed(rest).map(Command::Retr),
        "DELE" => needed(rest).map(Command::Dele),
        "TOP" => top(rest),
        "UTF8" => alone(rest, Command::Utf8),
        "LANG" => match words(rest).as_slice() {
            [] => Ok(Command::Lang(None)),
            [range] => Ok(Command::Lang(Some((*range).to_owned()))),
            _ => Err(SyntaxError("Too many arguments")),
        },
        _ => Err(SyntaxError("Unknown command")),
    }
}

fn alone(rest: Option<&str>, command: Command) -> Result<Command, SyntaxError> {
    if words(rest).is_empty() { Ok(command) } else { Err(SyntaxError("No argument expected")) }
}

fn whole(rest: Option<&str>) -> Result<String, SyntaxError> {
    rest.filter(|rest| !rest.is_empty()).map(str::to_owned).ok_or(SyntaxError("An argument is missing"))
}

fn words(rest: Option<&str>) -> Vec<&str> {
    rest.unwrap_or("").split(' ').filter(|word| !word.is_empty()).collect()
}

fn optional(rest: Option<&str>) -> Result<Option<u32>, SyntaxError> {
    match words(rest).as_slice() {
        [] => Ok(None),
        [word] => message_number(word).map(Some),
        _ => Err(SyntaxError("Too many arguments")),
    }
}

fn needed(rest: Option<&str>) -> Result<u32, SyntaxError> {
    optional(rest)?.ok_or(SyntaxError("A message number is missing"))
}

fn top(rest: Option<&str>) -> Result<Command, SyntaxError> {
    match words(rest).as_slice() {
        [message, lines] => Ok(Command::Top(
            message_number(message)?,
            number(lines).ok_or(SyntaxError("The number of lines is no number"))?,
        )),
        _ => Err(SyntaxError("TOP takes a message number and a number of lines")),
    }
}

fn number(word: &str) -> Option<u32> {
    let digits = word.len() <= DIGITS_MAX && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

/// Numbers begin at 1 (RFC 1939 §4).
fn message_number(word: &str) -> Result<u32, SyntaxError> {
    number(word).filter(|number| *number > 0).ok_or(SyntaxError("No such message"))
}

fn auth(rest: Option<&str>) -> Result<Command, SyntaxError> {
    match words(rest).as_slice() {
        [] => Ok(Command::Auth(None)),
        [mechanism] => Ok(Command::Auth(Some((mechanism.to_ascii_uppercase(), None)))),
        [mechanism, initial] => {
            Ok(Command::Auth(Some((mechanism.to_ascii_uppercase(), Some(initial.as_bytes().to_vec())))))
        }
        _ => Err(SyntaxError("Too many arguments")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case_with_their_arguments() {
        for (line, command) in [
            ("user joe", Command::User("joe".into())),
            ("PASS  two words ", Command::Pass(" two words ".into())),
            ("stat", Command::Stat),
            ("STAT ", Command::Stat),
            ("LIST", Command::List(None)),
            ("LIST 3", Command::List(Some(3))),
            ("Retr 4294967295", Command::Retr(u32::MAX)),
            ("TOP 1 0", Command::Top(1, 0)),
            ("AUTH", Command::Auth(None)),
            ("utf8", Command::Utf8),
            ("LANG", Command::Lang(None)),
            ("lang i-default ", Command::Lang(Some("i-default".into()))),
            ("auth plain =", Command::Auth(Some(("PLAIN".into(), Some(b"=".to_vec()))))),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn nonsense_is_told() {
        for line in [
            "",
            " ",
            "RETR",
            "RETR 0",
            "RETR -1",
            "RETR 4294967297",
            "RETR 99999999999999999999",
            "RETR x",
            "RETR 1 2",
            "TOP 1",
            "TOP 1 -1",
            "TOP 1 2 3",
            "USER",
            "USER ",
            "DELE 1.5",
            "STAT 1",
            "XTND",
            "LAST",
            "RETR +1",
            "UTF8 USER",
            "LANG en de",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(parse(b"USER a\0b").is_err() && parse(b"USER \xff").is_err());
    }
}
