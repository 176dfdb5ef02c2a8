//! Whether a host's name is one that a certificate or a policy is for (RFC 6125 §6.4, RFC 8461 §4.1).

/// In any case. A `*` is the whole first label, one and only that, and not of a top-level domain.
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(above) => {
            let below = name.split_once('.');
            above.contains('.')
                && below.is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(above))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_the_first_label_and_nothing_else() {
        for (pattern, name, expected) in [
            ("mx.example.org", "MX.example.org", true),
            ("mx.example.org", "example.org", false),
            ("*.example.org", "mx.EXAMPLE.org", true),
            ("*.example.org", "a.mx.example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("m*.example.org", "mx.example.org", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} for {name}");
        }
    }
}
