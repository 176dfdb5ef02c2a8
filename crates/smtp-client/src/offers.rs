//! What a peer said it can do, in its answer to EHLO (RFC 5321 §4.1.1.1).

use crate::Reply;

/// The extensions that are made use of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// EHLO was understood.
    pub extended: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: the greatest message; `Some(0)` when the extension is there without a limit.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 3030: BDAT.
    pub chunking: bool,
    /// RFC 6531.
    pub smtp_utf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_codes: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 9422: recipients of one transaction at most.
    pub recipients_max: Option<usize>,
    /// RFC 9422: messages of one session at most.
    pub messages_max: Option<usize>,
    /// RFC 4954: `PLAIN` among the mechanisms.
    pub auth_plain: bool,
    /// `LOGIN` among the mechanisms.
    pub auth_login: bool,
}

impl Offers {
    /// Reads a positive answer to EHLO or LHLO; the first line is the peer's name. Unknown keywords are passed over.
    pub fn of(reply: &Reply) -> Offers {
        let mut offers = Offers { extended: true, ..Offers::default() };
        for line in reply.lines().iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or("").to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => offers.pipelining = true,
                "SIZE" => offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "8BITMIME" => offers.eight_bit = true,
                "CHUNKING" => offers.chunking = true,
                "SMTPUTF8" => offers.smtp_utf8 = true,
                "DSN" => offers.dsn = true,
                "ENHANCEDSTATUSCODES" => offers.enhanced_codes = true,
                "STARTTLS" => offers.starttls = true,
                "REQUIRETLS" => offers.require_tls = true,
                "LIMITS" => offers.limits(words),
                "AUTH" => offers.mechanisms(words),
                // The form of servers older than RFC 2554.
                _ => {
                    if let Some(first) = keyword.strip_prefix("AUTH=") {
                        offers.mechanisms(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        offers
    }

    fn limits<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().ok().filter(|limit| *limit > 0);
            match name.to_ascii_uppercase().as_str() {
                "RCPTMAX" => self.recipients_max = value,
                "MAILMAX" => self.messages_max = value,
                _ => {}
            }
        }
    }

    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for word in words {
            self.auth_plain |= word.eq_ignore_ascii_case("PLAIN");
            self.auth_login |= word.eq_ignore_ascii_case("LOGIN");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplyReader;

    fn read(text: &str) -> Offers {
        let mut used = 0;
        Offers::of(&ReplyReader::default().feed(text.as_bytes(), &mut used).unwrap().unwrap())
    }

    #[test]
    fn keywords_are_read_in_any_case_and_unknown_ones_passed_over() {
        let offers = read(
            "250-mx PIPELINING\r\n250-size 1000\r\n250-8BitMime\r\n250-XFOO bar\r\n250-AUTH LOGIN CRAM-MD5\r\n250 DSN\r\n",
        );
        let expected = Offers {
            extended: true,
            size: Some(1000),
            eight_bit: true,
            dsn: true,
            auth_login: true,
            ..Offers::default()
        };
        assert_eq!(offers, expected); // the word behind the host's name is no keyword
    }

    #[test]
    fn limits_that_make_no_sense_are_none() {
        let offers = read("250-mx\r\n250 LIMITS MAILMAX=5 rcptmax=20 RCPTDOMAINMAX=1 X\r\n");
        assert_eq!((offers.messages_max, offers.recipients_max), (Some(5), Some(20)));
        let offers = read("250-mx\r\n250 LIMITS MAILMAX=0 RCPTMAX=many\r\n");
        assert_eq!((offers.messages_max, offers.recipients_max), (None, None));
    }

    #[test]
    fn a_size_that_is_no_number_is_no_limit() {
        assert_eq!(read("250-mx\r\n250 SIZE lots\r\n").size, Some(0));
        assert_eq!(read("250-mx\r\n250 SIZE\r\n").size, Some(0));
        assert_eq!(read("250 mx\r\n").size, None);
        assert!(read("250-mx\r\n250 AUTH=PLAIN LOGIN\r\n").auth_plain);
    }
}
