//! A snapshot of `config/local.conf`: `name = value` lines, `#` comments, values in double quotes where needed.

use crate::{Instance, Parameter, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, RwLock};

/// What is set. Immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    set: BTreeMap<String, String>,
}

/// One clear line.
#[derive(Debug)]
pub enum ConfigError {
    Read(String, std::io::Error),
    /// The file, unless it is the administrator's input; the line; what is wrong with it.
    Line(Option<String>, usize, String),
    Value(String, String),
    Unknown(String, Option<&'static str>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read(path, why) => write!(f, "{path}: {why}"),
            ConfigError::Line(Some(path), line, why) => write!(f, "{path} line {line}: {why}"),
            ConfigError::Line(None, line, why) => write!(f, "line {line}: {why}"),
            ConfigError::Value(name, why) => write!(f, "{name}: {why}"),
            ConfigError::Unknown(name, Some(near)) => {
                write!(f, "{name}: no such parameter; did you mean {near}?")
            }
            ConfigError::Unknown(name, None) => write!(f, "{name}: no such parameter"),
        }
    }
}
impl std::error::Error for ConfigError {}

impl ConfigError {
    /// The same, of a file.
    pub(crate) fn in_file(self, path: &Path) -> ConfigError {
        match self {
            ConfigError::Line(None, line, why) => {
                ConfigError::Line(Some(path.display().to_string()), line, why)
            }
            other => other,
        }
    }
}

impl Config {
    pub fn empty() -> Config {
        Config::default()
    }

    /// Reads the file of `instance` (none: nothing is set), with the copy of the configuration directory if there is one
    /// ([`crate::central`]), and checks every known value.
    ///
    /// # Errors
    /// A file cannot be read, a line is broken, a value does not fit its parameter.
    pub fn load(instance: &Instance) -> Result<Config, ConfigError> {
        let config = crate::central::in_force(instance)?;
        config.check()?;
        Ok(config)
    }

    /// Reads without checking values, for the tools that repair them.
    ///
    /// # Errors
    /// The file cannot be read or a line is broken.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Config::from_text(&text).map_err(|why| why.in_file(path)),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(why) => Err(ConfigError::Read(path.display().to_string(), why)),
        }
    }

    /// # Errors
    /// The first broken line.
    pub fn from_text(text: &str) -> Result<Config, ConfigError> {
        Config::lines(text)
            .map(|one| one.map(|(_, name, value)| (name, value)))
            .collect::<Result<_, _>>()
            .map(|set| Config { set })
    }

    /// Every setting of a text with the number of its line.
    pub fn lines(text: &str) -> impl Iterator<Item = Result<(usize, String, String), ConfigError>> {
        text.lines().enumerate().filter_map(|(at, line)| {
            let number = at.saturating_add(1);
            match parse_line(line) {
                Ok(setting) => setting.map(|(name, value)| Ok((number, name, value))),
                Err(why) => Some(Err(ConfigError::Line(None, number, why))),
            }
        })
    }

    /// # Errors
    /// The first value that does not fit its parameter.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, value) in &self.set {
            if let Some(entry) = crate::find(name) {
                entry.check(value).map_err(|why| ConfigError::Value(name.clone(), why))?;
            }
        }
        Ok(())
    }

    /// Names that no parameter has, each with the one it may be a misspelling of.
    pub fn unknown(&self) -> impl Iterator<Item = ConfigError> {
        self.set
            .keys()
            .map(|name| name.split_once(';').map_or(name.as_str(), |(bare, _)| bare))
            .filter(|name| crate::find(name).is_none())
            .map(|name| ConfigError::Unknown(name.to_owned(), crate::nearest(name)))
    }

    /// The value, else the default.
    pub fn get<T: Value>(&self, parameter: &Parameter<T>) -> T::Out {
        self.value(parameter.name, parameter)
    }

    /// The value of one member of a family: `part` stands for the `*`.
    pub fn get_in<T: Value>(&self, parameter: &Parameter<T>, part: &str) -> T::Out {
        self.value(&parameter.name.replace('*', part), parameter)
    }

    /// The value if one is set and good.
    pub fn get_set<T: Value>(&self, parameter: &Parameter<T>) -> Option<T::Out> {
        self.text(parameter.name).and_then(|text| parameter.parse(text).ok())
    }

    fn value<T: Value>(&self, name: &str, parameter: &Parameter<T>) -> T::Out {
        let set = self.text(name).and_then(|text| parameter.parse(text).ok());
        match set.map_or_else(|| parameter.parse(parameter.default), Ok) {
            Ok(value) => value,
            Err(why) => unreachable!("the default of {name} is checked by a test: {why}"),
        }
    }

    /// The text that is set under `name`; an empty one counts as unset.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Sets a name, in place of what was set.
    pub fn put(&mut self, name: &str, value: &str) {
        self.set.insert(name.to_owned(), value.to_owned());
    }

    /// Everything that is set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn parse_line(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or("there is no '='")?;
    let name = canonical(name.trim());
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err("the name before '=' is empty or has blanks".into());
    }
    unquote(value.trim()).map(|value| Some((name, value)))
}

/// Lower case, and the main name of an alias.
pub fn canonical(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match crate::find(&lower).map(|entry| entry.status()) {
        Some(crate::Status::Alias(of)) => of.to_owned(),
        _ => lower,
    }
}

fn unquote(value: &str) -> Result<String, String> {
    let Some(inner) = value.strip_prefix('"') else { return Ok(value.to_owned()) };
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' if rest.as_str().is_empty() => return Ok(text),
            '"' => return Err("text follows the closing quote".into()),
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some(c) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err("the closing quote is missing".into())
}

/// The value as the file and the listing show it: quoted when it has blanks or could be misread.
pub fn quote(value: &str) -> String {
    let plain = !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\' || c == '#');
    if plain {
        return value.to_owned();
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}

/// The snapshot that is in force, replaced as a whole by a reload.
pub struct Live(RwLock<Arc<Config>>);

impl Live {
    pub fn new(config: Config) -> Live {
        Live(RwLock::new(Arc::new(config)))
    }
    pub fn now(&self) -> Arc<Config> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
    pub fn replace(&self, config: Config) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        let broken = Config::from_text("a.b = 1\n\nnonsense\n").unwrap_err();
        assert_eq!(broken.to_string(), "line 3: there is no '='");
    }

    #[test]
    fn a_value_of_20_kilobytes_comes_back_whole() {
        let long = "x \"\\y\n".repeat(3500);
        let config = Config::from_text(&format!("local.x = {}", quote(&long))).unwrap();
        assert_eq!(config.text("local.x"), Some(long.as_str()));
    }

    #[test]
    fn every_default_fits_its_parameter() {
        for entry in crate::REGISTRY.iter().flat_map(|group| group.iter()) {
            entry.check(entry.default()).unwrap_or_else(|why| panic!("{}: {why}", entry.name()));
            let may_be_empty = [
                "text",
                "host name",
                "list",
                "networks",
                "domain patterns",
                "pattern:host table",
                "pattern:level table",
                "hosts",
                "name servers",
                "items or unset",
                "port or unset",
                "filters of clients",
                "address of a filter",
                "addresses and parts of addresses",
                "attributes separated by blanks",
                "mail address",
            ];
            if !may_be_empty.contains(&entry.kind()) {
                assert!(!entry.default().is_empty(), "{}", entry.name());
            }
        }
    }

    #[test]
    fn an_idle_timeout_below_the_minimum_is_the_minimum() {
        let config = Config::from_text("service.imap.idletimeout = 5").unwrap();
        assert_eq!(config.get(&crate::parameters::service_imap::IDLE_TIMEOUT).as_secs(), 1800);
    }
}
