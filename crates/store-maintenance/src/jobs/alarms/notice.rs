//! The mail of a warning, and the one that says that it is over: made by a template, handed to a mail server by SMTP.
//!
//! // NMS: the template has six slots, `%s` and `%u`, in this order: sender, recipient, description, instance, value, text.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU32, Ordering};

use base::content::Content;
use directory::LocalDomains;
use dispatcher::daemon::{Site, listen_addresses};
use mail_format::{EncodedText, encode_text, encode_words, format_date};
use server_config::Config;
use server_config::parameters::{general, local, service_smtp};
use smtp_client::{OutRecipient, Outcome, Outgoing, Peer, Session, Settings, TlsUse, Verify};
use smtp_wire::Address;

/// `\n` is a line end: a parameter is one line.
const TEMPLATE: &str = r#"From: %s\nTo: %s\nSubject: ALARM: %s of "%s" is %u\n\n%s\n"#;

/// Stands before the subject when it is over, whatever the template says.
const OVER: &str = "Over: ";

/// Mails that this process made.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What is told.
pub(super) struct Notice<'a> {
    pub alarm: &'a str,
    pub description: &'a str,
    pub instance: &'a str,
    pub value: u64,
    pub body: &'a str,
    /// Nothing: it warns. Else it is over, and until then nobody is warned of it again, in seconds since 1970.
    pub over: Option<i64>,
}

impl Notice<'_> {
    /// Hands it over; when this returns, a mail server answers for it.
    ///
    /// # Errors
    /// One line: nobody took it.
    pub fn send(&self, site: &Site, config: &Config) -> Result<(), String> {
        let (sender, recipient) =
            (address(config, &general::ALARM_SENDER), address(config, &general::ALARM_RCPT));
        for (of, address) in [("sender", &sender), ("rcpt", &recipient)] {
            Address::parse(address.as_bytes(), false, false).map_err(|_| {
                format!("alarm.msgalarmnotice{of}: '{}' is no address", base::escape(address))
            })?;
        }
        let message = self.message(config, &sender, &recipient, base::clock::unix_seconds());
        let mut why = "no address".to_owned();
        for peer in peers(config)? {
            match hand_over(&peer, config, &sender, &recipient, message.clone().into_bytes()) {
                Ok(()) => {
                    let told = format_args!("alarm {}: mail to {recipient} given to {peer}", self.alarm);
                    site.log.notice(server_log::Category::General, told);
                    return Ok(());
                }
                Err(refused) => why = refused,
            }
        }
        Err(why)
    }

    fn message(&self, config: &Config, sender: &str, recipient: &str, now: i64) -> String {
        let set = config.get(&general::ALARM_TEMPLATE);
        let template = if set.is_empty() { TEMPLATE } else { &set };
        let value = self.value.to_string();
        let values = [sender, recipient, self.description, self.instance, &value, self.body];
        let filled = filled(template, &values);
        let (fields, text) = match filled.split_once("\n\n").filter(|(head, _)| is_header(head)) {
            Some((head, text)) => (head.to_owned(), text.to_owned()),
            None => {
                let head = format!("From: {sender}\nTo: {recipient}\nSubject: ALARM: {}", self.description);
                (head, filled)
            }
        };
        let host = config.get(&local::HOST_NAME);
        let host = if host.is_empty() { "localhost" } else { &host };
        let text = if set.is_empty() { format!("{text}{}", self.more(host, now)) } else { text };
        let mut message = format!("Date: {}\r\n", format_date(now, 0));
        for field in fields.lines() {
            let (name, value) = field.split_once(':').unwrap_or(("Comments", field));
            let is_subject = self.over.is_some() && name.eq_ignore_ascii_case("subject");
            let value = format!("{}{}", if is_subject { OVER } else { "" }, value.trim());
            let value = if value.is_ascii() { value } else { encode_words(&value) };
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        let EncodedText { charset, transfer_encoding, body } = encode_text(&text);
        message.push_str(&format!(
            "Message-ID: <alarm-{now}-{}-{}@{host}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {transfer_encoding}\r\n\r\n{body}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed),
        ));
        message
    }

    /// What the reader of many hosts' alarms has to know; a template of the site's own has what it wants.
    fn more(&self, host: &str, now: i64) -> String {
        let (name, description) = (self.alarm, base::escape(self.description));
        let then = match self.over {
            None => format!(
                "While it lasts there is another mail after alarm.{name}.msgalarmwarninginterval, and one when it is over."
            ),
            Some(until) if until > now => {
                let date = format_date(until, 0);
                format!(
                    "If it comes again before {date}, only stored's log says so (alarm.{name}.msgalarmwarninginterval)."
                )
            }
            Some(_) => "If it comes again there is another mail.".to_owned(),
        };
        format!(
            "\nHost: {host}\nWatched: {description}\nSet by: alarm.{name}.msgalarmthreshold and its neighbours (configutil explain \
             NAME)\n{then}\n"
        )
    }
}

/// Each slot by the next value; what a value has in it ends no line.
fn filled(template: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('%', Some('s' | 'u' | 'd')) => {
                rest.next();
                let value = values.next().copied().unwrap_or_default();
                text.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
            }
            ('%', Some('%')) => {
                rest.next();
                text.push('%');
            }
            ('\\', Some('n')) => {
                rest.next();
                text.push('\n');
            }
            (c, _) => text.push(c),
        }
    }
    text
}

/// Whether every line is a field (RFC 5322 §2.2), From among them.
fn is_header(head: &str) -> bool {
    let name = |line: &str| {
        let (name, _) = line.split_once(':')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| name.to_ascii_lowercase())
    };
    let names: Option<Vec<String>> = head.lines().map(name).collect();
    names.is_some_and(|names| names.iter().any(|name| name == "from"))
}

/// The parameter, or the postmaster of this site when it is not set.
fn address(config: &Config, parameter: &server_config::Parameter<server_config::MailAddress>) -> String {
    let domains = LocalDomains::from_config(config);
    match (config.get_set(parameter), domains.default_domain()) {
        (Some(set), _) => set,
        (None, "") => "postmaster@localhost".to_owned(),
        (None, domain) => format!("postmaster@{domain}"),
    }
}

/// The port of the mail server that takes it.
fn port(config: &Config) -> u16 {
    if is_own(config) { config.get(&service_smtp::PORT) } else { config.get(&general::ALARM_PORT) }
}

/// Neither host nor port is set: this site's smtpd takes it, at whatever port.
fn is_own(config: &Config) -> bool {
    config.get_set(&general::ALARM_HOST).is_none()
        && config.get_set(&general::ALARM_PORT).is_none()
        && config.get(&service_smtp::PORT) != 0
}

fn peers(config: &Config) -> Result<Vec<Peer>, String> {
    let port = port(config);
    if is_own(config) {
        let address = listen_addresses(config)?.into_iter().find(|ip| !ip.is_unspecified());
        let address = SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
        return Ok(vec![Peer { host: "localhost".into(), address }]);
    }
    let host = config.get(&general::ALARM_HOST);
    let found = (host.as_str(), port).to_socket_addrs().map_err(|why| format!("{host}: {why}"))?;
    Ok(found.map(|address| Peer { host: host.clone(), address }).collect())
}

fn hand_over(
    peer: &Peer,
    config: &Config,
    sender: &str,
    recipient: &str,
    message: Vec<u8>,
) -> Result<(), String> {
    let settings = Settings { tls: TlsUse::Opportunistic, ..Settings::from_config(config) };
    let in_clear = Settings { tls: TlsUse::Never, ..settings.clone() };
    let connect = |settings: &Settings| Session::connect(peer, settings, Verify::None, None);
    let mut session = connect(&settings)
        .or_else(|refused| match refused.kind {
            smtp_client::Kind::Tls => connect(&in_clear),
            _ => Err(refused),
        })
        .map_err(|refused| refused.text)?;
    let size = message.len() as u64;
    let content = Content::Memory(message.into());
    let recipients = [OutRecipient { address: recipient, notify: None, orcpt: None }];
    let sent = session.send(&Outgoing {
        sender: Some(sender),
        recipients: &recipients,
        envid: None,
        ret: None,
        front: b"",
        content: &content,
        offset: 0,
        size,
        eight_bit: false,
        utf8: false,
        require_tls: false,
    });
    let outcome = sent.recipients.into_iter().next();
    if sent.reusable {
        session.quit();
    }
    match outcome {
        Some(Outcome::Delivered(_)) => Ok(()),
        Some(Outcome::Later { status, text } | Outcome::Failed { status, text }) => {
            Err(format!("{status} {text}"))
        }
        None => Err("no answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Notice<'static> = Notice {
        alarm: "diskavail",
        description: "freier Platz für Post",
        instance: "primary",
        value: 7,
        body: "primary is 7: below the threshold of 10",
        over: None,
    };

    fn message(conf: &str) -> String {
        NOTICE.message(&Config::from_text(conf).unwrap(), "a@x.test", "b@x.test", 0)
    }

    #[test]
    fn the_slots_are_filled_in_their_order() {
        let said = message("");
        assert!(said.contains("\r\nFrom: a@x.test\r\nTo: b@x.test\r\nSubject: =?"), "{said}");
        assert!(said.contains("\r\n\r\nprimary is 7: below the threshold of 10\r\n"), "{said}");
        assert!(message("local.hostname = mx1.x.test").contains("\r\nHost: mx1.x.test\r\nWatched: "));
        let own = "alarm.msgalarmnoticetemplate = From: %s\\nTo: %s\\nX-What: %s\\nSubject: [%s] %u%%\\n\\n%s!%s\\n";
        let said = message(own);
        assert!(said.contains("Subject: [primary] 7%\r\n") && said.contains("of 10!\r\n"), "{said}");
        assert!(!said.contains("Host: ") && !said.replace("\r\n", "").contains(['\r', '\n']));
    }

    #[test]
    fn a_template_without_fields_is_text_and_no_value_makes_a_field() {
        let said = message("alarm.msgalarmnoticetemplate = only text: %s");
        assert!(said.contains("\r\nSubject: ALARM: =?") || said.contains("\r\nSubject: =?"), "{said}");
        assert!(said.ends_with("\r\n\r\nonly text: a@x.test\r\n"), "{said}");
        let evil = Notice { instance: "x\r\nBcc: y@z.test", ..NOTICE };
        let said = evil.message(&Config::from_text("").unwrap(), "a@x.test", "b@x.test", 0);
        assert!(!said.contains("\nBcc:"), "{said}");
    }

    #[test]
    fn the_end_is_seen_in_the_subject_of_any_template() {
        let over = |conf: &str, until| {
            let notice = Notice { description: "disks", over: Some(until), ..NOTICE };
            notice.message(&Config::from_text(conf).unwrap(), "a@x.test", "b@x.test", 1000)
        };
        let said = over("", 1001);
        assert!(said.contains("\r\nSubject: Over: ALARM: disks of \"primary\" is 7\r\n"), "{said}");
        assert!(said.contains("If it comes again before Thu, 01 Jan 1970 00:16:41 "), "{said}");
        assert!(over("", 1000).contains("If it comes again there is another mail."));
        let own = "alarm.msgalarmnoticetemplate = From: %s\\nTo: %s\\nSubject: %s\\n\\n%s!%s\\n";
        assert!(over(own, 1001).contains("\r\nSubject: Over: disks\r\n"));
        assert!(!message("").contains("Over: "));
    }

    #[test]
    fn unset_addresses_are_the_postmasters_and_an_unset_server_is_our_own() {
        let config =
            Config::from_text("service.smtp.defaultdomain = site.test\nservice.smtp.port = 2525\n").unwrap();
        assert_eq!(address(&config, &general::ALARM_RCPT), "postmaster@site.test");
        assert_eq!(port(&config), 2525);
        let set = "service.smtp.port = 2525\nalarm.msgalarmnoticehost = hub.test\nalarm.msgalarmnoticercpt = root@hub.test\n";
        let config = Config::from_text(set).unwrap();
        assert_eq!((address(&config, &general::ALARM_RCPT).as_str(), port(&config)), ("root@hub.test", 25));
    }
}
