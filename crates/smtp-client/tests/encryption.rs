//! STARTTLS, and what the certificate must show.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::time::Duration;

use black_box::{Act, Authority, Certificate, Step, StubMta};
use common::{PATIENT, SOON, open, peer, refused, send, settings, small, try_open, words};
use openssl::hash::{MessageDigest, hash};
use smtp_client::{Kind, Session, Settings, TlsFault, TlsUse, Tlsa, Verify};

const HOST: &str = "mx.example.test";

fn with(tls: TlsUse) -> Settings {
    Settings { tls, ..settings() }
}

#[test]
fn tls_is_used_when_it_is_offered() {
    let stub = StubMta::new().tls(&Authority::new().issue("another.example.test")).start();
    let mut session = try_open(&stub, &with(TlsUse::Opportunistic)).unwrap();
    assert!(session.is_tls() && !session.offers().starttls, "{:?}", session.cipher());
    assert!(session.is_alive());
    assert_eq!(words(&send(&mut session, &small(), &["b@y.example"])), ["ok"]);
    assert!(session.is_alive());
    session.quit();
    let seen = stub.wait_until("the end", |seen| seen.open == 0);
    assert!(seen.received[0].tls);
    assert_eq!(seen.commands[..3], ["EHLO client.example.test", "STARTTLS", "EHLO client.example.test"]);
    assert_eq!(seen.commands.last().unwrap(), "QUIT");
}

#[test]
fn without_an_offer_or_a_wish_there_is_none() {
    assert!(!try_open(&StubMta::new().start(), &with(TlsUse::Opportunistic)).unwrap().is_tls());
    let able = StubMta::new().tls(&Authority::new().issue(HOST)).start();
    assert!(!open(&able).is_tls());
}

#[test]
fn where_tls_is_required_nothing_goes_in_the_clear() {
    let stub = StubMta::new().start();
    for (settings, verify) in [
        (with(TlsUse::Required), Verify::None),
        (with(TlsUse::Never), Verify::Name),
        (with(TlsUse::Opportunistic), Verify::Dane { records: vec![], names: vec![] }),
    ] {
        let refused = Session::connect(&peer(&stub), &settings, verify, None).err().unwrap();
        assert_eq!(refused.kind, Kind::Tls, "{refused}");
    }
    assert!(stub.seen().commands.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"));
}

#[test]
fn a_refusal_of_starttls_matters_only_where_it_is_required() {
    let stub =
        StubMta::new().offers(&["STARTTLS"]).on(Step::StartTls, &[Act::say("454 4.7.0 not now")]).start();
    assert!(!try_open(&stub, &with(TlsUse::Opportunistic)).unwrap().is_tls());
    assert_eq!(refused(&stub, &with(TlsUse::Required)).kind, Kind::Tls);
}

#[test]
fn what_is_said_in_the_clear_behind_the_go_ahead_ends_the_session() {
    let injected = Act::Raw(b"220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n".to_vec());
    let stub = StubMta::new().tls(&Authority::new().issue(HOST)).on(Step::StartTls, &[injected]).start();
    let refused = refused(&stub, &with(TlsUse::Opportunistic));
    assert_eq!(refused.kind, Kind::Tls);
    assert!(refused.text.contains("in the clear"), "{refused}");
}

#[test]
fn a_handshake_that_fails_is_said_so() {
    let stub = StubMta::new().offers(&["STARTTLS"]).start();
    let refused = refused(&stub, &with(TlsUse::Opportunistic));
    assert_eq!(refused.kind, Kind::Tls);
    assert!(refused.text.contains("TLS failed"), "{refused}");
    assert!(try_open(&stub, &with(TlsUse::Never)).is_ok(), "the caller may try in the clear");
}

#[test]
fn a_peer_that_closes_or_falls_silent_at_tls_is_left() {
    let certificate = Authority::new().issue(HOST);
    // EHLO has the same limit, and is to be answered by a machine that stands still for a while.
    let limit = Duration::from_secs(10);
    for (acts, limit) in [
        (vec![Act::Close], PATIENT),
        (vec![Act::say("220 go"), Act::Close], PATIENT),
        (vec![Act::say("220 go"), Act::Silence], limit),
    ] {
        let stub = StubMta::new().tls(&certificate).on(Step::StartTls, &acts).start();
        let mut settings = with(TlsUse::Opportunistic);
        settings.timeouts.helo = limit;
        let begun = std::time::Instant::now();
        let refused = refused(&stub, &settings);
        assert_eq!(refused.kind, Kind::Tls, "{refused}");
        assert!(begun.elapsed() < SOON);
    }
}

fn verified(certificate: &Certificate, trusted: &Authority, verify: Verify) -> Result<Session, String> {
    let stub = StubMta::new().tls(certificate).start();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&trusted.pem()).unwrap();
    let settings = Settings { authorities: Some(file.path().to_owned()), ..with(TlsUse::Opportunistic) };
    Session::connect(&peer(&stub), &settings, verify, None).map_err(|refused| {
        assert_eq!(refused.kind, Kind::Tls);
        assert!(stub.seen().commands.iter().all(|line| !line.starts_with("MAIL")));
        refused.text
    })
}

#[test]
fn by_name_the_certificate_must_be_the_hosts_and_from_a_trusted_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    assert!(verified(&ours.issue(HOST), &ours, Verify::Name).unwrap().is_tls());
    let name = verified(&ours.issue("other.example.test"), &ours, Verify::Name).err().unwrap();
    assert!(name.contains("ertificate is refused"), "{name}");
    assert!(verified(&theirs.issue(HOST), &ours, Verify::Name).is_err());
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &openssl::x509::X509) -> Tlsa {
    let whole = match selector {
        0 => certificate.to_der().unwrap(),
        _ => certificate.public_key().unwrap().public_key_to_der().unwrap(),
    };
    let data = match matching {
        0 => whole,
        1 => hash(MessageDigest::sha256(), &whole).unwrap().to_vec(),
        _ => hash(MessageDigest::sha512(), &whole).unwrap().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

#[test]
fn by_dane_the_certificate_must_fit_a_record() {
    let authority = Authority::new();
    let (right, other) = (authority.issue(HOST), authority.issue("other.example.test"));
    let check = |certificate: &Certificate, records: Vec<Tlsa>| {
        verified(certificate, &Authority::new(), Verify::Dane { records, names: vec![] }).is_ok()
    };
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        assert!(check(&right, vec![record(3, selector, matching, &right.leaf)]), "3 {selector} {matching}");
        assert!(!check(&right, vec![record(3, selector, matching, &other.leaf)]), "3 {selector} {matching}");
        assert!(check(&right, vec![record(2, selector, matching, &right.issuer)]), "2 {selector} {matching}");
    }
    assert!(check(&other, vec![record(3, 1, 1, &other.leaf)]), "with usage 3 names do not count");
    assert!(!check(&other, vec![record(2, 1, 1, &other.issuer)]), "with usage 2 they do");
    let strange = Authority::new().issue(HOST);
    assert!(!check(&right, vec![record(2, 1, 1, &strange.issuer)]));
    assert!(
        check(&right, vec![record(2, 1, 1, &strange.issuer), record(3, 1, 1, &right.leaf)]),
        "one is enough"
    );
    assert!(check(&right, vec![record(1, 1, 1, &strange.leaf)]), "none is usable: nothing is proved");
}

#[test]
fn one_of_several_names_is_enough() {
    let ours = Authority::new();
    let names = |list: &[&str]| Verify::Names(list.iter().map(|name| (*name).to_owned()).collect());
    let session = verified(&ours.issue(HOST), &ours, names(&["example.test", ".example.test"])).unwrap();
    assert!(session.is_verified());
    let why = verified(&ours.issue(HOST), &ours, names(&["other.test", ".other.test"])).err().unwrap();
    assert!(why.contains("not for other.test"), "{why}");
    assert!(verified(&Authority::new().issue(HOST), &ours, names(&[".example.test"])).is_err());
}

/// RFC 8460 §4.3 wants to know which it was; a policy that is only tried out sends all the same.
#[test]
fn where_faults_are_only_noted_the_session_goes_on() {
    let ours = Authority::new();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&ours.pem()).unwrap();
    let open = |certificate: Option<&Certificate>| {
        let script = certificate.map_or_else(StubMta::new, |certificate| StubMta::new().tls(certificate));
        let stub = script.start();
        let authorities = Some(file.path().to_owned());
        let settings = Settings { authorities, lenient: true, ..with(TlsUse::Opportunistic) };
        let mut session = Session::connect(&peer(&stub), &settings, Verify::Name, None).unwrap();
        assert_eq!(words(&send(&mut session, &small(), &["b@y.example"])), ["ok"]);
        assert_eq!(session.is_tls(), certificate.is_some());
        (session.is_verified(), session.fault().map(|(fault, _)| *fault))
    };
    assert_eq!(open(Some(&ours.issue(HOST))), (true, None));
    assert_eq!(open(None), (false, Some(TlsFault::NotOffered)));
    assert_eq!(open(Some(&ours.issue("other.test"))), (false, Some(TlsFault::HostMismatch)));
    assert_eq!(open(Some(&ours.issue_expired(HOST))), (false, Some(TlsFault::Expired)));
    assert_eq!(open(Some(&Authority::new().issue(HOST))), (false, Some(TlsFault::NotTrusted)));
}

#[test]
fn tls_from_the_first_byte_needs_no_starttls() {
    let ours = Authority::new();
    let stub = StubMta::new().implicit_tls(&ours.issue(HOST)).start();
    let mut session = try_open(&stub, &with(TlsUse::Implicit)).unwrap();
    assert!(session.is_tls());
    assert_eq!(words(&send(&mut session, &small(), &["b@y.example"])), ["ok"]);
    assert!(stub.seen().commands.iter().all(|line| line != "STARTTLS"));
    let plain = StubMta::new().start();
    assert_eq!(refused(&plain, &with(TlsUse::Implicit)).kind, Kind::Tls);
}
