//! The UBE filter: rules about unsolicited bulk e-mail in `config/filter.cfg` (S193; `docs/formats/filter.md`).
//!
//! [`Filter::parse`] makes rules of the file's text, or says each line that is wrong. [`Filter::judge`] walks along them from
//! top to bottom with one message: its header and its envelope. Nothing is done here: what fired is told, and what is to be
//! copied, dropped, held or rejected, and whether somebody is told of that ([`Reports`]). Expressions take time that grows with the text (no backtracking), and file, rules,
//! expressions, header and values all have limits.

mod action;
mod judge;
mod reports;
mod rule;
mod words;

pub use action::Action;
pub use judge::{Control, Fired, Judgement, Mail, Verdict};
pub use reports::{Origin, Reports};
pub use rule::{Filter, Mistake};

/// Where smtpd says why mail waits for rules that it does not have, while it does: one line, for mailq.
pub fn unknown_file(run_dir: &std::path::Path) -> std::path::PathBuf {
    run_dir.join("filter.unknown")
}

/// Bytes of the file at most.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Rules of a file at most.
pub const RULES_MAX: usize = 1000;
/// Different addresses of COPY in a file at most: so many copies of a message may come about.
pub const COPIES_MAX: usize = 16;
/// Mistakes that are told of a file at most.
pub const MISTAKES_MAX: usize = 20;
/// Bytes of a message's header that are looked at.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Bytes of one value, decoded, that are looked at.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
