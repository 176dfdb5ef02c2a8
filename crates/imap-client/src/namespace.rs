//! Where the user's own mailboxes are (RFC 2342).

use crate::error::Result;
use crate::session::Session;
use crate::value::Value;

/// Prefixes, as the server gave them, with what divides levels below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub personal: Vec<(String, Option<char>)>,
    /// Of others, and shared ones.
    pub others: Vec<String>,
}

impl Namespaces {
    fn of(values: &[Value]) -> Namespaces {
        let prefixes = |value: Option<&Value>| -> Vec<(String, Option<char>)> {
            let all = value.and_then(Value::list).unwrap_or_default();
            all.iter().filter_map(|one| prefix(one.list()?)).collect()
        };
        let others = [prefixes(values.get(1)), prefixes(values.get(2))].concat();
        Namespaces {
            personal: prefixes(values.first()),
            others: others.into_iter().map(|(prefix, _)| prefix).collect(),
        }
    }
}

fn prefix(values: &[Value]) -> Option<(String, Option<char>)> {
    let prefix = String::from_utf8_lossy(values.first()?.bytes()?).into_owned();
    let divider = values.get(1).and_then(Value::bytes).and_then(|bytes| bytes.first().copied());
    Some((prefix, divider.map(char::from)))
}

impl Session {
    /// The server's namespaces; none when it does not tell.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn namespaces(&mut self) -> Result<Namespaces> {
        let mut found = Namespaces::default();
        if !self.can("NAMESPACE") {
            return Ok(found);
        }
        self.run("NAMESPACE", "NAMESPACE", |response| {
            let values = response.values()?;
            if values.get(1).is_some_and(|word| word.is("NAMESPACE")) {
                found = Namespaces::of(&values[2..]);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::parse;

    #[test]
    fn namespaces_of_a_server() {
        let text = br#"(("INBOX." ".")) (("Other." ".")) NIL"#;
        let found = Namespaces::of(&parse(text, vec![]).unwrap());
        assert_eq!(found.personal, [("INBOX.".to_owned(), Some('.'))]);
        assert_eq!(found.others, ["Other."]);
        assert_eq!(Namespaces::of(&parse(b"NIL x (NIL)", vec![]).unwrap()), Namespaces::default());
    }
}
