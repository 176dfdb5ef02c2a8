use std::net::IpAddr;

use proptest::prelude::*;

use super::filter::Form;
use super::must_log_in::MustLogIn;
use super::*;

fn visit<T>(service: Service, address: &str, host: Host, decide: impl Fn(&Visitor<'_>) -> T) -> T {
    let ask = |_: IpAddr| host.clone();
    decide(&Visitor::new(service, address.parse().unwrap(), &ask))
}

fn named(name: &str) -> Host {
    Host::Named(vec![name.to_owned()])
}

fn rules(allowed: &str, denied: &str) -> Rules {
    Rules {
        allowed: Filters::parse(allowed, Form::Allowing).unwrap(),
        denied: Filters::parse(denied, Form::Denying).unwrap(),
        broken: None,
    }
}

fn user(value: &str, service: Service, address: &str) -> Verdict {
    let values: Vec<String> = value.lines().map(str::to_owned).collect();
    visit(service, address, Host::Unknown, |visitor| user_verdict(&values, visitor).unwrap())
}

/// S133 to S135, and what is ours.
#[test]
fn peers_that_must_log_in_are_those_of_the_list() {
    for (list, peer, must) in [
        ("", "202.11.1.1", false),
        ("202.11.", "202.11.1.1", true),
        ("202.11.", "202.111.1.1", false),
        ("202.11", "202.11.1.1", true),
        ("202.11", "202.111.1.1", true),
        ("202.11", "202.12.1.1", false),
        ("202.11.1.1", "202.11.1.1", true),
        ("202.11.1.1", "202.11.1.10", false),
        ("202.11. !202.11.3.4", "202.11.3.4", false),
        ("202.11. !202.11.3.4", "202.11.3.5", true),
        ("!202.11.3.4 202.11.", "202.11.3.4", false),
        ("!202.11.3.4", "9.9.9.9", false),
        ("202.11. !202.11.3.", "202.11.3.77", false),
        ("202.11.160.0\t255.255.240.0", "202.11.170.1", true),
        ("202.11.160.0\t255.255.240.0", "202.11.176.1", false),
        ("202.11.170.\t255.255.240.0", "202.11.161.9", true),
        ("202.11.170.0\t255.0.255.0", "202.99.170.9", true),
        ("1.2.3.4 202.11.160.0\t255.255.240.0 5.", "5.5.5.5", true),
        ("202.11. !202.11.160.0\t255.255.240.0", "202.11.175.1", false),
        ("10.0.0.0/8", "10.200.1.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.", "::ffff:10.1.1.1", true),
        ("2001:db8::/32", "2001:db8:9::1", true),
        ("2001:db8:", "2001:db8:9::1", true),
        ("2001:db8:", "2001:db9::1", false),
        ("::1", "::1", true),
        ("0.0.0.0/0", "::1", false),
    ] {
        let parsed = MustLogIn::parse(list).unwrap();
        assert_eq!(parsed.includes(peer.parse().unwrap()), must, "{list:?} {peer}");
    }
    for wrong in [
        "mail.example.com",
        "!",
        "202.11. ! 1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.4.",
        "256.",
        "1..2",
        "1.2.3.4/33",
        ".",
        "1.2.3.4\tx",
        "2001:db8::/32\t255.0.0.0",
        "1:2:3:4:5:6:7:8:",
        "0001.",
    ] {
        assert!(MustLogIn::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn client_lists_mean_what_hosts_access_says() {
    let verified = named("mail.example.com");
    for (list, address, host, expected) in [
        ("ALL", "192.0.2.1", &Host::Unknown, true),
        ("*", "2001:db8::1", &Host::Unknown, true),
        ("192.0.2.", "192.0.2.1", &Host::Unknown, true),
        ("192.0.2.", "192.0.20.1", &Host::Unknown, false),
        ("192.0.2.1", "192.0.2.1", &Host::Unknown, true),
        ("192.0.2.0/24", "192.0.2.77", &Host::Unknown, true),
        ("192.0.2.0/255.255.255.0", "192.0.2.77", &Host::Unknown, true),
        ("192.0.2.0/255.255.255.0", "192.0.3.77", &Host::Unknown, false),
        ("2001:db8::/32", "2001:db8::7", &Host::Unknown, true),
        ("[2001:db8::]/32", "2001:db8::7", &Host::Unknown, true),
        ("[2001:db8::7]", "2001:db8::7", &Host::Unknown, true),
        ("10., 192.0.2.,11.", "192.0.2.1", &Host::Unknown, true),
        ("ALL EXCEPT 192.0.2.", "192.0.2.1", &Host::Unknown, false),
        ("ALL EXCEPT 192.0.2. EXCEPT 192.0.2.1", "192.0.2.1", &Host::Unknown, true),
        ("ALL EXCEPT 192.0.2. EXCEPT 192.0.2.1", "192.0.2.2", &Host::Unknown, false),
        ("all except 10.", "192.0.2.2", &Host::Unknown, true),
        ("LOCAL", "127.0.0.9", &Host::Unknown, true),
        ("LOCAL", "192.0.2.1", &named("shortname"), true),
        ("LOCAL", "192.0.2.1", &verified, false),
        ("KNOWN", "192.0.2.1", &verified, true),
        ("KNOWN", "192.0.2.1", &Host::Unknown, false),
        ("KNOWN", "192.0.2.1", &Host::Spoofer, false),
        ("KNOWN", "192.0.2.1", &Host::Unanswered, false),
        ("UNKNOWN", "192.0.2.1", &Host::Unknown, true),
        ("UNKNOWN", "192.0.2.1", &Host::Unanswered, true),
        ("UNKNOWN", "192.0.2.1", &verified, false),
        ("DNSSPOOFER", "192.0.2.1", &Host::Spoofer, true),
        ("DNSSPOOFER", "192.0.2.1", &Host::Unknown, false),
        (".example.com", "192.0.2.1", &verified, true),
        ("*.EXAMPLE.com", "192.0.2.1", &verified, true),
        (".example.com", "192.0.2.1", &named("example.com"), false),
        (".example.com", "192.0.2.1", &named("mail.badexample.com"), false),
        ("mail.example.com", "192.0.2.1", &named("MAIL.example.com."), true),
        ("example.com", "192.0.2.1", &verified, false),
        ("ALL@mail.example.com", "192.0.2.1", &verified, true),
    ] {
        let verdict = visit(Service::Imap, address, host.clone(), |v| rules("", list).decide(v));
        assert_eq!(verdict != Verdict::Allowed, expected, "{list} {address} {host:?}");
    }
}

/// original.md 6.6: the order, and what holds when nothing matches.
#[test]
fn allowing_comes_before_denying_and_allow_filters_alone_close_the_rest() {
    for (allowed, denied, address, expected) in [
        ("", "", "192.0.2.1", Verdict::Allowed),
        ("192.0.2.", "", "192.0.2.1", Verdict::Allowed),
        ("192.0.2.", "", "192.0.3.1", Verdict::Refused),
        ("", "192.0.2.", "192.0.2.1", Verdict::Refused),
        ("", "192.0.2.", "192.0.3.1", Verdict::Allowed),
        ("192.0.2.1", "ALL", "192.0.2.1", Verdict::Allowed),
        ("192.0.2.1", "ALL", "192.0.2.2", Verdict::Refused),
        ("192.0.2.1", "192.0.2.", "192.0.3.1", Verdict::Allowed),
        ("imap:192.0.2.", "", "192.0.2.1", Verdict::Allowed),
        ("pop:192.0.2.", "", "192.0.2.1", Verdict::Refused),
        ("+imap pop:192.0.2.$+imap:10.", "", "10.0.0.1", Verdict::Allowed),
        ("", "ALL EXCEPT imap: ALL", "192.0.2.1", Verdict::Allowed),
        ("", "-imap:192.0.2.1", "192.0.2.1", Verdict::Refused),
        ("2001:db8::/32", "", "2001:db8::1", Verdict::Allowed),
        ("fe80::1 ::1", "", "::1", Verdict::Allowed),
        ("imap:2001:db8::/32", "", "2001:db8::1", Verdict::Allowed),
    ] {
        let verdict = visit(Service::Imap, address, Host::Unknown, |v| rules(allowed, denied).decide(v));
        assert_eq!(verdict, expected, "+{allowed} -{denied} {address}");
    }
    let broken = Rules { broken: Some("x".to_owned()), ..rules("ALL", "") };
    assert_eq!(visit(Service::Imap, "192.0.2.1", Host::Unknown, |v| broken.decide(v)), Verdict::Refused);
}

#[test]
fn a_name_is_asked_for_once_and_only_when_a_rule_needs_it() {
    let asked = std::cell::Cell::new(0);
    let ask = |_: IpAddr| {
        asked.set(asked.get() + 1);
        Host::Unanswered
    };
    let by_address = Visitor::new(Service::Smtp, "192.0.2.1".parse().unwrap(), &ask);
    assert_eq!(rules("192.0.2. .example.com", "ALL").decide(&by_address), Verdict::Allowed);
    assert_eq!(asked.get(), 0);
    let by_name = Visitor::new(Service::Smtp, "192.0.3.1".parse().unwrap(), &ask);
    assert_eq!(rules(".example.com mail.example.org", "ALL").decide(&by_name), Verdict::RefusedForNow);
    assert_eq!(asked.get(), 1);
}

/// S136, S137: the guide's example, and the truth table of the handbook.
#[test]
fn the_guides_user_has_imap_and_its_proxy_and_nothing_else() {
    let only_imap = "+imap imapmmp:ALL$-pop popmmp:ALL";
    for (service, expected) in [
        (Service::Imap, Verdict::Allowed),
        (Service::ImapMmp, Verdict::Allowed),
        (Service::Imaps, Verdict::Refused),
        (Service::Pop, Verdict::Refused),
        (Service::PopMmp, Verdict::Refused),
        (Service::Pops, Verdict::Refused),
        (Service::Http, Verdict::Refused),
        (Service::Smtp, Verdict::Allowed), // sending is no mailbox access, and no filter speaks of it
    ] {
        assert_eq!(user(only_imap, service, "192.0.2.1"), expected, "{service:?}");
    }
}

/// S138, S139 and the rest of the table.
#[test]
fn user_filters_follow_the_truth_table() {
    let (yes, no) = (Verdict::Allowed, Verdict::Refused);
    let proxied = "+popmmp:192.0.2.1$+pop:10.0.0.1$-pop popmmp:ALL";
    let inside = "+popmmp imapmmp:192.168.1.$+pop imap:ALL";
    for (filters, service, address, expected) in [
        ("", Service::Pop, "192.0.2.1", yes),
        (proxied, Service::PopMmp, "192.0.2.1", yes),
        (proxied, Service::PopMmp, "192.0.2.2", no),
        (proxied, Service::Pop, "10.0.0.1", yes),
        (proxied, Service::Pop, "192.0.2.1", no),
        (inside, Service::ImapMmp, "192.168.1.7", yes),
        (inside, Service::ImapMmp, "192.168.2.7", no),
        (inside, Service::Imap, "192.168.2.7", yes),
        ("-pop:ALL", Service::Pop, "192.0.2.1", no),
        ("-pop:ALL", Service::Imap, "192.0.2.1", yes),
        ("+imap:10.$-imap:ALL", Service::Imap, "10.1.1.1", yes),
        ("-imap:ALL$+imap:10.", Service::Imap, "10.1.1.1", yes),
        ("+imap:10.$-imap:ALL", Service::Imap, "11.1.1.1", no),
        ("+imap:10.\n-pop:ALL", Service::Pop, "10.1.1.1", no),
        ("+imap:10.\n+pop:ALL", Service::Pop, "11.1.1.1", yes),
        ("imap:10.", Service::Imap, "10.1.1.1", yes),
        ("+smtp:10.", Service::Smtp, "11.1.1.1", no),
        ("+smtp:10.", Service::Imap, "11.1.1.1", yes),
        ("+ALL:10.", Service::Smtp, "11.1.1.1", no),
        ("-ALL EXCEPT imap:ALL", Service::Smtp, "11.1.1.1", no),
        ("-ALL EXCEPT imap:ALL", Service::Imap, "11.1.1.1", yes),
        (" + imap , imaps : 10. , 11. $ - pop : ALL ", Service::Imaps, "11.1.1.1", yes),
    ] {
        assert_eq!(user(filters, service, address), expected, "{filters} {service:?} {address}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_the_reason() {
    for (text, form, says) in [
        ("imap", Form::Whole, "no ':'"),
        ("+imapp:ALL", Form::Whole, "'imapp' is no service"),
        ("+imapp:ALL", Form::Allowing, "'imapp' is no service"),
        ("+imap:", Form::Whole, "a list is empty"),
        ("+:ALL", Form::Whole, "a list is empty"),
        ("+imap:ALL$", Form::Whole, "empty"),
        ("+imap:ALL EXCEPT", Form::Whole, "both sides"),
        ("+imap:EXCEPT ALL", Form::Whole, "both sides"),
        ("+imap:192.0.2", Form::Whole, "'192.0.2' is no address"),
        ("+imap:192.0.2.0/33", Form::Whole, "is no address"),
        ("+imap:300.", Form::Whole, "is no address"),
        ("+imap:10.x", Form::Whole, "'10.x' is no address"),
        ("+imap:joe@host", Form::Whole, "name the host alone"),
        ("-imap:ALL", Form::Allowing, "domainnotallowed"),
        ("+imap:ALL", Form::Denying, "domainallowed"),
        ("a b..c", Form::Allowing, "'b..c'"),
    ] {
        let why = Filters::parse(text, form).unwrap_err();
        assert!(why.contains(says), "{text}: {why}");
    }
    assert!(Filters::parse(&"imap:ALL EXCEPT ".repeat(20), Form::Whole).is_err());
    assert!(Filters::parse(&"a ".repeat(40_000), Form::Allowing).is_err());
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[+\\-a-c0-9ALimpopEXCEPT:$,./@*! \t\\[\\]é]{0,60}") {
        for form in [Form::Whole, Form::Allowing, Form::Denying] {
            if let Ok(filters) = Filters::parse(&text, form) {
                let ask = |_: IpAddr| Host::Named(vec!["é.c".to_owned(), "a.b".to_owned()]);
                for address in ["10.0.0.1", "2001:db8::1"] {
                    let visitor = Visitor::new(Service::Imap, address.parse().unwrap(), &ask);
                    let _ = filters.any_matches(&visitor);
                }
            }
        }
        if let Ok(list) = MustLogIn::parse(&text) {
            let _ = list.includes(IpAddr::from([10, 0, 0, 1]));
        }
    }

    /// `202.11.` and the network that it means agree on every address.
    #[test]
    fn octets_and_their_network_agree(octets in any::<[u8; 4]>(), peer in any::<[u8; 4]>(), near in any::<bool>()) {
        let peer = if near { [octets[0], octets[1], peer[2], peer[3]] } else { peer };
        let peer = IpAddr::from(peer);
        let [a, b, ..] = octets;
        let (partial, network) = (format!("{a}.{b}."), format!("{a}.{b}.0.0/16"));
        let masked = format!("{a}.{b}.0.0/255.255.0.0");
        let says = |list: &str| MustLogIn::parse(list).unwrap().includes(peer);
        prop_assert_eq!(says(&partial), says(&network));
        prop_assert_eq!(says(&partial), says(&format!("{a}.{b}.\t255.255.")));
        let filter = |list: &str| visit(Service::Pop, &peer.to_string(), Host::Unknown, |v| rules(list, "").decide(v));
        prop_assert_eq!(filter(&partial), filter(&network));
        prop_assert_eq!(filter(&partial), filter(&masked));
        prop_assert_eq!(filter(&partial) == Verdict::Allowed, says(&partial));
    }

    /// An exception never makes a list longer, and turning a filter's sign turns its answer where it matches.
    #[test]
    fn except_only_takes_away(a in any::<u8>(), b in any::<u8>(), peer in any::<[u8; 4]>()) {
        let matches = |list: &str| {
            let filters = Filters::parse(list, Form::Allowing).unwrap();
            visit(Service::Pop, &IpAddr::from(peer).to_string(), Host::Unknown, |v| filters.any_matches(v))
        };
        let (wide, narrow) = (format!("{a}."), format!("{a}.{b}."));
        let both = format!("{wide} EXCEPT {narrow}");
        prop_assert_eq!(matches(&both), matches(&wide) && !matches(&narrow));
    }
}
