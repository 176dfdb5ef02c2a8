//! Counting how TLS went, for the reports of RFC 8460.

use mta_sts::Policy;
use smtp_client::{TlsFault, Tlsa};
use tls_report::{Failed, Noted, PolicyType};

use crate::outbound::Outbound;
use crate::stages::targets::Target;

/// What a session is counted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    policy: PolicyType,
    strings: Vec<String>,
    mx_hosts: Vec<String>,
}

impl Counted {
    pub fn no_policy() -> Counted {
        Counted { policy: PolicyType::None, strings: Vec::new(), mx_hosts: Vec::new() }
    }

    pub fn sts(policy: &Policy) -> Counted {
        Counted { policy: PolicyType::Sts, strings: policy.lines(), mx_hosts: policy.mx.clone() }
    }

    /// The records as a zone file has them (RFC 8460 §4.2).
    pub fn tlsa(records: &[Tlsa]) -> Counted {
        let line = |one: &Tlsa| {
            let data: String = base::hex::encode(&one.data);
            format!("{} {} {} {data}", one.usage, one.selector, one.matching)
        };
        let strings = records.iter().map(line).collect();
        Counted { policy: PolicyType::Tlsa, strings, mx_hosts: Vec::new() }
    }

    /// Counts one session with `target`, or one that did not come about because of TLS.
    pub fn note(&self, outbound: &Outbound, target: &Target, failed: Option<(&str, &str)>) {
        let failed = failed.map(|(result, text)| Failed {
            result: result.to_owned(),
            mx: target.peer.host.clone(),
            ip: target.peer.address.ip().to_string(),
            text: text.to_owned(),
        });
        self.note_failed(outbound, &target.next_hop, failed);
    }

    /// The same, of the destination and not of a host of it.
    pub fn note_domain(&self, outbound: &Outbound, domain: &str, result: &str, text: &str) {
        let (mx, ip) = (String::new(), String::new());
        let failed = Failed { result: result.to_owned(), mx, ip, text: text.to_owned() };
        self.note_failed(outbound, domain, Some(failed));
    }

    fn note_failed(&self, outbound: &Outbound, domain: &str, failed: Option<Failed>) {
        let Some(tally) = &outbound.tally else { return };
        let Counted { policy, strings, mx_hosts } = self;
        tally.note(&Noted { domain, policy: *policy, strings, mx_hosts, failed });
    }
}

/// The word of RFC 8460 §4.3 for what was wrong with TLS.
pub fn result_of(fault: Option<TlsFault>) -> &'static str {
    match fault {
        Some(TlsFault::NotOffered) => "starttls-not-supported",
        Some(TlsFault::HostMismatch) => "certificate-host-mismatch",
        Some(TlsFault::Expired) => "certificate-expired",
        Some(TlsFault::NotTrusted) => "certificate-not-trusted",
        Some(TlsFault::Other) | None => "validation-failure",
    }
}

/// The same, for a policy that could not be fetched.
pub fn result_of_fetch(fault: mta_sts::Fault) -> &'static str {
    match fault {
        mta_sts::Fault::Fetch => "sts-policy-fetch-error",
        mta_sts::Fault::Invalid => "sts-policy-invalid",
        mta_sts::Fault::WebPki => "sts-webpki-invalid",
    }
}
