//! The rows of the guide, S57 to S63.

use super::*;
use black_box::stub_dns::Behaviour;
use server_config::{Config, Instance};
use server_log::LogSettings;

const TWO_EQUAL: [(&str, &str, u32, &str); 3] = [
    ("example.test", "MX", 300, "10 a.example.test"),
    ("example.test", "MX", 300, "10 b.example.test"),
    ("example.test", "MX", 300, "20 c.example.test"),
];

/// S57
#[test]
fn equal_preferences_come_in_random_order_each_time() {
    let stub = StubDns::with(&TWO_EQUAL);
    for resolver in [resolver(&[&stub]), forgetful(&[&stub])] {
        let mut first = 0;
        for _ in 0..200 {
            let list = hosts(resolver.mx("example.test").unwrap());
            assert_eq!(list[2], "c.example.test");
            first += usize::from(list[0] == "a.example.test");
        }
        assert!((60..=140).contains(&first), "a came first {first} times of 200");
    }
}

/// S58
#[test]
fn a_host_that_failed_leaves_the_list_until_the_ttl_ends() {
    let stub = StubDns::with(&[
        ("example.test", "MX", 4, "10 better.example.test"),
        ("example.test", "MX", 4, "20 other.example.test"),
    ]);
    let (resolver, clock) = timed(&[&stub]);
    assert_eq!(hosts(resolver.mx("example.test").unwrap()), ["better.example.test", "other.example.test"]);
    resolver.host_failed("Example.Test.", "BETTER.example.test.");
    assert_eq!(hosts(resolver.mx("example.test").unwrap()), ["other.example.test"]);
    clock.pass(3);
    assert_eq!(hosts(resolver.mx("example.test").unwrap()), ["other.example.test"]);
    clock.pass(1);
    assert_eq!(hosts(resolver.mx("example.test").unwrap()), ["better.example.test", "other.example.test"]);
    assert_eq!(stub.count("example.test", "MX"), 2);
}

/// S58
#[test]
fn when_every_host_failed_all_come_back() {
    let stub = StubDns::with(&TWO_EQUAL);
    let resolver = resolver(&[&stub]);
    assert_eq!(resolver.mx("example.test").unwrap().len(), 3);
    resolver.host_failed("example.test", "a.example.test");
    resolver.host_failed("example.test", "b.example.test");
    assert_eq!(hosts(resolver.mx("example.test").unwrap()), ["c.example.test"]);
    resolver.host_failed("example.test", "c.example.test");
    assert_eq!(resolver.mx("example.test").unwrap().len(), 3);
}

/// S59
#[test]
fn mx_look_ups_ask_a_silent_first_server_each_time() {
    let (first, second) = (StubDns::start(), StubDns::start());
    first.behave(Behaviour::Silent);
    let resolver = impatient(&[&first, &second]);
    for name in ["a.test", "b.test", "c.test"] {
        second.add(name, "MX", 300, "10 mx.test");
        assert_eq!(hosts(resolver.mx(name).unwrap()), ["mx.test"]);
        counts([&first, &second], name, "MX", [1, 1]);
    }
}

/// S60
#[test]
fn address_look_ups_put_a_silent_server_last_until_the_other_fails() {
    let (first, second) = (StubDns::start(), StubDns::start());
    for stub in [&first, &second] {
        for name in ["a.test", "b.test", "c.test", "d.test"] {
            stub.add(name, "A", 300, "192.0.2.1");
        }
    }
    let resolver = impatient(&[&first, &second]);
    first.behave(Behaviour::Silent);
    assert_eq!(resolver.addresses("a.test").unwrap().len(), 1);
    counts([&first, &second], "a.test", "A", [1, 1]);

    first.behave(Behaviour::Normal);
    assert_eq!(resolver.addresses("b.test").unwrap().len(), 1);
    counts([&first, &second], "b.test", "A", [0, 1]);

    second.behave(Behaviour::Silent);
    assert_eq!(resolver.addresses("c.test").unwrap().len(), 1);
    counts([&first, &second], "c.test", "A", [1, 1]);

    second.behave(Behaviour::Normal);
    assert_eq!(resolver.addresses("d.test").unwrap().len(), 1);
    counts([&first, &second], "d.test", "A", [1, 0]);
}

/// S59 and S60 side by side: what one remembers is not the other's.
#[test]
fn a_demotion_does_not_change_the_order_of_mx_look_ups() {
    let (first, second) = (StubDns::start(), StubDns::with(&[("a.test", "A", 300, "192.0.2.1")]));
    first.behave(Behaviour::Silent);
    let resolver = impatient(&[&first, &second]);
    assert_eq!(resolver.addresses("a.test").unwrap().len(), 1);
    first.behave(Behaviour::Normal);
    first.add("b.test", "MX", 300, "10 mx.test");
    assert_eq!(hosts(resolver.mx("b.test").unwrap()), ["mx.test"]);
    counts([&first, &second], "b.test", "MX", [1, 0]);
}

/// S61
#[test]
fn an_answer_is_kept_for_its_ttl() {
    let stub =
        StubDns::with(&[("example.test", "A", 30, "192.0.2.1"), ("example.test", "A", 5, "192.0.2.2")]);
    let (resolver, clock) = timed(&[&stub]);
    for _ in 0..3 {
        assert_eq!(resolver.addresses("EXAMPLE.test").unwrap().len(), 2);
    }
    assert_eq!(stub.count("example.test", "A"), 1);
    clock.pass(5);
    assert_eq!(resolver.addresses("example.test").unwrap().len(), 2);
    assert_eq!(stub.count("example.test", "A"), 2);
}

/// S61
#[test]
fn that_there_is_none_is_kept_for_as_long_as_the_soa_says() {
    let stub = StubDns::with(&[("example.test", "A", 30, "192.0.2.1")]);
    stub.set_negative_ttl(7);
    let (resolver, clock) = timed(&[&stub]);
    for round in 1..=2 {
        for _ in 0..3 {
            assert_eq!(resolver.mx("example.test"), Err(DnsError::NoData));
            assert_eq!(resolver.mx("nowhere.test"), Err(DnsError::NoSuchDomain));
        }
        assert_eq!((stub.count("example.test", "MX"), stub.count("nowhere.test", "MX")), (round, round));
        clock.pass(7);
    }
}

/// S61
#[test]
fn a_ttl_of_nothing_and_a_failure_are_not_kept() {
    let stub = StubDns::with(&[("example.test", "TXT", 0, "v=spf1 -all")]);
    let resolver = resolver(&[&stub]);
    assert!(resolver.txt("example.test").is_ok() && resolver.txt("example.test").is_ok());
    assert_eq!(stub.count("example.test", "TXT"), 2);
    stub.behave(Behaviour::ServFail);
    assert!(matches!(resolver.mx("example.test"), Err(DnsError::Temporary(_))));
    stub.behave(Behaviour::Normal);
    assert_eq!(resolver.mx("example.test"), Err(DnsError::NoData));
}

/// S61
#[test]
fn nothing_is_kept_for_longer_than_a_day_nor_its_absence_for_longer_than_three_hours() {
    let stub = StubDns::with(&[("example.test", "MX", 604_800, "10 mx.test")]);
    stub.set_negative_ttl(604_800);
    let (resolver, clock) = timed(&[&stub]);
    let asked = || {
        assert!(resolver.mx("example.test").is_ok());
        assert_eq!(resolver.mx("nowhere.test"), Err(DnsError::NoSuchDomain));
        (stub.count("example.test", "MX"), stub.count("nowhere.test", "MX"))
    };
    assert_eq!(asked(), (1, 1));
    clock.pass(10_799);
    assert_eq!(asked(), (1, 1));
    clock.pass(1);
    assert_eq!(asked(), (1, 2));
    clock.pass(86_400 - 10_800);
    assert_eq!(asked(), (2, 3));
}

/// RFC 2181 §8
#[test]
fn a_ttl_that_is_no_number_of_seconds_is_nothing() {
    let stub = StubDns::with(&[("example.test", "TXT", 1 << 31, "text")]);
    let resolver = resolver(&[&stub]);
    assert!(resolver.txt("example.test").is_ok() && resolver.txt("example.test").is_ok());
    assert_eq!(stub.count("example.test", "TXT"), 2);
}

/// S61
#[test]
fn the_cache_holds_no_more_than_it_may() {
    let stub = StubDns::with(&[("a.test", "MX", 300, "10 mx.test"), ("b.test", "MX", 300, "10 mx.test")]);
    let small = Resolver::new(Settings { cache_entries: Some(1), ..settings(&[&stub]) }, Log::discard());
    for name in ["a.test", "b.test", "b.test", "a.test"] {
        assert!(small.mx(name).is_ok());
    }
    assert_eq!((stub.count("a.test", "MX"), stub.count("b.test", "MX")), (2, 1));
}

/// S62
#[test]
fn without_a_cache_every_look_up_is_a_query() {
    let stub = StubDns::with(&TWO_EQUAL);
    let resolver = forgetful(&[&stub]);
    for _ in 0..3 {
        assert_eq!(resolver.mx("example.test").unwrap().len(), 3);
        resolver.host_failed("example.test", "a.example.test");
    }
    assert_eq!(stub.count("example.test", "MX"), 3);
}

/// S63
#[test]
fn a_cache_that_is_off_is_logged_in_the_guide_s_words() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::new(folder.path());
    let open =
        || Log::open("smtp", "smtpd", LogSettings::from_config(&Config::empty(), &instance, "smtp")).unwrap();
    let text = || std::fs::read_to_string(instance.log_dir("smtp").join("smtp")).unwrap_or_default();
    let stub = StubDns::start();
    let _cached = Resolver::new(settings(&[&stub]), open());
    assert!(!text().contains("DNS"), "{}", text());
    let _bare = Resolver::new(Settings { cache_entries: None, ..settings(&[&stub]) }, open());
    assert!(text().contains("]: General Notice: DNS cache is disabled\n"), "{}", text());
}

/// Many threads that ask the same at the same time make one query.
#[test]
fn the_same_question_is_asked_once_at_a_time() {
    let stub = StubDns::with(&TWO_EQUAL);
    let resolver = resolver(&[&stub]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(resolver.mx("example.test").unwrap().len(), 3));
        }
    });
    assert_eq!(stub.count("example.test", "MX"), 1);
}
