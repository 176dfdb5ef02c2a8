//! What a daemon leaves in `run/` when it has read its files again (SIGHUP), so that `refresh-msg` can tell what came of it.
//!
//! `run/<service>.refreshed`: the pid of each process that is done with it, a line each. `run/<service>.refused`: what was
//! not taken, a line each. `run/<service>.restart`: parameters whose change waits for a restart. `refresh-msg` removes them before it sends the signal. Nothing depends on them: a file that
//! cannot be written is not written.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of either file after which it begins anew: under a service manager nobody removes them.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where one service tells.
#[derive(Clone, Debug)]
pub struct Refreshed {
    run_dir: PathBuf,
    service: &'static str,
}

impl Refreshed {
    /// For a service ("imap") of the instance with this `run` folder.
    pub fn new(run_dir: &Path, service: &'static str) -> Refreshed {
        Refreshed { run_dir: run_dir.to_owned(), service }
    }

    /// Replaces what waits for a restart, `run/<service>.restart`, a name a line. Every process of a service says the same.
    pub(crate) fn waiting(&self, names: &[String]) {
        let text: String = names.iter().map(|name| format!("{}\n", base::escape(name))).collect();
        // It only informs: what cannot be written is not told.
        let _ = std::fs::write(self.run_dir.join(format!("{}.restart", self.service)), text);
    }

    /// Something was not taken: one line.
    pub fn refused(&self, why: &str) {
        self.append("refused", &base::escape(why));
    }

    /// This process has read everything.
    pub fn done(&self) {
        self.append("refreshed", &std::process::id().to_string());
    }

    fn append(&self, kind: &str, line: &str) {
        let path = self.run_dir.join(format!("{}.{kind}", self.service));
        let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) else { return };
        if file.metadata().is_ok_and(|meta| meta.len() > FILE_BYTES_MAX) {
            let _ = file.set_len(0);
        }
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_the_files_do_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let told = Refreshed::new(folder.path(), "imap");
        told.refused("a\nb");
        told.done();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("imap.refused").lines().count(), 1);
        assert_eq!(read("imap.refreshed"), format!("{}\n", std::process::id()));
        for _ in 0..2000 {
            told.refused(&"x".repeat(100));
        }
        assert!(read("imap.refused").len() <= usize::try_from(FILE_BYTES_MAX).unwrap() + 200);
        Refreshed::new(Path::new("/nowhere"), "imap").done();
    }
}
