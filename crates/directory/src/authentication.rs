//! One AUTH or AUTHENTICATE, the same in all services: the client's lines go in, challenges and a [`Verdict`] come out.
//!
//! No call waits: what asks the directory or hashes is done by the threads of [`LogIns`], and the session's waker is used
//! when there is more to say ([`Progress::Wait`], then [`Authentication::look`]).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connection::{ChannelBindings, Io};
use sasl::scram::Doubt;
use sasl::{Claim, Exchange, Mechanism, Secret, Step};

use crate::log_ins::{Candidate, Claimed, Proving};
use crate::tokens::Issuer;
use crate::{Answer, Asked, LogIn, LogIns, Pending, Safety, Service, log_line};

/// What comes next.
pub enum Progress {
    /// Send this (base64, may be empty) and read a line for [`Authentication::respond`].
    Challenge(String),
    /// Read nothing; [`Authentication::look`] when the session is woken.
    Wait,
    /// The client sent `*`.
    Cancelled,
    /// Not base64, or not the mechanism's form, or too long.
    Syntax,
    Done(Verdict),
}

/// What came of it.
pub struct Verdict {
    pub log_in: LogIn,
    /// Whom the client wants to act for; empty: nobody else.
    pub authzid: String,
    /// As the client said it.
    pub authcid: String,
    /// The mechanism or the command.
    pub method: &'static str,
    /// Why somebody is refused, for the log.
    pub why: &'static str,
}

/// See the head of this file.
pub struct Authentication {
    service: Service,
    method: &'static str,
    /// Nothing when a command said it all.
    exchange: Option<Exchange>,
    waiting: Waiting,
}

enum Waiting {
    /// For the client.
    Line,
    Password {
        authzid: String,
        authcid: String,
        pending: Pending,
    },
    Keys {
        authcid: String,
        pending: Pending<Candidate>,
    },
    Claim {
        authzid: String,
        /// As the client says it.
        user: String,
        pending: Pending<Claimed>,
    },
    /// For whatever the client says to the news that its token is not good (RFC 7628 §3.2.3).
    Regret {
        user: String,
        why: &'static str,
    },
    /// For the client's proof.
    Proof {
        authcid: String,
        proving: Box<Proving>,
    },
    /// For the client's word that it has seen ours.
    Proved {
        proving: Box<Proving>,
    },
}

/// What this connection is safe for; `says_password` as the service's settings have it.
pub fn safety(io: &Io, says_password: bool) -> Safety {
    let (bound, certified) = (io.channel_bindings.is_some(), io.client_certificate.is_some());
    Safety { says_password, encrypted: io.tls.is_active(), bound, certified }
}

impl Authentication {
    /// Begins an exchange. `initial` is the initial response as it stood on the command line.
    pub fn begin(
        log_ins: &LogIns,
        service: Service,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        io: &Io,
    ) -> (Authentication, Progress) {
        let (exchange, step) = with_bindings(io, |bindings| Exchange::start(mechanism, initial, bindings));
        let exchange = Some(exchange);
        let mut authentication =
            Authentication { service, method: mechanism.name(), exchange, waiting: Waiting::Line };
        let progress = authentication.proceed(log_ins, step, io);
        (authentication, progress)
    }

    /// A name and a password that a command said: LOGIN, or USER and PASS.
    pub fn by_password(
        log_ins: &LogIns,
        service: Service,
        method: &'static str,
        authcid: String,
        password: Secret,
        io: &Io,
    ) -> (Authentication, Progress) {
        let mut authentication = Authentication { service, method, exchange: None, waiting: Waiting::Line };
        let progress = authentication.check(log_ins, String::new(), authcid, password, io);
        (authentication, progress)
    }

    /// The client's next line, without its CRLF.
    pub fn respond(&mut self, log_ins: &LogIns, line: &[u8], io: &Io) -> Progress {
        let Some(exchange) = &mut self.exchange else { return Progress::Syntax };
        if let Waiting::Regret { user, why } = &self.waiting {
            return refused(self.method, user, why);
        }
        if let Waiting::Proof { authcid, proving } = &mut self.waiting {
            if line != b"*" && !log_ins.may_prove(proving) {
                return done(self.method, LogIn::TooManyGuesses, "", authcid);
            }
            if line != b"*" && !log_ins.looks_at(proving, authcid, io.peer.ip()) {
                exchange.distrust();
            }
        }
        let step = with_bindings(io, |bindings| exchange.respond(line, bindings));
        self.proceed(log_ins, step, io)
    }

    /// The answer may be there; nothing when it is not.
    pub fn look(&mut self, log_ins: &LogIns, io: &Io) -> Option<Progress> {
        match &self.waiting {
            Waiting::Password { authzid, authcid, pending } => {
                let log_in = pending.take()?;
                Some(done(self.method, log_in, authzid, authcid))
            }
            Waiting::Keys { authcid, pending } => {
                let candidate = pending.take()?;
                let authcid = authcid.clone();
                Some(self.go_on(log_ins, authcid, candidate, io))
            }
            Waiting::Claim { authzid, user, pending } => {
                let claimed = pending.take()?;
                let (authzid, user) = (authzid.clone(), user.clone());
                Some(self.claimed(log_ins, &authzid, user, claimed))
            }
            Waiting::Line | Waiting::Regret { .. } | Waiting::Proof { .. } | Waiting::Proved { .. } => None,
        }
    }

    /// The answer did not come in time.
    pub fn give_up(&self) -> Verdict {
        let (authzid, authcid) = match &self.waiting {
            Waiting::Password { authzid, authcid, .. } => (authzid.clone(), authcid.clone()),
            Waiting::Keys { authcid, .. } => (String::new(), authcid.clone()),
            Waiting::Claim { user, .. } => (String::new(), user.clone()),
            _ => (String::new(), String::new()),
        };
        let log_in = LogIn::Unavailable("no password could be checked in time".into());
        Verdict { log_in, authzid, authcid, method: self.method, why: "" }
    }

    fn proceed(&mut self, log_ins: &LogIns, step: Step, io: &Io) -> Progress {
        match step {
            Step::Challenge(text) => {
                self.waiting = match std::mem::replace(&mut self.waiting, Waiting::Line) {
                    Waiting::Proof { proving, .. } => Waiting::Proved { proving },
                    other => other,
                };
                Progress::Challenge(text)
            }
            Step::Credentials { authzid, authcid, password } => {
                self.check(log_ins, authzid, authcid, password, io)
            }
            Step::Verifier { authcid, hash } => {
                let (waker, peer) = (io.waker(), io.peer.ip());
                match log_ins.ask_for_keys(self.service, &authcid, hash, peer, move || waker.wake()) {
                    Answer::Now(candidate) => self.go_on(log_ins, authcid, candidate, io),
                    Answer::Later(pending) => {
                        self.waiting = Waiting::Keys { authcid, pending };
                        Progress::Wait
                    }
                }
            }
            Step::Claimed(claim) => {
                let certificate = io.client_certificate.as_deref();
                let names = certificate.map(|one| log_ins.mechanisms().names_of(one)).unwrap_or_default();
                let user = match &claim {
                    Claim::External { .. } => names.first().cloned().unwrap_or_default(),
                    Claim::Token { user, .. } => user.clone(),
                    Claim::Digest { authcid, .. } => authcid.clone(),
                    Claim::Anonymous { trace } => format!("anonymous {trace}").trim().to_owned(),
                };
                let (waker, peer) = (io.waker(), io.peer.ip());
                let authzid = match &claim {
                    Claim::External { authzid } => authzid.clone(),
                    _ => String::new(),
                };
                match log_ins.ask_about(self.service, claim, names, peer, move || waker.wake()) {
                    Answer::Now(claimed) => self.claimed(log_ins, &authzid, user, claimed),
                    Answer::Later(pending) => {
                        self.waiting = Waiting::Claim { authzid, user, pending };
                        Progress::Wait
                    }
                }
            }
            Step::Proved { authzid, authcid } => {
                let Waiting::Proved { proving } = &self.waiting else { return Progress::Syntax };
                done(self.method, log_ins.proved(proving, self.service), &authzid, &authcid)
            }
            Step::Unproved { authcid, doubt } => self.unproved(log_ins, &authcid, doubt),
            Step::Cancelled => Progress::Cancelled,
            Step::Syntax => Progress::Syntax,
        }
    }

    fn check(
        &mut self,
        log_ins: &LogIns,
        authzid: String,
        authcid: String,
        password: Secret,
        io: &Io,
    ) -> Progress {
        let (waker, peer) = (io.waker(), io.peer.ip());
        let asked = Asked { service: self.service, login: authcid.clone(), password, peer };
        match log_ins.ask(asked, move || waker.wake()) {
            Answer::Now(log_in) => done(self.method, log_in, &authzid, &authcid),
            Answer::Later(pending) => {
                self.waiting = Waiting::Password { authzid, authcid, pending };
                Progress::Wait
            }
        }
    }

    /// What is stored has been looked up.
    fn go_on(&mut self, log_ins: &LogIns, authcid: String, candidate: Candidate, io: &Io) -> Progress {
        let (proving, exchange) = match (candidate, &mut self.exchange) {
            (Ok(proving), Some(exchange)) => (proving, exchange),
            (Err(refusal), _) => return done(self.method, refusal, "", &authcid),
            (Ok(_), None) => return Progress::Syntax,
        };
        self.waiting = Waiting::Line;
        let step = exchange.verify_with(proving.subject.verifier.clone());
        let progress = self.proceed(log_ins, step, io);
        self.waiting = Waiting::Proof { authcid, proving };
        progress
    }

    /// A token that is not good is told before it is refused, so that the client can get another.
    fn claimed(&mut self, log_ins: &LogIns, authzid: &str, user: String, (log_in, why): Claimed) -> Progress {
        let is_token =
            [Mechanism::OAuthBearer, Mechanism::XOAuth2].iter().any(|one| one.name() == self.method);
        match log_in {
            LogIn::Refused if is_token => {
                let told = log_ins.mechanisms().issuer().map(Issuer::refusal).unwrap_or_default();
                self.waiting = Waiting::Regret { user, why };
                Progress::Challenge(STANDARD.encode(told))
            }
            LogIn::Refused => refused(self.method, &user, why),
            log_in => done(self.method, log_in, authzid, &user),
        }
    }

    fn unproved(&self, log_ins: &LogIns, authcid: &str, doubt: Doubt) -> Progress {
        let Waiting::Proof { proving, .. } = &self.waiting else { return Progress::Syntax };
        log_ins.disproved(proving);
        let why = match doubt {
            Doubt::Binding => log_line::OTHER_BINDING,
            Doubt::Downgrade => log_line::DOWNGRADE,
            Doubt::Proof if proving.subject.entry.is_some() && !proving.subject.has_keys => log_line::NO_KEYS,
            Doubt::Proof => log_line::WRONG,
        };
        let mut verdict = verdict(self.method, LogIn::Refused, "", authcid);
        verdict.why = why;
        Progress::Done(verdict)
    }
}

fn verdict(method: &'static str, log_in: LogIn, authzid: &str, authcid: &str) -> Verdict {
    let (authzid, authcid) = (authzid.to_owned(), authcid.to_owned());
    let is_limited = matches!(&log_in, LogIn::Accepted(entry) if entry.limited && !entry.is_named(&authzid));
    if is_limited && !authzid.is_empty() {
        return Verdict { log_in: LogIn::Refused, authzid, authcid, method, why: log_line::LIMITED };
    }
    let why = match log_in {
        LogIn::NeedsAppPassword => log_line::NEEDS_APP_PASSWORD,
        _ => log_line::WRONG,
    };
    Verdict { log_in, authzid, authcid, method, why }
}

fn refused(method: &'static str, user: &str, why: &'static str) -> Progress {
    let mut verdict = verdict(method, LogIn::Refused, "", user);
    verdict.why = why;
    Progress::Done(verdict)
}

fn done(method: &'static str, log_in: LogIn, authzid: &str, authcid: &str) -> Progress {
    Progress::Done(verdict(method, log_in, authzid, authcid))
}

fn with_bindings<T>(io: &Io, work: impl FnOnce(Option<sasl::scram::Bindings<'_>>) -> T) -> T {
    match io.channel_bindings.as_deref() {
        Some(bindings) => work(Some(&|name: &str| ChannelBindings::named(bindings, name))),
        None => work(None),
    }
}
