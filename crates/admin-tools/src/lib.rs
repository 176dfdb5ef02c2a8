//! The command-line tools, one module each.

pub mod advice;
mod backup;
mod certificate;
pub mod check;
pub mod configutil;
pub mod deliver;
pub mod dirutil;
pub mod dkimutil;
pub mod docs;
pub mod getconf;
pub mod hashdir;
pub mod imsbackup;
pub mod imsrestore;
pub mod mailq;
pub mod mboxutil;
pub mod msg_queue;
pub mod msg_tlsreport;
pub mod processq;
pub mod quotacheck;
mod reach;
pub mod reconstruct;
mod selection;
pub mod sendmail;
pub mod setconf;
pub mod setup;
pub mod site;
pub mod storecheck;
