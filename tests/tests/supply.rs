//! What the programs are made of: licences, crates that are not wanted, one crate in several versions; and how far the units
//! of systemd open the daemons. What cargo-deny would hold, from `cargo metadata`, since its database of advisories and its
//! own build are more than the tests need.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use black_box::instance::top;
use serde_json::Value;

/// One of these is enough. MPL-2.0 binds changes of its own files only, and ours are used as they are.
const LICENCES: [&str; 9] =
    ["Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "0BSD", "MPL-2.0"];

/// Who may not come in by the back door: second TLS libraries, asynchronous runtimes beside the one of `ldap3`, HTTP clients.
const BANNED: [&str; 9] =
    ["rustls", "ring", "aws-lc-rs", "async-std", "smol", "hyper", "reqwest", "openssl-src", "chrono"];

/// What comes in several versions, since its users have not moved together.
const SEVERAL: [&str; 13] = [
    "cpufeatures",
    "getrandom",
    "r-efi",
    "rand",
    "rand_core",
    "syn",
    "windows-sys",
    "hashbrown",
    "bitflags",
    "phf",
    "phf_generator",
    "phf_macros",
    "phf_shared",
];

fn foreign() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = all["packages"].as_array().unwrap().clone();
    packages.into_iter().filter(|package| !package["source"].is_null()).collect()
}

/// Name and version of what is compiled, on whatever target; what is locked and no feature asks for is not.
fn compiled() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--target=all",
            "--edges=normal,build",
            "--prefix=none",
            "--locked",
            "--offline",
        ])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    versions
}

/// Whether an SPDX expression can be met with [`LICENCES`]: AND binds closer than OR, a slash is an old OR.
fn is_met(expression: &str) -> bool {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let mut place = 0;
    let met = either(&tokens, &mut place);
    met && place == tokens.len()
}

fn either(tokens: &[&str], place: &mut usize) -> bool {
    let mut met = both(tokens, place);
    while tokens.get(*place) == Some(&"OR") {
        *place += 1;
        met |= both(tokens, place);
    }
    met
}

fn both(tokens: &[&str], place: &mut usize) -> bool {
    let mut met = one(tokens, place);
    while tokens.get(*place) == Some(&"AND") {
        *place += 1;
        met &= one(tokens, place);
    }
    met
}

fn one(tokens: &[&str], place: &mut usize) -> bool {
    let Some(token) = tokens.get(*place) else { return false };
    *place += 1;
    if *token == "(" {
        let met = either(tokens, place);
        *place += 1; // the other parenthesis
        return met;
    }
    let met = LICENCES.contains(token);
    if tokens.get(*place) == Some(&"WITH") {
        *place += 2; // an exception only permits more
    }
    met
}

#[test]
fn licence_expressions_are_read_as_spdx_has_them() {
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-2.0", true),
        ("MIT AND GPL-2.0", false),
        ("(Apache-2.0 OR GPL-2.0) AND BSD-3-Clause", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("MIT/GPL-2.0", true),
        ("", false),
    ] {
        assert_eq!(is_met(expression), met, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_ours_can_be_given_with() {
    let wrong: Vec<_> = foreign()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_met))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn nothing_comes_in_that_is_not_wanted_or_twice_without_need() {
    let versions = compiled();
    assert!(versions.contains_key("openssl") && versions.len() > 100, "{versions:?}");
    let banned: Vec<_> = BANNED.iter().filter(|name| versions.contains_key(**name)).collect();
    assert!(banned.is_empty(), "{banned:?}");
    let several: Vec<_> = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !SEVERAL.contains(&name.as_str()))
        .collect();
    assert!(several.is_empty(), "in several versions: {several:?}");
}

/// A unit of 2.0 or less in systemd's own measure; without our lines it is above 9, so the measure measures.
#[test]
fn the_units_of_systemd_leave_little_open() {
    let mut units = 0;
    for entry in fs::read_dir(top().join("etc/systemd")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "service") {
            continue;
        }
        units += 1;
        let measure = |path: &std::path::Path| {
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
                .arg(path)
                .output()
                .expect("systemd-analyze of the Debian package systemd (scripts/packages)")
        };
        let output = measure(&path);
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stdout));
        let text = fs::read_to_string(&path).unwrap();
        let bare = tempfile::Builder::new().prefix("unit-").suffix(".service").tempfile().unwrap();
        let start = text.lines().filter(|line| line.starts_with('[') || line.starts_with("ExecStart="));
        fs::write(bare.path(), start.collect::<Vec<_>>().join("\n")).unwrap();
        assert!(!measure(bare.path()).status.success(), "{}: everything passes", path.display());
    }
    assert!(units >= 4, "{units}");
}

/// With the drop-in for programs of users, smtpd's unit measures what the drop-in says of itself, and not more.
#[test]
fn the_unit_that_runs_programs_leaves_open_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let units = top().join("etc/systemd");
    let (unit, drop_in) =
        (folder.path().join("mailboat-smtp.service"), folder.path().join("mailboat-smtp.service.d"));
    fs::copy(units.join("mailboat-smtp.service"), &unit).unwrap();
    fs::create_dir(&drop_in).unwrap();
    fs::copy(units.join("programs.conf"), drop_in.join("programs.conf")).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&unit)
        .output()
        .expect("systemd-analyze of the Debian package systemd (scripts/packages)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, measured) = text.rsplit_once("mailboat-smtp.service: ").unwrap();
    let measured: f32 = measured.split(' ').next().unwrap().parse().unwrap();
    let told = fs::read_to_string(units.join("programs.conf")).unwrap();
    let (_, told) = told.split_once("measures ").unwrap();
    let told: f32 = told.split(' ').next().unwrap().parse().unwrap();
    assert!(measured > 2.0, "the drop-in changed nothing: {text}");
    assert!(measured <= told, "{told} is told: {text}");
    // What nobody needs to run a program for a user.
    for open in ["@clock", "@module", "@mount", "@raw-io", "@reboot", "@swap", "@debug"] {
        let line = text.lines().find(|line| line.contains(&format!("SystemCallFilter=~{open} "))).unwrap();
        assert!(line.contains("is not included"), "{line}");
    }
}
