//! What README, handbook and man pages name is there: programs, commands, options, parameters. No daemon is started.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use black_box::instance::top;
use black_box::program;

/// What is used beside the programs; the rest of `scripts` belongs to a checkout.
const SCRIPTS: [&str; 5] = ["start-msg", "stop-msg", "refresh-msg", "status-msg", "msg-supervise"];
const SERVICES: [&str; 5] = ["store", "smtp", "imap", "pop", "http"];
const DOCUMENTS: [&str; 2] = ["README.md", "docs/handbook.md"];

fn text(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap()
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(top().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn programs() -> BTreeSet<String> {
    names_in("bin").into_iter().chain(SCRIPTS.map(str::to_owned)).collect()
}

/// What a reader sees of a page's source: without fonts and escapes.
fn plain(source: &str) -> String {
    let mut shown = source.to_owned();
    for font in ["\\fB", "\\fI", "\\fR"] {
        shown = shown.replace(font, "");
    }
    shown.replace("\\-", "-").replace("\\e", "\\")
}

/// Of a page: the options of the program under "", and those of each command under its words, as `add user`.
struct Page {
    options: BTreeMap<String, BTreeSet<String>>,
}

impl Page {
    fn of(name: &str) -> Self {
        let section = if names_in("docs/man").contains(&format!("{name}.8")) { 8 } else { 1 };
        let page = plain(&text(&format!("docs/man/{name}.{section}")));
        let mut options = BTreeMap::from([(String::new(), BTreeSet::new())]);
        let mut command = String::new();
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            if let Some(heading) = line.strip_prefix(".SS ") {
                heading.trim_matches('"').split_once(' ').unwrap().1.clone_into(&mut command);
                options.insert(command.clone(), BTreeSet::new());
            } else if line.starts_with(".SH ") {
                command.clear();
            } else if line == ".TP" {
                let term = lines.next().unwrap_or("");
                let found = term.split([',', ' ', '[', '=']).filter(|word| word.starts_with('-'));
                options.get_mut(&command).unwrap().extend(found.map(str::to_owned));
            }
        }
        Self { options }
    }

    fn has(&self, command: &str, option: &str) -> bool {
        ["--help", "--version", "-h", "-V"].contains(&option)
            || self.options[""].contains(option)
            || self.options.get(command).is_some_and(|options| options.contains(option))
    }
}

#[test]
fn each_program_has_a_page_and_each_page_that_is_named_is_there() {
    let pages = names_in("docs/man");
    let expected = programs();
    let named: BTreeSet<String> =
        pages.iter().map(|page| page.rsplit_once('.').unwrap().0.to_owned()).collect();
    assert_eq!(named, expected, "docs/man is not made for these programs: scripts/docs");
    let mut missing = Vec::new();
    for page in &pages {
        let shown = plain(&text(&format!("docs/man/{page}")));
        for word in shown.split([' ', '\n', ',']) {
            let Some((name, rest)) = word.split_once('(') else { continue };
            let section = rest.split(')').next().unwrap();
            if !name.is_empty()
                && ["1", "8"].contains(&section)
                && !pages.contains(&format!("{name}.{section}"))
            {
                missing.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The pages of those who read their command lines themselves are written by hand: their options are those of `--help`.
#[test]
fn pages_that_are_written_by_hand_have_the_options_that_help_has() {
    let mut wrong = Vec::new();
    let daemons = ["smtpd", "imapd", "popd", "mshttpd", "stored"].map(|name| (name, program(name)));
    let scripts = SCRIPTS.map(|name| (name, top().join("scripts").join(name)));
    for (name, path) in daemons.into_iter().chain(scripts) {
        let output = Command::new(path).arg("--help").output().unwrap();
        assert!(output.status.success(), "{name} --help: {output:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        let said: BTreeSet<&str> = help
            .split([' ', '\n', '[', ']', '|', ','])
            .filter(|word| word.starts_with('-') && word.len() > 1)
            .collect();
        let page = Page::of(name);
        let on_page: BTreeSet<&str> = page.options[""].iter().map(String::as_str).collect();
        let usual = BTreeSet::from(["-h", "--help", "-V", "--version"]);
        if &said - &usual != &on_page - &usual {
            wrong.push(format!("{name}: --help has {said:?}, the page has {on_page:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The words of a line of shell up to a comment or a redirection; quotes are taken away, and quoted blanks are kept.
fn words(line: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut quote, mut inside) = (None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                if !inside {
                    found.push(String::new());
                    inside = true;
                }
            }
            (None, '#') if !inside => break,
            (None, '<' | '>' | '|') => break,
            (None, blank) if blank.is_whitespace() => inside = false,
            _ => {
                if !inside {
                    found.push(String::new());
                    inside = true;
                }
                found.last_mut().unwrap().push(letter);
            }
        }
    }
    found
}

/// The lines of shell that a document shows, in blocks and between backticks, with where they stand.
fn shown_lines(document: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut in_block = false;
    let whole = text(document).replace("\\\n", " ");
    for (number, line) in whole.lines().enumerate() {
        let place = format!("{document}, near line {}", number + 1);
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.extend(line.split("; ").map(|part| (place.clone(), part.trim().to_owned())));
        } else {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(quoted.flat_map(|one| one.split("; ")).map(|part| (place.clone(), part.to_owned())));
        }
    }
    found
}

/// What is wrong about one command that a document shows.
fn faults(words: &[String], page: &Page) -> Option<String> {
    let name = words[0].as_str();
    let has_commands = page.options.len() > 1;
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let mut command = String::new();
    if let (true, Some(first)) = (has_commands, arguments.first().filter(|word| !word.starts_with('-'))) {
        let two = arguments.get(1).map(|second| format!("{first} {second}")).unwrap_or_default();
        command = if page.options.contains_key(&two) { two } else { (*first).to_owned() };
        if !page.options.keys().any(|key| *key == command || key.starts_with(&format!("{command} "))) {
            return Some(format!("there is no command {name} {first}"));
        }
    }
    if SCRIPTS.contains(&name) {
        let mut named = arguments.iter().filter(|word| !word.starts_with(['-', '/']));
        if let Some(word) = named.find(|word| !SERVICES.contains(word)) {
            return Some(format!("{name} knows no service {word}"));
        }
    }
    let mut options = arguments.iter().filter(|word| word.starts_with('-') && word.len() > 1);
    let unknown = options.find(|word| !page.has(&command, word.split('=').next().unwrap()))?;
    Some(format!("{name} {command} has no option {unknown}"))
}

#[test]
fn the_commands_that_documents_show_have_the_options_that_they_show() {
    let programs = programs();
    let pages: BTreeMap<&str, Page> = programs.iter().map(|name| (name.as_str(), Page::of(name))).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for document in DOCUMENTS {
        for (place, line) in shown_lines(document) {
            let words = words(&line);
            let Some(page) = words.first().and_then(|first| pages.get(first.as_str())) else { continue };
            seen.insert(words[0].clone());
            count += usize::from(words.len() > 1);
            // What ps shows of the process apart is no option for people.
            if !words.contains(&"--deliveries-apart".to_owned()) {
                wrong.extend(faults(&words, page).map(|fault| format!("{place}: {fault}: {line}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 200, "{count} commands were looked at");
    let whole: String = DOCUMENTS.map(text).concat();
    let untold: Vec<&String> = programs
        .iter()
        .filter(|name| !seen.contains(*name) && !whole.contains(&format!("**{name}**")))
        .collect();
    assert!(untold.is_empty(), "neither README nor the handbook tells of {untold:?}");
}

/// Whether a name, in which `*` or `<word>` stand for a part, is that of a parameter or of a family of them.
fn is_parameter(name: &str, registry: &[String]) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    registry.iter().any(|known| {
        let known: Vec<&str> = known.split('.').collect();
        parts.len() <= known.len()
            && parts.iter().zip(&known).all(|(part, known)| {
                let open = part.starts_with('<') || known == &"*";
                open || part
                    .split_once('*')
                    .map_or(part == known, |(head, tail)| known.starts_with(head) && known.ends_with(tail))
            })
    })
}

#[test]
fn the_parameters_that_documents_name_exist() {
    // A tidy test holds the reference against the registry.
    let registry: Vec<String> = text("docs/reference/parameters.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let heads: BTreeSet<&str> = registry.iter().map(|name| name.split('.').next().unwrap()).collect();
    assert!(registry.len() > 400 && heads.contains("local"), "{heads:?}");
    // The files of a mailbox, such as store.idx, have ends of three letters at most.
    let is_file =
        |name: &str| name == "local.conf" || name.strip_prefix("store.").is_some_and(|end| end.len() <= 3);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in DOCUMENTS.into_iter().chain(["docs/guide-coverage.md", "docs/architecture.md"]) {
        for (number, line) in text(document).lines().enumerate() {
            let word_ends = |letter: char| !(letter.is_ascii_alphanumeric() || ".-_*<>/@".contains(letter));
            for word in line.split(word_ends) {
                let name = word.trim_end_matches(['.', '-', '>']);
                let name = if name.contains('<') { word.trim_end_matches('.') } else { name };
                let plain = !name.contains(['/', '@']) && !is_file(name);
                let Some((head, rest)) = name.split_once('.').filter(|_| plain) else { continue };
                if !heads.contains(head) || rest.is_empty() {
                    continue;
                }
                count += 1;
                if !is_parameter(name, &registry) {
                    wrong.push(format!("{document}:{}: {name}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no such parameter:\n{}", wrong.join("\n"));
    assert!(count > 300, "{count} names were looked at");
}
