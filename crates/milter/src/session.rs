//! All filters during one SMTP session: each hears of every step, in their order, until one refuses.
//!
//! Nothing is opened before the first MAIL, so a client that only logs in or looks around costs no filter anything. What a
//! filter says of the connection and of HELO is therefore said to the client at MAIL, as Postfix does with
//! `smtpd_delay_reject`. An end of a message that the client did not bring about by a message is told to the filters when
//! the next one begins.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use server_log::{Category, Log};

use crate::Failure;
use crate::conversation::{Answer, Conversation};
use crate::macros::Macros;
use crate::message::{Changes, Message};
use crate::service::Service;
use crate::settings::{Filter, OnFailure};
use crate::wire::{Command, Peer, Refusal};

/// The filters of one kind of listener. Cheap to clone.
#[derive(Clone, Default)]
pub struct Filters(Arc<[Arc<Service>]>);

impl Filters {
    pub fn new(filters: Vec<Filter>) -> Filters {
        Filters(filters.into_iter().map(|filter| Arc::new(Service::new(filter))).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter().map(|service| &service.filter)
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Who is connected.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name, or its address in brackets.
    pub host: String,
    pub peer: Peer,
    pub helo: String,
}

/// What all filters together make of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    Refuse(Refusal),
    /// The message is accepted as the client sees it, and thrown away.
    Discard,
    /// The client is hung up on.
    Disconnect,
}

/// What one filter makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub verdict: Verdict,
    pub changes: Changes,
    /// The filter failed, and its mail is to be held.
    pub hold: bool,
}

impl Shown {
    fn verdict(verdict: Verdict) -> Shown {
        Shown { verdict, changes: Changes::default(), hold: false }
    }
}

enum Standing {
    /// It was told nothing of this client, or failed: the next message begins anew.
    New,
    Open(Box<Conversation>),
    /// It needs to know nothing more of this client.
    Satisfied,
    /// It wants nothing of this client.
    Averse(Verdict),
}

struct Member {
    service: Arc<Service>,
    standing: Standing,
    /// The name of the client as it was told last.
    helo: Option<String>,
    /// It was told of a message, whose end it was not told.
    engaged: bool,
    /// It failed during the present message: what becomes of each further step, so that nothing gets past it.
    failed: Option<Verdict>,
    /// It failed, and the message is to be held for that.
    hold: bool,
}

/// See the head of this file.
pub struct Session {
    members: Vec<Member>,
    /// A filter wants the present message thrown away.
    discards: bool,
    log: Log,
    /// Whose session it is, for log lines.
    label: String,
}

impl Session {
    pub fn new(filters: &Filters, log: Log, label: String) -> Session {
        let member = |service: &Arc<Service>| Member {
            service: service.clone(),
            standing: Standing::New,
            helo: None,
            engaged: false,
            failed: None,
            hold: false,
        };
        Session { members: filters.0.iter().map(member).collect(), discards: false, log, label }
    }

    /// MAIL, which our own rules let through. Words are the path with its brackets and the parameters.
    pub fn mail(&mut self, client: &Client, words: &[&[u8]], macros: Macros<'_>) -> Verdict {
        self.discards = false;
        self.members.iter_mut().for_each(Member::abort);
        self.each("MAIL", |member| member.mail(client, words, macros))
    }

    /// RCPT, which our own rules let through.
    pub fn rcpt(&mut self, words: &[&[u8]], macros: Macros<'_>) -> Verdict {
        self.each("RCPT", |member| member.tell(&Command::Rcpt(words.to_vec()), macros))
    }

    /// RCPT, which we refuse: for filters that want to know. What they say to it changes nothing.
    pub fn rcpt_refused(&mut self, words: &[&[u8]], macros: Macros<'_>) {
        let _ = self.each("RCPT", |member| {
            member.tell_refused(&Command::Rcpt(words.to_vec()), macros).map(|()| Answer::Continue)
        });
    }

    /// DATA, or the first BDAT.
    pub fn data(&mut self, macros: Macros<'_>) -> Verdict {
        self.each("DATA", |member| member.tell(&Command::Data, macros))
    }

    /// A command that SMTP does not have, or that is none at all.
    pub fn unknown(&mut self, client: &Client, line: &[u8], macros: Macros<'_>) -> Verdict {
        self.each("an unknown command", |member| member.unknown(client, line, macros))
    }

    /// Whether a filter wants the present message thrown away.
    pub fn discards(&self) -> bool {
        self.discards
    }

    /// Shows the message to the filter at a place of the list.
    pub fn show(&mut self, at: usize, message: &Message<'_>, macros: Macros<'_>) -> Shown {
        let Some(member) = self.members.get_mut(at) else { return Shown::verdict(Verdict::Continue) };
        match member.show(message, macros) {
            Ok(shown) => shown,
            Err(failure) => {
                let verdict = member.fail(&failure, "the message", &self.log, &self.label);
                Shown { hold: std::mem::take(&mut member.hold), ..Shown::verdict(verdict) }
            }
        }
    }

    /// One step with each filter, until one has an objection.
    fn each(&mut self, step: &str, act: impl Fn(&mut Member) -> Result<Answer, Failure>) -> Verdict {
        if self.discards {
            return Verdict::Continue; // nobody cares any more
        }
        for member in &mut self.members {
            match &member.failed {
                Some(Verdict::Continue) => continue,
                Some(verdict) => return verdict.clone(),
                None => {}
            }
            let verdict = match act(member) {
                Ok(Answer::Continue | Answer::Accept) => continue,
                Ok(Answer::Discard) => Verdict::Discard,
                Ok(Answer::Disconnect) => Verdict::Disconnect,
                Ok(Answer::Refuse(refusal)) => Verdict::Refuse(refusal),
                Err(failure) => match member.fail(&failure, step, &self.log, &self.label) {
                    Verdict::Continue => continue,
                    verdict => return verdict, // it is logged
                },
            };
            let name = &member.service.filter.name;
            let text = format!("milter {name}: {}: {step}: {verdict}", self.label);
            self.log.notice(Category::Protocol, format_args!("{}", base::escape(&text)));
            if verdict == Verdict::Discard {
                self.discards = true;
                self.members.iter_mut().for_each(Member::abort);
            }
            return verdict;
        }
        Verdict::Continue
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Standing::Open(conversation) = std::mem::replace(&mut member.standing, Standing::New) {
                member.service.give_back(*conversation);
            }
        }
    }
}

impl Member {
    fn conversation(&mut self) -> Option<&mut Conversation> {
        match &mut self.standing {
            Standing::Open(conversation) => Some(conversation),
            _ => None,
        }
    }

    /// Ends a message that was begun and will not come.
    fn abort(&mut self) {
        (self.hold, self.failed) = (false, None);
        if std::mem::take(&mut self.engaged) && !self.conversation().is_some_and(Conversation::abort) {
            self.standing = Standing::New;
        }
    }

    fn mail(&mut self, client: &Client, words: &[&[u8]], macros: Macros<'_>) -> Result<Answer, Failure> {
        match self.meet(client, macros)? {
            Answer::Continue => {}
            other => return Ok(other),
        }
        let limit = self.service.filter.command_timeout;
        let Some(conversation) = self.conversation() else { return Ok(Answer::Continue) };
        let answer = conversation.tell(&Command::Mail(words.to_vec()), macros, limit)?;
        self.service.is_well();
        self.engaged = answer == Answer::Continue;
        Ok(answer)
    }

    /// Tells the filter who the client is, as far as it was not told.
    fn meet(&mut self, client: &Client, macros: Macros<'_>) -> Result<Answer, Failure> {
        match &self.standing {
            Standing::Satisfied => return Ok(Answer::Accept),
            Standing::Averse(verdict) => return Ok(verdict.clone().into()),
            Standing::New => match self.introduce(client, macros)? {
                Answer::Continue => self.helo = None,
                last => return Ok(self.part(last)),
            },
            Standing::Open(_) => {}
        }
        if self.helo.as_ref() == Some(&client.helo) || client.helo.is_empty() {
            return Ok(Answer::Continue);
        }
        let limit = self.service.filter.command_timeout;
        let Some(conversation) = self.conversation() else { return Ok(Answer::Continue) };
        match conversation.tell(&Command::Helo(client.helo.as_bytes()), macros, limit)? {
            Answer::Continue => {
                self.helo = Some(client.helo.clone());
                Ok(Answer::Continue)
            }
            // Another name may please it more.
            Answer::Refuse(refusal) => Ok(Answer::Refuse(refusal)),
            last => Ok(self.part(last)),
        }
    }

    /// The first steps on a new connection, or on one that was another client's.
    fn introduce(&mut self, client: &Client, macros: Macros<'_>) -> Result<Answer, Failure> {
        self.service.admit(Instant::now())?;
        let limit = self.service.filter.command_timeout;
        let command = Command::Connect { host: client.host.as_bytes(), peer: client.peer };
        if let Some(mut conversation) = self.service.take_idle() {
            match conversation.tell(&command, macros, limit) {
                Ok(answer) => {
                    self.standing = Standing::Open(Box::new(conversation));
                    return Ok(answer);
                }
                Err(failure) if failure.took_long() => return Err(failure),
                Err(_) => {} // it was at its end; there are others
            }
        }
        let mut conversation = self.service.open()?;
        let answer = conversation.tell(&command, macros, limit)?;
        self.standing = Standing::Open(Box::new(conversation));
        Ok(answer)
    }

    /// The filter has said its last word about this client.
    fn part(&mut self, last: Answer) -> Answer {
        self.service.is_well();
        let standing = match &last {
            Answer::Accept => Standing::Satisfied,
            other => Standing::Averse(other.clone().into()),
        };
        if let Standing::Open(conversation) = std::mem::replace(&mut self.standing, standing) {
            conversation.quit();
        }
        last
    }

    /// A step of a message.
    fn tell(&mut self, command: &Command<'_>, macros: Macros<'_>) -> Result<Answer, Failure> {
        let limit = self.service.filter.command_timeout;
        let engaged = self.engaged;
        let Some(conversation) = self.conversation().filter(|_| engaged) else { return Ok(Answer::Continue) };
        let answer = conversation.tell(command, macros, limit)?;
        // A refusal of a recipient is about that one alone.
        let goes_on =
            answer == Answer::Continue || matches!((&answer, command), (Answer::Refuse(_), Command::Rcpt(_)));
        self.engaged = goes_on;
        Ok(answer)
    }

    fn tell_refused(&mut self, command: &Command<'_>, macros: Macros<'_>) -> Result<(), Failure> {
        let wants = crate::wire::protocol::RCPT_REJECTED;
        if self.conversation().is_some_and(|conversation| conversation.protocol() & wants != 0) {
            self.tell(command, macros)?;
        }
        Ok(())
    }

    fn unknown(&mut self, client: &Client, line: &[u8], macros: Macros<'_>) -> Result<Answer, Failure> {
        if self.service.ignores_unknown() || matches!(self.standing, Standing::Averse(_)) {
            return Ok(Answer::Continue);
        }
        if !self.engaged {
            match self.meet(client, macros)? {
                Answer::Continue => {}
                other => return Ok(other),
            }
        }
        let limit = self.service.filter.command_timeout;
        let Some(conversation) = self.conversation() else { return Ok(Answer::Continue) };
        conversation.tell(&Command::Unknown(line), macros, limit)
    }

    fn show(&mut self, message: &Message<'_>, macros: Macros<'_>) -> Result<Shown, Failure> {
        let hold = std::mem::take(&mut self.hold);
        if let Some(verdict) = self.failed.clone() {
            return Ok(Shown { hold, ..Shown::verdict(verdict) });
        }
        let limit = self.service.filter.message_timeout;
        let engaged = std::mem::take(&mut self.engaged);
        let Some(conversation) = self.conversation().filter(|_| engaged) else {
            return Ok(Shown { hold, ..Shown::verdict(Verdict::Continue) });
        };
        let (answer, changes) = conversation.show(message, macros, limit)?;
        Ok(Shown { verdict: answer.into(), changes, hold })
    }

    /// The filter is out for this message; the next one begins anew.
    fn fail(&mut self, failure: &Failure, step: &str, log: &Log, label: &str) -> Verdict {
        self.standing = Standing::New;
        self.engaged = false;
        let Filter { name, endpoint, on_failure, .. } = &self.service.filter;
        let (action, verdict) = match on_failure {
            OnFailure::Accept => ("goes on without it", Verdict::Continue),
            OnFailure::TempFail => ("refuses for now", Verdict::Refuse(out_of_order(451, 4))),
            OnFailure::Reject => ("refuses", Verdict::Refuse(out_of_order(550, 5))),
            OnFailure::Quarantine => ("holds the message", Verdict::Continue),
        };
        self.hold = *on_failure == OnFailure::Quarantine;
        self.failed = Some(verdict.clone());
        let text = format!("milter {name} ({endpoint}): {label}: {step}: {failure}; mail {action}");
        log.warning(Category::Protocol, format_args!("{}", base::escape(&text)));
        self.service.failed(failure);
        verdict
    }
}

fn out_of_order(code: u16, class: u8) -> Refusal {
    let text = match class {
        4 => "A filter of this server is out of order, try again later",
        _ => "A filter of this server is out of order",
    };
    Refusal { code, status: Some((class, 7, 1)), lines: vec![text.to_owned()] }
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Verdict {
        match answer {
            Answer::Continue | Answer::Accept => Verdict::Continue,
            Answer::Refuse(refusal) => Verdict::Refuse(refusal),
            Answer::Discard => Verdict::Discard,
            Answer::Disconnect => Verdict::Disconnect,
        }
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Answer {
        match verdict {
            Verdict::Continue => Answer::Continue,
            Verdict::Refuse(refusal) => Answer::Refuse(refusal),
            Verdict::Discard => Answer::Discard,
            Verdict::Disconnect => Answer::Disconnect,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Continue => f.write_str("continue"),
            Verdict::Refuse(refusal) => {
                let status = refusal.status.map(|(a, b, c)| format!("{a}.{b}.{c} ")).unwrap_or_default();
                write!(f, "refused with {} {status}{}", refusal.code, refusal.lines.join(" / "))
            }
            Verdict::Discard => f.write_str("thrown away"),
            Verdict::Disconnect => f.write_str("hung up"),
        }
    }
}
