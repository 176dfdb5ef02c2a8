//! LANGUAGE: the language of what is said to people (RFC 5255 §3). There is English alone, which is what `i-default` is
//! (RFC 2277 §4.5).

use connection::Output;

use crate::refusal::Refusal;

/// Language tags; the first is the default.
const LANGUAGES: [&str; 2] = ["i-default", "en"];

/// `* LANGUAGE (i-default en)`: all there are, or the first that one of `ranges` asks for.
pub fn run(ranges: &[String], out: &mut Output) -> Result<(), Refusal> {
    let told = if ranges.is_empty() {
        LANGUAGES.join(" ")
    } else {
        let chosen = ranges.iter().find_map(|range| chosen(range));
        chosen.ok_or(Refusal::Cannot("There is no text in that language"))?.to_owned()
    };
    out.push(format!("* LANGUAGE ({told})\r\n").as_bytes());
    Ok(())
}

/// Basic filtering (RFC 4647 §3.3.1) among tags without subtags; `default` and `*` ask for the default (RFC 5255 §3.2).
fn chosen(range: &str) -> Option<&'static str> {
    if range == "*" || range.eq_ignore_ascii_case("default") {
        return Some(LANGUAGES[0]);
    }
    LANGUAGES.into_iter().find(|tag| range.eq_ignore_ascii_case(tag))
}
