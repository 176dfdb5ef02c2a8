//! How much is free of the file systems that mail is on, in percent. Folders of one file system are one thing: it has one
//! warning.

use std::os::unix::fs::MetadataExt;

use counters::alarms::percent;
use dispatcher::daemon::Site;
use server_config::Config;
use server_log::Category;

use super::Seen;
use crate::mail_folders::mail_folders;

/// Characters of a name that is made of several.
const NAME_CHARS_MAX: usize = 200;

pub(super) fn look(site: &Site, config: &Config, _threshold: u64) -> Vec<Seen> {
    let mut found: Vec<(u64, Seen)> = Vec::new();
    for (name, folder) in mail_folders(config, &site.instance) {
        let look = || -> std::io::Result<(u64, u64)> {
            let device = std::fs::metadata(&folder)?.dev();
            let (free, whole) = os::file::free_and_whole_space(&folder)?;
            Ok((device, percent(free, whole)))
        };
        match look() {
            Ok((device, value)) => match found.iter_mut().find(|(known, _)| *known == device) {
                Some((_, seen)) if seen.instance.chars().count() + name.len() < NAME_CHARS_MAX => {
                    seen.instance = format!("{}+{}", seen.instance, word(&name));
                }
                Some(_) => {}
                None => found.push((device, Seen { instance: word(&name), value, is_lost: false })),
            },
            // A partition that nobody has used yet has no folder.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => {
                let text = format_args!("alarm diskavail: {}: {why}", folder.display());
                site.log.error(Category::General, text);
            }
        }
    }
    found.into_iter().map(|(_, seen)| seen).collect()
}

/// A name without blanks.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}
