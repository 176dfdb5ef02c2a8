//! The report about one destination (RFC 8460 §4.4).

use base::json::quote;

use crate::day::Counts;
use crate::{Day, PolicyType};

/// Whose report it is.
#[derive(Clone, Debug)]
pub struct About<'a> {
    pub organization: &'a str,
    /// An address.
    pub contact: &'a str,
}

/// The JSON of the report that `domain` would get about the day; nothing when there was no session.
pub fn report(day: &Day, domain: &str, about: &About<'_>) -> Option<String> {
    let policies: Vec<String> = day
        .policies
        .iter()
        .filter(|((one, _), _)| one == domain)
        .map(|((_, policy), counts)| of_policy(domain, *policy, counts))
        .collect();
    if policies.is_empty() {
        return None;
    }
    let (organization, contact) = (quote(about.organization), quote(about.contact));
    let id = quote(&format!("{}.{domain}@{}", day.name, about.organization));
    Some(format!(
        "{{\n  \"organization-name\": {organization},\n  \"date-range\": {{\n    \"start-datetime\": \"{0}T00:00:00Z\",\n    \
         \"end-datetime\": \"{0}T23:59:59Z\"\n  }},\n  \"contact-info\": {contact},\n  \"report-id\": {id},\n  \
         \"policies\": [{1}]\n}}\n",
        day.name,
        policies.join(", ")
    ))
}

fn of_policy(domain: &str, policy: PolicyType, counts: &Counts) -> String {
    let list = |texts: &[String]| texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "{{\n    \"policy\": {{\n      \"policy-type\": \"{}\",\n      \"policy-string\": [{}],\n      \
         \"policy-domain\": {},\n      \"mx-host\": [{}]\n    }},\n    \"summary\": {{\n      \
         \"total-successful-session-count\": {},\n      \"total-failure-session-count\": {}\n    }}",
        policy.word(),
        list(&counts.strings),
        quote(domain),
        list(&counts.mx_hosts),
        counts.successes,
        counts.failures
    );
    let details: Vec<String> =
        counts.failed.iter().map(|(failed, count)| of_failure(failed, *count)).collect();
    if !details.is_empty() {
        text.push_str(&format!(",\n    \"failure-details\": [{}]", details.join(", ")));
    }
    text.push_str("\n  }");
    text
}

fn of_failure(failed: &crate::Failed, count: u64) -> String {
    let mut text = format!("{{\n      \"result-type\": {}", quote(&failed.result));
    let names = ["receiving-mx-hostname", "receiving-ip", "failure-reason-code"];
    for (name, value) in names.into_iter().zip([&failed.mx, &failed.ip, &failed.text]) {
        if !value.is_empty() {
            text.push_str(&format!(",\n      \"{name}\": {}", quote(value)));
        }
    }
    text.push_str(&format!(",\n      \"failed-session-count\": {count}\n    }}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::tests::day;

    #[test]
    fn a_report_has_the_members_of_the_standard() {
        let about = About { organization: "example.test", contact: "postmaster@example.test" };
        let text = report(&day(), "a.test", &about).unwrap();
        for member in [
            "\"organization-name\": \"example.test\"",
            "\"start-datetime\": \"2026-11-29T00:00:00Z\"",
            "\"end-datetime\": \"2026-11-29T23:59:59Z\"",
            "\"contact-info\": \"postmaster@example.test\"",
            "\"policy-type\": \"sts\"",
            "\"policy-string\": [\"version: STSv1\", \"mode: testing\"]",
            "\"policy-domain\": \"a.test\"",
            "\"mx-host\": [\"*.a.test\"]",
            "\"total-successful-session-count\": 7",
            "\"total-failure-session-count\": 2",
            "\"result-type\": \"certificate-expired\"",
            "\"receiving-mx-hostname\": \"mx.a.test\"",
            "\"failed-session-count\": 2",
            "\"failure-reason-code\": \"why it \\\"was\\\"\"",
        ] {
            assert!(text.contains(member), "{member}\n{text}");
        }
        assert!(!text.contains("b.test") && !text.contains("receiving-ip"));
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(report(&day(), "b.test", &about).unwrap().contains("no-policy-found"));
        assert_eq!(report(&day(), "c.test", &about), None);
    }
}
