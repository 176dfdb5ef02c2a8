//! The documents that are made from the code: the parameter reference from the registry, man pages and completions from
//! the command lines. `configutil docs FOLDER` writes them; a tidy test holds the committed ones against them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use server_config::{Entry, REGISTRY};

/// Every tool's command line.
fn commands() -> Vec<clap::Command> {
    vec![
        crate::configutil::command(),
        crate::counterutil::command(),
        crate::deliver::command(),
        crate::dirutil::command(),
        crate::dkimutil::command(),
        crate::getconf::command(),
        crate::guessutil::command(),
        crate::hashdir::command(),
        crate::imsbackup::command(),
        crate::imsimport::command(),
        crate::imscripter::command(),
        crate::imsrestore::command(),
        crate::mailq::command(),
        crate::mboxutil::command(),
        crate::msg_acme::command(),
        crate::msg_queue::command(),
        crate::msg_tlsreport::command(),
        crate::processq::command(),
        crate::quotacheck::command(),
        crate::readership::command(),
        crate::reconstruct::command(),
        crate::sendmail::command(),
        crate::setconf::command(),
        crate::setup::command(),
        crate::upgrade::command(),
        crate::storecheck::command(),
    ]
}

/// Writes `reference/parameters.md`, `man/<tool>.1`, `man/<tool>-<verb>.1` and `completions/<tool>.bash`.
///
/// # Errors
/// A file cannot be written.
pub fn write_to(folder: &Path) -> io::Result<()> {
    for name in ["reference", "man", "completions"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("reference/parameters.md"), parameters())?;
    for mut command in commands() {
        let name = command.get_name().to_owned();
        let man = folder.join("man");
        page(&command, &man.join(format!("{name}.1")))?;
        let mut whole = command.clone();
        whole.build();
        for verb in whole.get_subcommands().filter(|verb| verb.get_name() != "help") {
            page(verb, &man.join(format!("{name}-{}.1", verb.get_name())))?;
        }
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut command, name.clone(), &mut script);
        fs::write(folder.join("completions").join(format!("{name}.bash")), script)?;
    }
    Ok(())
}

/// The man page of a tool, or of one of its verbs.
fn page(command: &clap::Command, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    fs::write(path, with_values(command, &page)?)
}

/// The page with the names of the options' values in its synopsis, as in `-o NAME`: clap_mangen leaves them out, and a blank
/// behind each letter.
fn with_values(command: &clap::Command, page: &str) -> io::Result<String> {
    let (head, rest) = page.split_once(".SH SYNOPSIS\n").ok_or_else(|| io::Error::other("no synopsis"))?;
    let (synopsis, rest) = rest.split_once('\n').ok_or_else(|| io::Error::other("no end of the synopsis"))?;
    let mut synopsis = synopsis.to_owned();
    let options = command.get_arguments().filter(|one| !one.is_positional() && !one.is_hide_set());
    for option in options {
        let short = option.get_short().map(|letter| format!("\\fB\\-{letter}"));
        let long = option.get_long().map(|name| format!("\\fB\\-\\-{}\\fR", name.replace('-', "\\-")));
        let (from, to) = match (short, long) {
            (Some(short), Some(long)) => (format!("{short}\\fR|{long}"), format!("{short}\\fR|{long}")),
            (Some(short), None) => (format!("{short} \\fR"), format!("{short}\\fR")),
            (None, Some(long)) => (long.clone(), long),
            (None, None) => continue,
        };
        let name = format!("{:?}", option.get_id().as_str()).trim_matches('"').to_uppercase();
        let names = option.get_value_names().map_or(name, |names| names.join(" "));
        let may_lack = option.get_num_args().is_some_and(|count| count.min_values() == 0);
        let value = match (option.get_action().takes_values(), may_lack) {
            (false, _) => String::new(),
            (true, false) => format!(" \\fI{names}\\fR"),
            (true, true) => format!(" [\\fI{names}\\fR]"),
        };
        for (open, close) in [("[", "]"), ("<", ">")] {
            synopsis =
                synopsis.replace(&format!("{open}{from}{close}"), &format!("{open}{to}{value}{close}"));
        }
    }
    Ok(format!("{head}.SH SYNOPSIS\n{synopsis}\n{rest}"))
}

/// The reference of all parameters, in Markdown.
fn parameters() -> String {
    let mut text = String::from(
        "# Parameters\n\nMade from the registry by `configutil docs`; do not edit. A `*` stands for one part of the \
         name, as `imap` in `logfile.imap.loglevel`.\n\n\
         | name | default | allowed | takes effect | read by | status | what it is |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut all: Vec<&dyn Entry> = REGISTRY.iter().flat_map(|group| group.iter().copied()).collect();
    all.sort_by_key(|entry| entry.name());
    for entry in all {
        let default =
            if entry.default().is_empty() { String::new() } else { format!("`{}`", entry.default()) };
        let _ = writeln!(
            text,
            "| `{}` | {default} | {} | {} | {} | {} | {} |",
            entry.name(),
            entry.allowed(),
            entry.effect(),
            entry.readers(),
            entry.status(),
            entry.about()
        );
    }
    text
}
