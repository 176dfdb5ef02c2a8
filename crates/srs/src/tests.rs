//! Addresses there and back, and as Mail::SRS from Debian (libmail-srs-perl) writes and reads them.

use std::process::Command;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn srs(secrets: &str) -> Srs {
    Srs::new("Ours.example", Secrets::from_text(secrets).unwrap(), 21)
}

fn back(srs: &Srs, address: &str, now: u64) -> Result<String, NotOurs> {
    let local = address.strip_suffix("@ours.example").unwrap();
    srs.original(local, now).map(|(local, domain)| format!("{local}@{domain}"))
}

#[test]
fn a_sender_is_rewritten_and_found_again_until_it_expires() {
    let srs = srs("secret");
    let new = srs.rewritten("joe", "example.org", NOW).unwrap();
    assert!(new.starts_with("SRS0=") && new.ends_with("=example.org=joe@ours.example"), "{new}");
    assert!(srs.is_meant(new.split('@').next().unwrap(), "OURS.example"));
    assert!(!srs.is_meant("SRS0", "ours.example") && !srs.is_meant("srs0=x", "other.example"));
    let day = |days: u64| NOW + days * DAY;
    assert_eq!(back(&srs, &new, NOW).unwrap(), "joe@example.org");
    assert_eq!(back(&srs, &new.to_lowercase(), day(21)).unwrap(), "joe@example.org");
    assert_eq!(back(&srs, &new, day(22)), Err(NotOurs::Expired));
    assert_eq!(back(&srs, &new, day(1023)), Err(NotOurs::Expired), "also when it seems to be of tomorrow");
}

#[test]
fn what_was_not_made_here_is_not_ours() {
    let srs = srs("secret");
    let new = srs.rewritten("joe", "example.org", NOW).unwrap();
    assert_eq!(back(&srs, &new.replace("=joe", "=jim"), NOW), Err(NotOurs::Forged));
    assert_eq!(back(&srs, &new.replace("example.org", "example.net"), NOW), Err(NotOurs::Forged));
    let other = self::srs("other").rewritten("joe", "example.org", NOW).unwrap();
    assert_eq!(back(&srs, &other, NOW), Err(NotOurs::Forged));
    // A secret that is not the first any more is still known.
    assert!(back(&self::srs("new\nother"), &other, NOW).is_ok());
    for local in [
        "SRS0=",
        "SRS0=AAAA",
        "SRS0=AAAA=BB",
        "SRS0=AAAA=BB=x",
        "SRS1=AAAA",
        "SRS1=AAAA=x",
        "SRS0=A=B=c=d",
        "joe",
    ] {
        assert!(srs.original(local, NOW).is_err(), "{local}");
    }
}

#[test]
fn a_chain_of_forwarders_keeps_the_first_and_the_last() {
    let (first, second, third) = (
        Srs::new("first.example", Secrets::from_text("1").unwrap(), 21),
        Srs::new("second.example", Secrets::from_text("2").unwrap(), 21),
        Srs::new("third.example", Secrets::from_text("3").unwrap(), 21),
    );
    let split = |address: &str| {
        let (local, domain) = address.split_once('@').unwrap();
        (local.to_owned(), domain.to_owned())
    };
    let (local, domain) = split(&first.rewritten("joe", "example.org", NOW).unwrap());
    let (local, domain) = split(&second.rewritten(&local, &domain, NOW).unwrap());
    assert!(local.starts_with("SRS1=") && local.contains("=first.example==") && domain == "second.example");
    let (local, _) = split(&third.rewritten(&local, &domain, NOW).unwrap());
    let (local, domain) = third.original(&local, NOW).unwrap();
    assert_eq!(domain, "first.example", "the second is left out");
    assert_eq!(first.original(&local, NOW).unwrap(), ("joe".to_owned(), "example.org".to_owned()));
}

#[test]
fn what_cannot_be_rewritten_stays() {
    let srs = srs("secret");
    for (local, domain) in
        [("a b", "x.example"), ("a..b", "x.example"), ("", "x.example"), ("a", ""), ("a\"", "x.example")]
    {
        assert_eq!(srs.rewritten(local, domain, NOW), None, "{local}@{domain}");
    }
    assert_eq!(srs.rewritten(&"x".repeat(240), "example.org", NOW), None);
    assert_eq!(srs.rewritten("SRS1=odd", "example.org", NOW), None);
}

/// The same secret, the same day: the same addresses.
#[test]
fn mail_srs_agrees() {
    let perl = |script: &str| {
        let head =
            "use Mail::SRS; my $s = Mail::SRS->new(Secret => 'topsecret', MaxAge => 21, Separator => '=');";
        let output = Command::new("perl").args(["-e", &format!("{head} {script}")]).output().unwrap();
        assert!(
            output.status.success(),
            "libmail-srs-perl is needed (scripts/packages): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let srs = srs("topsecret");
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for sender in [
        "joe@example.org",
        "Joe.B+x=y@Sub.Example.org",
        "SRS0=abcd=EF=example.org=joe@first.example",
        "SRS0+abcd=EF=example.org=joe@first.example",
    ] {
        let (local, domain) = sender.split_once('@').unwrap();
        // They are of one day, that before or that behind it: at midnight, of two.
        let ours = srs.rewritten(local, domain, now()).unwrap();
        let theirs = perl(&format!("print $s->forward('{sender}', 'ours.example');"));
        let later = now();
        assert!(ours == theirs || srs.rewritten(local, domain, later).unwrap() == theirs, "{ours} {theirs}");
        assert_eq!(perl(&format!("print $s->reverse('{ours}');")), back(&srs, &theirs, later).unwrap());
    }
}

proptest! {
    #[test]
    fn any_sender_comes_back(local in "[a-zA-Z0-9!#=+_-]{1,20}(\\.[a-z=]{1,5})?", domain in "[a-z0-9-]{1,20}\\.[a-z]{2,6}", days in 0u64..22) {
        let srs = srs("secret");
        if let Some(new) = srs.rewritten(&local, &domain, NOW) {
            let expected = format!("{local}@{domain}");
            if tagged(&local).is_none() {
                prop_assert_eq!(back(&srs, &new, NOW + days * DAY), Ok(expected));
            }
        }
    }

    #[test]
    fn whatever_comes_is_ours_or_not(local in "(SRS[01])?[=+A-Z2-7a-z\u{e4}]{0,30}") {
        let _ = srs("secret").original(&local, NOW);
    }
}
