//! One message: envelope, content, and what the peer says to it (RFC 5321 §3.3, RFC 3030, RFC 2033 §4.2).

use crate::content;
use crate::envelope::Asked;
use crate::outgoing::Plan;
use crate::wire::{Broken, moment};
use crate::{Outcome, Outgoing, Reply, Session, Transaction};

/// All answers of LMTP to one content come within so many times the limit of one.
const ANSWERS_LIMITS: u32 = 4;

impl Plan {
    /// Gives everybody who has no outcome this one.
    pub fn fill(&mut self, outcome: &Outcome) {
        for open in self.outcomes.iter_mut().filter(|open| open.is_none()) {
            *open = Some(outcome.clone());
        }
    }

    fn is_decided(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }
}

impl Session {
    /// Sends one message. Never fails as a whole: there is an outcome for every recipient, [`Outcome::Later`] when the
    /// session broke before the peer had answered for it.
    pub fn send(&mut self, message: &Outgoing<'_>) -> Transaction {
        let mut plan = Plan::of(message, &self.offers, &self.peer);
        if !plan.is_decided() {
            let result = if self.ended {
                Err(Broken::Closed("an earlier message"))
            } else {
                self.transact(message, &mut plan)
            };
            if let Err(broken) = result {
                self.end();
                let (status, text) = (broken.status(), broken.text(&self.peer));
                plan.fill(&Outcome::Later { status, text });
            }
        }
        let missing =
            || Outcome::Later { status: "4.3.0".into(), text: format!("{} gave no answer", self.peer) };
        Transaction {
            mail_refused: plan.mail_refused,
            recipients: plan.outcomes.into_iter().map(|known| known.unwrap_or_else(missing)).collect(),
            reusable: !self.ended && self.offers.messages_max.is_none_or(|most| self.messages < most),
        }
    }

    fn transact(&mut self, message: &Outgoing<'_>, plan: &mut Plan) -> Result<(), Broken> {
        self.messages += 1;
        let chunked = self.offers.chunking && content::is_regular(message);
        let mut asked = self.envelope(plan, !chunked)?;
        if asked.accepted.is_empty() {
            return self.abandon(&asked);
        }
        if chunked {
            return match self.send_chunks(message) {
                Ok(None) => self.answers(&asked.accepted, plan),
                Ok(Some(refused)) => self.refuse("BDAT", refused, plan),
                Err(broken) => Err(self.early_answer(broken, plan)),
            };
        }
        let reply = match asked.data.take() {
            Some(reply) => reply,
            None => self.ask("DATA", "DATA", self.timeouts.data)?,
        };
        if !reply.is_intermediate() {
            return self.refuse("DATA", reply, plan);
        }
        match self.send_content(message) {
            Ok(()) => self.answers(&asked.accepted, plan),
            Err(broken) => Err(self.early_answer(broken, plan)),
        }
    }

    /// Nobody was taken. A DATA that flew along may have been answered with 354 all the same: then a dot ends what
    /// has no recipients (RFC 2920 §3.1). A peer that is confused about that would send the nothing to somebody.
    fn abandon(&mut self, asked: &Asked) -> Result<(), Broken> {
        let Some(reply) = asked.data.as_ref().filter(|reply| reply.is_intermediate()) else {
            return Ok(());
        };
        if asked.is_confused || self.lmtp {
            return Err(Broken::Unexpected("DATA", reply.clone()));
        }
        let until = moment(self.timeouts.data_dot);
        self.wire.write(b".\r\n", "the final dot", until)?;
        self.reply("the final dot", until).map(|_| ())
    }

    /// A reply to the whole message that refuses it.
    fn refuse(&mut self, step: &'static str, reply: Reply, plan: &mut Plan) -> Result<(), Broken> {
        match self.refusal(&reply) {
            Some(refusal) => {
                plan.fill(&refusal);
                Ok(())
            }
            None => Err(Broken::Unexpected(step, reply)),
        }
    }

    /// The reply to the content, or with LMTP the replies, in the order of those that were taken.
    fn answers(&mut self, accepted: &[usize], plan: &mut Plan) -> Result<(), Broken> {
        let limit = self.timeouts.data_dot;
        let all = moment(limit.saturating_mul(ANSWERS_LIMITS));
        let mut last: Option<Reply> = None;
        for place in accepted {
            let reply = match last.take().filter(|_| !self.lmtp) {
                Some(reply) => reply,
                None => self.reply("the final dot", moment(limit).min(all))?,
            };
            plan.outcomes[*place] = Some(match self.refusal(&reply) {
                Some(refusal) => refusal,
                None if reply.is_positive() => Outcome::Delivered(reply.clone()),
                None => return Err(Broken::Unexpected("the final dot", reply)),
            });
            last = Some(reply);
        }
        let delivered = |place: &usize| matches!(plan.outcomes[*place], Some(Outcome::Delivered(_)));
        self.needs_reset = !accepted.iter().all(delivered);
        Ok(())
    }

    /// A peer that stops reading may have said why before it closed: a refusal then counts, since it has not got the
    /// whole message and cannot have taken it.
    fn early_answer(&mut self, broken: Broken, plan: &mut Plan) -> Broken {
        if matches!(broken, Broken::Content(_)) {
            return broken;
        }
        let waited = moment(std::time::Duration::from_secs(1));
        match self.reply("the content", waited) {
            Ok(reply) => {
                if let Some(refusal) = self.refusal(&reply) {
                    plan.fill(&refusal);
                }
                broken
            }
            Err(ended @ Broken::Ended(_)) => ended,
            Err(_) => broken,
        }
    }
}
