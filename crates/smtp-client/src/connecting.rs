//! From an address to a session: connection, greeting, EHLO (or HELO, or LHLO), STARTTLS and EHLO again, AUTH.

use crate::wire::{Broken, Wire, moment};
use crate::{
    Credentials, Kind, Offers, Peer, Refused, Reply, Session, Settings, TlsFault, TlsUse, Verify, auth, tls,
};

impl Session {
    /// Connects and comes as far as a message can be sent.
    ///
    /// # Errors
    /// [`Refused`] says of what kind, and with which words.
    pub fn connect(
        peer: &Peer,
        settings: &Settings,
        verify: Verify,
        credentials: Option<Credentials>,
    ) -> Result<Session, Refused> {
        let mut session = open(peer, settings)?;
        match session.introduce(peer, settings, &verify, credentials.as_ref()) {
            Ok(()) => Ok(session),
            Err(refused) => {
                session.leave();
                Err(refused)
            }
        }
    }

    fn introduce(
        &mut self,
        peer: &Peer,
        settings: &Settings,
        verify: &Verify,
        credentials: Option<&Credentials>,
    ) -> Result<(), Refused> {
        if settings.tls == TlsUse::Implicit {
            self.shake_hands(peer, settings, verify)?;
        }
        self.greeting()?;
        self.hello(settings)?;
        if settings.tls != TlsUse::Implicit {
            self.encrypt(peer, settings, verify)?;
        }
        match credentials {
            None => Ok(()),
            Some(credentials) => auth::log_in(self, credentials, peer.address.ip().is_loopback()),
        }
    }

    /// RFC 5321 §3.1, §4.3.2: 220 or a refusal.
    fn greeting(&mut self) -> Result<(), Refused> {
        let until = moment(self.timeouts.greet);
        let reply = self.reply("its greeting", until).map_err(|broken| self.broken(&broken))?;
        self.positive("its greeting", &reply)
    }

    /// RFC 5321 §3.2: a server that does not know EHLO is told HELO.
    fn hello(&mut self, settings: &Settings) -> Result<(), Refused> {
        let limit = self.timeouts.helo;
        let (verb, step) = if self.lmtp { ("LHLO", "LHLO") } else { ("EHLO", "EHLO") };
        let line = format!("{verb} {}", settings.helo_name);
        let reply = self.ask(&line, step, limit).map_err(|broken| self.broken(&broken))?;
        if reply.is_permanent() && !self.lmtp && !self.is_tls() {
            let line = format!("HELO {}", settings.helo_name);
            let reply = self.ask(&line, "HELO", limit).map_err(|broken| self.broken(&broken))?;
            self.offers = Offers::default();
            return self.positive("HELO", &reply);
        }
        self.positive(step, &reply)?;
        self.offers = Offers::of(&reply);
        Ok(())
    }

    /// RFC 3207 §4. What was offered in the clear is forgotten.
    fn encrypt(&mut self, peer: &Peer, settings: &Settings, verify: &Verify) -> Result<(), Refused> {
        let required = settings.tls == TlsUse::Required || *verify != Verify::None && !settings.lenient;
        if settings.tls == TlsUse::Never && !required {
            return Ok(());
        }
        if !self.offers.starttls {
            let text = format!("{} does not offer TLS, which is required", self.peer);
            return self.without_tls(required, TlsFault::NotOffered, text);
        }
        let reply = self.ask("STARTTLS", "STARTTLS", self.timeouts.helo).map_err(|broken| match broken {
            Broken::Closed(_) => failed(TlsFault::Other, broken.text(&self.peer)), // it would take us without
            other => self.broken(&other),
        })?;
        if !reply.is_positive() {
            let text = format!("{} said at STARTTLS: {reply}", self.peer);
            let required = required || self.refusal(&reply).is_none();
            return self.without_tls(required, TlsFault::NotOffered, text);
        }
        // Whoever is between the peer and us can put replies here, which would be read as if said under TLS.
        if self.wire.has_unread() {
            let text = format!("{} spoke in the clear behind its go-ahead for TLS", self.peer);
            return Err(failed(TlsFault::Other, text));
        }
        self.shake_hands(peer, settings, verify)?;
        self.offers = Offers::default();
        self.hello(settings)
    }

    /// There is no TLS: the end, or noted.
    fn without_tls(&mut self, required: bool, fault: TlsFault, text: String) -> Result<(), Refused> {
        if required {
            return Err(failed(fault, text));
        }
        self.fault = Some((fault, text));
        Ok(())
    }

    fn shake_hands(&mut self, peer: &Peer, settings: &Settings, verify: &Verify) -> Result<(), Refused> {
        let name = self.peer.clone();
        let reason = |why: String| format!("{name}: TLS failed: {why}");
        let ssl =
            tls::begin(&peer.host, verify, settings).map_err(|why| failed(TlsFault::Other, reason(why)))?;
        self.wire.start_tls(ssl, self.timeouts.helo).map_err(|(fault, why)| failed(fault, reason(why)))?;
        let Some(ssl) = self.wire.ssl() else { return Ok(()) };
        match tls::check(ssl, &peer.host, verify) {
            Ok(proved) => self.verified = proved,
            Err((fault, why)) if settings.lenient => self.fault = Some((fault, reason(why))),
            Err((fault, why)) => return Err(failed(fault, reason(why))),
        }
        Ok(())
    }

    fn positive(&self, step: &'static str, reply: &Reply) -> Result<(), Refused> {
        let kind = match reply.code() / 100 {
            2 => return Ok(()),
            4 => Kind::Later,
            5 => Kind::Permanent,
            _ => return Err(self.broken(&Broken::Unexpected(step, reply.clone()))),
        };
        Err(Refused::new(kind, format!("{} said at {step}: {reply}", self.peer)))
    }

    /// A connection that is of no more use.
    pub(crate) fn broken(&self, broken: &Broken) -> Refused {
        let kind = if matches!(broken, Broken::Ended(_)) { Kind::Later } else { Kind::Connect };
        Refused::new(kind, broken.text(&self.peer))
    }

    /// QUIT without waiting: there was no session.
    fn leave(&mut self) {
        if !self.ended {
            let _ = self.wire.write(b"QUIT\r\n", "QUIT", moment(std::time::Duration::from_secs(1)));
        }
        self.end();
    }
}

fn open(peer: &Peer, settings: &Settings) -> Result<Session, Refused> {
    let name = peer.to_string();
    let tcp = os::net::connect(peer.address, settings.source, settings.timeouts.connect)
        .map_err(|why| Refused::new(Kind::Connect, format!("{name}: {why}")))?;
    Ok(Session {
        peer: name,
        wire: Wire::new(tcp),
        offers: Offers::default(),
        timeouts: settings.timeouts,
        lmtp: settings.lmtp,
        needs_reset: false,
        messages: 0,
        ended: false,
        verified: false,
        fault: None,
    })
}

fn failed(fault: TlsFault, text: String) -> Refused {
    Refused { kind: Kind::Tls, text, fault: Some(fault) }
}
