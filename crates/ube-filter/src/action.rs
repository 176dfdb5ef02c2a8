//! What a rule does.

use smtp_wire::Address;

use crate::words::Word;

/// Bytes of a REJECT's text at most: it goes into a report, and into the log.
const TEXT_BYTES_MAX: usize = 1000;

/// What a rule that fires does. DROP, EXIT, HOLD and REJECT end the walk; behind the others it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Reject(String),
    /// On with the rule at this place (from 0), further down.
    Jump(usize),
    Copy(String),
    Drop,
    Exit,
    Hold,
}

impl Action {
    pub fn word(&self) -> &'static str {
        match self {
            Action::Reject(_) => "REJECT",
            Action::Jump(_) => "JUMP",
            Action::Copy(_) => "COPY",
            Action::Drop => "DROP",
            Action::Exit => "EXIT",
            Action::Hold => "HOLD",
        }
    }
}

/// An action as it was read: the labels below it are not known yet.
pub enum Read {
    Action(Action),
    Jump(String),
}

/// Reads an action and its argument.
pub fn read(words: &[Word]) -> Result<Read, String> {
    let [action, arguments @ ..] = words else { return Err("the action is missing".into()) };
    let name = action.text.to_ascii_uppercase();
    match name.as_str() {
        "DROP" | "EXIT" | "HOLD" if !arguments.is_empty() => Err(format!("{name} takes no argument")),
        "DROP" => Ok(Read::Action(Action::Drop)),
        "EXIT" => Ok(Read::Action(Action::Exit)),
        "HOLD" => Ok(Read::Action(Action::Hold)),
        "REJECT" => text(one(arguments, "REJECT takes a text, in quotes")?).map(Read::Action),
        "COPY" => address(one(arguments, "COPY takes an address")?).map(Read::Action),
        "JUMP" => {
            let label = one(arguments, "JUMP takes a label")?;
            Ok(Read::Jump(label.strip_prefix(':').unwrap_or(label).to_ascii_lowercase()))
        }
        "RUN" => Err("RUN is not carried out here: no program runs for a message before its recipients \
                      are known; COPY it to an address whose account delivers to a program"
            .into()),
        _ => Err(format!(
            "{:?} is no action: REJECT, JUMP, COPY, DROP, EXIT and HOLD are (are there quotes around \
             what has blanks?)",
            action.text
        )),
    }
}

fn one<'w>(arguments: &'w [Word], otherwise: &str) -> Result<&'w str, String> {
    match arguments {
        [one] if !one.text.trim().is_empty() => Ok(&one.text),
        [] | [_] => Err(otherwise.to_owned()),
        [_, ..] => Err(format!("{otherwise}, and nothing behind it")),
    }
}

fn text(text: &str) -> Result<Action, String> {
    let text = text.trim().replace("\\\\", "\\");
    if text.len() > TEXT_BYTES_MAX || text.chars().any(|one| !(' '..='~').contains(&one)) {
        return Err(format!(
            "the text of REJECT has at most {TEXT_BYTES_MAX} printable ASCII characters: it stands in a \
             report's Diagnostic-Code"
        ));
    }
    Ok(Action::Reject(text))
}

fn address(text: &str) -> Result<Action, String> {
    let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    match Address::parse(bare.as_bytes(), false, true) {
        Ok(address) => Ok(Action::Copy(address.to_string())),
        Err(_) => Err(format!("{text:?} is no address: COPY takes one with its domain")),
    }
}
