//! Every SASL mechanism in every protocol: it logs in, does not with what is wrong, and is neither offered nor taken when the
//! site has it switched off.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAPS, POPS, SUBMISSIONS, wait_for};
use black_box::sasl_client::{SaslClient, challenge};
use black_box::scram::Scram;
use black_box::token_issuer::Issuer;
use black_box::{Authority, Certificate, Instance, Setup, Wire, run};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::json;

const SERVICES: [(&str, u16); 3] = [("smtp", SUBMISSIONS), ("imap", IMAPS), ("pop", POPS)];

const ALL: [&str; 11] = [
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "LOGIN",
    "OAUTHBEARER",
    "XOAUTH2",
    "CRAM-MD5",
    "EXTERNAL",
    "ANONYMOUS",
];

/// A site that lacks nothing a mechanism needs. Alice's password is stored for both kinds of SCRAM, carol's is in clear, and the
/// account of everybody is bob's.
struct Site {
    instance: Instance,
    issuer: Issuer,
    alice: Certificate,
    nobody: Certificate,
}

impl Site {
    fn with(mechanisms: &str) -> Site {
        let mut instance = Setup::default()
            .users(&["alice", "bob", "carol"])
            .set("service.saslmechanisms", mechanisms)
            .set("service.passwordscheme", "SCRAM-SHA-256 SCRAM-SHA-1")
            .set("service.scramiterations", "4096")
            .set("service.oauthissuer", "https://id.example")
            .set("service.oauthaudience", "mail")
            .set("service.anonymoususer", "bob")
            .set("service.guessaddressmax", "1000")
            .set("service.guessaccountmax", "1000")
            .set("local.encryption.clientnames", "cn")
            .create();
        let authority = Authority::new();
        fs::write(instance.path("config/certs/clients.pem"), authority.pem()).unwrap();
        instance.set("local.encryption.clientauthorities", "config/certs/clients.pem");
        let issuer = Issuer::new(&instance);
        let mut tool = instance.tool("dirutil");
        tool.args(["password", "alice", "--password-stdin"]).stdin(Stdio::piped());
        let mut child = tool.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"alice-secret\n").unwrap();
        assert!(child.wait().unwrap().success());
        run(instance.tool("dirutil").args(["change", "carol", "--set", "userPassword={CLEAR}carol-secret"]));
        instance.start_all();
        Site { alice: authority.issue("alice"), nobody: authority.issue("nobody"), instance, issuer }
    }

    /// A client that has a certificate if it wants to use it.
    fn client(&self, port: u16, mechanism: &str, right: bool) -> SaslClient {
        let certificate = if right { &self.alice } else { &self.nobody };
        let certificate = (mechanism == "EXTERNAL").then_some(certificate);
        let (stream, ca) = (self.instance.connect(port), self.instance.path("config/certs/ca.pem"));
        SaslClient::greeted(Wire::tls_as(stream, &ca, certificate), port)
    }

    /// The last answer of a whole exchange, with what is right or with what is wrong.
    fn log_in(&self, client: &mut SaslClient, mechanism: &str, right: bool) -> String {
        let secret = if right { "alice-secret" } else { "wrong" };
        let claims = if right { json!({}) } else { json!({ "exp": 1_000_000_000 }) };
        let token = || self.issuer.token("alice@example.test", claims.clone());
        let by_token = |client: &mut SaslClient, initial: String, acknowledged: &str| {
            // RFC 5034 §4: with POP a command line is too short for a token.
            let answer = if client.service == POPS {
                challenge(&client.begin(mechanism, ""));
                client.ask(&STANDARD.encode(initial))
            } else {
                client.begin(mechanism, &STANDARD.encode(initial))
            };
            if right {
                return answer;
            }
            challenge(&answer);
            client.ask(acknowledged)
        };
        match mechanism {
            "PLAIN" => client.begin(mechanism, &STANDARD.encode(format!("\0alice\0{secret}"))),
            "LOGIN" => {
                challenge(&client.begin(mechanism, ""));
                challenge(&client.ask(&STANDARD.encode("alice")));
                client.ask(&STANDARD.encode(secret))
            }
            "CRAM-MD5" => {
                let asked = STANDARD.decode(challenge(&client.begin(mechanism, ""))).unwrap();
                let key = PKey::hmac(if right { b"carol-secret" } else { b"carols-wrong" }).unwrap();
                let mut signer = Signer::new(MessageDigest::md5(), &key).unwrap();
                signer.update(&asked).unwrap();
                let digest = signer.sign_to_vec().unwrap();
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                client.ask(&STANDARD.encode(format!("carol {digest}")))
            }
            "EXTERNAL" => client.begin(mechanism, "="),
            "OAUTHBEARER" => {
                by_token(client, format!("n,a=alice,\u{1}auth=Bearer {}\u{1}\u{1}", token()), "AQ==")
            }
            "XOAUTH2" => by_token(client, format!("user=alice\u{1}auth=Bearer {}\u{1}\u{1}", token()), ""),
            "ANONYMOUS" => client.begin(mechanism, &STANDARD.encode("somebody")),
            scram => {
                let gs2 = if scram.ends_with("-PLUS") { "p=tls-exporter,," } else { "n,," };
                let binding =
                    if scram.ends_with("-PLUS") { client.wire.exporter.clone() } else { Vec::new() };
                let exchange = Scram::new(gs2, &binding, "alice", secret);
                let is_sha1 = scram.starts_with("SCRAM-SHA-1");
                client.scram(scram, &mut if is_sha1 { exchange.of_sha1() } else { exchange })
            }
        }
    }
}

fn who(mechanism: &str) -> &'static str {
    match mechanism {
        "CRAM-MD5" => "carol",
        "ANONYMOUS" => "bob",
        _ => "alice",
    }
}

/// SMTP has no ANONYMOUS, whatever the site says: that would be an open relay.
fn is_there(mechanism: &str, port: u16) -> bool {
    mechanism != "ANONYMOUS" || port != SUBMISSIONS
}

fn is_not_taken(client: &mut SaslClient, mechanism: &str) {
    assert!(!client.offered().contains(&mechanism.to_owned()), "{mechanism} {}", client.service);
    let refusal = match client.service {
        SUBMISSIONS => "504 5.5.4 ",
        IMAPS => "a NO [CANNOT] No such authentication mechanism",
        _ => "-ERR Mechanism not supported",
    };
    for initial in ["", "=", "AGFsaWNlAGFsaWNlLXNlY3JldA=="] {
        let answer = client.begin(mechanism, initial);
        assert!(answer.starts_with(refusal), "{mechanism} {}: {answer}", client.service);
    }
}

#[test]
fn every_mechanism_logs_in_by_every_protocol_and_not_with_what_is_wrong() {
    let site =
        Site::with("SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN OAUTHBEARER XOAUTH2 CRAM-MD5 EXTERNAL ANONYMOUS");
    for (service, port) in SERVICES {
        for mechanism in ALL {
            let mut client = site.client(port, mechanism, true);
            if !is_there(mechanism, port) {
                is_not_taken(&mut client, mechanism);
                continue;
            }
            assert!(client.offered().contains(&mechanism.to_owned()), "{service} {mechanism}");
            let answer = site.log_in(&mut client, mechanism, true);
            assert!(SaslClient::is_in(&answer), "{service} {mechanism}: {answer}; {}", site.instance.logs());
            let (next, goes_on) = match port {
                SUBMISSIONS => (format!("MAIL FROM:<{}@example.test>", who(mechanism)), "250 "),
                IMAPS => ("b NOOP".to_owned(), "b OK "),
                _ => ("STAT".to_owned(), "+OK 0 "),
            };
            let after = client.ask(&next);
            assert!(after.starts_with(goes_on), "{service} {mechanism}: {after}");
            let (user, method) = (format!("] {} TLS (session ", who(mechanism)), format!(") {mechanism}"));
            wait_for("the line in the log", || {
                let log = site.instance.log(service);
                let is_it = |line: &str| {
                    line.contains(&user)
                        && line.split_once(&method).is_some_and(|(_, rest)| !rest.starts_with('-'))
                };
                log.lines().any(is_it).then_some(())
            });
            if mechanism == "ANONYMOUS" {
                continue; // there is nothing to be wrong
            }
            let mut client = site.client(port, mechanism, false);
            let answer = site.log_in(&mut client, mechanism, false);
            assert!(SaslClient::is_refused(&answer), "{service} {mechanism} with what is wrong: {answer}");
        }
    }
}

#[test]
fn what_is_switched_off_is_neither_offered_nor_taken_by_any_protocol() {
    for on in ["CRAM-MD5", "PLAIN"] {
        let site = Site::with(on);
        for (service, port) in SERVICES {
            for mechanism in ALL.into_iter().filter(|mechanism| *mechanism != on) {
                is_not_taken(&mut site.client(port, mechanism, true), mechanism);
            }
            let mut client = site.client(port, on, true);
            assert_eq!(client.offered(), [on], "{service}");
            let answer = site.log_in(&mut client, on, true);
            assert!(SaslClient::is_in(&answer), "{service} {on}: {answer}");
        }
    }
}
