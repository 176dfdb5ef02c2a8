//! The schema in `etc/ldap`: one in all its forms.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

/// The file for slapd.conf and the one for cn=config say the same.
#[test]
fn both_forms_of_the_schema_are_one() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../etc/ldap");
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let schema = fs::read_to_string(folder.join("mailboat.schema")).unwrap();
    let schema: Vec<&str> = schema.lines().filter(|line| !line.starts_with('#')).collect();
    let schema = schema
        .join("\n")
        .replace("attributetype ", "olcAttributeTypes: ")
        .replace("objectclass ", "olcObjectClasses: ");
    let ldif = fs::read(folder.join("mailboat.ldif")).unwrap();
    let records = directory::ldif::parse(&ldif).unwrap();
    assert_eq!(records.len(), 1);
    let attributes = records[0].attributes.iter().filter(|(name, _)| name.starts_with("olc"));
    let ldif: Vec<String> =
        attributes.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    assert_eq!(words(ldif.join("\n")), words(schema));
}

/// What 389 Directory Server is given is the same, word for word, but for where it comes from.
#[test]
fn the_schema_of_389_is_part_of_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../etc/ldap");
    let definitions = |name: &str| -> Vec<String> {
        let records = directory::ldif::parse(&fs::read(folder.join(name)).unwrap()).unwrap();
        let all = records[0].attributes.iter().filter(|(name, _)| name.to_lowercase().ends_with("types"));
        all.map(|(_, value)| String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let ours = definitions("mailboat.ldif");
    let theirs = definitions("98mailboat.ldif");
    assert_eq!(theirs.len(), 9);
    for one in theirs {
        let bare = one.replace(" X-ORIGIN 'Mailboat'", "");
        assert!(ours.contains(&bare), "{one}");
    }
}
