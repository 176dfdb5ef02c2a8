//! The documents that are made from the code: the parameter reference from the registry, man pages and completions from
//! the command lines. `configutil docs FOLDER` writes them; a tidy test holds the committed ones against them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use server_config::{Entry, REGISTRY};

mod by_hand;
mod pages;

use pages::Page;

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
        crate::imsconnutil::command(),
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

/// Writes `reference/parameters.md`, `man/<program>.<section>`, and `completions/<program>.bash` of tools and scripts.
///
/// # Errors
/// A file cannot be written.
pub fn write_to(folder: &Path) -> io::Result<()> {
    for name in ["reference", "man", "completions"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("reference/parameters.md"), parameters())?;
    let typed: Vec<Page> = commands().into_iter().map(Page::of_a_tool).chain(by_hand::scripts()).collect();
    for page in &typed {
        let name = page.command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut page.command.clone(), name.clone(), &mut script);
        fs::write(folder.join("completions").join(format!("{name}.bash")), script)?;
    }
    for page in typed.into_iter().chain(by_hand::daemons()) {
        let file = format!("{}.{}", page.command.get_name(), page.section);
        fs::write(folder.join("man").join(file), page.render()?)?;
    }
    Ok(())
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
