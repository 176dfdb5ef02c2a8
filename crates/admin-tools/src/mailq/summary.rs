//! The count for each domain, in the original's two columns.
//!
//! // NMS: "the number of envelope files in the control directory for a deferred domain" (guide L488).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use mail_queue::Survey;

use crate::selection::Selection;
use crate::site::broken;

#[derive(Default)]
struct Count {
    active: usize,
    deferred: usize,
}

pub fn tell(queue: &Path, selection: &Selection, split: bool, out: &mut dyn Write) -> Result<(), String> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let (mut damaged, mut buffer) = (0_usize, Vec::new());
    for folder in Survey::of(queue) {
        let folder = folder.map_err(|why| why.to_string())?;
        if selection.is_everything() {
            damaged += folder.strangers;
            if let Some(domain) = folder.domain().filter(|_| !folder.is_empty()) {
                // The names say enough.
                counts.entry(domain.to_owned()).or_default().deferred += folder.len();
                continue;
            }
        }
        selection.each(&folder, &mut buffer, |_, envelope| {
            let Ok(envelope) = envelope else {
                damaged += 1;
                return Ok(());
            };
            for domain in super::domains(&folder, &envelope) {
                let count = counts.entry(domain).or_default();
                match folder.domain() {
                    Some(_) => count.deferred += 1,
                    None => count.active += 1,
                }
            }
            Ok(())
        })?;
    }
    if counts.is_empty() && damaged == 0 {
        writeln!(out, "Mail queue is empty.").map_err(broken)?;
    } else if split {
        writeln!(out, "  Queued   Active Destination\n  ------   ------ -----------").map_err(broken)?;
    } else {
        writeln!(out, "  Queued Destination\n  ------ -----------").map_err(broken)?;
    }
    for (domain, count) in &counts {
        let (all, domain) = (count.active + count.deferred, base::escape(domain));
        if split {
            writeln!(out, "{all:>8} {:>8} {domain}", count.active).map_err(broken)?;
        } else {
            writeln!(out, "{all:>8} {domain}").map_err(broken)?;
        }
    }
    if damaged > 0 {
        writeln!(out, "{damaged:>8} damaged, to be set aside by smtpd").map_err(broken)?;
    }
    let lost = fs::read_dir(queue.join("lost+found")).map_or(0, |entries| entries.count());
    if lost > 0 {
        writeln!(out, "{lost:>8} files in queue/lost+found").map_err(broken)?;
    }
    Ok(())
}
