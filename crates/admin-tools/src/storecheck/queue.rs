//! The queue's links: each envelope verifies and has its message, whole. What a running smtpd does meanwhile is no
//! difference: an envelope that does not fit is looked at again.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use mail_queue::{Folder, QueueId, Survey};

use super::report::Report;

/// An envelope is written in place, and its message goes behind it: so often and so long apart it is looked at.
const LOOKS: u32 = 4;
const APART: Duration = Duration::from_millis(250);

/// # Errors
/// A folder or file cannot be read.
pub fn check(queue: &Path, report: &mut Report<'_>) -> Result<(), String> {
    for folder in Survey::of(queue) {
        let folder = folder.map_err(|why| format!("queue: {why}"))?;
        for id in folder.ids() {
            report.entries += 1;
            if let Some((what, mend)) = settled(&folder, &id)? {
                report.difference(&format!("queue {id}"), &what, &mend)?;
            }
        }
    }
    Ok(())
}

/// What is wrong with an entry and stays so, and what mends it.
type Wrong = (String, String);

fn settled(folder: &Folder, id: &QueueId) -> Result<Option<Wrong>, String> {
    let mut wrong = look(folder, id)?;
    for _ in 1..LOOKS {
        if wrong.is_none() {
            break;
        }
        thread::sleep(APART);
        wrong = look(folder, id)?;
    }
    Ok(wrong)
}

fn look(folder: &Folder, id: &QueueId) -> Result<Option<Wrong>, String> {
    let envelope = match folder.read(id, &mut Vec::new()).map_err(|why| format!("queue: {why}"))? {
        None => return Ok(None), // gone meanwhile
        Some(Err(why)) => {
            let mend = "smtpd puts it into queue/lost+found when it is next tried".to_owned();
            return Ok(Some((format!("the envelope does not verify: {why}"), mend)));
        }
        Some(Ok(envelope)) => envelope,
    };
    if envelope.pending().next().is_none() {
        return Ok(None); // finished: both are about to go
    }
    // Its sender gets a report, and what there is goes to lost+found.
    let mend = format!("msg-queue expire {id}");
    match fs::metadata(folder.message_path(id)) {
        Ok(meta) if meta.len() == envelope.message_size => Ok(None),
        Ok(meta) => {
            Ok(Some((format!("the message has {} bytes, not {}", meta.len(), envelope.message_size), mend)))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            Ok(Some(("its message is missing".into(), mend)))
        }
        Err(why) => Err(format!("queue {id}: {why}")),
    }
}
