//! The man pages: one for each program, its commands in full on it, since who looks one up knows the program's name.

use std::io;

use clap_mangen::Man;

/// What clap_mangen puts before each part that it renders: an apostrophe that stays one in a terminal. Once is enough.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// A page of the manual.
pub struct Page {
    pub command: clap::Command,
    /// 1 for what an administrator types, 8 for daemons.
    pub section: &'static str,
    /// Behind the options: a title, and terms with their texts.
    pub more: &'static [(&'static str, &'static [(&'static str, &'static str)])],
}

impl Page {
    pub fn of_a_tool(command: clap::Command) -> Self {
        Self { command, section: "1", more: &[] }
    }

    /// The page in roff, with the macros of man(7).
    ///
    /// # Errors
    /// None that happens: it is written into memory.
    pub fn render(&self) -> io::Result<String> {
        let mut command = self.command.clone().subcommand_value_name("command");
        command.build();
        let man = Man::new(command.clone()).section(self.section);
        let mut page = format!("{APOSTROPHE}{}", part(|to| man.render_title(to))?);
        page.push_str(&part(|to| man.render_name_section(to))?);
        page.push_str(".SH SYNOPSIS\n");
        page.push_str(&synopsis(&command, &man)?);
        page.push_str(&part(|to| man.render_description_section(to))?);
        page.push_str(&part(|to| man.render_options_section(to))?);
        if command.has_subcommands() {
            page.push_str(".SH COMMANDS\n");
            add_commands(&mut page, &command)?;
        }
        if command.get_after_long_help().or_else(|| command.get_after_help()).is_some() {
            page.push_str(&part(|to| man.render_extra_section(to))?.replace(".SH EXTRA", ".SH NOTES"));
        }
        for (title, items) in self.more {
            page.push_str(&format!(".SH {title}\n"));
            for (term, text) in *items {
                page.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(term), escaped(text)));
            }
        }
        Ok(page)
    }
}

/// What one of clap_mangen's functions writes, without what it puts before each part.
fn part(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<String> {
    let mut bytes = Vec::new();
    render(&mut bytes)?;
    Ok(String::from_utf8(bytes).map_err(io::Error::other)?.replace(APOSTROPHE, ""))
}

/// Each command of `above` and of its commands, with everything but what the page says already: help, and options that
/// hold for all of them.
fn add_commands(page: &mut String, above: &clap::Command) -> io::Result<()> {
    for command in above.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set()) {
        let said = command.get_arguments().filter(|one| {
            ["help", "version"].contains(&one.get_id().as_str())
                || (one.is_global_set() && above.get_arguments().any(|other| other.get_id() == one.get_id()))
        });
        let said: Vec<String> = said.map(|one| one.get_id().to_string()).collect();
        let mut shown = command.clone();
        for id in &said {
            shown = shown.mut_arg(id, |one| one.hide(true));
        }
        let man = Man::new(shown.clone());
        if command.has_subcommands() {
            add_commands(page, command)?;
            continue;
        }
        let name = command.get_bin_name().unwrap_or(command.get_name());
        page.push_str(&format!(".SS {}\n", escaped(name)));
        page.push_str(&synopsis(&shown, &man)?);
        page.push_str(&part(|to| man.render_description_section(to))?.replace(".SH DESCRIPTION", ".PP"));
        page.push_str(&part(|to| man.render_options_section(to))?.replace(".SH OPTIONS\n", ""));
        if shown.get_after_long_help().or_else(|| shown.get_after_help()).is_some() {
            page.push_str(&part(|to| man.render_extra_section(to))?.replace(".SH EXTRA", ".PP"));
        }
    }
    Ok(())
}

/// The synopsis with the names of the options' values, as in `-o NAME`, and dots behind what may be given several times:
/// clap_mangen leaves both out, and a blank behind each letter.
fn synopsis(command: &clap::Command, man: &Man) -> io::Result<String> {
    let mut synopsis = part(|to| man.render_synopsis_section(to))?.replace(".SH SYNOPSIS\n", "");
    for option in command.get_arguments().filter(|one| !one.is_hide_set()) {
        let name = option.get_id().to_string();
        let names = option.get_value_names().map_or(name.to_uppercase(), |names| names.join(" "));
        if option.is_positional() {
            let many = option.get_num_args().is_some_and(|count| count.max_values() > 1);
            for close in [']', '>'].into_iter().filter(|_| many) {
                let shown = format!("\\fI{}\\fR{close}", names.replace('-', "\\-"));
                synopsis = synopsis.replace(&shown, &format!("{shown}..."));
            }
            continue;
        }
        let short = option.get_short().map(|letter| format!("\\fB\\-{letter}"));
        let long = option.get_long().map(|name| format!("\\fB\\-\\-{}\\fR", name.replace('-', "\\-")));
        let (from, to) = match (short, long) {
            (Some(short), Some(long)) => (format!("{short}\\fR|{long}"), format!("{short}\\fR|{long}")),
            (Some(short), None) => (format!("{short} \\fR"), format!("{short}\\fR")),
            (None, Some(long)) => (long.clone(), long),
            (None, None) => continue,
        };
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
    Ok(synopsis)
}

/// Text as roff shows it unchanged.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}
