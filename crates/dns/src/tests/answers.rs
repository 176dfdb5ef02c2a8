//! What answers mean.

use super::*;
use std::net::Ipv4Addr;

use crate::{Answer, Tlsa};
use black_box::stub_dns::Behaviour;

#[test]
fn mail_exchangers_come_by_preference() {
    let stub = StubDns::with(&[
        ("example.test", "MX", 300, "30 c.test"),
        ("example.test", "MX", 300, "5 A.test"),
        ("example.test", "MX", 300, "10 b.test"),
    ]);
    let list = resolver(&[&stub]).mx("example.test").unwrap();
    assert_eq!(list[0], Mx { preference: 5, host: "a.test".into() });
    assert_eq!(hosts(list), ["a.test", "b.test", "c.test"]);
}

/// RFC 7505
#[test]
fn a_domain_without_mail_has_one_exchanger_without_a_name() {
    let stub = StubDns::with(&[
        ("none.test", "MX", 300, "0 "),
        ("both.test", "MX", 300, "0 "),
        ("both.test", "MX", 300, "10 mx.test"),
    ]);
    let resolver = resolver(&[&stub]);
    assert_eq!(resolver.mx("none.test").unwrap(), [Mx { preference: 0, host: String::new() }]);
    assert_eq!(hosts(resolver.mx("both.test").unwrap()), ["mx.test"]);
}

#[test]
fn no_such_domain_and_no_such_record_are_told_apart() {
    let stub = StubDns::with(&[("mail.example.test", "A", 300, "192.0.2.1")]);
    let resolver = resolver(&[&stub]);
    assert_eq!(resolver.mx("example.test"), Err(DnsError::NoData));
    assert_eq!(resolver.mx("other.test"), Err(DnsError::NoSuchDomain));
    assert_eq!(resolver.addresses("example.test"), Err(DnsError::NoData));
    assert_eq!(resolver.addresses("other.test"), Err(DnsError::NoSuchDomain));
    // A name that does not exist is not asked about twice.
    assert_eq!(stub.count("other.test", "AAAA"), 0);
}

#[test]
fn a_name_that_cannot_exist_is_not_asked_about() {
    let stub = StubDns::start();
    let resolver = resolver(&[&stub]);
    for name in ["", "a..b", "exa mple.test", "a\r\nb", "[192.0.2.1]"] {
        assert_eq!(resolver.mx(name), Err(DnsError::NoSuchDomain), "{name:?}");
        assert_eq!(resolver.addresses(name), Err(DnsError::NoSuchDomain), "{name:?}");
    }
    assert_eq!(stub.queries(), []);
}

#[test]
fn a_name_in_utf_8_is_asked_for_in_punycode() {
    let stub = StubDns::with(&[("xn--bcher-kva.test", "MX", 300, "10 mx.test")]);
    assert_eq!(hosts(resolver(&[&stub]).mx("Bücher.test").unwrap()), ["mx.test"]);
}

#[test]
fn addresses_of_both_kinds_come_together() {
    let stub = StubDns::with(&[
        ("both.test", "AAAA", 300, "2001:db8::1"),
        ("both.test", "A", 300, "192.0.2.1"),
        ("six.test", "AAAA", 300, "2001:db8::2"),
    ]);
    let resolver = resolver(&[&stub]);
    let shown = |host| resolver.addresses(host).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown("both.test"), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(shown("six.test"), ["2001:db8::2"]);
    stub.forget_queries();
    assert_eq!(shown("192.0.2.7"), ["192.0.2.7"]);
    assert_eq!(stub.queries(), []);
}

#[test]
fn aliases_are_followed_by_the_server_or_by_us() {
    let records = [
        ("alias.test", "CNAME", 300, "middle.test"),
        ("middle.test", "CNAME", 300, "END.test"),
        ("end.test", "MX", 300, "10 mx.test"),
        ("end.test", "A", 300, "192.0.2.1"),
        ("dangling.test", "CNAME", 300, "nowhere.test"),
        ("barren.test", "CNAME", 300, "mx.test"),
        ("mx.test", "A", 300, "192.0.2.2"),
    ];
    for behaviour in [Behaviour::Normal, Behaviour::BareAliases] {
        let stub = StubDns::with(&records);
        stub.behave(behaviour);
        let resolver = resolver(&[&stub]);
        assert_eq!(hosts(resolver.mx("alias.test").unwrap()), ["mx.test"], "{behaviour:?}");
        assert_eq!(resolver.addresses("alias.test").unwrap().len(), 1, "{behaviour:?}");
        assert_eq!(resolver.mx("dangling.test"), Err(DnsError::NoSuchDomain), "{behaviour:?}");
        assert_eq!(resolver.mx("barren.test"), Err(DnsError::NoData), "{behaviour:?}");
    }
}

#[test]
fn an_alias_keeps_no_longer_than_its_shortest_part() {
    let stub = StubDns::with(&[("alias.test", "CNAME", 3, "end.test"), ("end.test", "TXT", 300, "x")]);
    for behaviour in [Behaviour::Normal, Behaviour::BareAliases] {
        stub.behave(behaviour);
        stub.forget_queries();
        let (resolver, clock) = timed(&[&stub]);
        resolver.txt("alias.test").unwrap();
        clock.pass(2);
        resolver.txt("alias.test").unwrap();
        assert_eq!(stub.count("alias.test", "TXT"), 1, "{behaviour:?}");
        clock.pass(1);
        resolver.txt("alias.test").unwrap();
        assert_eq!(stub.count("alias.test", "TXT"), 2, "{behaviour:?}");
    }
}

#[test]
fn aliases_in_a_circle_or_without_end_are_a_temporary_failure() {
    for behaviour in [Behaviour::Normal, Behaviour::BareAliases] {
        let stub = StubDns::with(&[("a.test", "CNAME", 300, "b.test"), ("b.test", "CNAME", 300, "a.test")]);
        for n in 0..30 {
            stub.add(&format!("n{n}.test"), "CNAME", 300, &format!("n{}.test", n + 1));
        }
        stub.behave(behaviour);
        let resolver = resolver(&[&stub]);
        for name in ["a.test", "n0.test"] {
            let Err(DnsError::Temporary(why)) = resolver.mx(name) else { panic!("{behaviour:?} {name}") };
            assert!(why.contains("in a circle or too far"), "{why}");
        }
        assert!(stub.queries().len() < 30);
        assert_eq!(resolver.mx("n25.test"), Err(DnsError::NoSuchDomain));
    }
}

/// Forgers add records for other names to an answer; they count for nothing.
#[test]
fn records_of_other_names_are_passed_over() {
    let stub = StubDns::with(&[("example.test", "A", 300, "192.0.2.1")]);
    let message = crate::tests::nonsense::answer_with_strangers();
    let name = hickory_proto::rr::Name::from_ascii("example.test.").unwrap();
    let reading = crate::reading::read(&message, &name, hickory_proto::rr::RecordType::A);
    let address = crate::answer::Record::Address("192.0.2.1".parse().unwrap());
    assert_eq!(reading, crate::reading::Reading::Found(vec![address], 300));
    assert_eq!(resolver(&[&stub]).addresses("example.test").unwrap().len(), 1);
}

/// RFC 2308 §2.2: a server may leave the SOA record out; somebody else may know better, and nobody remembers it.
#[test]
fn none_without_a_soa_record_is_believed_only_if_nobody_knows_better() {
    let (vague, sure) = (StubDns::start(), StubDns::with(&[("example.test", "MX", 300, "10 mx.test")]));
    vague.behave(Behaviour::WithoutSoa);
    assert_eq!(hosts(resolver(&[&vague, &sure]).mx("example.test").unwrap()), ["mx.test"]);
    let alone = resolver(&[&vague]);
    assert_eq!(alone.mx("example.test"), Err(DnsError::NoSuchDomain));
    assert_eq!(alone.mx("example.test"), Err(DnsError::NoSuchDomain));
    assert_eq!(vague.count("example.test", "MX"), 3);
}

#[test]
fn text_of_several_strings_is_one() {
    let long = "v=spf1 ".to_owned() + &"ip4:192.0.2.1 ".repeat(30) + "-all";
    let stub = StubDns::with(&[("example.test", "TXT", 300, &long), ("example.test", "TXT", 300, "other")]);
    let mut texts = resolver(&[&stub]).txt("example.test").unwrap();
    texts.sort();
    assert_eq!(texts, [b"other".to_vec(), long.into_bytes()]);
}

#[test]
fn tlsa_records_say_whether_they_were_validated() {
    let stub = StubDns::with(&[
        ("_25._tcp.mx.test", "TLSA", 300, "3 1 1 00ff"),
        ("mx.test", "MX", 300, "1 mx.test"),
    ]);
    let tlsa = vec![Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0, 255] }];
    let resolver = forgetful(&[&stub]);
    assert_eq!(resolver.tlsa("_25._tcp.mx.test"), Ok(Answer { value: tlsa.clone(), secure: false }));
    stub.validate(true);
    assert_eq!(resolver.tlsa("_25._tcp.mx.test"), Ok(Answer { value: tlsa, secure: true }));
    assert!(resolver.mx_answer("mx.test").unwrap().secure);
}

#[test]
fn addresses_have_names() {
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    let stub = StubDns::with(&[
        ("1.2.0.192.in-addr.arpa", "PTR", 300, "Mail.example.test"),
        (six, "PTR", 300, "six.example.test"),
    ]);
    let resolver = resolver(&[&stub]);
    assert_eq!(resolver.ptr("192.0.2.1".parse().unwrap()).unwrap(), ["mail.example.test"]);
    assert_eq!(resolver.ptr("::ffff:192.0.2.1".parse().unwrap()).unwrap(), ["mail.example.test"]);
    assert_eq!(resolver.ptr("2001:db8::1".parse().unwrap()).unwrap(), ["six.example.test"]);
    assert_eq!(resolver.ptr("192.0.2.2".parse().unwrap()), Err(DnsError::NoSuchDomain));
}

/// A list of thousands is cut; it does not fill memory or the cache.
#[test]
fn an_endless_list_has_an_end() {
    let stub = StubDns::start();
    for n in 0..2000 {
        stub.add("example.test", "MX", 300, &format!("{n} m{n}.test"));
    }
    let list = resolver(&[&stub]).mx("example.test").unwrap();
    assert_eq!((list.len(), list[0].host.as_str()), (200, "m0.test"));
}

/// As SPF asks for local parts (RFC 7208 §7).
#[test]
fn labels_may_have_signs_that_no_host_has() {
    let stub = StubDns::with(&[("a+b%c=d.example.test", "A", 60, "127.0.0.2")]);
    let resolver = resolver(&[&stub]);
    assert_eq!(resolver.ipv4("A+b%c=d.example.test").unwrap(), [Ipv4Addr::new(127, 0, 0, 2)]);
    assert_eq!(resolver.ipv4("a*b.example.test"), Err(DnsError::NoSuchDomain));
    assert_eq!(stub.count("a*b.example.test", "A"), 1);
    assert_eq!(resolver.addresses("a+b%c=d.example.test"), Err(DnsError::NoSuchDomain));
}
