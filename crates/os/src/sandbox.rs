//! What of the file system and of the ports a process can reach (Landlock). It counts for the calling thread and what it
//! starts, and is never taken back.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};

/// What may be reached; the rest may not. A path stands for all below it; those that do not exist are passed over.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    pub read: Vec<PathBuf>,
    /// And made, removed, linked, renamed.
    pub write: Vec<PathBuf>,
    /// And read.
    pub execute: Vec<PathBuf>,
    /// TCP ports that may be bound.
    pub bind: Vec<u16>,
    /// TCP ports of others that may be connected to; nothing: every one.
    pub connect: Option<Vec<u16>>,
}

/// How much of it the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced {
    Fully,
    /// Files, and not all of what was asked: an older kernel.
    Partly,
    Not,
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Enforced::Fully => "fully",
            Enforced::Partly => "in part",
            Enforced::Not => "not",
        })
    }
}

/// The newest rules that are asked for; an older kernel enforces those that it knows.
const RULES: ABI = ABI::V5;

/// Confines this thread, and all that it starts, to `reach`.
///
/// # Errors
/// One line. The kernel knows Landlock and refused; nothing is confined then.
pub fn confine(reach: &Reach) -> Result<Enforced, String> {
    let told = |why: landlock::RulesetError| why.to_string();
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write: BitFlags<AccessFs> = AccessFs::from_all(RULES) & !AccessFs::Execute;
    let execute: BitFlags<AccessFs> = read | AccessFs::Execute;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp))
        .map_err(told)?;
    if reach.connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp).map_err(told)?;
    }
    let mut created = ruleset.create().map_err(told)?;
    for (paths, access) in [(&reach.read, read), (&reach.write, write), (&reach.execute, execute)] {
        for path in paths {
            if let Some(rule) = beneath(path, access) {
                created = created.add_rule(rule).map_err(told)?;
            }
        }
    }
    for port in &reach.bind {
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp)).map_err(told)?;
    }
    for port in reach.connect.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(told)?;
    }
    let status = created.restrict_self().map_err(told)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Not,
    })
}

/// A rule for a folder, or for a file with what files know of `access`.
fn beneath(path: &Path, access: BitFlags<AccessFs>) -> Option<PathBeneath<PathFd>> {
    let opened = PathFd::new(path).ok()?;
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(RULES) };
    Some(PathBeneath::new(opened, access))
}
