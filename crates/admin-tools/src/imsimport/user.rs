//! One user: all folders of all sources, then subscriptions.

use std::sync::mpsc::Sender;

use message_store::{MailboxName, SpecialUse, Store};

use super::Said;
use super::folder::{self, Run, Target};
use super::names::{Unique, Wishes, legal};
use super::report::Report;
use super::source::{Folder, Source};
use super::where_from::{Access, WhereFrom};

/// Names of one page of the list.
const PAGE: usize = 1000;

/// A user whose mail is to come.
pub struct Job {
    pub uid: String,
    /// Empty: the default one.
    pub partition: String,
    pub sources: Vec<WhereFrom>,
}

/// Brings everything of one user over, and says what came of it.
pub fn bring(run: &Run<'_>, access: &Access, wishes: &Wishes, job: &Job, say: &Sender<Said>) {
    let mut one = User { run, wishes, job, say, report: Report::default() };
    for source in &job.sources {
        if let Err(why) = one.source(source, access) {
            let _ = say.send(Said::Stop(why));
            break;
        }
    }
    let _ = say.send(Said::Done(1, format!("{}: {}", base::escape(&job.uid), one.report.text())));
    let _ = say.send(Said::Counts(Box::new(one.report)));
}

struct User<'a> {
    run: &'a Run<'a>,
    wishes: &'a Wishes,
    job: &'a Job,
    say: &'a Sender<Said>,
    report: Report,
}

/// A folder, and the name that it gets.
struct Planned {
    folder: Folder,
    name: String,
}

impl User<'_> {
    fn wrong(&mut self, text: &str) {
        let _ = self.say.send(Said::Wrong(format!("{}: {text}", base::escape(&self.job.uid))));
    }

    fn fail(&mut self, text: &str) {
        self.report.failed += 1;
        self.wrong(text);
    }

    /// Whether anything can go on is the result; what is wrong with this source is said.
    fn source(&mut self, place: &WhereFrom, access: &Access) -> Result<(), String> {
        let opened = place.open(access).and_then(|mut source| Ok((source.folders()?, source)));
        let (found, mut source) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                self.fail(&why);
                return Ok(());
            }
        };
        for complaint in &found.complaints {
            self.fail(complaint);
        }
        let planned = self.plan(found.folders);
        let expected: u64 = planned.iter().map(|one| one.folder.estimate).sum();
        self.run.progress.expect(i64::try_from(expected).unwrap_or(i64::MAX));
        for one in &planned {
            self.folder(&mut *source, place, one)?;
        }
        if !self.run.look {
            self.subscribe(&found.subscriptions);
        }
        Ok(())
    }

    /// The INBOX first: it must be there before those below it, and with its UIDVALIDITY.
    fn plan(&mut self, mut folders: Vec<Folder>) -> Vec<Planned> {
        folders.sort_by(|a, b| {
            let is_inbox = |one: &Folder| one.levels == ["INBOX"];
            is_inbox(b).cmp(&is_inbox(a)).then_with(|| a.levels.cmp(&b.levels))
        });
        let mut unique = Unique::default();
        let mut planned = Vec::new();
        for folder in folders {
            let levels = unique.give(legal(&folder.levels));
            let Some(name) = self.wishes.apply(&levels) else { continue };
            if levels != folder.levels {
                let text = format!(
                    "{} becomes {name}: a mailbox here cannot have that name",
                    folder.levels.join("|")
                );
                self.wrong(&base::escape(&text));
            }
            planned.push(Planned { folder, name });
        }
        planned
    }

    fn folder(&mut self, source: &mut dyn Source, place: &WhereFrom, one: &Planned) -> Result<(), String> {
        let name = match MailboxName::parse(&format!("user/{}/{}", self.job.uid, one.name)) {
            Ok(name) => name,
            Err(why) => {
                self.fail(&format!("{}: {why}", base::escape(&one.name)));
                return Ok(());
            }
        };
        let target = Target {
            special_use: self.free_use(one.folder.special_use),
            name,
            partition: &self.job.partition,
            source: format!("{} {}", place.identity(), one.folder.id),
        };
        let mut report = Report { folders: 1, ..Report::default() };
        let done = folder::bring(self.run, source, &one.folder, &target, &mut report);
        for line in &report.lines {
            self.wrong(&format!("{}: {line}", base::escape(&one.name)));
        }
        let text = format!("{}: {}: {}", self.job.uid, one.name, report.text());
        let _ = self.say.send(Said::Done(2, base::escape(&text)));
        self.report.add(&report);
        done
    }

    /// A special use is of one mailbox of a user.
    fn free_use(&self, wanted: Option<SpecialUse>) -> Option<SpecialUse> {
        wanted.filter(|wanted| !has_use(self.run.store, &self.job.uid, *wanted))
    }

    fn subscribe(&mut self, names: &[Vec<String>]) {
        let store = self.run.store;
        let there = match store.subscriptions(&self.job.uid) {
            Ok(there) => there,
            Err(why) => return self.fail(&format!("subscriptions: {why}")),
        };
        for levels in names {
            let Some(name) = self.wishes.apply(&legal(levels)) else { continue };
            if there.contains(&name) {
                continue;
            }
            if let Err(why) = store.subscribe(&self.job.uid, &name) {
                self.fail(&format!("subscription to {}: {why}", base::escape(&name)));
            }
        }
    }
}

fn has_use(store: &Store, uid: &str, wanted: SpecialUse) -> bool {
    let mut after: Option<MailboxName> = None;
    loop {
        let Ok(page) = store.list(&format!("user/{uid}"), after.as_ref(), PAGE) else { return false };
        let Some(last) = page.last() else { return false };
        after = Some(last.name.clone());
        let is_theirs = |name: &MailboxName| name.owner() == Some(uid);
        if page.iter().any(|one| is_theirs(&one.name) && one.special_use == Some(wanted)) {
            return true;
        }
    }
}
