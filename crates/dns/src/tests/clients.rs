//! Who a client is by name.

use base::access::filter::{Filters, Form};
use base::access::{Rules, Service, Verdict};
use black_box::stub_dns::Behaviour;

use super::*;
use crate::Clients;

/// Addresses of documentation with names that do and do not lead back.
fn world() -> StubDns {
    StubDns::with(&[
        ("1.2.0.192.in-addr.arpa", "PTR", 300, "Mail.example.test"),
        ("mail.example.test", "A", 300, "192.0.2.1"),
        ("2.2.0.192.in-addr.arpa", "PTR", 300, "mail.example.test"),
        ("3.2.0.192.in-addr.arpa", "PTR", 300, "nowhere.test"),
        ("4.2.0.192.in-addr.arpa", "PTR", 300, "nowhere.test"),
        ("4.2.0.192.in-addr.arpa", "PTR", 300, "second.example.test"),
        ("second.example.test", "A", 300, "192.0.2.99"),
        ("second.example.test", "A", 300, "192.0.2.4"),
    ])
}

fn verdict(clients: &Clients, denied: &str, address: &str) -> Verdict {
    let denied = Filters::parse(denied, Form::Denying).unwrap();
    let rules = Rules { denied, ..Rules::default() };
    clients.admits(&rules, Service::Smtp, address.parse().unwrap())
}

#[test]
fn a_name_counts_when_it_leads_back_to_the_address() {
    let stub = world();
    let clients = Clients::new(settings(&[&stub]), Log::discard());
    for (denied, address, refused) in [
        (".example.test", "192.0.2.1", true),
        ("mail.example.test", "192.0.2.1", true),
        ("other.example.test", "192.0.2.1", false),
        ("KNOWN", "192.0.2.1", true),
        (".example.test", "192.0.2.2", false), // says so, but is not
        ("DNSSPOOFER", "192.0.2.2", true),
        ("DNSSPOOFER", "192.0.2.3", true),
        (".example.test", "192.0.2.4", true),
        ("UNKNOWN", "192.0.2.5", true),
        ("KNOWN DNSSPOOFER .example.test", "192.0.2.5", false),
        (".example.test", "::ffff:192.0.2.1", true),
    ] {
        let expected = if refused { Verdict::Refused } else { Verdict::Allowed };
        assert_eq!(verdict(&clients, denied, address), expected, "{denied} {address}");
    }
}

#[test]
fn rules_without_names_ask_nobody() {
    let stub = world();
    let clients = Clients::new(settings(&[&stub]), Log::discard());
    assert_eq!(verdict(&clients, "192.0.2. ALL", "192.0.2.1"), Verdict::Refused);
    assert_eq!(verdict(&clients, "LOCAL", "127.0.0.1"), Verdict::Refused);
    assert_eq!(stub.queries(), []);
}

#[test]
fn a_client_whose_name_nobody_can_tell_is_refused_for_now_at_most() {
    let stub = world();
    stub.behave(Behaviour::ServFail);
    let clients = Clients::new(settings(&[&stub]), Log::discard());
    let allowed = Filters::parse(".example.test", Form::Allowing).unwrap();
    let rules = Rules { allowed, ..Rules::default() };
    let address = "192.0.2.1".parse().unwrap();
    assert_eq!(clients.admits(&rules, Service::Smtp, address), Verdict::RefusedForNow);
    assert_eq!(verdict(&clients, ".example.test", "192.0.2.1"), Verdict::Allowed);
    let filter = ["+smtp:.example.test".to_owned()];
    assert!(clients.admits_user(&filter, Service::Smtp, address).unwrap_err().for_now);
    assert!(clients.admits_user(&filter, Service::Imap, address).is_ok());
    stub.behave(Behaviour::Normal);
    assert_eq!(clients.admits(&rules, Service::Smtp, address), Verdict::Allowed);
}

#[test]
fn a_value_that_cannot_be_read_lets_nobody_in() {
    let clients = Clients::new(settings(&[]), Log::discard());
    let broken = ["+imap:ALL".to_owned(), "imap ALL".to_owned()];
    let no = clients.admits_user(&broken, Service::Imap, "192.0.2.1".parse().unwrap()).unwrap_err();
    assert!(!no.for_now && no.to_string().starts_with("mailAccessDomain cannot be read: "), "{no}");
    let rules = Rules { broken: Some("x".to_owned()), ..Rules::default() };
    assert_eq!(clients.admits(&rules, Service::Imap, "127.0.0.1".parse().unwrap()), Verdict::Refused);
}
