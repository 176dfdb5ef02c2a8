//! The words of automatic messages: the user's, the site's, and those of `etc/autoreply`, which are built in.
//!
//! The directory marks the language of a user's text by a subtype (`mailAutoReplyText;lang-ja`), the site by the same
//! ending of `service.smtp.autoreply-handler.defaultvacation` and its two companions; `$` is a line's end in both. In the
//! words of the site and of `etc`, `%n` is the user's name, `%a` the address, `%s` the subject of what is answered.

use directory::Entry as Account;
use server_config::Config;
use server_config::parameters::service_smtp_modules;

use crate::autoreply::language::{LAST, tag};
use crate::autoreply::vacation::Mode;

/// The built-in texts: a section for each kind of message.
const BUILT_IN: [(&str, &str); 5] = [
    ("en", include_str!("../../../../etc/autoreply/en.txt")),
    ("fr", include_str!("../../../../etc/autoreply/fr.txt")),
    ("de", include_str!("../../../../etc/autoreply/de.txt")),
    ("es", include_str!("../../../../etc/autoreply/es.txt")),
    ("ja", include_str!("../../../../etc/autoreply/ja.txt")),
];

/// What the site says in the place of the built-in texts: mode, language, words.
#[derive(Clone, Debug, Default)]
pub struct SiteTexts(Vec<(Mode, String, String)>);

impl SiteTexts {
    /// A value without a language is in the site's.
    pub fn from_config(config: &Config, site_language: &str) -> SiteTexts {
        let parameters = [
            (Mode::Vacation, &service_smtp_modules::DEFAULT_VACATION),
            (Mode::Reply, &service_smtp_modules::DEFAULT_REPLY),
            (Mode::Echo, &service_smtp_modules::DEFAULT_ECHO),
        ];
        let mut texts = Vec::new();
        for (mode, parameter) in parameters {
            let plain = config.get(parameter);
            if !plain.is_empty() {
                texts.push((mode, site_language.to_owned(), lines(&plain)));
            }
            let marked = format!("{};lang-", parameter.name);
            for (name, value) in config.iter() {
                if let Some(language) = name.to_ascii_lowercase().strip_prefix(&marked).and_then(tag) {
                    texts.push((mode, language, lines(value)));
                }
            }
        }
        SiteTexts(texts)
    }

    fn text(&self, mode: Mode, language: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(of, one, _)| *of == mode && one == language);
        found.map(|(_, _, text)| text.as_str()).or_else(|| built_in(language, mode.name()))
    }
}

/// The words of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Nothing when the user did not say in which language he wrote.
    pub language: Option<String>,
    pub text: String,
}

/// The words of an account's answer. `choose` is given what languages there are texts in.
pub fn words(
    account: &Account,
    mode: Mode,
    site: &SiteTexts,
    subject: &str,
    choose: impl Fn(&dyn Fn(&str) -> bool) -> String,
) -> Words {
    let own = own_texts(account);
    if let Some((plain, _)) = own.iter().find(|(language, _)| language.is_none()).or(own.first()).cloned() {
        let has = |language: &str| own.iter().any(|(one, _)| one.as_deref() == Some(language));
        let chosen = choose(&has);
        let language = if has(&chosen) { Some(chosen) } else { plain };
        let text = own.into_iter().find(|(one, _)| *one == language).map(|(_, text)| text);
        return Words { language, text: text.unwrap_or_default() };
    }
    let language = choose(&|language| site.text(mode, language).is_some());
    let text = site.text(mode, &language).unwrap_or_default();
    Words { text: fill(text, account, subject), language: Some(language) }
}

/// The words of a report of `host` of this kind (`report`, `success`, `delayed`): language, subject, first lines. `choose` as
/// for [`words`].
pub fn report(
    host: &str,
    kind: &str,
    choose: impl Fn(&dyn Fn(&str) -> bool) -> String,
) -> (String, &'static str, String) {
    let language = choose(&|language| built_in(language, kind).is_some());
    let section = |name: &str| built_in(&language, name).or(built_in(LAST, name)).unwrap_or_default();
    let (subject, text) = (section(&format!("{kind}-subject")), section(kind).replace("%h", host));
    (language, subject, text)
}

/// A section of a built-in text.
pub fn built_in(language: &str, section: &str) -> Option<&'static str> {
    let (_, file) = BUILT_IN.iter().find(|(one, _)| *one == language)?;
    let start = file.find(&format!("[{section}]\n"))? + section.len() + 3;
    let rest = &file[start..];
    Some(rest.find("\n[").map_or(rest, |end| &rest[..end]).trim_matches('\n'))
}

/// What the user wrote, with the language if it is told.
fn own_texts(account: &Account) -> Vec<(Option<String>, String)> {
    let mut texts = Vec::new();
    for (name, values) in &account.attributes {
        let Some(options) = name.strip_prefix("mailautoreplytext") else { continue };
        let Some(value) = values.first().filter(|value| !value.trim().is_empty()) else { continue };
        let language = options.split(';').find_map(|option| option.strip_prefix("lang-")).and_then(tag);
        if options.is_empty() || options.starts_with(';') {
            texts.push((language, lines(value)));
        }
    }
    texts
}

fn lines(value: &str) -> String {
    directory::lines::read(value).trim_end().to_owned()
}

fn fill(text: &str, account: &Account, subject: &str) -> String {
    let name = account.attributes.get("cn").and_then(|values| values.first()).unwrap_or(&account.mail);
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let value = match from.as_bytes().get(1) {
            Some(b'n') => name,
            Some(b'a') => &account.mail,
            Some(b's') => subject,
            Some(b'%') => "%",
            _ => {
                filled.push('%');
                rest = &from[1..];
                continue;
            }
        };
        filled.push_str(value);
        rest = &from[2..];
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::tests::account;

    fn first_of(wanted: &'static [&'static str]) -> impl Fn(&dyn Fn(&str) -> bool) -> String {
        move |has| wanted.iter().find(|language| has(language)).unwrap_or(&"en").to_string()
    }

    #[test]
    fn every_language_has_every_text() {
        for (language, _) in BUILT_IN {
            let reports =
                ["report", "success", "delayed"].map(|kind| [kind.into(), format!("{kind}-subject")]);
            let others = ["vacation", "reply", "echo", "quota", "quota-subject"].map(str::to_owned);
            for section in reports.concat().iter().chain(&others) {
                let text = built_in(language, section).unwrap_or_default();
                assert!(text.chars().count() > 5, "{language} {section}");
                assert!(!text.contains("\n["), "{language} {section}");
            }
        }
        assert_eq!(built_in("nl", "vacation"), None);
    }

    #[test]
    fn the_users_words_come_first_in_the_language_that_is_asked_for() {
        let both = account(&[
            ("mailautoreplytext", "I am away.$Alice"),
            ("mailautoreplytext;lang-fr", "Je suis absente."),
        ]);
        let site = SiteTexts::default();
        let of = |wanted| words(&both, Mode::Vacation, &site, "x", first_of(wanted));
        assert_eq!(of(&["fr"]), Words { language: Some("fr".into()), text: "Je suis absente.".into() });
        assert_eq!(of(&["ja"]), Words { language: None, text: "I am away.\nAlice".into() });
        let french = account(&[("mailautoreplytext;lang-fr", "Je suis absente. 100 %s")]);
        let only = words(&french, Mode::Vacation, &site, "x", first_of(&["ja"]));
        assert_eq!(only.text, "Je suis absente. 100 %s", "the only words there are, as they are");
    }

    #[test]
    fn the_sites_words_come_before_the_built_in_ones() {
        let config = Config::from_text(
            "service.smtp.autoreply-handler.defaultvacation = \"%n is out: %s (100 %%)\"\n\
             service.smtp.autoreply-handler.defaultvacation;lang-nl = \"%n is$er niet.\"\n",
        )
        .unwrap();
        let site = SiteTexts::from_config(&config, "en");
        let alice = account(&[("cn", "Alice Smith")]);
        let of = |mode, wanted| words(&alice, mode, &site, "lunch", first_of(wanted)).text;
        assert_eq!(of(Mode::Vacation, &["en"]), "Alice Smith is out: lunch (100 %)");
        assert_eq!(of(Mode::Vacation, &["nl"]), "Alice Smith is\ner niet.");
        assert!(of(Mode::Vacation, &["de"]).contains("abwesend"));
        assert!(of(Mode::Reply, &["en"]).contains("lunch"));
    }
}
