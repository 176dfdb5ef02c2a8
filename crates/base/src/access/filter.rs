//! Filters: `[+-] services : clients`, several separated by `$` (guide L727-731).

use super::Visitor;
use super::clients::Pattern;

/// Bytes of one value at most.
const LENGTH_MAX: usize = 65_536;
/// `EXCEPT` inside `EXCEPT` at most.
const DEPTH_MAX: usize = 16;

/// A service as filters name it. A port with TLS from the first byte is a service of its own; TLS that was begun with
/// STARTTLS is the plain one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Pop,
    Pops,
    PopMmp,
    Imap,
    Imaps,
    ImapMmp,
    Http,
    Https,
    Smtp,
    Smtps,
}

impl Service {
    fn named(word: &str) -> Option<Service> {
        Some(match word.to_ascii_lowercase().as_str() {
            "pop" | "pop3" => Service::Pop,
            "pops" | "pop3s" => Service::Pops,
            "popmmp" => Service::PopMmp,
            "imap" | "imap4" => Service::Imap,
            "imaps" | "imap4s" => Service::Imaps,
            "imapmmp" => Service::ImapMmp,
            "http" => Service::Http,
            "https" => Service::Https,
            "smtp" => Service::Smtp,
            "smtps" => Service::Smtps,
            _ => return None,
        })
    }

    /// Sending is one group, access to the mailbox the other.
    fn is_sending(self) -> bool {
        matches!(self, Service::Smtp | Service::Smtps)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceTerm {
    All,
    One(Service),
}

impl ServiceTerm {
    fn parse(word: &str) -> Result<ServiceTerm, String> {
        if word == "*" || word.eq_ignore_ascii_case("ALL") {
            return Ok(ServiceTerm::All);
        }
        Service::named(word).map(ServiceTerm::One).ok_or_else(|| format!("'{word}' is no service"))
    }
}

/// `items EXCEPT items EXCEPT ...`, nested to the right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms<T> {
    items: Vec<T>,
    except: Option<Box<Terms<T>>>,
}

impl<T> Terms<T> {
    fn parse(text: &str, parse: &dyn Fn(&str) -> Result<T, String>) -> Result<Terms<T>, String> {
        let words: Vec<&str> =
            text.split([' ', '\t', ',', '\r', '\n']).filter(|word| !word.is_empty()).collect();
        let parts: Vec<&[&str]> = words.split(|word| word.eq_ignore_ascii_case("EXCEPT")).collect();
        if parts.len() > DEPTH_MAX {
            return Err("too many EXCEPT in one list".to_owned());
        }
        let mut terms = None;
        for part in parts.iter().rev() {
            if part.is_empty() {
                let why =
                    if parts.len() > 1 { "EXCEPT needs a list on both sides" } else { "a list is empty" };
                return Err(why.to_owned());
            }
            let items = part.iter().map(|word| parse(word)).collect::<Result<Vec<T>, String>>()?;
            terms = Some(Terms { items, except: terms.map(Box::new) });
        }
        terms.ok_or_else(|| "a list is empty".to_owned())
    }

    fn hold(&self, matches: &dyn Fn(&T) -> bool) -> bool {
        self.items.iter().any(matches) && !self.except.as_ref().is_some_and(|except| except.hold(matches))
    }
}

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `+`, or no sign.
    pub allows: bool,
    services: Terms<ServiceTerm>,
    clients: Terms<Pattern>,
}

impl Filter {
    /// Whether it is about the service and this client.
    pub fn matches(&self, visitor: &Visitor<'_>) -> bool {
        self.means(visitor.service) && self.clients.hold(&|pattern| pattern.matches(visitor))
    }

    fn means(&self, service: Service) -> bool {
        self.services.hold(&|term| match term {
            ServiceTerm::All => true,
            ServiceTerm::One(one) => *one == service,
        })
    }

    /// Whether it names a service of the group to which this one belongs.
    pub fn concerns_group_of(&self, service: Service) -> bool {
        self.services.items.iter().any(|term| match term {
            ServiceTerm::All => true,
            ServiceTerm::One(one) => one.is_sending() == service.is_sending(),
        })
    }
}

/// Which form a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `mailAccessDomain`: each filter has services, and its sign or none.
    Whole,
    /// `domainallowed`: no minus; without services a filter is about all.
    Allowing,
    /// `domainnotallowed`: no plus; without services a filter is about all.
    Denying,
}

/// The filters of one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(pub Vec<Filter>);

impl Filters {
    /// # Errors
    /// What is wrong with the value, as one clear clause.
    pub fn parse(text: &str, form: Form) -> Result<Filters, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("filters are longer than {LENGTH_MAX} bytes"));
        }
        if text.trim().is_empty() {
            return Ok(Filters::default());
        }
        text.split('$')
            .map(|item| parse_filter(item, form))
            .collect::<Result<Vec<Filter>, String>>()
            .map(Filters)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn any_matches(&self, visitor: &Visitor<'_>) -> bool {
        self.0.iter().any(|filter| filter.matches(visitor))
    }
}

fn parse_filter(item: &str, form: Form) -> Result<Filter, String> {
    let item = item.trim();
    if item.is_empty() {
        return Err("a filter between two $ is empty".to_owned());
    }
    let (sign, rest) = match item.strip_prefix(['+', '-']) {
        Some(rest) => (item.chars().next(), rest),
        None => (None, item),
    };
    let allows = match (form, sign) {
        (Form::Allowing, Some('-')) => {
            return Err(format!("'{item}': what is refused belongs into domainnotallowed"));
        }
        (Form::Denying, Some('+')) => {
            return Err(format!("'{item}': what is allowed belongs into domainallowed"));
        }
        (Form::Denying, _) | (_, Some('-')) => false,
        _ => true,
    };
    let clause = |why: String| format!("'{item}': {why}");
    let services = rest
        .split_once(':')
        .map(|(services, clients)| (Terms::parse(services, &ServiceTerm::parse), clients));
    let (services, clients) = match services {
        Some((Ok(services), clients)) => (services, clients),
        Some((Err(why), _)) if form == Form::Whole => return Err(clause(why)),
        None if form == Form::Whole => return Err(clause("there is no ':' behind the services".to_owned())),
        // Without services; a colon may be an IPv6 address's.
        other => {
            let clients = Terms::parse(rest, &Pattern::parse)
                .map_err(|why| clause(other.and_then(|(services, _)| services.err()).unwrap_or(why)))?;
            let services = Terms { items: vec![ServiceTerm::All], except: None };
            return Ok(Filter { allows, services, clients });
        }
    };
    let clients = Terms::parse(clients, &Pattern::parse).map_err(clause)?;
    Ok(Filter { allows, services, clients })
}
