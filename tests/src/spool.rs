//! Queue entries made by hand, as `docs/formats/queue.md` says, for queues that are longer than one would send.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Instance;
use crate::instance::run;

/// The message of every entry.
pub const MESSAGE: &str = "Subject: one of many\r\n\r\nx\r\n";

/// An id of its own for each number.
pub fn id(number: usize) -> String {
    format!("GPM7U0{}.{}", base36(number / 46_656, 2), base36(number % 46_656, 3))
}

fn base36(mut value: usize, width: usize) -> String {
    let mut text = String::new();
    for _ in 0..width {
        text.insert(0, char::from_digit((value % 36) as u32, 36).unwrap().to_ascii_uppercase());
        value /= 36;
    }
    text
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The envelope of an entry that arrived just now; `progress` is the step behind it, if there is one.
pub fn envelope(id: &str, recipient: &str, progress: &str) -> String {
    let mut text = format!(
        "Mailboat-Envelope: 1\nId: {id}\nArrived: {}000000000\nMessage-Size: {}\nRelay-Offset: 0\nHops: 0\nBody: 7bit\n\
         Protocol: ESMTP\nHost-From: client [127.0.0.1]\nSender: <sender@example.org>\nRecipient: <{recipient}>\n",
        now(),
        MESSAGE.len(),
    );
    text.push_str(&format!("End: {:08x}\n", crc32fast::hash(text.as_bytes())));
    if !progress.is_empty() {
        text.push_str(&format!("{progress} #{:08x}\n", crc32fast::hash(progress.as_bytes())));
    }
    text
}

/// Puts an entry into the active queue.
pub fn activate(instance: &Instance, id: &str, envelope: &str) {
    let (control, messages) = (instance.path("queue/control"), instance.path("queue/messages"));
    for folder in [&control, &messages] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(control.join(format!("env-{id}")), envelope).unwrap();
    fs::write(messages.join(id), MESSAGE).unwrap();
}

/// The folder of a domain's deferred entries.
pub fn deferred_folder(instance: &Instance, domain: &str) -> PathBuf {
    instance.path("queue/deferred/SMTP-Deliver").join(hashed(instance, domain)).join(domain)
}

/// Puts an entry into such a folder, its message being a link to one that is there already, if there is one.
pub fn defer(folder: &Path, hash: &str, id: &str, envelope: &str) {
    let messages = folder.join(hash);
    fs::create_dir_all(&messages).unwrap();
    fs::write(messages.join(id), MESSAGE).unwrap();
    fs::write(folder.join(format!("env-{id}")), envelope).unwrap();
}

/// The two levels of hashdir.
pub fn hashed(instance: &Instance, name: &str) -> String {
    run(instance.tool("hashdir").arg(name)).trim().trim_end_matches('/').to_owned()
}
