//! Literals: their numbers, their sizes, and what is in them (RFC 3501 §4.3, RFC 7888).

use black_box::Vigil;

use crate::{GROWTH_MAX_BYTES, instance, line, says, selected, stranger};

const NUMBERS: &[(&str, &str)] = &[
    ("LOGIN {4294967296}", "x BAD"),
    ("LOGIN {-1}", "x BAD"),
    ("LOGIN {}", "x BAD"),
    ("LOGIN {99999999999999999999}", "x BAD"),
    ("LOGIN {5", "x BAD"),
    ("LOGIN {0x5}", "x BAD"),
    ("NOOP {}", "x BAD"),
];

#[test]
fn numbers_that_are_none_get_no_invitation() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    for (command, answer) in NUMBERS {
        line(&mut stranger(&instance), command, answer);
        line(&mut user, &command.replace("LOGIN", "SELECT"), answer);
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn literals_above_the_limit_are_refused_and_thrown_away_in_bounds() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let announced = |verb: &str, size: usize| {
        let mut bytes = format!("x {verb} {{{size}+}}\r\n").into_bytes();
        bytes.resize(bytes.len() + size, b'y');
        bytes.extend_from_slice(b" secret\r\n");
        bytes
    };
    line(&mut stranger(&instance), "LOGIN {4097}", "x NO [TOOBIG]"); // sync literal above limit
    says(&mut stranger(&instance), "{n+} above limit", &announced("LOGIN", 4097), &["x NO [TOOBIG]"]);
    says(&mut stranger(&instance), "{n+} of 1 MiB", &announced("LOGIN", 1 << 20), &["x NO [TOOBIG]"]);
    let huge = format!("x LOGIN {{{}+}}\r\nyyyy", (1 << 20) + 1);
    says(&mut stranger(&instance), "{n+} larger", huge.as_bytes(), &["* BYE [TOOBIG]", "close"]);
    says(
        &mut stranger(&instance),
        "{n+} of any number",
        b"x LOGIN {99999999999999999999+}\r\n",
        &["* BYE", "close"],
    );
    let mut user = selected(&instance);
    line(&mut user, "SELECT {65537}", "x NO [TOOBIG]");
    says(&mut user, "{n+} above limit", &announced("SELECT", 65_537), &["x NO [TOOBIG]"]);
    line(&mut user, "APPEND INBOX {4294967295}", "x NO [TOOBIG]"); // over APPENDLIMIT
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn ten_thousand_literals_in_one_command_are_too_much() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    for (verb, one) in [("LOGIN ", "{0+}\r\n"), ("LOGIN ", "{1+}\r\na"), ("SEARCH TEXT ", "{1+}\r\na TEXT ")]
    {
        let bytes = format!("x {verb}{}\r\n", one.repeat(10_000));
        if verb.starts_with("LOGIN") {
            says(
                &mut stranger(&instance),
                "10,000 literals in one LOGIN",
                bytes.as_bytes(),
                &["x BAD [TOOBIG]"],
            );
        }
        says(
            &mut selected(&instance),
            "10,000 literals in one SEARCH",
            bytes.as_bytes(),
            &["x BAD [TOOBIG]"],
        );
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn nul_has_no_place_in_a_literal() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    says(&mut user, "NUL in {n} of APPEND", b"x APPEND INBOX {5+}\r\na\0b\r\n\r\n", &["x BAD"]);
    says(&mut user, "NUL in a name", b"x SELECT {3+}\r\na\0b\r\n", &["x BAD"]);
    says(&mut user, "~{n} without waiting", b"x APPEND INBOX ~{3+}\r\na\0b\r\n", &["x NO [UNKNOWN-CTE]"]);
    says(&mut user, "~{n} where none may be", b"x SELECT ~{3+}\r\na\0b\r\n", &["x BAD"]);
    assert_eq!(user.exists("INBOX"), 1);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}
