//! Which macros a filter gets with a command.

use crate::wire::{Options, Stage};

/// Gives the value of a macro, by its name as on the wire: `i`, `{client_addr}`.
pub type Macros<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a filter gets that did not ask for others: those of sendmail (`milter.h`) and Postfix (`MILTER_README`).
fn usual(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Connect => {
            &["j", "v", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_name}", "{if_addr}"]
        }
        Stage::Helo => &["{tls_version}", "{cipher}", "{cipher_bits}"],
        Stage::Mail => &[
            "i",
            "{auth_type}",
            "{auth_authen}",
            "{auth_author}",
            "{mail_addr}",
            "{mail_host}",
            "{mail_mailer}",
        ],
        Stage::Rcpt => &["i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"],
        Stage::Data | Stage::EndOfHeader | Stage::EndOfMessage => &["i"],
    }
}

/// Name and value of those that have one. A name that a filter wrote without braces, or with braces around one letter, is
/// the same macro.
pub(crate) fn values(options: &Options, stage: Stage, macros: Macros<'_>) -> Vec<(String, String)> {
    let asked = options.macros.iter().find(|(of, _)| *of == stage).map(|(_, names)| names);
    let value = |name: String| macros(&name).map(|value| (name, value));
    match asked {
        Some(names) => names.iter().map(|name| proper(name)).filter_map(value).collect(),
        None => usual(stage).iter().map(|name| (*name).to_owned()).filter_map(value).collect(),
    }
}

fn proper(name: &str) -> String {
    let bare = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    if bare.chars().count() == 1 { bare.to_owned() } else { format!("{{{bare}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_gets_what_it_asked_for_else_the_usual() {
        let all = |name: &str| (name != "{if_name}").then(|| format!("value of {name}"));
        let names = |options: &Options, stage| -> Vec<String> {
            values(options, stage, &all).into_iter().map(|(name, _)| name).collect()
        };
        let mut options = Options::offered();
        let usual = names(&options, Stage::Connect);
        assert_eq!(usual, ["j", "v", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_addr}"]);
        options.macros = vec![(Stage::Connect, vec!["{i}".into(), "client_addr".into(), "{_}".into()])];
        assert_eq!(names(&options, Stage::Connect), ["i", "{client_addr}", "_"]);
        options.macros = vec![(Stage::Connect, Vec::new())];
        assert!(names(&options, Stage::Connect).is_empty());
        assert_eq!(names(&options, Stage::Data), ["i"]);
    }
}
