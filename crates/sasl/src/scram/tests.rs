use super::*;
use proptest::prelude::*;

const NO_BINDING: Option<Bindings<'static>> = None;

fn pencil(hash: Hash, salt: &str) -> Verifier {
    Verifier::of(hash, "pencil", &BASE64.decode(salt).unwrap(), 4096).unwrap()
}

fn exporter(name: &str) -> Option<Vec<u8>> {
    (name == "tls-exporter").then(|| b"of this connection".to_vec())
}

/// What a client says last that knows the password, or another.
fn client_final(challenged: &Challenged, bound: &[u8], password: &str) -> String {
    let (hash, verifier) = (challenged.hash, &challenged.verifier);
    let mut salted = vec![0; hash.length()];
    let count = usize::try_from(verifier.iterations).unwrap();
    openssl::pkcs5::pbkdf2_hmac(password.as_bytes(), &verifier.salt, count, hash.digest(), &mut salted)
        .unwrap();
    let client_key = hash.mac(&salted, b"Client Key");
    let unproved = format!("c={},r={}", BASE64.encode(bound), challenged.nonce);
    let said = format!("{},{},{unproved}", challenged.first.bare, challenged.server_first);
    let signature = hash.mac(&hash.of(&client_key), said.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{unproved},p={}", BASE64.encode(proof))
}

fn challenge(first: &str, plus: bool, bindings: Option<Bindings<'_>>) -> Option<Challenged> {
    let first = ClientFirst::parse(first.as_bytes(), plus, bindings)?;
    let verifier = Verifier::new(Hash::Sha256, "pencil", ITERATIONS_MIN).unwrap();
    Challenged::new(first, Hash::Sha256, verifier)
}

/// RFC 7677 §3.
#[test]
fn the_example_of_scram_sha_256() {
    let first = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", false, NO_BINDING).unwrap();
    assert_eq!((first.authcid.as_str(), first.authzid.as_str()), ("user", ""));
    let verifier = pencil(Hash::Sha256, "W22ZaJ0SNY7soEsUEjb6gQ==");
    let challenged = Challenged::with_nonce(first, Hash::Sha256, verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    assert_eq!(
        challenged.server_first(),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let said = challenged.finish(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    assert_eq!(said, Some(Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".into())));
}

/// RFC 5802 §5.
#[test]
fn the_example_of_scram_sha_1() {
    let first = ClientFirst::parse(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", false, NO_BINDING).unwrap();
    let verifier = pencil(Hash::Sha1, "QSXCR+Q6sek8bf92");
    let challenged = Challenged::with_nonce(first, Hash::Sha1, verifier, "3rfcNHYJY1ZVvWVs7j");
    let said = challenged
        .finish(b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    assert_eq!(said, Some(Ok("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=".into())));
}

#[test]
fn another_password_and_another_exchange_are_not_believed() {
    let challenged = challenge("n,,n=joe,r=abc", false, NO_BINDING).unwrap();
    assert!(matches!(challenged.finish(client_final(&challenged, b"n,,", "pencil").as_bytes()), Some(Ok(_))));
    let wrong = client_final(&challenged, b"n,,", "Pencil");
    assert_eq!(challenged.finish(wrong.as_bytes()), Some(Err(Doubt::Proof)));
    let right = client_final(&challenged, b"n,,", "pencil");
    let other = challenge("n,,n=joe,r=abc", false, NO_BINDING).unwrap();
    assert_eq!(other.finish(right.as_bytes()), None, "a replay has the nonce of another exchange");
    let no_proof = right.rsplit_once(",p=").unwrap().0;
    for message in
        [no_proof.to_owned(), format!("{no_proof},p="), format!("{no_proof},p=AAAA"), String::new()]
    {
        assert_eq!(challenged.finish(message.as_bytes()), None, "{message}");
    }
}

#[test]
fn the_binding_must_be_that_of_this_connection() {
    let bindings: Option<Bindings<'_>> = Some(&exporter);
    let header = b"p=tls-exporter,,";
    let challenged = challenge("p=tls-exporter,,n=joe,r=abc", true, bindings).unwrap();
    let bound = [&header[..], b"of this connection"].concat();
    let right = client_final(&challenged, &bound, "pencil");
    assert!(matches!(challenged.finish(right.as_bytes()), Some(Ok(_))));
    let elsewhere = client_final(&challenged, &[&header[..], b"of another"].concat(), "pencil");
    assert_eq!(challenged.finish(elsewhere.as_bytes()), Some(Err(Doubt::Binding)));
    let without = client_final(&challenged, b"n,,", "pencil");
    assert_eq!(challenged.finish(without.as_bytes()), Some(Err(Doubt::Binding)));
}

/// RFC 5802 §6.
#[test]
fn the_flag_must_suit_the_mechanism() {
    let bindings: Option<Bindings<'_>> = Some(&exporter);
    for (first, plus, bindings) in [
        ("n,,n=joe,r=abc", true, bindings),
        ("y,,n=joe,r=abc", true, bindings),
        ("p=tls-exporter,,n=joe,r=abc", false, bindings),
        ("p=tls-unique,,n=joe,r=abc", true, bindings),
        ("p=tls-exporter,,n=joe,r=abc", true, None),
    ] {
        assert!(challenge(first, plus, bindings).is_none(), "{first} {plus}");
    }
    let downgraded = challenge("y,,n=joe,r=abc", false, bindings).unwrap();
    let right = client_final(&downgraded, b"y,,", "pencil");
    assert_eq!(downgraded.finish(right.as_bytes()), Some(Err(Doubt::Downgrade)));
    let old_server = challenge("y,,n=joe,r=abc", false, None).unwrap();
    let right = client_final(&old_server, b"y,,", "pencil");
    assert!(
        matches!(old_server.finish(right.as_bytes()), Some(Ok(_))),
        "nothing was offered to be downgraded"
    );
}

#[test]
fn names_have_their_commas_back() {
    let first = ClientFirst::parse(b"n,a=the=2Cboss,n=a=3Db=2C,r=x,ext=1", false, NO_BINDING).unwrap();
    assert_eq!((first.authzid.as_str(), first.authcid.as_str()), ("the,boss", "a=b,"));
    for wrong in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=,r=x",
        "n,,n=a",
        "n,,n=a=,r=x",
        "n,,n=a=2c,r=x",
        "n,,m=1,n=a,r=x",
        "n,,n=a,r=",
        "n,b=x,n=a,r=x",
        "n,a=,n=a,r=x",
        "x,,n=a,r=x",
        "n,,n=a,r=\u{e9}",
    ] {
        assert!(ClientFirst::parse(wrong.as_bytes(), false, NO_BINDING).is_none(), "{wrong}");
    }
}

#[test]
fn verifiers_are_read_in_both_forms() {
    let verifier = Verifier::new(Hash::Sha256, "pencil", ITERATIONS_MIN).unwrap();
    let commas = verifier.to_text();
    assert!(Verifier::parse(Hash::Sha256, &commas) == Some(verifier.clone()));
    let parts: Vec<&str> = commas.split(',').collect();
    let rfc5803 = format!("{}:{}${}:{}", parts[0], parts[1], parts[2], parts[3]);
    assert!(Verifier::parse(Hash::Sha256, &rfc5803) == Some(verifier.clone()));
    assert!(verifier.is_of(Hash::Sha256, "pencil") && !verifier.is_of(Hash::Sha256, "pen"));
    for wrong in
        ["", "4096", "0,AAAA,AAAA,AAAA", &commas.replacen("4096", "99999999", 1), &commas[..commas.len() - 4]]
    {
        assert!(Verifier::parse(Hash::Sha256, wrong).is_none(), "{wrong}");
    }
    assert!(Verifier::parse(Hash::Sha1, &commas).is_none());
}

#[test]
fn who_has_no_keys_gets_the_same_salt_each_time() {
    let made = |secret: &[u8], name: &str| Verifier::made_up(Hash::Sha256, secret, name, 4096);
    assert!(made(b"s", "joe") == made(b"s", "joe"));
    assert!(
        made(b"s", "joe").salt != made(b"s", "jim").salt && made(b"s", "joe").salt != made(b"t", "joe").salt
    );
    assert_eq!(made(b"s", "joe").salt.len(), Verifier::new(Hash::Sha256, "x", 4096).unwrap().salt.len());
}

proptest! {
    #[test]
    fn no_message_is_too_strange(first in ".{0,60}", last in ".{0,80}", tail in "[nyp=,a-z0-9]{0,40}") {
        let bindings: Option<Bindings<'_>> = Some(&exporter);
        for plus in [false, true] {
            ClientFirst::parse(first.as_bytes(), plus, bindings);
            ClientFirst::parse(tail.as_bytes(), plus, bindings);
        }
        let parsed = ClientFirst::parse(b"n,,n=joe,r=abc", false, NO_BINDING).unwrap();
        let challenged = Challenged::new(parsed, Hash::Sha256, Verifier::made_up(Hash::Sha256, b"s", "joe", 4096)).unwrap();
        prop_assert!(!matches!(challenged.finish(last.as_bytes()), Some(Ok(_))));
    }

    /// A message that is cut or changed anywhere logs nobody in.
    #[test]
    fn nothing_but_the_whole_message_is_believed(at in 0usize..200, with in any::<u8>(), cut in any::<bool>()) {
        let parsed = ClientFirst::parse(b"n,,n=joe,r=abc", false, NO_BINDING).unwrap();
        let verifier = Verifier::of(Hash::Sha256, "pencil", b"salt", 10).unwrap();
        let challenged = Challenged::new(parsed, Hash::Sha256, verifier).unwrap();
        let mut message = client_final(&challenged, b"n,,", "pencil").into_bytes();
        let at = at % message.len();
        if cut { message.truncate(at) } else { prop_assume!(message[at] != with); message[at] = with }
        prop_assert!(!matches!(challenged.finish(&message), Some(Ok(_))));
    }
}

/// Who is distrusted proves nothing, with the right password neither, and sees the same until then.
#[test]
fn no_proof_is_right_any_more_of_whom_is_distrusted() {
    for distrusted in [false, true] {
        let mut challenged = challenge("n,,n=user,r=abc", false, NO_BINDING).unwrap();
        let last = client_final(&challenged, b"n,,", "pencil");
        let first = challenged.server_first().to_owned();
        if distrusted {
            challenged.distrust();
        }
        assert_eq!(challenged.server_first(), first);
        let result = challenged.finish(last.as_bytes()).unwrap();
        assert_eq!(result.is_err(), distrusted);
        assert!(!distrusted || result == Err(Doubt::Proof));
    }
}
