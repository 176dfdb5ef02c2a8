use std::ptr::{null, null_mut};

use super::*;

const HEADER: &str = include_str!("../../include/mailboat_auth.h");
const SOURCE: &str = include_str!("../c.rs");

/// A text without its comments, and every run of blanks one.
fn bare(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let lines: Vec<&str> = kept.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `int name(const char *, ...)`: what a prototype says besides its parameters' names.
fn prototypes_of_c() -> Vec<String> {
    let text = bare(HEADER);
    let declarations = text
        .split(';')
        .filter_map(|piece| piece.rsplit_once("MAILBOAT_AUTH_API "))
        .filter(|(_, declaration)| declaration.contains('('));
    let mut found: Vec<String> = declarations
        .map(|(_, declaration)| {
            let (head, parameters) = declaration.trim_end_matches(')').split_once('(').unwrap();
            let (kind, name) = head.rsplit_once([' ', '*']).unwrap();
            let star = if head[kind.len()..].starts_with('*') { " *" } else { "" };
            let parameters: Vec<String> = parameters
                .split(',')
                .map(str::trim)
                .filter(|one| *one != "void")
                .map(|one| one.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').trim().to_owned())
                .collect();
            format!("{}{star} {name}({})", kind.trim(), parameters.join(", "))
        })
        .collect();
    found.sort();
    found
}

fn c_of(rust: &str) -> &str {
    match rust {
        "" => "void",
        "i32" => "int",
        "u16" => "uint16_t",
        "u32" => "uint32_t",
        "usize" => "size_t",
        "*const c_char" => "const char *",
        "*mut c_char" => "char *",
        "*mut *mut c_char" => "char **",
        "*mut c_void" => "void *",
        "*const c_void" => "const void *",
        "*mut usize" => "size_t *",
        "*mut u32" => "uint32_t *",
        "*const Authenticator" => "const mailboat_auth *",
        "*mut Authenticator" => "mailboat_auth *",
        "*mut *mut Authenticator" => "mailboat_auth **",
        "*mut Connection" => "mailboat_auth_connection *",
        "*mut *mut Connection" => "mailboat_auth_connection **",
        other => panic!("what is {other} in C?"),
    }
}

fn prototypes_of_rust() -> Vec<String> {
    let text = bare(SOURCE);
    let mut found: Vec<String> = text
        .split("extern \"C\" fn ")
        .skip(1)
        .map(|piece| {
            let declaration = piece.split(" {").next().unwrap();
            let (name, rest) = declaration.split_once('(').unwrap();
            let (parameters, kind) = rest.split_once(')').unwrap();
            let parameters: Vec<&str> = parameters
                .split(',')
                .filter_map(|one| one.split_once(':'))
                .map(|(_, kind)| c_of(kind.trim()))
                .collect();
            let kind = c_of(kind.trim().trim_start_matches("->").trim());
            format!("{kind} {name}({})", parameters.join(", "))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_header_declares_what_is_here() {
    let (c, rust) = (prototypes_of_c(), prototypes_of_rust());
    assert!(rust.len() > 10, "{rust:?}");
    assert_eq!(c, rust);
}

#[test]
fn the_numbers_of_the_header_are_ours() {
    let header = bare(HEADER);
    let value = |name: &str| -> i32 {
        let place = header.split(&format!("MAILBOAT_AUTH_{name} = ")).nth(1);
        let digits = place.unwrap_or_else(|| panic!("{name}")).split([',', ' ', '}']).next();
        digits.unwrap().parse().unwrap()
    };
    for status in Status::ALL {
        let mut name = String::new();
        for c in format!("{status:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
        assert_eq!(value(&name), status as i32, "{name}");
    }
    for (name, security) in
        [("TLS_FIRST", Security::Tls), ("STARTTLS", Security::StartTls), ("LOOPBACK", Security::Loopback)]
    {
        assert_eq!(security_of(value(name)).unwrap(), security);
    }
    assert!(security_of(3).is_err() && security_of(-1).is_err());
    assert!(HEADER.contains(&format!("#define MAILBOAT_AUTH_ABI {ABI}")));
}

#[test]
fn nothing_where_something_is_wanted_is_an_error_and_no_crash() {
    let mut why: *mut c_char = null_mut();
    let mut auth: *mut Authenticator = null_mut();
    let missing = Status::Argument as i32;
    let (host, word) = (c"localhost".as_ptr(), c"x".as_ptr());
    // SAFETY: the pointers are null or good.
    unsafe {
        assert_eq!(mailboat_auth_new(null(), word, word, &mut auth, &mut why), missing);
        let text = CStr::from_ptr(why).to_str().unwrap().to_owned();
        assert_eq!(text, "an argument makes no sense: a string is missing");
        mailboat_auth_string_free(why);
        assert_eq!(mailboat_auth_new(host, word, word, null_mut(), null_mut()), missing);
        assert_eq!(mailboat_auth_new(host, c"\xff".as_ptr(), word, &mut auth, null_mut()), missing);
        assert!(auth.is_null());
        assert_eq!(mailboat_auth_set_timeout(null_mut(), 1, null_mut()), missing);
        let mut connection: *mut Connection = null_mut();
        assert_eq!(mailboat_auth_imap(null(), 1, 0, word, &mut connection, null_mut()), missing);
        assert_eq!(mailboat_auth_new(host, word, word, &mut auth, &mut why), 0);
        assert!(why.is_null() && !auth.is_null());
        assert_eq!(mailboat_auth_pop(auth, 1, 9, word, &mut connection, null_mut()), missing);
        assert_eq!(mailboat_auth_web(auth, 1, 2, word, null_mut(), null_mut(), null_mut()), missing);
        let mut count = 1;
        assert_eq!(mailboat_auth_read(null_mut(), null_mut(), 1, &mut count, null_mut()), missing);
        assert_eq!(mailboat_auth_write(null_mut(), word.cast(), 1, null_mut()), missing);
        mailboat_auth_free(auth);
        mailboat_auth_free(null_mut());
        mailboat_auth_close(null_mut());
        mailboat_auth_string_free(null_mut());
    }
    assert_eq!(guarded(null_mut(), || panic!("a bug")), Status::Internal as i32);
    for number in [-1, 0, 12, 13, i32::MAX] {
        assert!(!mailboat_auth_status_text(number).is_null());
    }
}
