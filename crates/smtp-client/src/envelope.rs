//! MAIL and RCPT, in flights where the peer takes PIPELINING (RFC 2920), else one by one.
//!
//! A flight is small enough for the buffers of two hosts: a peer that answers before it has read everything, and does
//! not go on reading until its answers are taken, blocks nobody. The answers of a flight are matched one to one.

use std::time::Instant;

use crate::outgoing::Plan;
use crate::wire::{Broken, moment};
use crate::{Outcome, Reply, Session};

/// RCPTs of one flight at most.
const FLIGHT_RCPTS_MAX: usize = 100;
/// Bytes of one flight at most, but for its last line.
const FLIGHT_BYTES_MAX: usize = 32 * 1024;
/// All answers of a flight come within so many times the limit of one RCPT, and no further flight begins after that.
const FLIGHT_LIMITS: u32 = 4;

/// One command of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Reset,
    Mail,
    /// The place of the recipient.
    Rcpt(usize),
    Data,
}

/// What the peer said about the envelope.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Places of the recipients that were taken, in their order.
    pub accepted: Vec<usize>,
    /// The answer to DATA when it was in the last flight.
    pub data: Option<Reply>,
    /// MAIL was refused, and yet a RCPT was taken: no transaction to end with a dot.
    pub is_confused: bool,
    mail_refused: bool,
    /// The peer takes no more recipients in this transaction, with its reply.
    full: Option<Reply>,
}

impl Session {
    /// Asks for all recipients that have no outcome yet, and gives those that are refused theirs. `with_data`: the
    /// last flight ends with DATA.
    pub(crate) fn envelope(&mut self, plan: &mut Plan, with_data: bool) -> Result<Asked, Broken> {
        let mut commands = Vec::with_capacity(plan.rcpts.len() + 3);
        if self.needs_reset {
            commands.push(Command::Reset);
        }
        commands.push(Command::Mail);
        let before = commands.len();
        commands.extend((0..plan.rcpts.len()).filter(|p| plan.rcpts[*p].is_some()).map(Command::Rcpt));
        if let Some(most) = self.offers.recipients_max {
            let rest = commands.split_off(commands.len().min(before.saturating_add(most)));
            let text = format!("{} takes {most} recipients at once", self.peer);
            leave_out(&rest, &text, plan);
        }
        if with_data && self.offers.pipelining {
            commands.push(Command::Data);
        }
        let (mut asked, mut rest) = (Asked::default(), commands.as_slice());
        let begun = Instant::now();
        while !rest.is_empty() {
            let (flight, lines) = self.flight(rest, plan);
            rest = &rest[flight.len()..];
            self.fly(flight, &lines, plan, &mut asked)?;
            if asked.mail_refused {
                break;
            }
            let is_late = begun.elapsed() > self.timeouts.rcpt.saturating_mul(FLIGHT_LIMITS);
            if let Some(reply) = &asked.full {
                leave_out(rest, &format!("{} said: {reply}", self.peer), plan);
                break;
            }
            if is_late && !asked.accepted.is_empty() {
                leave_out(rest, &format!("{} takes too long for each recipient", self.peer), plan);
                break;
            }
        }
        Ok(asked)
    }

    /// The commands at the front of `rest` that go out together, and their lines.
    fn flight<'a>(&self, rest: &'a [Command], plan: &Plan) -> (&'a [Command], String) {
        let (mut lines, mut rcpts, mut count) = (String::new(), 0, 0);
        for command in rest {
            if count > 0 && !self.offers.pipelining || lines.len() > FLIGHT_BYTES_MAX {
                break;
            }
            match command {
                Command::Reset => lines.push_str("RSET"),
                Command::Mail => lines.push_str(&plan.mail),
                Command::Rcpt(_) if rcpts == FLIGHT_RCPTS_MAX => break,
                Command::Rcpt(place) => {
                    lines.push_str(plan.rcpts[*place].as_deref().unwrap_or_default());
                    rcpts += 1;
                }
                Command::Data => lines.push_str("DATA"),
            }
            lines.push_str("\r\n");
            count += 1;
        }
        (&rest[..count], lines)
    }

    fn fly(
        &mut self,
        flight: &[Command],
        lines: &str,
        plan: &mut Plan,
        asked: &mut Asked,
    ) -> Result<(), Broken> {
        let limits = self.timeouts;
        let whole =
            limits.rcpt.saturating_mul(FLIGHT_LIMITS).saturating_add(limits.mail).saturating_add(limits.data);
        let landed = moment(whole);
        self.expect_nothing("MAIL")?;
        self.wire.write(lines.as_bytes(), "MAIL and RCPT", moment(limits.mail))?;
        for command in flight {
            let (step, limit) = match command {
                Command::Reset => ("RSET", limits.rset),
                Command::Mail => ("MAIL", limits.mail),
                Command::Rcpt(_) => ("RCPT", limits.rcpt),
                Command::Data => ("DATA", limits.data),
            };
            let reply = self.reply(step, moment(limit).min(landed))?;
            match command {
                Command::Reset if reply.is_positive() => self.needs_reset = false,
                Command::Reset => return Err(Broken::Unexpected(step, reply)),
                Command::Mail => self.answer_to_mail(reply, plan, asked)?,
                Command::Rcpt(place) => self.answer_to_rcpt(*place, reply, plan, asked)?,
                Command::Data => asked.data = Some(reply),
            }
        }
        Ok(())
    }

    fn answer_to_mail(&mut self, reply: Reply, plan: &mut Plan, asked: &mut Asked) -> Result<(), Broken> {
        self.needs_reset = true; // until the transaction has come to its good end
        if reply.is_positive() {
            return Ok(());
        }
        let Some(refusal) = self.refusal(&reply) else { return Err(Broken::Unexpected("MAIL", reply)) };
        asked.mail_refused = true;
        plan.mail_refused = true;
        plan.fill(&refusal);
        Ok(())
    }

    fn answer_to_rcpt(
        &mut self,
        place: usize,
        reply: Reply,
        plan: &mut Plan,
        asked: &mut Asked,
    ) -> Result<(), Broken> {
        if asked.mail_refused {
            asked.is_confused |= reply.is_positive();
            return Ok(());
        }
        if reply.is_positive() {
            asked.accepted.push(place);
            return Ok(());
        }
        let Some(refusal) = self.refusal(&reply) else { return Err(Broken::Unexpected("RCPT", reply)) };
        if !asked.accepted.is_empty() && is_too_many(&reply) {
            let text = format!("{} said: {reply}", self.peer);
            plan.outcomes[place] = Some(Outcome::Later { status: "4.5.3".into(), text });
            asked.full = Some(reply);
        } else {
            plan.outcomes[place] = Some(refusal);
        }
        Ok(())
    }
}

/// Those that were not asked for have to wait for a transaction of their own.
fn leave_out(commands: &[Command], text: &str, plan: &mut Plan) {
    for command in commands {
        if let Command::Rcpt(place) = command {
            plan.outcomes[*place] = Some(Outcome::Later { status: "4.5.3".into(), text: text.to_owned() });
        }
    }
}

/// RFC 5321 §4.5.3.1.10: 452, and 552 from those who know only RFC 821. With an enhanced code of another meaning
/// (a mailbox is full) it is about this recipient alone.
fn is_too_many(reply: &Reply) -> bool {
    matches!(reply.code(), 452 | 552) && (!reply.has_enhanced_code() || reply.status().ends_with(".5.3"))
}
