//! Mail filters (milters) during a session: each is told what the client does once our own rules let it through, and may
//! refuse it.
//!
//! The filters' conversation begins with the first MAIL, so an idle session costs none. A step with a filter blocks the
//! worker, for as long as the filter's time limits say at most; commands that came together are answered in their order
//! all the same, since each is done before the next one is read. The end of a message is an inspection like others
//! ([`inspector`]), on a thread of its own.

mod facts;
mod inspector;

use std::sync::{Arc, Mutex, PoisonError};

use connection::Io;
use milter::{Filters, Refusal, Verdict};
use smtp_wire::Reply;

use crate::inspection::Inspectors;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::{State, Transaction};
use facts::Facts;
use inspector::FilterInspector;

/// The filters of one session.
pub(crate) struct Filtering {
    /// Shared with an inspection under way.
    session: Arc<Mutex<milter::Session>>,
    /// The client's name that leads back to its address, if it has one.
    name: Option<String>,
}

/// MAIL was accepted, if `answer` says so: what the filters make of it.
pub(crate) fn mail(session: &mut Session, line: &[u8], answer: Answer, io: &Io) -> Answer {
    if !accepts(&answer) || !session.begin_filtering(io) {
        return answer;
    }
    let verdict = session.ask(io, |filters, client, facts, transaction| {
        let sender = transaction.and_then(|transaction| transaction.sender.as_ref());
        let path = format!("<{}>", sender.map(ToString::to_string).unwrap_or_default());
        filters.mail(client, &words(&path, line), &|name| facts.value(name))
    });
    match refusal(verdict) {
        None => answer,
        Some(reply) => {
            session.state.reset();
            Answer::Say(reply)
        }
    }
}

/// RCPT: our own rules, then the filters.
pub(crate) fn rcpt(
    session: &mut Session,
    line: &[u8],
    io: &Io,
    ours: impl FnOnce(&mut Session) -> Reply,
) -> Reply {
    let before = session.state.transaction().map_or((0, 0), |open| (open.recipients.len(), open.found.len()));
    let reply = ours(session);
    if session.filtering.is_none() || session.state.transaction().is_none() {
        return reply;
    }
    if reply.code != 250 {
        let path = String::from_utf8_lossy(path_of(line)).into_owned();
        session.ask(io, |filters, _, facts, _| {
            let facts = facts.of_refused_recipient(&reply);
            filters.rcpt_refused(&words(&path, line), &|name| facts.value(name));
            Verdict::Continue
        });
        return reply;
    }
    let domains = session.settings.domains.clone();
    let verdict = session.ask(io, |filters, _, facts, transaction| {
        let added = transaction.and_then(|transaction| transaction.recipients.last());
        let address = added.map(|added| added.address.clone()).unwrap_or_default();
        let is_local = address.rsplit_once('@').is_some_and(|(_, domain)| domains.contains(domain));
        let facts = facts.of_recipient(&address, is_local);
        filters.rcpt(&words(&format!("<{address}>"), line), &|name| facts.value(name))
    });
    let Some(refusal) = refusal(verdict) else { return reply };
    if let State::InTransaction { transaction, .. } = &mut session.state {
        transaction.recipients.truncate(before.0);
        transaction.found.truncate(before.1);
    }
    refusal
}

/// A command that there is not: `ours` is what we say to it.
pub(crate) fn unknown(session: &mut Session, line: &[u8], ours: Reply, io: &Io) -> Answer {
    if !session.begin_filtering(io) {
        return Answer::Say(ours);
    }
    let verdict =
        session.ask(io, |filters, client, facts, _| filters.unknown(client, line, &|name| facts.value(name)));
    match refusal(verdict) {
        // It counts as a bad command, whatever the filter calls it.
        Some(reply) if reply.code == 421 || (500..=504).contains(&reply.code) => Answer::Say(reply),
        _ => Answer::Say(ours),
    }
}

impl Session {
    fn filters(&self, io: &Io) -> &Filters {
        if self.is_submission(io) { &self.settings.submission_filters } else { &self.settings.filters }
    }

    /// Whether there are filters; makes ready what they need. Mail by LMTP is another server's, which has filters of its own.
    fn begin_filtering(&mut self, io: &Io) -> bool {
        if self.is_lmtp(io) || self.filters(io).is_empty() {
            return false;
        }
        // An inspection that was given up may still hold the former one.
        if self.filtering.as_ref().is_some_and(|filtering| filtering.session.try_lock().is_ok()) {
            return true;
        }
        let address = io.peer.ip().to_canonical();
        let name = match self.filtering.take() {
            Some(former) => former.name,
            None => match self.known_name.as_deref() {
                Some(known) => known.clone(),
                None => self.desk.clients.name(address),
            },
        };
        let label = format!("session {} with [{address}]", io.number);
        let session = milter::Session::new(self.filters(io), self.desk.log.clone(), label);
        self.filtering = Some(Box::new(Filtering { session: Arc::new(Mutex::new(session)), name }));
        true
    }

    /// Asks the filters something about the present state.
    fn ask(
        &self,
        io: &Io,
        question: impl FnOnce(&mut milter::Session, &milter::Client, Facts, Option<&Transaction>) -> Verdict,
    ) -> Verdict {
        let Some(filtering) = &self.filtering else { return Verdict::Continue };
        let transaction = self.state.transaction();
        let helo = self.state.client().map(|client| client.name.clone()).unwrap_or_default();
        let facts = self.facts(filtering.name.as_deref(), transaction, None, io);
        let client = filtering.client(helo, io);
        let mut filters = filtering.session.lock().unwrap_or_else(PoisonError::into_inner);
        question(&mut filters, &client, facts, transaction)
    }

    /// DATA, or the first BDAT: the message has got its id.
    ///
    /// # Errors
    /// What a filter says against it.
    pub(crate) fn filter_data(&self, transaction: &Transaction, id: &str, io: &Io) -> Result<(), Reply> {
        let Some(filtering) = &self.filtering else { return Ok(()) };
        let facts = self.facts(filtering.name.as_deref(), Some(transaction), Some(id), io);
        let mut filters = filtering.session.lock().unwrap_or_else(PoisonError::into_inner);
        refusal(filters.data(&|name| facts.value(name))).map_or(Ok(()), Err)
    }

    /// Who inspects a message: those of the site, and between them the filters, if there are any.
    pub(crate) fn with_filters(
        &self,
        inspectors: Option<Inspectors>,
        transaction: &Transaction,
        id: &str,
        io: &Io,
    ) -> Option<Inspectors> {
        let Some(filtering) = &self.filtering else { return inspectors };
        let facts = Arc::new(self.facts(filtering.name.as_deref(), Some(transaction), Some(id), io));
        let filters = self.filters(io).iter().enumerate();
        let filters = filters.map(|(at, filter)| {
            FilterInspector::at(
                at,
                filter,
                filtering.session.clone(),
                facts.clone(),
                &self.settings,
                &self.desk,
            )
        });
        Some(inspectors.unwrap_or_default().with_filters(filters.collect()))
    }
}

impl Filtering {
    fn client(&self, helo: String, io: &Io) -> milter::Client {
        let address = io.peer.ip().to_canonical();
        let host = self.name.clone().unwrap_or_else(|| format!("[{address}]"));
        milter::Client { host, peer: milter::Peer::Address(io.peer), helo }
    }
}

fn accepts(answer: &Answer) -> bool {
    matches!(answer, Answer::Say(reply) if reply.code == 250)
}

/// What is to be said when a filter objects. A message that is to be thrown away is taken first.
fn refusal(verdict: Verdict) -> Option<Reply> {
    match verdict {
        Verdict::Continue | Verdict::Discard => None,
        Verdict::Refuse(refusal) => Some(reply(refusal)),
        Verdict::Disconnect => Some(replies::filter_hangs_up()),
    }
}

/// The words of a filter as our reply.
pub(crate) fn reply(refusal: Refusal) -> Reply {
    let Refusal { code, status, lines } = refusal;
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let reply = match status {
        Some(status) => Reply::new(code, status, first),
        None => Reply::plain(code, first),
    };
    lines.fold(reply, Reply::line)
}

/// The path, and the parameters as they were written.
fn words<'a>(path: &'a str, line: &'a [u8]) -> Vec<&'a [u8]> {
    let behind = &line[end_of_path(line)..];
    let parameters = behind.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    std::iter::once(path.as_bytes()).chain(parameters).collect()
}

/// The path of MAIL or RCPT as it was written.
fn path_of(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| *byte == b':').map_or(line.len(), |at| at + 1);
    line[start..end_of_path(line).max(start)].trim_ascii()
}

/// The same for the log.
pub(crate) fn path_text(line: &[u8]) -> String {
    String::from_utf8_lossy(path_of(line)).into_owned()
}

/// Where the path ends: behind the `>` that is neither quoted nor escaped, or at a blank when there is no `<`.
fn end_of_path(line: &[u8]) -> usize {
    let start = line.iter().position(|byte| *byte == b':').map_or(line.len(), |at| at + 1);
    let mut path = line[start..].iter().enumerate().map(|(at, byte)| (start + at, *byte)).peekable();
    while path.next_if(|(_, byte)| *byte == b' ').is_some() {}
    let (bracketed, mut quoted) = (path.peek().is_some_and(|(_, byte)| *byte == b'<'), false);
    while let Some((at, byte)) = path.next() {
        match byte {
            b'\\' => {
                path.next();
            }
            b'"' => quoted = !quoted,
            b'>' if bracketed && !quoted => return at + 1,
            b' ' if !bracketed && !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_command_are_its_path_and_its_parameters() {
        for (line, path, parameters) in [
            ("MAIL FROM:<a@b> SIZE=1 AUTH=<>", "<a@b>", &["SIZE=1", "AUTH=<>"][..]),
            ("MAIL FROM: <\"x>y z\"@b>  BODY=8BITMIME", "<\"x>y z\"@b>", &["BODY=8BITMIME"]),
            ("mail from:<\"a\\\"> b\"@c>", "<\"a\\\"> b\"@c>", &[]),
            ("RCPT TO:a@b NOTIFY=NEVER", "a@b", &["NOTIFY=NEVER"]),
            ("MAIL FROM:<>", "<>", &[]),
            ("MAIL", "", &[]),
        ] {
            assert_eq!(String::from_utf8_lossy(path_of(line.as_bytes())), path, "{line}");
            let words = words("<ours>", line.as_bytes());
            let shown: Vec<_> = words[1..].iter().map(|word| String::from_utf8_lossy(word)).collect();
            assert_eq!(shown, parameters, "{line}");
        }
    }
}
