//! PostSMTPAccept: plug-ins are shown a message that is whole, and may change it and its envelope.
//!
//! An inspection among others, behind verification and before mail filters (milters). The message lies in a file meanwhile, which
//! is never read again when nothing was changed. Whatever goes wrong is answered with 451, and the client has the message still.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mail_queue::Recipient;
use plugins::{Host, Message, Rewritten, Stage};
use server_log::{Category, Log};
use smtp_wire::Address;

use super::content::changes;
use crate::inspection::{Amendment, Inspected, Inspector, Origin, Verdict};
use crate::replies;

/// Bytes of a message that comes back, when messages have no limit.
const BYTES_MAX: u64 = 256 << 20;
/// What it may have grown by when they have one.
const GROWTH_MAX: u64 = 1 << 20;

/// See the head of this file.
pub struct PostAccept {
    host: Arc<Host>,
    folder: PathBuf,
    bytes_max: u64,
    log: Log,
}

impl PostAccept {
    /// `folder` is where messages lie meanwhile; `size_max` is the limit of those that come.
    pub fn new(host: Arc<Host>, folder: PathBuf, size_max: Option<u64>, log: Log) -> PostAccept {
        let bytes_max = size_max.map_or(BYTES_MAX, |size| size.saturating_add(GROWTH_MAX));
        PostAccept { host, folder, bytes_max, log }
    }
}

impl Inspector for PostAccept {
    fn name(&self) -> &str {
        "plug-ins"
    }

    fn patience(&self) -> Duration {
        self.host.timeout().saturating_add(Duration::from_secs(5))
    }

    fn concerns(&self, _: Origin) -> bool {
        true
    }

    fn inspect(&self, message: &Inspected<'_>) -> Amendment {
        match self.show(message) {
            Ok(amendment) => amendment,
            Err(why) => {
                let id = &message.envelope.id;
                self.log.error(Category::General, format_args!("{id}: plug-ins: {why}"));
                Amendment::verdict(Verdict::Refuse(replies::not_inspected()))
            }
        }
    }
}

/// A file that goes with its scope.
struct Lying(PathBuf);

impl Drop for Lying {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl PostAccept {
    fn show(&self, message: &Inspected<'_>) -> Result<Amendment, String> {
        let envelope = message.envelope;
        let file = Lying(self.folder.join(envelope.id.as_str()));
        write(&file.0, &message.whole()).map_err(|why| format!("{}: {why}", file.0.display()))?;
        let mut control = vec![
            ("Message-ID", envelope.id.to_string()),
            ("User-From", envelope.sender.clone().unwrap_or_default()),
            ("Host-From", envelope.host_from.clone()),
            ("Protocol", envelope.protocol.clone()),
        ];
        control.extend(envelope.auth_sender.clone().map(|user| ("Auth-Sender", user)));
        let rewritten = self.host.show(&Message {
            stage: Stage::PostSmtpAccept,
            file: &file.0,
            control,
            recipients: envelope.recipients.iter().map(|one| one.address.as_str()).collect(),
        })?;
        match rewritten {
            None => Ok(Amendment::none()),
            Some(rewritten) => self.amendment(message, &file.0, rewritten),
        }
    }

    fn amendment(&self, message: &Inspected<'_>, file: &Path, new: Rewritten) -> Result<Amendment, String> {
        let content = read(file, self.bytes_max)?;
        let changes = changes(message.header, message.body, &content)
            .ok_or("the header of the message that came back has a line that is no field")?;
        let old = message.envelope;
        let has = |address: &str| old.recipients.iter().any(|one| one.address == address);
        let mut amendment = Amendment { edits: changes.edits, body: changes.body, ..Amendment::none() };
        for address in new.recipients.iter().filter(|address| !has(address)) {
            let address = checked(address, old.smtputf8)?;
            amendment.added_recipients.push(Recipient { address, ..Recipient::default() });
        }
        let gone = old.recipients.iter().map(|one| &one.address).filter(|one| !new.recipients.contains(one));
        amendment.deleted_recipients = gone.cloned().collect();
        if new.sender != old.sender.as_deref().unwrap_or("") {
            amendment.sender = Some(match new.sender.as_str() {
                "" => None,
                sender => Some(checked(sender, old.smtputf8)?),
            });
        }
        Ok(amendment)
    }
}

fn checked(address: &str, utf8: bool) -> Result<String, String> {
    match Address::parse(address.as_bytes(), false, utf8) {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("'{}' is no address", base::escape(address))),
    }
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    let mut content = Vec::new();
    File::open(path)
        .map_err(told)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(told)?;
    match content.len() as u64 > bytes_max {
        true => Err(format!("the message that came back has more than {bytes_max} bytes")),
        false => Ok(content),
    }
}
