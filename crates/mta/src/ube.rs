//! The rules of the UBE filter as they are in force (S193; `docs/formats/filter.md`).
//!
//! `config/filter.cfg` is read at the start and at each refresh. A file that is wrong changes nothing: the rules before it
//! stay in force. At a start there are none before it, and then mail is taken and waits in the queue until the file is
//! right, since what goes on unfiltered cannot be called back. Without a file nothing is filtered, and nothing is done.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use server_config::{Config, Instance};
use server_log::{Category, Log};
use ube_filter::{Filter, Reports};

/// What is to be done with new mail.
#[derive(Clone)]
pub enum InForce {
    /// There is no file, or no rule in it.
    Nothing,
    Rules(Arc<Filter>),
    /// The file is wrong, and was from the start.
    Unknown,
}

/// The rules, and who is told of a rejection.
pub struct Filters {
    path: PathBuf,
    /// There while mail waits for the rules: why, for mailq.
    unknown: PathBuf,
    log: Log,
    in_force: RwLock<InForce>,
    pub reports: Reports,
}

impl Filters {
    /// Reads the file. One that is wrong is told in the log.
    pub fn open(config: &Config, instance: &Instance, log: &Log) -> Filters {
        let filters = Filters {
            path: instance.filter_cfg(),
            unknown: ube_filter::unknown_file(&instance.run_dir()),
            log: log.clone(),
            in_force: RwLock::new(InForce::Nothing),
            reports: Reports::from_config(config),
        };
        match filters.read() {
            Ok(read) => filters.put(read),
            Err(why) => {
                filters.complain(&why, "mail is taken and waits in the queue until the file is right");
                *filters.in_force.write().unwrap_or_else(PoisonError::into_inner) = InForce::Unknown;
                filters.say_why(&why);
            }
        }
        filters
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// It is wrong, in a line: what counted before still does. The log has every mistake.
    pub fn reload(&self) -> Result<(), String> {
        match self.read() {
            Ok(read) => {
                self.put(read);
                Ok(())
            }
            Err(why) => {
                let stays = match self.now() {
                    InForce::Nothing => "mail is not filtered, as before",
                    InForce::Rules(_) => "the former rules stay in force",
                    InForce::Unknown => "mail goes on waiting in the queue",
                };
                self.complain(&why, stays);
                if matches!(self.now(), InForce::Unknown) {
                    self.say_why(&why);
                }
                Err(format!("{}: {}; {stays}", self.path.display(), why.join("; ")))
            }
        }
    }

    pub fn now(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules of the file; nothing when there is no file.
    ///
    /// # Errors
    /// A text for each mistake.
    fn read(&self) -> Result<Option<Filter>, Vec<String>> {
        Filter::read(&self.path).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn put(&self, read: Option<Filter>) {
        let path = self.path.display();
        let (was, count) = (self.now(), read.as_ref().map_or(0, Filter::len));
        if read.is_some() || !matches!(was, InForce::Nothing) {
            self.log.notice(Category::General, format_args!("{path}: {count} rules are in force"));
        }
        let in_force = match read.filter(|filter| !filter.is_empty()) {
            Some(filter) => InForce::Rules(Arc::new(filter)),
            None => InForce::Nothing,
        };
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
        if let Err(why) = std::fs::remove_file(&self.unknown)
            && why.kind() != std::io::ErrorKind::NotFound
        {
            self.log.error(Category::General, format_args!("{}: {why}", self.unknown.display()));
        }
    }

    /// For who looks at the queue; the log has it all.
    fn say_why(&self, why: &[String]) {
        let first = why.first().map(String::as_str).unwrap_or_default();
        if let Err(why) = base::replace::durable_replace(&self.unknown, first.as_bytes(), 0o600) {
            self.log.error(Category::General, format_args!("{}: {why}", self.unknown.display()));
        }
    }

    fn complain(&self, why: &[String], so: &str) {
        for one in why {
            self.log.error(Category::General, format_args!("{}: {one}", self.path.display()));
        }
        self.log.error(Category::General, format_args!("{}: {so}", self.path.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_wrong_file_changes_nothing_and_at_the_start_everything_waits() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(folder.path());
        fs::create_dir(instance.config_dir()).unwrap();
        fs::create_dir(instance.run_dir()).unwrap();
        let open = || Filters::open(&Config::empty(), &instance, &Log::discard());
        let write = |text: &str| fs::write(instance.filter_cfg(), text).unwrap();
        let filters = open();
        assert!(matches!(filters.now(), InForce::Nothing));
        write("Subject x FLY");
        let why = filters.reload().unwrap_err();
        assert!(
            why.contains("filter.cfg: line 1: \"FLY\" is no action") && why.ends_with("as before"),
            "{why}"
        );
        assert!(matches!(filters.now(), InForce::Nothing));
        write("Subject x DROP");
        filters.reload().unwrap();
        write("Subject x DROP\n(");
        assert!(filters.reload().unwrap_err().ends_with("former rules stay in force"));
        assert!(matches!(filters.now(), InForce::Rules(filter) if filter.len() == 1));
        let fresh = open();
        assert!(matches!(fresh.now(), InForce::Unknown));
        assert!(fresh.reload().is_err() && matches!(fresh.now(), InForce::Unknown));
        assert!(
            fs::read_to_string(ube_filter::unknown_file(&instance.run_dir()))
                .unwrap()
                .starts_with("line 2: ")
        );
        fs::remove_file(instance.filter_cfg()).unwrap();
        fresh.reload().unwrap();
        assert!(
            matches!(fresh.now(), InForce::Nothing)
                && !ube_filter::unknown_file(&instance.run_dir()).exists()
        );
        fs::create_dir(instance.filter_cfg()).unwrap();
        assert!(filters.reload().is_err());
    }
}
