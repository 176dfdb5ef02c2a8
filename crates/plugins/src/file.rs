//! `config/plugins.cfg`: one line for each set of plug-ins of a stage (`docs/formats/plugins.md`).
//!
//! ```text
//! # stage        libraries                      functions            what the plug-in is told
//! PreSMTPAccept  libs=antirelay.so,tracer.so                         restricted=guests
//! PostSMTPAccept libs=/opt/site/splitter.so     funcs=init,split     tag="two words"
//! ```
//!
//! Who can write the file or a library is the mail server, so both must belong to root or the server's user and be
//! writable by nobody else, and the folders above them, too.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use os::trust;
use server_config::{Config, Instance, server_user};

/// Bytes of the file; lines of it; libraries of a line.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const LINES_MAX: usize = 64;
const LIBRARIES_MAX: usize = 16;

/// Where in the life of a message plug-ins are called. NMS: the names of `plugins.cfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Each command line of a session: a stack of plug-ins, the server at the bottom.
    PreSmtpAccept,
    /// A message that came, before it is accepted for good.
    PostSmtpAccept,
}

impl Stage {
    fn named(name: &str) -> Option<Stage> {
        [Stage::PreSmtpAccept, Stage::PostSmtpAccept].into_iter().find(|stage| stage.to_string() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::PreSmtpAccept => "PreSMTPAccept",
            Stage::PostSmtpAccept => "PostSMTPAccept",
        })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub stage: Stage,
    pub libraries: Vec<PathBuf>,
    /// Called when a library is loaded; only with a function.
    pub init: Option<String>,
    /// Called for each message; none for a stack, whose functions have names of their own.
    pub function: Option<String>,
    /// `name=value`, as the functions are told them.
    pub settings: Vec<(String, String)>,
}

/// All of them, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugins {
    pub lines: Vec<Line>,
}

impl Plugins {
    /// Reads `config/plugins.cfg`; no file is no plug-ins.
    ///
    /// # Errors
    /// One line that names the file, and the line in it if one is wrong.
    pub fn load(instance: &Instance, config: &Config) -> Result<Plugins, String> {
        let path = instance.config_dir().join("plugins.cfg");
        match fs::metadata(&path) {
            Ok(data) if data.len() > FILE_BYTES_MAX => {
                return Err(format!("{}: more than {FILE_BYTES_MAX} bytes", path.display()));
            }
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Plugins::default()),
            Err(why) => return Err(format!("{}: {why}", path.display())),
        }
        let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        let root = std::path::absolute(instance.root()).map_err(|why| why.to_string())?;
        let plugins = Plugins::from_text(&text, &root)
            .map_err(|(number, why)| format!("{}:{number}: {why}", path.display()))?;
        if plugins.lines.is_empty() {
            return Ok(plugins);
        }
        let mut owners = vec![0, os::process::own_uid()];
        owners.extend(server_user::numbers(config)?.map(|(uid, _)| uid));
        check_trusted(&path, &owners)?;
        for line in &plugins.lines {
            for library in &line.libraries {
                check_trusted(library, &owners)
                    .map_err(|why| format!("{}:{}: {why}", path.display(), line.number))?;
            }
        }
        Ok(plugins)
    }

    /// Reads the text. Libraries without a leading `/` are in `plugins/` of the instance at `root`.
    ///
    /// # Errors
    /// The number of the line and what is wrong there.
    pub fn from_text(text: &str, root: &Path) -> Result<Plugins, (usize, String)> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let words = words(line).map_err(|why| (number, why))?;
            if !words.is_empty() {
                let line = read_line(number, &words, root).map_err(|why| (number, why))?;
                check_once(&lines, &line).map_err(|why| (number, why))?;
                lines.push(line);
            }
            if lines.len() > LINES_MAX {
                return Err((number, format!("more than {LINES_MAX} lines")));
            }
        }
        Ok(Plugins { lines })
    }

    pub fn has(&self, stage: Stage) -> bool {
        self.lines.iter().any(|line| line.stage == stage)
    }
}

/// A library is loaded once, and its stack begins once: it cannot stand at two places of it.
fn check_once(before: &[Line], line: &Line) -> Result<(), String> {
    if line.stage != Stage::PreSmtpAccept {
        return Ok(());
    }
    let stack = before.iter().filter(|one| one.stage == line.stage).flat_map(|one| &one.libraries);
    let mut seen: Vec<&PathBuf> = stack.collect();
    for library in &line.libraries {
        if seen.contains(&library) {
            return Err(format!("{} is in the stack already", library.display()));
        }
        seen.push(library);
    }
    Ok(())
}

/// The words of a line; `"` holds blanks together, `#` at the start of a word begins a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            ' ' | '\t' | '\r' if !quoted => words.extend(word.take()),
            '\0' => return Err("a NUL".into()),
            other => word.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err("a quotation mark is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

fn read_line(number: usize, words: &[String], root: &Path) -> Result<Line, String> {
    let name = &words[0];
    let stage = Stage::named(name)
        .ok_or_else(|| format!("'{}' is no stage: PreSMTPAccept or PostSMTPAccept", base::escape(name)))?;
    let mut line =
        Line { number, stage, libraries: Vec::new(), init: None, function: None, settings: Vec::new() };
    let mut functions = None;
    for word in &words[1..] {
        let (name, value) = word
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("'{}' is not name=value", base::escape(word)))?;
        match name {
            "libs" if !line.libraries.is_empty() => return Err("libs is there twice".into()),
            "libs" => line.libraries = libraries(value, root)?,
            "funcs" if functions.is_some() => return Err("funcs is there twice".into()),
            "funcs" => functions = Some(value.split(',').map(str::to_owned).collect::<Vec<_>>()),
            _ => line.settings.push((name.to_owned(), value.to_owned())),
        }
    }
    if line.libraries.is_empty() {
        return Err("libs=... is missing: the libraries of the plug-ins".into());
    }
    (line.init, line.function) = names(stage, functions)?;
    Ok(line)
}

fn libraries(value: &str, root: &Path) -> Result<Vec<PathBuf>, String> {
    let all: Vec<&str> = value.split(',').collect();
    if all.iter().any(|one| one.is_empty()) || all.len() > LIBRARIES_MAX {
        return Err(format!("libs names 1 to {LIBRARIES_MAX} files, separated by commas"));
    }
    Ok(all.into_iter().map(|one| root.join("plugins").join(one)).collect())
}

/// Init and function of a line.
fn names(stage: Stage, given: Option<Vec<String>>) -> Result<(Option<String>, Option<String>), String> {
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match (stage, given) {
        (Stage::PreSmtpAccept, None) => Ok((None, None)),
        (Stage::PreSmtpAccept, Some(_)) => {
            Err("PreSMTPAccept has no funcs: a library exports PPModule_NewProtPlug and its companions"
                .into())
        }
        (_, Some(given)) if !given.iter().all(is_name) => Err("funcs has a name that is none of C".into()),
        (_, Some(given)) => match <[String; 2]>::try_from(given) {
            Ok([init, function]) => Ok((Some(init), Some(function))),
            Err(given) => match <[String; 1]>::try_from(given) {
                Ok([function]) => Ok((None, Some(function))),
                Err(_) => Err("funcs is one function, or an init and one".into()),
            },
        },
        (_, None) => Err("funcs=init,function is missing: what is called for each message".into()),
    }
}

fn check_trusted(path: &Path, owners: &[u32]) -> Result<(), String> {
    let told = |path: &Path, why: io::Error| format!("{}: {why}", path.display());
    let path = fs::canonicalize(path).map_err(|why| told(path, why))?;
    let data = fs::metadata(&path).map_err(|why| told(&path, why))?;
    if !data.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    trust::check(&path, &data, owners)?;
    trust::check_above(&path, owners)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str) -> Result<Plugins, (usize, String)> {
        Plugins::from_text(text, Path::new("/instance"))
    }

    #[test]
    fn lines_say_what_is_called_where() {
        let text = "# ours\n\nPreSMTPAccept libs=a.so,/opt/b.so x=1 # top first\n\
                    PostSMTPAccept libs=c.so funcs=init,run tag=\"two words\" empty=\n\
                    PostSMTPAccept libs=c.so funcs=run\n";
        let plugins = read(text).unwrap();
        let [stack, post, bare] = plugins.lines.as_slice() else { panic!("{plugins:?}") };
        assert_eq!(stack.stage, Stage::PreSmtpAccept);
        assert_eq!(stack.libraries, [PathBuf::from("/instance/plugins/a.so"), PathBuf::from("/opt/b.so")]);
        assert_eq!(stack.settings, [("x".to_owned(), "1".to_owned())]);
        assert_eq!((post.init.as_deref(), post.function.as_deref()), (Some("init"), Some("run")));
        assert_eq!(post.settings[0].1, "two words");
        assert_eq!(post.settings[1].1, "");
        assert_eq!((bare.number, bare.init.as_deref()), (5, None));
        assert!(plugins.has(Stage::PreSmtpAccept) && plugins.has(Stage::PostSmtpAccept));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, why) in [
            ("PreSmtpAccept libs=a.so", "is no stage"),
            ("PreSMTPDeliver libs=a.so funcs=f", "is no stage"),
            ("PreSMTPAccept", "libs=... is missing"),
            ("PreSMTPAccept libs=a.so,", "separated by commas"),
            ("PreSMTPAccept libs=a.so funcs=f", "has no funcs"),
            ("PreSMTPAccept libs=a.so libs=b.so", "libs is there twice"),
            ("PostSMTPAccept libs=a.so", "funcs=init,function is missing"),
            ("PostSMTPAccept libs=a.so funcs=a,b,c", "one function, or an init and one"),
            ("PostSMTPAccept libs=a.so funcs=a-b", "none of C"),
            ("PostSMTPAccept libs=a.so funcs=f x", "not name=value"),
            ("PostSMTPAccept libs=a.so funcs=f =x", "not name=value"),
            ("PreSMTPAccept libs=a.so,b.so,a.so", "in the stack already"),
            ("PostSMTPAccept libs=\"a.so funcs=f", "not closed"),
        ] {
            let (number, said) = read(&format!("#\n{text}\n")).unwrap_err();
            assert_eq!(number, 2);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn what_others_can_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        fs::write(&path, "x").unwrap();
        let owners = [0, os::process::own_uid()];
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&path, 0o644);
        assert_eq!(check_trusted(&path, &owners), Ok(()));
        assert!(check_trusted(&path, &[u32::MAX]).unwrap_err().contains("another user"));
        mode(&path, 0o666);
        assert!(check_trusted(&path, &owners).unwrap_err().contains("written by others"));
        mode(&path, 0o644);
        mode(folder.path(), 0o777);
        assert!(check_trusted(&path, &owners).unwrap_err().contains("written by others"));
        mode(folder.path(), 0o700);
        assert!(check_trusted(folder.path(), &owners).unwrap_err().contains("no regular file"));
    }
}
