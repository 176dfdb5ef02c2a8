//! Chains: examples that others made, ours, and what breaks them.

use super::published::RFC_8463_RSA;
use super::signing::MESSAGE;
use super::{NOW, Zone, crlf, key};
use crate::arc::{Chain, ChainResult, Seal, check, seal};
use crate::{Algorithm, SigningKey, examine};

/// From the public ARC test suite (`cv_pass_i2_1`): two sets by one sealer.
const PUBLISHED: &str = "\
MIME-Version: 1.0
ARC-Seal: a=rsa-sha256;
    b=IAqZJ5HwfNxxsrn9R4ayQgiu9RibPKEUVevbt7XFTkSh1baJ533D2Z6IZ2NaBreUhDBb2e
    K9Gtcv+eyUhWkD8VTmE6fq/F8CDIK3ScIiJykF8hNL1wpa/mGwWWwBnkozIJGAbTAAX7AgnH
    knAehnSW99TeU0lmib0XmOt4TN3sY=; cv=pass; d=example.org; i=2; s=dummy;
    t=12346
ARC-Message-Signature: a=rsa-sha256;
    b=2cDGNznUmp4YSSThCe9nrQIH2Gpd5qPFw3OU8sWFzZgEQ5UZtaVQifVUXUrsSyEzjro3Ul
    YPPDx+C1K+LbKRlOZ06il4ws2zlPafsrx1piKsKSCUq0KjFs01hYCDBa3tfdyITSfoWu2HHY
    pCjrhPMPH1jruIdBV/5Gk2Fvy+mW8=;
    bh=KWSe46TZKCcDbH4klJPo+tjk5LWJnVRlP5pvjXFZYLQ=; c=relaxed/relaxed;
    d=example.org; h=from:to:date:subject:mime-version:arc-authentication-results;
    i=2; s=dummy; t=12346
ARC-Authentication-Results: i=2; lists.example.org;
    spf=pass smtp.mfrom=jqd@d1.example;
    dkim=pass (1024-bit key) header.i=@d1.example;
    dmarc=pass
Received: by 10.157.11.240 with SMTP id 103csp420860oth;
    Fri, 6 Jan 2017 14:27:31 -0800 (PST)
ARC-Seal: a=rsa-sha256;
    b=dOdFEyhrk/tw5wl3vMIogoxhaVsKJkrkEhnAcq2XqOLSQhPpGzhGBJzR7k1sWGokon3TmQ
    7TX9zQLO6ikRpwd/pUswiRW5DBupy58fefuclXJAhErsrebfvfiueGyhHXV7C1LyJTztywzn
    QGG4SCciU/FTlsJ0QANrnLRoadfps=; cv=none; d=example.org; i=1; s=dummy;
    t=12345
ARC-Message-Signature: a=rsa-sha256;
    b=QsRzR/UqwRfVLBc1TnoQomlVw5qi6jp08q8lHpBSl4RehWyHQtY3uOIAGdghDk/mO+/Xpm
    9JA5UVrPyDV0f+2q/YAHuwvP11iCkBQkocmFvgTSxN8H+DwFFPrVVUudQYZV7UDDycXoM6UE
    cdfzLLzVNPOAHEDIi/uzoV4sUqZ18=;
    bh=KWSe46TZKCcDbH4klJPo+tjk5LWJnVRlP5pvjXFZYLQ=; c=relaxed/relaxed;
    d=example.org; h=from:to:date:subject:mime-version:arc-authentication-results;
    i=1; s=dummy; t=12345
ARC-Authentication-Results: i=1; lists.example.org;
    spf=pass smtp.mfrom=jqd@d1.example;
    dkim=pass (1024-bit key) header.i=@d1.example;
    dmarc=pass
Received: from segv.d1.example (segv.d1.example [72.52.75.15])
    by lists.example.org (8.14.5/8.14.5) with ESMTP id t0EKaNU9010123
    for <arc@example.org>; Thu, 14 Jan 2015 15:01:30 -0800 (PST)
    (envelope-from jqd@d1.example)
Authentication-Results: lists.example.org;
    spf=pass smtp.mfrom=jqd@d1.example;
    dkim=pass (1024-bit key) header.i=@d1.example;
    dmarc=pass
Received: by 10.157.14.6 with HTTP; Tue, 3 Jan 2017 12:22:54 -0800 (PST)
Message-ID: <54B84785.1060301@d1.example.org>
Date: Thu, 14 Jan 2015 15:00:01 -0800
From: John Q Doe <jqd@d1.example.org>
To: arc@dmarc.org
Subject: Example 1

Hey gang,
This is a test message.
--J.
";

fn why(chain: &Chain) -> &str {
    match &chain.result {
        ChainResult::Fail(why) => why,
        ChainResult::None => "none",
        ChainResult::Pass => "pass",
    }
}

#[test]
fn a_chain_of_the_public_suite_holds_and_breaks_where_it_is_changed() {
    let zone = Zone::default().with("dummy._domainkey.example.org", RFC_8463_RSA);
    let result = |text: &str| why(&check(crlf(text).as_bytes(), &zone, NOW)).to_owned();
    let chain = check(crlf(PUBLISHED).as_bytes(), &zone, NOW);
    assert_eq!((&chain.result, chain.instance), (&ChainResult::Pass, 2));
    assert_eq!(chain.sealers, ["example.org", "example.org"]);
    // What is changed, and what fails by that.
    for (from, to, expected) in [
        ("Hey gang", "Hey folks", "the latest signature of the message: the body has been changed"),
        (
            "Example 1",
            "Example 2",
            "the latest signature of the message: the signature does not fit the header",
        ),
        (
            "i=1; lists.example.org;\n    spf=pass",
            "i=1; lists.example.org;\n    spf=fail",
            "the latest signature of the message: the signature does not fit the header",
        ),
        ("b=QsRzR", "b=RsRzR", "seal 2: it does not fit"),
        ("b=dOdFE", "b=eOdFE", "seal 2: it does not fit"),
        ("cv=none", "cv=pass", "a seal says what cannot be (cv=)"),
        ("cv=pass", "cv=none", "a seal says what cannot be (cv=)"),
        ("cv=pass", "cv=fail", "a sealer found that it had failed"),
        ("cv=pass", "cv=fine", "a seal does not say what it found"),
        ("t=12346\nARC-M", "t=12346; h=from\nARC-M", "a seal has h="),
        ("i=2; lists", "i=3; lists", "its sets are not whole"),
        ("i=2; lists", "i=1; lists", "its sets are not whole"),
        ("i=2; lists", "i=0; lists", "an instance is missing or wrong"),
        ("i=2; lists", "i=51; lists", "an instance is missing or wrong"),
        ("i=2; lists", "lists", "an instance is missing or wrong"),
        (
            "Received: by 10.157.11",
            "ARC-Seal: i=2; cv=pass\nReceived: by 10.157.11",
            "its sets are not whole",
        ),
    ] {
        assert!(PUBLISHED.contains(from), "{from}");
        assert_eq!(result(&PUBLISHED.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
    // White space and what is added on the way do not break it.
    assert_eq!(result(&PUBLISHED.replacen("spf=pass", "\tspf=pass", 1)), "pass");
    assert_eq!(result(&format!("Received: a\n{PUBLISHED}")), "pass");
    assert_eq!(result(MESSAGE), "none");
}

fn sealed(text: &str, chain: &ChainResult, key: &SigningKey) -> Option<String> {
    let how =
        Seal { chain, results: "mx.example; spf=pass smtp.mailfrom=a@b.example;\r\n\tdkim=none", now: NOW };
    let fields = seal(text.as_bytes(), key, &how).unwrap()?;
    Some(String::from_utf8(fields).unwrap() + text)
}

#[test]
fn what_is_sealed_holds_and_goes_on() {
    let keys = [key("a.example", "s", Algorithm::RsaSha256), key("b.example", "s", Algorithm::Ed25519Sha256)];
    let zone = Zone::of(&[&keys[0], &keys[1]]);
    let mut text = crlf(MESSAGE);
    let mut before = ChainResult::None;
    for round in 0..50_u32 {
        text = sealed(&text, &before, &keys[round as usize % 2]).unwrap();
        text.insert_str(0, "Received: from somewhere\r\n");
        let chain = check(text.as_bytes(), &zone, NOW);
        assert_eq!((why(&chain), chain.instance), ("pass", round + 1));
        before = chain.result;
    }
    assert_eq!(sealed(&text, &before, &keys[0]), None, "there is no room for a 51st");
    assert!(zone.asked.get() <= 100, "each key is asked for once a message: {}", zone.asked.get());
    let wrong = text.replacen("spf=pass", "spf=fail", 1);
    assert!(why(&check(wrong.as_bytes(), &zone, NOW)).starts_with("seal 50"));
}

#[test]
fn a_chain_that_has_failed_is_sealed_once_as_failed() {
    let key = key("a.example", "s", Algorithm::Ed25519Sha256);
    let zone = Zone::of(&[&key]);
    let good = sealed(&crlf(MESSAGE), &ChainResult::None, &key).unwrap();
    let broken = good.replace("question", "answer");
    let chain = check(broken.as_bytes(), &zone, NOW);
    assert!(why(&chain).contains("does not fit"), "{chain:?}");
    let told = sealed(&broken, &chain.result, &key).unwrap();
    assert!(told.contains("i=2;") && told.contains("cv=fail"));
    let chain = check(told.as_bytes(), &zone, NOW);
    assert_eq!(why(&chain), "a sealer found that it had failed");
    assert_eq!(sealed(&told, &chain.result, &key), None);
    // A set that is broken in itself has an instance all the same.
    let odd =
        sealed(&format!("ARC-Seal: i=7; cv=none\r\n{}", crlf(MESSAGE)), &ChainResult::None, &key).unwrap();
    assert!(odd.contains("ARC-Seal: i=8;") && odd.contains("cv=fail"), "{odd}");
}

#[test]
fn nobody_can_tell_now_is_told_apart_from_a_broken_chain() {
    let key = key("a.example", "s", Algorithm::Ed25519Sha256);
    let text = sealed(&crlf(MESSAGE), &ChainResult::None, &key).unwrap();
    let zone = Zone::default().without(&key.record_name(), dns::DnsError::Temporary("silence".into()));
    let chain = check(text.as_bytes(), &zone, NOW);
    assert!(chain.temporary && why(&chain).contains("silence"), "{chain:?}");
    assert!(!check(text.as_bytes(), &Zone::default(), NOW).temporary);
}

#[test]
fn signatures_and_chain_in_one_reading() {
    let key = key("a.example", "s", Algorithm::Ed25519Sha256);
    let text = crlf(MESSAGE);
    let signature =
        crate::sign(text.as_bytes(), std::slice::from_ref(&key), crate::Signing { now: NOW, lifetime: None });
    let text = String::from_utf8(signature.unwrap()).unwrap() + &text;
    let text = sealed(&text, &ChainResult::None, &key).unwrap();
    let zone = Zone::of(&[&key]);
    let verdicts = examine(text.as_bytes(), &zone, NOW);
    assert_eq!((verdicts.signatures[0].result.name(), why(&verdicts.chain)), ("pass", "pass"));
    assert_eq!(zone.asked.get(), 1);
    let without = text.replacen("DKIM-Signature", "X-Signature", 1);
    assert!(
        why(&check(without.as_bytes(), &zone, NOW)).contains("does not fit"),
        "the seal covers the signature"
    );
}
