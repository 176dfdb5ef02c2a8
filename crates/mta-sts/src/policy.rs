//! A policy (RFC 8461 §3.2), and whether a host is one of it (§4.1).

/// The longest time a policy may be kept (§3.2).
const AGE_MAX: u64 = 31_557_600;

/// What is done about a host that does not keep to it (§5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It gets no mail.
    Enforce,
    /// It gets mail, and the failure is counted.
    Testing,
    /// There is no policy any more.
    None,
}

impl Mode {
    /// The word of the standard.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }

    fn of(word: &str) -> Option<Mode> {
        [Mode::Enforce, Mode::Testing, Mode::None].into_iter().find(|mode| mode.word() == word)
    }
}

/// What a domain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub mode: Mode,
    /// Names, `*.` before some, lower case.
    pub mx: Vec<String>,
    /// Seconds for which it holds from when it was fetched.
    pub max_age: u64,
}

impl Policy {
    /// Reads `key: value` lines, ended by CRLF or LF.
    ///
    /// # Errors
    /// What is wrong, as one clear clause.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line of it is not key: value")?;
            let value = value.trim();
            match key.trim() {
                "version" => _ = version.get_or_insert(value), // §3.2: the first counts
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" => mx.push(pattern(value).ok_or("an mx of it is no name")?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("its version is not STSv1".into());
        }
        let mode = mode.and_then(Mode::of).ok_or("its mode is none of enforce, testing and none")?;
        let digits =
            max_age.filter(|text| (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()));
        let max_age: u64 = digits.and_then(|text| text.parse().ok()).ok_or("its max_age is no number")?;
        if mx.is_empty() && mode != Mode::None {
            return Err("it names no mx".into());
        }
        Ok(Policy { mode, mx, max_age: max_age.min(AGE_MAX) })
    }

    /// Whether `host` is one of the hosts it names: a `*` is the whole first label.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.mx.iter().any(|pattern| base::host_name::fits(pattern, host))
    }

    /// The lines of the policy, for reports (RFC 8460 §4.2) and for the disk.
    pub fn lines(&self) -> Vec<String> {
        let head = ["version: STSv1".to_owned(), format!("mode: {}", self.mode.word())];
        let hosts = self.mx.iter().map(|mx| format!("mx: {mx}"));
        head.into_iter().chain(hosts).chain([format!("max_age: {}", self.max_age)]).collect()
    }
}

/// A name, or one behind `*.`.
fn pattern(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let name = text.strip_prefix("*.").unwrap_or(&text);
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (name.len() <= 253 && name.split('.').all(fits)).then_some(text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// §3.2, the example of the standard.
    const EXAMPLE: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n\
                           mx: backupmx.example.com\r\nmax_age: 604800\r\n";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        assert_eq!(policy.mx, ["mail.example.com", "*.example.net", "backupmx.example.com"]);
        assert_eq!(Policy::parse(&policy.lines().join("\n")), Ok(policy));
    }

    #[test]
    fn a_star_is_one_label() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        for (host, expected) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("foo.example.net", true),
            ("foo.bar.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("mail.example.org", false),
        ] {
            assert_eq!(policy.names(host), expected, "{host}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused_and_what_is_unknown_passed_over() {
        for wrong in [
            "",
            "mode: enforce\nmx: a.test\nmax_age: 1",
            "version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1",
            "version: STSv1\nmode: strict\nmx: a.test\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmx: a.test",
            "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1",
            "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 12345678901",
            "version: STSv1\nmode: enforce\nmx: *.*.test\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmx: a b.test\nmax_age: 1",
            "<html>not found</html>",
        ] {
            assert!(Policy::parse(wrong).is_err(), "{wrong}");
        }
        let twice =
            "version: STSv1\nmode: testing\nmode: enforce\nfuture: x\nmx: a.test\nmax_age: 9999999999\n";
        let policy = Policy::parse(twice).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Testing, AGE_MAX));
        assert_eq!(Policy::parse("version: STSv1\nmode: none\nmax_age: 1").unwrap().mode, Mode::None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}", host in "\\PC{0,40}") {
            if let Ok(policy) = Policy::parse(&text) {
                policy.names(&host);
            }
        }
    }
}
