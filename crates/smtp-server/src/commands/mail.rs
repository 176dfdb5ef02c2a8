//! MAIL FROM: begins a transaction (RFC 5321 §4.1.1.2).

use connection::Io;
use smtp_wire::{Address, Body, Hold, MailParameters, Reply};

use crate::rates::What;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::{State, Transaction};

pub fn run(session: &mut Session, sender: Option<Address>, parameters: MailParameters, io: &Io) -> Answer {
    let client = match &session.state {
        State::Greeted { client } => client.clone(),
        State::Connected => return Answer::Say(replies::bad_sequence("Say HELO or EHLO first")),
        _ => return Answer::Say(replies::bad_sequence("A transaction is open already")),
    };
    let sender = sender.map(|sender| sender.qualified(session.settings.domains.default_domain()));
    if let Some(refusal) = refusal(session, sender.as_ref(), &parameters, io) {
        return refusal;
    }
    session.under_way = match &parameters.envid {
        Some(envid) if session.is_submission_local(io) => session.desk.under_way.enter(session.uid(), envid),
        _ => None,
    };
    let now = base::clock::unix_seconds();
    let transaction = Transaction {
        sender,
        hold: parameters.hold.map(|asked| hold(asked, now)),
        envid: parameters.envid,
        ret: parameters.ret,
        binary: parameters.body == Some(Body::Binary),
        smtputf8: parameters.smtputf8,
        size: parameters.size.unwrap_or(0),
        require_tls: parameters.require_tls,
        ..Transaction::default()
    };
    session.state = State::InTransaction { client, transaction: Box::new(transaction) };
    Answer::Say(Reply::new(250, (2, 1, 0), "Sender accepted"))
}

fn refusal(
    session: &Session,
    sender: Option<&Address>,
    parameters: &MailParameters,
    io: &Io,
) -> Option<Answer> {
    let settings = &session.settings;
    if session.messages >= session.messages_max() {
        // S48, S51
        let text = format!("{} Too many messages in one connection", settings.host_name);
        return Some(Answer::Last(Reply::new(421, (4, 7, 0), text)));
    }
    let lmtp = session.is_lmtp(io);
    let must_log_in = session.is_submission(io) || !lmtp && settings.must_log_in.includes(io.peer.ip());
    if must_log_in && session.user.is_none() {
        return Some(Answer::Say(replies::authentication_required()));
    }
    if (lmtp || !settings.do_dsn) && (parameters.ret.is_some() || parameters.envid.is_some()) {
        return Some(Answer::Say(replies::no_such_parameter()));
    }
    if !settings.allow_chunking && parameters.body == Some(Body::Binary) {
        return Some(Answer::Say(replies::no_such_parameter()));
    }
    if !settings.allow_smtputf8 && parameters.smtputf8 {
        return Some(Answer::Say(replies::no_such_parameter()));
    }
    if parameters.require_tls && !io.tls.is_active() {
        return Some(Answer::Say(replies::no_such_parameter()));
    }
    if let Some(asked) = &parameters.hold {
        if !session.offers_future_release(io) {
            return Some(Answer::Say(replies::no_such_parameter()));
        }
        if let Some(reply) = hold_refusal(asked, settings.future_release_max.as_secs()) {
            return Some(Answer::Say(reply));
        }
    }
    if sender.is_some_and(|sender| !session.is_qualified(sender, io)) {
        let text = "The domain of the sender is not fully qualified";
        return Some(Answer::Say(Reply::new(554, (5, 1, 8), text)));
    }
    if let (Some(user), Some(sender)) = (session.author(), sender) {
        if settings.own_address_only && !user.has_address(&sender.to_string()) {
            let text = "You may send from your own addresses only";
            return Some(Answer::Say(Reply::new(553, (5, 7, 1), text)));
        }
    }
    if let (Some(max), Some(size)) = (settings.message_size_max, parameters.size) {
        if size > max {
            return Some(Answer::Say(replies::too_big())); // RFC 1870 §6.1
        }
    }
    if session.desk.queue.is_short_of_space() {
        return Some(Answer::Say(replies::no_space()));
    }
    session.keeps_rate(What::Message, io).map(Answer::Say) // last, since it counts
}

fn hold(asked: Hold, now: i64) -> mail_queue::Hold {
    match asked {
        Hold::For(seconds) => mail_queue::Hold {
            until: now.saturating_add(i64::from(seconds)),
            request: format!("for;{seconds}"),
        },
        Hold::Until(until, words) => mail_queue::Hold { until, request: format!("until;{words}") },
    }
}

/// RFC 4865 §4: neither beyond the limits that EHLO told, nor in the past.
fn hold_refusal(asked: &Hold, most: u64) -> Option<Reply> {
    let ahead = match asked {
        Hold::For(seconds) => i64::from(*seconds),
        Hold::Until(second, _) => second.saturating_sub(base::clock::unix_seconds()),
    };
    let text = match u64::try_from(ahead) {
        Ok(ahead) if ahead <= most => return None,
        Ok(_) => "That is further ahead than this server takes",
        Err(_) => "That time is past",
    };
    Some(Reply::new(501, (5, 5, 4), text))
}
