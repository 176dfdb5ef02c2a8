//! Whether the user whom the daemons become can read what they are to read.
//!
//! Root reads everything, so that a look of root's own says nothing. Owner, group and mode are judged instead, of the file and
//! of each folder above it. A user has `local.servergid` as only group. Where only the group's bits would let somebody in, an access
//! list (ACL) may name this user, whom the mode does not show: then it is a doubt and no error.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use server_config::parameters::service_smtp_modules;
use server_config::{Config, Instance, server_user};

use crate::check::Findings;

const READ: u32 = 4;
const SEARCH: u32 = 1;

/// What of the configuration's files `local.serveruid` cannot read.
pub fn judge(instance: &Instance, config: &Config, found: &mut Findings) {
    let who = match server_user::numbers(config) {
        Ok(None) => return,
        Ok(Some(who)) => who,
        Err(why) => return found.errors.push(why),
    };
    judge_as(instance, config, who, found);
}

fn judge_as(instance: &Instance, config: &Config, who: (u32, u32), found: &mut Findings) {
    let (mut needed, mut named) = (Vec::new(), Vec::new());
    if let Some((chain, key)) = instance.certificate(config) {
        needed.extend([("certificate", chain), ("key", key)]);
    }
    needed
        .extend([("rules", instance.filter_cfg()), ("plug-ins", instance.config_dir().join("plugins.cfg"))]);
    // What is wrong with the list itself is told elsewhere.
    let lines = plugins::Plugins::load(instance, config).unwrap_or_default().lines;
    for library in lines.into_iter().flat_map(|line| line.libraries) {
        if !named.contains(&library) {
            needed.push(("plug-in", library.clone()));
            named.push(library);
        }
    }
    for (what, path) in needed {
        match obstacle(&path, who) {
            Some((at, true)) => found.errors.push(told(what, &path, &at)),
            Some((at, false)) => found.warnings.push(told(what, &path, &at)),
            None => {}
        }
    }
    let credentials = config.get(&service_smtp_modules::SMART_CREDENTIALS);
    let credentials = credentials.strip_prefix("file:").unwrap_or(&credentials);
    if !credentials.is_empty() {
        let path = instance.root().join(credentials);
        // smtpd starts all the same; mail waits.
        found.warnings.extend(obstacle(&path, who).map(|(at, _)| told("credentials", &path, &at)));
    }
}

fn told(what: &str, path: &Path, at: &Path) -> String {
    let because = if path == at { String::new() } else { format!(", because of {}", at.display()) };
    format!("{what} {}: local.serveruid cannot read it{because}", path.display())
}

/// The first of the path's folders, or the file itself, that keeps this user out; and whether that is certain. What is not
/// there, or what we cannot look at ourselves, is somebody else's to tell.
fn obstacle(path: &Path, who: (u32, u32)) -> Option<(PathBuf, bool)> {
    let real = fs::canonicalize(path).ok()?;
    let written = std::path::absolute(path).ok()?;
    let file = fs::metadata(&real).ok()?;
    let folders = [&written, &real].into_iter().flat_map(|path| {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        above
    });
    for folder in folders {
        let meta = fs::metadata(folder).ok()?;
        if let Some(certain) = refused(&meta, who, SEARCH) {
            return Some((folder.to_owned(), certain));
        }
    }
    refused(&file, who, READ).map(|certain| (path.to_owned(), certain))
}

/// Nothing when the user has the right; else whether nobody but the owner has it, nor could by an access list.
fn refused(meta: &fs::Metadata, (uid, gid): (u32, u32), right: u32) -> Option<bool> {
    let mode = meta.mode();
    let has = |shift: u32| (mode >> shift) & right != 0;
    let may = match (meta.uid() == uid, meta.gid() == gid) {
        (true, _) => has(6),
        (false, true) => has(3),
        (false, false) => has(0),
    };
    (!may).then(|| !has(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_or_the_file_that_keeps_a_user_out_is_named() {
        let top = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (live, link) = (top.path().join("live"), top.path().join("link"));
        let key = live.join("key");
        fs::create_dir(&live).unwrap();
        fs::write(&key, "x").unwrap();
        std::os::unix::fs::symlink(&key, &link).unwrap();
        set(top.path(), 0o755);
        let meta = fs::metadata(&key).unwrap();
        let (other, group) = ((meta.uid() + 1, meta.gid() + 1), (meta.uid() + 1, meta.gid()));
        for (folder, file, who, expected) in [
            (0o755, 0o644, other, None),
            (0o711, 0o644, other, None),
            (0o700, 0o644, other, Some((live.clone(), true))),
            (0o755, 0o600, other, Some((key.clone(), true))),
            (0o755, 0o640, other, Some((key.clone(), false))),
            (0o755, 0o640, group, None),
            (0o750, 0o640, group, None),
            (0o750, 0o644, other, Some((live.clone(), false))),
            (0o700, 0o600, (meta.uid(), 0), None),
        ] {
            set(&live, folder);
            set(&key, file);
            assert_eq!(obstacle(&key, who), expected, "{folder:o} {file:o}");
            assert_eq!(obstacle(&link, who).is_some(), expected.is_some(), "{folder:o} {file:o} by the link");
        }
        assert_eq!(obstacle(&live.join("none"), other), None);
    }

    #[test]
    fn rules_and_plug_ins_are_judged_as_the_daemon_will_see_them() {
        let top = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (instance, config) = (Instance::new(top.path()), Config::from_text("").unwrap());
        fs::create_dir(instance.config_dir()).unwrap();
        set(top.path(), 0o755);
        set(&instance.config_dir(), 0o755);
        let meta = fs::metadata(top.path()).unwrap();
        let judge = || {
            let mut found = Findings::default();
            judge_as(&instance, &config, (meta.uid() + 1, meta.gid() + 1), &mut found);
            (found.errors, found.warnings)
        };
        assert_eq!(judge(), (vec![], vec![]), "they are not there");
        let plug_ins = instance.config_dir().join("plugins.cfg");
        for (what, path) in [("rules", instance.filter_cfg()), ("plug-ins", plug_ins)] {
            fs::write(&path, "").unwrap();
            let line = format!("{what} {}: local.serveruid cannot read it", path.display());
            for (mode, expected) in [
                (0o600, (vec![line.clone()], vec![])),
                (0o640, (vec![], vec![line])),
                (0o644, (vec![], vec![])),
            ] {
                set(&path, mode);
                assert_eq!(judge(), expected, "{mode:o}");
            }
        }
    }
}
