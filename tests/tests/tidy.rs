//! What a machine can hold of the house rules: floors, generated documents, parameters that somebody reads, names in
//! documents that exist, no path of somebody's machine.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use black_box::instance::top;
use black_box::{program, run};

/// The floors of `docs/architecture.md`: a crate imports from lower floors only.
const FLOORS: [&[&str]; 8] = [
    &["os"],
    &["base"],
    &[
        "mail-format",
        "smtp-wire",
        "imap-wire",
        "pop3-wire",
        "http-wire",
        "sasl",
        "server-config",
        "counters",
        "srs",
        "html-clean",
    ],
    &[
        "server-log",
        "connection",
        "mailbox-list",
        "commit-journal",
        "text-index",
        "http-client",
        "ube-filter",
    ],
    &[
        "message-store",
        "mail-queue",
        "directory",
        "smtp-client",
        "imap-client",
        "milter",
        "plugins",
        "dispatcher",
        "dns",
    ],
    &["spf", "dkim", "dmarc", "mta-sts", "tls-report", "jmap", "acme"],
    &["smtp-server", "mta", "imap-server", "pop3-server", "http-server", "plugin-host", "store-maintenance"],
    &["admin-tools"],
];

/// All files below `folder` with one of these endings, without build output.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git", "instance", "node_modules"].contains(&name.as_str()) {
                found.extend(files(&path, endings));
            }
        } else if endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(top()).unwrap().to_string_lossy().into_owned()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Whether a function of this name is a test that is run: by its attributes, or by a macro that has a line with the name alone.
fn is_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let above = before.trim_end().lines().rev().map(str::trim);
    let attributes: Vec<&str> =
        above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
    let is_ignored = attributes.iter().any(|line| line.starts_with("#[ignore"));
    !is_ignored && (attributes.contains(&"#[test]") || source.lines().any(|line| line.trim() == name))
}

#[test]
fn what_is_no_test_or_is_not_run_is_not_taken_for_one() {
    assert!(is_test("/// Why.\n#[test]\nfn holds() {", "holds"));
    assert!(is_test("fn holds(kind: Kind) {}\nboth! {\n    holds\n}", "holds"));
    assert!(!is_test("#[test]\n#[ignore = \"slow\"]\nfn holds() {", "holds"));
    assert!(!is_test("#[test]\nfn other() {}\n\nfn holds() {}", "holds"));
    assert!(!is_test("#[test]\nfn holds_too() {}", "holds"));
}

#[test]
fn every_crate_imports_lower_floors_only() {
    let floor_of: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, crates)| crates.iter().map(move |name| (*name, floor)))
        .collect();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(top().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(&floor) = floor_of.get(name.as_str()) else {
            wrong.push(format!("{name} is on no floor"));
            continue;
        };
        let manifest = text(&folder.join("Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or("").split("\n[").next().unwrap();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            if floor_of.get(dependency).is_some_and(|below| *below >= floor) {
                wrong.push(format!("{name} imports {dependency}, which is not below it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_black_box_suite_and_the_load_generator_import_nothing_of_ours() {
    for manifest in ["tests/Cargo.toml", "bench/Cargo.toml"] {
        let manifest = text(&top().join(manifest));
        for name in FLOORS.iter().flat_map(|crates| crates.iter()) {
            assert!(!manifest.lines().any(|line| line.starts_with(&format!("{name}."))), "{name}");
        }
    }
}

#[test]
fn the_generated_documents_are_fresh() {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new(program("configutil")).arg("docs").arg(folder.path()));
    let mut stale = Vec::new();
    for made in files(folder.path(), &[]) {
        let name = made.strip_prefix(folder.path()).unwrap();
        if text(&made) != text(&top().join("docs").join(name)) {
            stale.push(name.display().to_string());
        }
    }
    for there in
        ["man", "completions", "reference"].map(|name| files(&top().join("docs").join(name), &[])).concat()
    {
        if !folder.path().join(there.strip_prefix(top().join("docs")).unwrap()).exists() {
            stale.push(format!("{}, which nothing makes", relative(&there)));
        }
    }
    assert!(stale.is_empty(), "run scripts/docs; stale: {stale:?}");
}

/// Every active parameter is read by a crate, or by a script of the supervisor.
#[test]
fn no_parameter_is_declared_that_nobody_reads() {
    let group_folder = top().join("crates/server-config/src/parameters");
    let mut code = String::new();
    for path in files(&top().join("crates"), &[".rs"]) {
        if !path.starts_with(&group_folder) {
            code.push_str(&text(&path));
        }
    }
    for path in files(&top().join("bin"), &[".rs"]) {
        code.push_str(&text(&path));
    }
    let scripts: String = files(&top().join("scripts"), &[]).iter().map(|path| text(path)).collect();
    let mut unread = Vec::new();
    for group in files(&group_folder, &[".rs"]) {
        let module = group.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in text(&group).lines().filter(|line| line.contains("Status::Active")) {
            let identifier = line.trim().split(':').next().unwrap();
            let name = line.split('"').nth(1).unwrap();
            let family = name.replace(['*'], "");
            let by_script = (name.ends_with(".enable") && scripts.contains("service.$1.enable"))
                || scripts.contains(&format!(" -o {name}"));
            let in_code =
                code.contains(&format!("{module}::{identifier}")) || code.contains(&format!("\"{family}\""));
            if !by_script && !in_code {
                unread.push(format!("{name} ({module}::{identifier})"));
            }
        }
    }
    assert!(unread.is_empty(), "declared active, read by nobody:\n{}", unread.join("\n"));
}

#[test]
fn nothing_names_a_path_of_somebodys_machine_or_leaves_a_note_to_self() {
    let mut wrong = Vec::new();
    let machine = [["/", "work", "/"].concat(), ["/", "home/"].concat(), ["/", "root/."].concat()];
    let notes = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["XX", "X:"].concat()];
    for path in files(&top(), &[".rs", ".md", ".toml", ".sh", ".py", ".conf", ".service", ".target"])
        .into_iter()
        .chain(files(&top().join("scripts"), &[]))
    {
        for (number, line) in text(&path).lines().enumerate() {
            let home = machine.iter().any(|folder| line.contains(folder.as_str()));
            if home || notes.iter().any(|note| line.contains(note.as_str())) {
                wrong.push(format!("{}:{}: {line}", relative(&path), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A test does not sleep: it waits for an event. The one polling loop is the harness's.
#[test]
fn no_test_sleeps() {
    let mut wrong = Vec::new();
    for path in files(&top().join("tests/tests"), &[".rs"]) {
        for (number, line) in text(&path).lines().enumerate() {
            if line.contains("thread::sleep(") && !line.contains("// paced:") && !path.ends_with("tidy.rs") {
                wrong.push(format!("{}:{}: {line}", relative(&path), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "wait for an event, or say why with `// paced:`\n{}", wrong.join("\n"));
}

/// Every path in backticks of these documents exists.
#[test]
fn the_files_that_documents_name_exist() {
    let mut missing = Vec::new();
    for document in [
        "docs/walkthrough.md",
        "docs/architecture.md",
        "docs/guide-coverage.md",
        "docs/handbook.md",
        "README.md",
    ] {
        for quoted in text(&top().join(document)).split('`').skip(1).step_by(2) {
            let path = quoted.split("::").next().unwrap();
            let ours = ["crates/", "bin/", "tests/", "scripts/", "docs/", "etc/", "bench/"];
            let plain = !path.contains(['*', '<', ' ', '{', '$']);
            if plain && ours.iter().any(|folder| path.starts_with(folder)) && !top().join(path).exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// `docs/bad-input.md` and the handbook's chapter on security: the tests that they name are there.
#[test]
fn the_tests_of_bad_input_and_of_the_threats_exist() {
    for (document, least) in [("docs/bad-input.md", 50), ("docs/handbook.md", 40)] {
        let document = text(&top().join(document));
        let named: Vec<(&str, &str)> = document
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|quoted| quoted.split_once("::"))
            .filter(|(path, _)| path.ends_with(".rs"))
            .collect();
        assert!(named.len() > least, "{} are named", named.len());
        for (path, test) in named {
            let source = text(&top().join(path));
            assert!(is_test(&source, test), "there is no test {path}::{test}");
        }
    }
}

/// The table of the hostile-mail lab: each class has a row, and the tests that it names are there.
#[test]
fn the_tests_of_the_hostile_mail_lab_exist() {
    let table = text(&top().join("tests/browser/lab/README.md"));
    for class in 1..=19 {
        let row = table.lines().find(|line| line.starts_with(&format!("| W{class} |")));
        assert!(row.is_some_and(|row| row.contains("::") || row.contains("as W1")), "W{class} has no test");
    }
    let named: Vec<(&str, &str)> =
        table.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::")).collect();
    assert!(named.len() > 35, "{} are named", named.len());
    for (path, test) in named {
        let source = text(&top().join(path));
        let is_there = if path.ends_with(".rs") {
            is_test(&source, test)
        } else {
            source.contains(&format!("test('{test}'"))
        };
        assert!(is_there, "there is no test {path}::{test}");
    }
}

/// `docs/guide-coverage.md`: each row of the checklist once, with a state; a row that is done names tests that exist.
#[test]
fn the_coverage_table_is_whole_and_names_real_tests() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut sources: BTreeMap<PathBuf, String> = BTreeMap::new();
    for line in text(&top().join("docs/guide-coverage.md")).lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_row = cells.get(1).is_some_and(|cell| {
            cell.len() > 1
                && cell.starts_with(['S', 'X'])
                && cell[1..].bytes().all(|byte| byte.is_ascii_digit())
        });
        if !is_row {
            continue;
        }
        let [_, row, _, state, proof, ..] = cells[..] else {
            wrong.push(format!("{line}: too few cells"));
            continue;
        };
        if !seen.insert(row.to_owned()) {
            wrong.push(format!("{row} stands twice"));
        }
        let proofs: Vec<&str> =
            proof.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")).collect();
        match state {
            "done" | "partly" if proofs.is_empty() => wrong.push(format!("{row} is {state} without a test")),
            "done" | "partly" | "open" | "documented" | "not applicable" => {}
            other => wrong.push(format!("{row}: no such state: {other}")),
        }
        for quoted in proofs {
            let (path, test) = quoted.split_once("::").unwrap();
            let path = top().join(path);
            let source = sources.entry(path.clone()).or_insert_with(|| text(&path));
            if !is_test(source, test) {
                wrong.push(format!("{row}: there is no test {quoted}"));
            }
        }
    }
    let all = (1..=195).map(|n| format!("S{n}")).chain((1..=12).map(|n| format!("X{n}")));
    wrong.extend(all.filter(|row| !seen.contains(row)).map(|row| format!("{row} is missing")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
