//! The examples of RFC 6376 and RFC 8463, and what else may stand in a signature and in a key record.

use dns::DnsError;

use super::{NOW, Zone, crlf, key};
use crate::tests::signing::MESSAGE;
use crate::{Algorithm, Outcome, SIGNATURES_MAX, Signing, sign, verify};

/// RFC 6376 appendix A.2, and the key of appendix C.
const RFC_6376: &str = "\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
        4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
";
const RFC_6376_KEY: &str = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt\
    IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi\
    tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

/// RFC 8463 appendix A.3, and the keys of appendix A.2.
const RFC_8463: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";
const RFC_8463_ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
pub(super) const RFC_8463_RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bd\
    OKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9Pz\
    oxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

fn rfc_8463() -> Zone {
    Zone::default()
        .with("brisbane._domainkey.football.example.com", RFC_8463_ED25519)
        .with("test._domainkey.football.example.com", RFC_8463_RSA)
}

#[test]
fn the_example_of_rfc_6376_verifies_and_says_who_signed() {
    let zone = Zone::default().with("brisbane._domainkey.example.com", RFC_6376_KEY);
    let checked = verify(crlf(RFC_6376).as_bytes(), &zone, NOW);
    assert_eq!(checked.len(), 1);
    let one = &checked[0];
    assert_eq!(one.result, Outcome::Pass);
    assert_eq!((one.domain.as_str(), one.selector.as_str()), ("example.com", "brisbane"));
    assert_eq!(one.identity.as_deref(), Some("joe@football.example.com"));
    assert_eq!(
        (one.algorithm, one.bits, one.start.as_str()),
        (Some(Algorithm::RsaSha256), Some(1024), "AuUoFEfD")
    );
    // simple: two spaces are a change
    let changed = crlf(RFC_6376).replace("game. Are", "game.  Are");
    assert_eq!(
        verify(changed.as_bytes(), &zone, NOW)[0].result,
        Outcome::Fail("the body has been changed".into())
    );
}

#[test]
fn the_example_of_rfc_8463_verifies_with_both_keys() {
    let results = |text: &str| -> Vec<&'static str> {
        verify(text.as_bytes(), &rfc_8463(), NOW).iter().map(|one| one.result.name()).collect()
    };
    assert_eq!(results(&crlf(RFC_8463)), ["pass", "pass"]);
    assert_eq!(results(&crlf(RFC_8463).replace("game.  Are", "game. Are")), ["pass", "pass"]);
    assert_eq!(results(&crlf(RFC_8463).replace("Subject: ", "SUBJECT :  ")), ["pass", "pass"]);
    assert_eq!(results(&crlf(RFC_8463).replace("dinner", "diner")), ["fail", "fail"]);
    // a second Subject, which the names that are said twice forbid
    assert_eq!(results(&crlf(RFC_8463).replace("Subject:", "Subject: x\r\nSubject:")), ["fail", "fail"]);
    // a second To, which they do not
    assert_eq!(results(&crlf(RFC_8463).replace("\r\nTo:", "\r\nTo: x\r\nTo:")), ["pass", "pass"]);
}

#[test]
fn without_a_key_a_signature_is_an_error_of_the_kind_that_dns_says() {
    let name = "brisbane._domainkey.example.com";
    let result = |zone: Zone| verify(crlf(RFC_6376).as_bytes(), &zone, NOW)[0].result.clone();
    assert_eq!(result(Zone::default()).name(), "permerror");
    assert_eq!(result(Zone::default().without(name, DnsError::NoData)).name(), "permerror");
    assert_eq!(result(Zone::default().without(name, DnsError::Temporary("x".into()))).name(), "temperror");
    assert_eq!(result(Zone::default().with_all(name, &[])).name(), "permerror");
}

#[test]
fn key_records_and_what_they_allow() {
    let p = RFC_6376_KEY.strip_prefix("v=DKIM1; ").unwrap();
    let short = "p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAIWmlgix/84GJ+dfgjm7LTc9EPdfkftlgiPpCq4/kbDAZmU0VvYKDljjleJ1dfvS+CGy9U/kk1tG3EeEvb82xAcCAwEAAQ==";
    for (record, expected) in [
        (p.to_owned(), "pass"),
        (format!("v=DKIM1; g=nobody; n=a note; x=unknown; {p};"), "pass"), // g= is of RFC 4871
        (format!("v=DKIM1; k=rsa; h=sha1:sha256; s=email; t=y:x; {p}"), "pass"),
        (format!("v=DKIM1; s=other : *; {p}"), "pass"),
        (p.replace("MIG", "\r\n MI G"), "pass"),
        (format!("{p}; v=DKIM1"), "permerror"), // it must be first
        (format!("v=DKIM2; {p}"), "permerror"),
        (format!("h=sha1; {p}"), "permerror"),
        (format!("k=ed25519; {p}"), "permerror"),
        (format!("k=other; {p}"), "permerror"),
        (format!("s=tlsrpt; {p}"), "permerror"),
        (format!("t=s; {p}"), "permerror"),  // i= is of a domain below
        ("v=DKIM1; p=".into(), "permerror"), // revoked
        ("v=DKIM1; p=AAAA".into(), "permerror"),
        ("v=DKIM1; p=!".into(), "permerror"),
        ("v=DKIM1".into(), "permerror"),
        ("no key at all".into(), "permerror"),
        (String::new(), "permerror"),
        (short.to_owned(), "policy"), // RFC 8301: 512 bits
    ] {
        let zone = Zone::default().with("brisbane._domainkey.example.com", &record);
        let checked = verify(crlf(RFC_6376).as_bytes(), &zone, NOW);
        assert_eq!(checked[0].result.name(), expected, "{record}: {:?}", checked[0].result);
    }
}

#[test]
fn of_several_records_the_one_that_fits_counts() {
    let name = "brisbane._domainkey.example.com";
    let zone = Zone::default().with_all(name, &["v=spf1 -all", RFC_8463_ED25519, RFC_6376_KEY]);
    assert_eq!(verify(crlf(RFC_6376).as_bytes(), &zone, NOW)[0].result, Outcome::Pass);
    let other = RFC_6376_KEY.replace("v=DKIM1; ", "t=y; ");
    let zone = Zone::default().with(name, &other);
    let changed = crlf(RFC_6376).replace("hungry", "angry");
    assert_eq!(verify(changed.as_bytes(), &zone, NOW)[0].result.name(), "neutral", "t=y");
}

/// RFC 8301 §3.1
#[test]
fn sha1_is_not_accepted_and_no_key_is_asked_for() {
    let zone = Zone::default().with("brisbane._domainkey.example.com", RFC_6376_KEY);
    let text = crlf(RFC_6376).replace("rsa-sha256", "rsa-sha1");
    let checked = verify(text.as_bytes(), &zone, NOW);
    assert_eq!((checked[0].result.name(), zone.asked.get()), ("policy", 0));
    assert_eq!(checked[0].algorithm, Some(Algorithm::RsaSha1));
}

#[test]
fn a_signature_counts_until_it_expires() {
    let key = key("example.org", "s", Algorithm::Ed25519Sha256);
    let signing = Signing { now: NOW, lifetime: Some(100) };
    let fields = sign(crlf(MESSAGE).as_bytes(), std::slice::from_ref(&key), signing).unwrap();
    let text = [fields, crlf(MESSAGE).into_bytes()].concat();
    let result = |now| verify(&text, &Zone::of(&[&key]), now)[0].result.name();
    assert_eq!((result(NOW), result(NOW + 100), result(NOW + 101)), ("pass", "pass", "permerror"));
}

#[test]
fn a_flood_of_signatures_costs_so_many_look_ups_and_no_more() {
    let zone = rfc_8463();
    let one = |n| {
        crlf(&format!("DKIM-Signature: v=1; a=rsa-sha256; d=d{n}.example; s=x; h=from; bh=AA==; b=AAAA\n"))
    };
    let mut text: String = (0..1000).map(one).collect();
    text.push_str(&crlf(RFC_8463));
    let checked = verify(text.as_bytes(), &zone, NOW);
    assert_eq!((checked.len(), zone.asked.get()), (SIGNATURES_MAX, SIGNATURES_MAX));
    // the same name is asked for once
    let zone = Zone::default();
    verify(one(1).repeat(10).as_bytes(), &zone, NOW);
    assert_eq!(zone.asked.get(), 1);
}

#[test]
fn whatever_stands_there_is_an_outcome() {
    for text in
        ["", "\r\n", "DKIM-Signature:\r\n\r\n", "DKIM-Signature: v=1\r\n", "DKIM-Signature: v", "From: x"]
    {
        assert!(
            verify(text.as_bytes(), &Zone::default(), NOW).iter().all(|one| one.result.name() == "neutral")
        );
    }
}
