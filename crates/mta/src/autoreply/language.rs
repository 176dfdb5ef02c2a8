//! In which language an automatic message is written (guide: Language criteria for Replies; S27 to S29, S88 to S91).
//!
//! 1. what the message's Prefer-Language or X-Accept-Language asks for,
//! 2. `preferredLanguage` of the reader, if the directory knows him,
//! 3. the line of `service.smtp.domainlangtable` for the reader's domain,
//! 4. English.
//!
//! Each gives a list; the first language of it that has a text is taken. `local.service.smtp.sitelanguageonly` puts the
//! site's language in the place of the first three.

use directory::Entry as Account;
use mail_format::{header_field, unfold};
use server_config::Config;
use server_config::parameters::{general, service_smtp};

/// Header fields of the first criterion, the first one there counts. The last is the standard's (RFC 3282).
const FIELDS: [&str; 3] = ["Prefer-Language", "X-Accept-Language", "Accept-Language"];
/// Languages of one list at most.
const LANGUAGES_MAX: usize = 32;
/// Characters of a tag at most.
const TAG_MAX: usize = 35;
/// What everybody is supposed to understand.
pub const LAST: &str = "en";

/// The configuration of this choice.
#[derive(Clone, Debug, Default)]
pub struct Languages {
    /// `gen.sitelanguage`
    pub site: String,
    /// `local.service.smtp.sitelanguageonly`
    pub site_only: bool,
    table: Vec<(String, Vec<String>)>,
}

/// One criterion's list.
struct Wish {
    languages: Vec<String>,
    /// Whether French will do for Belgian French. The table says everything itself.
    loosely: bool,
}

impl Languages {
    pub fn from_config(config: &Config) -> Languages {
        Languages {
            site: tag(&config.get(&general::SITE_LANGUAGE)).unwrap_or_else(|| LAST.into()),
            site_only: config.get(&service_smtp::SITE_LANGUAGE_ONLY),
            table: table(&config.get(&service_smtp::DOMAIN_LANG_TABLE)),
        }
    }

    /// The language for a reader: the header of the message that is answered, the reader's entry and address.
    pub fn choose(
        &self,
        header: &[u8],
        reader: Option<&Account>,
        address: &str,
        has_text: impl Fn(&str) -> bool,
    ) -> String {
        self.wishes(header, reader, address)
            .iter()
            .find_map(|wish| wish.first(&has_text))
            .unwrap_or_else(|| LAST.to_owned())
    }

    fn wishes(&self, header: &[u8], reader: Option<&Account>, address: &str) -> Vec<Wish> {
        if self.site_only {
            return vec![Wish { languages: vec![self.site.clone()], loosely: true }];
        }
        let asked = FIELDS.iter().find_map(|name| header_field(header, name));
        let preferred = reader.and_then(|reader| reader.language.as_deref()).unwrap_or("");
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        vec![
            Wish { languages: asked.map(accepted).unwrap_or_default(), loosely: true },
            Wish { languages: accepted(preferred.as_bytes()), loosely: true },
            Wish { languages: self.of_domain(domain), loosely: false },
        ]
    }

    /// The most special line: `grp.co.jp` before `jp` (S28).
    fn of_domain(&self, domain: &str) -> Vec<String> {
        let domain = base::idn::domain(domain);
        let suffixes = std::iter::once(domain.as_str())
            .chain(domain.match_indices('.').map(|(at, _)| &domain[at + 1..]));
        for suffix in suffixes {
            if let Some((_, languages)) = self.table.iter().find(|(key, _)| key == suffix) {
                return languages.clone();
            }
        }
        Vec::new()
    }
}

impl Wish {
    fn first(&self, has_text: &impl Fn(&str) -> bool) -> Option<String> {
        self.languages.iter().find_map(|language| {
            // RFC 4647 §3.4: each in its order, from its end, part by part.
            let shorter = language.rmatch_indices('-').map(|(at, _)| &language[..at]);
            let shorter = shorter.filter(|_| self.loosely);
            let mut forms = std::iter::once(language.as_str()).chain(shorter);
            forms.find(|language| has_text(language)).map(str::to_owned)
        })
    }
}

/// `fr-BE, fr;q=0.8, en;q=0.3`: what is wanted most comes first.
fn accepted(value: &[u8]) -> Vec<String> {
    let value = String::from_utf8_lossy(&unfold(value)).into_owned();
    let items: Vec<&str> = if value.contains([',', ';']) {
        value.split(',').collect()
    } else {
        value.split_whitespace().collect()
    };
    let mut wanted: Vec<(u32, String)> = Vec::new();
    for item in items.into_iter().take(LANGUAGES_MAX) {
        let mut parts = item.split(';');
        let language = parts.next().and_then(tag);
        let weight =
            parts.find_map(|part| part.trim().strip_prefix("q=")).unwrap_or("1").trim().parse::<f32>();
        if let (Some(language), Some(weight)) = (language, weight.ok().filter(|weight| *weight > 0.0)) {
            wanted.push(((weight.min(1.0) * 1000.0) as u32, language));
        }
    }
    wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(_, language)| language).collect()
}

/// `country-or-domain list`, lines apart by `$`; in a list `,` and `|` mean the same.
fn table(text: &str) -> Vec<(String, Vec<String>)> {
    let lines = text.split(['$', '\n']).map(str::trim);
    lines
        .filter_map(|line| {
            let (key, list) = line.split_once(char::is_whitespace)?;
            let key = key.trim_start_matches("*.").trim_start_matches('.');
            let key = base::idn::domain(key);
            let list = list.split([',', '|', ' ', '\t']).filter_map(tag).take(LANGUAGES_MAX);
            Some((key, list.collect()))
        })
        .collect()
}

/// A language tag in lower case; nothing when it is none.
pub fn tag(text: &str) -> Option<String> {
    let text = text.trim();
    let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (legal && !text.is_empty() && text.len() <= TAG_MAX).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::tests::account;
    use proptest::prelude::*;

    fn languages(text: &str) -> Languages {
        Languages { site: "en".into(), site_only: false, table: table(text) }
    }

    fn has(some: &'static [&'static str]) -> impl Fn(&str) -> bool {
        move |language| some.contains(&language)
    }

    const BUILT_IN: &[&str] = &["en", "fr", "de", "es", "ja"];

    /// S27.
    #[test]
    fn the_recommended_table_gives_each_country_its_language() {
        let recommended = languages("fr fr$de de$es es$jp ja");
        for (domain, language) in [
            ("example.fr", "fr"),
            ("example.de", "de"),
            ("a.b.ES", "es"),
            ("example.jp", "ja"),
            ("x.test", "en"),
        ] {
            assert_eq!(recommended.choose(b"", None, &format!("x@{domain}"), has(BUILT_IN)), language);
        }
    }

    /// S28.
    #[test]
    fn the_line_of_a_domain_counts_before_that_of_its_country() {
        for text in ["jp ja$grp.co.jp en", "grp.co.jp en$jp ja"] {
            let table = languages(text);
            let of = |domain: &str| table.choose(b"", None, &format!("a@{domain}"), has(BUILT_IN));
            assert_eq!(
                [of("grp.co.jp"), of("sub.GRP.co.jp"), of("x.co.jp"), of("notgrp.co.jp")],
                ["en", "en", "ja", "ja"]
            );
        }
    }

    /// S29: commas and bars mean the same; the first with a text; English when none has.
    #[test]
    fn a_list_is_gone_through_in_order() {
        for text in ["be fr-BE|nl-BE,fr|nl", "be fr-BE, nl-BE, fr, nl"] {
            let table = languages(text);
            let of = |texts| table.choose(b"", None, "x@example.be", has(texts));
            assert_eq!(of(&["nl"]), "nl");
            assert_eq!(of(&["fr", "nl-be"]), "nl-be");
            assert_eq!(of(&["fr", "nl"]), "fr");
            assert_eq!(of(&["de", "ja"]), "en");
        }
        assert_eq!(
            languages("be fr-BE").choose(b"", None, "x@a.be", has(&["fr"])),
            "en",
            "the list says everything"
        );
    }

    /// S88 to S91, each before the next.
    #[test]
    fn the_four_criteria_count_in_their_order() {
        let table = languages("fr fr");
        let reader = account(&[("preferredlanguage", "de")]);
        let ja = b"Subject: x\r\nX-Accept-Language: ko, ja-JP\r\n\r\n";
        let choose = |header: &[u8], reader, address| table.choose(header, reader, address, has(BUILT_IN));
        assert_eq!(choose(ja, Some(&reader), "x@a.fr"), "ja");
        assert_eq!(
            choose(b"Prefer-Language: es\r\nX-Accept-Language: ja\r\n", Some(&reader), "x@a.fr"),
            "es"
        );
        assert_eq!(choose(b"Prefer-Language: ko\r\n", Some(&reader), "x@a.fr"), "de");
        assert_eq!(choose(b"", None, "x@a.fr"), "fr");
        assert_eq!(choose(b"", None, "x@a.org"), "en");
    }

    #[test]
    fn the_site_may_speak_one_language_only() {
        let mut site = languages("fr fr");
        (site.site, site.site_only) = ("es".into(), true);
        assert_eq!(site.choose(b"Prefer-Language: ja\r\n", None, "x@a.fr", has(BUILT_IN)), "es");
    }

    #[test]
    fn weights_order_a_list_and_zero_takes_out() {
        assert_eq!(
            accepted(b" en;q=0.3, fr;q=0.8,\r\n de, ja;q=0, *, x_y, es;q=nonsense"),
            ["de", "fr", "en"]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange(header in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}", address in "\\PC{0,40}") {
            let header = [b"Prefer-Language: ".to_vec(), header].concat();
            languages(&text).choose(&header, None, &address, has(BUILT_IN));
        }
    }
}
