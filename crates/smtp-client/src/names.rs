//! Whether a certificate is for one of several names (RFC 6125 §6.4).

use openssl::x509::X509Ref;

/// Whether one of the certificate's DNS names is one of `names`. `.example.org` among them is any name below
/// `example.org`. The subject's common name is not looked at.
pub(crate) fn is_for(certificate: &X509Ref, names: &[String]) -> bool {
    let Some(alternatives) = certificate.subject_alt_names() else { return false };
    alternatives
        .iter()
        .filter_map(|one| one.dnsname())
        .any(|shown| names.iter().any(|name| fits(shown, name)))
}

/// `shown` may have a `*` for its first label, and for nothing else.
fn fits(shown: &str, name: &str) -> bool {
    if let Some(above) = name.strip_prefix('.') {
        let shown = shown.strip_prefix("*.").map_or(shown, |rest| if rest.contains('.') { rest } else { "" });
        let below = shown.len().checked_sub(name.len()).filter(|at| *at > 0);
        let ends = below.and_then(|at| shown.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(name));
        return ends || shown.eq_ignore_ascii_case(above);
    }
    base::host_name::fits(shown, name)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_one_label_and_a_dot_is_all_below() {
        for (shown, name, expected) in [
            ("mx.example.org", "MX.example.org", true),
            ("mx.example.org", "example.org", false),
            ("*.example.org", "mx.example.org", true),
            ("*.example.org", "a.mx.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("m*.example.org", "mx.example.org", false),
            ("mx.example.org", ".example.org", true),
            ("a.mx.example.org", ".example.org", true),
            ("*.example.org", ".example.org", true),
            ("mx.badexample.org", ".example.org", false),
            ("*.org", ".example.org", false),
            ("mx.example.net", ".example.org", false),
        ] {
            assert_eq!(fits(shown, name), expected, "{shown} for {name}");
        }
    }
}
