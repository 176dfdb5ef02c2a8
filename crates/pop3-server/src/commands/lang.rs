//! LANG: the language of what stands behind `+OK` and `-ERR` (RFC 6856 §3). There is English alone, which is what
//! `i-default` is (RFC 2277 §4.5).

use connection::Io;
use pop3_wire::answer;

use crate::commands::refuse;
use crate::session::Outcome;

/// Language tags and their names, in their own language; the first is the default.
const LANGUAGES: [(&str, &str); 2] = [("i-default", "English"), ("en", "English")];

pub fn run(range: Option<&str>, io: &mut Io) -> Outcome {
    let Some(range) = range else {
        io.output.push(&answer::ok("Language listing follows"));
        for (tag, name) in LANGUAGES {
            io.output.push(format!("{tag} {name}\r\n").as_bytes());
        }
        io.output.push(b".\r\n");
        return Outcome::Done;
    };
    match chosen(range) {
        Some(tag) => {
            io.output.push(&answer::ok(&format!("{tag} The language is English")));
            Outcome::Done
        }
        None => refuse(&format!("invalid language {range}"), io),
    }
}

/// Basic filtering (RFC 4647 §3.3.1) among tags that have no subtags; `*` asks for the default.
fn chosen(range: &str) -> Option<&'static str> {
    let tags = LANGUAGES.map(|(tag, _)| tag);
    if range == "*" { Some(tags[0]) } else { tags.into_iter().find(|tag| range.eq_ignore_ascii_case(tag)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_find_the_tags_that_they_cover() {
        for (range, tag) in [
            ("*", Some("i-default")),
            ("I-DEFAULT", Some("i-default")),
            ("En", Some("en")),
            ("en-GB", None), // covers en-GB and below it, not en
            ("de", None),
            ("MUL", None),
            ("", None),
        ] {
            assert_eq!(chosen(range), tag, "{range}");
        }
    }
}
