//! The registry: every parameter of every group.

use crate::parameter::Entry;

/// Declares the parameters of a group and its list `ALL`.
macro_rules! parameters {
    ($($id:ident: $kind:ident = $name:literal, $default:literal, $low:expr, $high:expr, $raise:literal, $effect:ident, $status:expr, $readers:literal, $about:literal;)*) => {
        use crate::parameter::{Effect, Entry, Parameter, Status};
        use crate::values::*;
        $(#[doc = $about]
        pub static $id: Parameter<$kind> = Parameter { name: $name, default: $default, range: ($low, $high), raise: $raise,
            effect: Effect::$effect, status: $status, readers: $readers, about: $about, kind: std::marker::PhantomData };)*
        /// Every parameter of this group.
        pub static ALL: &[&dyn Entry] = &[$(&$id),*];
    };
}

pub mod directory;
pub mod encryption;
pub mod general;
pub mod local;
pub mod logfile;
pub mod milters;
pub mod service;
pub mod service_acme;
pub mod service_http;
pub mod service_imap;
pub mod service_pop;
pub mod service_smtp;
pub mod service_smtp_modules;
pub mod store;

/// Every group.
pub static REGISTRY: &[&[&dyn Entry]] = &[
    service::ALL,
    service_smtp::ALL,
    service_smtp_modules::ALL,
    milters::ALL,
    directory::ALL,
    service_pop::ALL,
    service_imap::ALL,
    service_http::ALL,
    service_acme::ALL,
    store::ALL,
    logfile::ALL,
    encryption::ALL,
    general::ALL,
    local::ALL,
];

/// The parameter of this name or the family it belongs to.
pub fn find(name: &str) -> Option<&'static dyn Entry> {
    let all = || REGISTRY.iter().flat_map(|group| group.iter().copied());
    all()
        .find(|entry| entry.name().eq_ignore_ascii_case(name))
        .or_else(|| all().find(|entry| entry.matches(name)))
}

/// Names in which `text` occurs: a part of a name, or the beginning of several.
pub fn containing(text: &str) -> impl Iterator<Item = &'static dyn Entry> {
    let text = text.to_ascii_lowercase();
    let all = REGISTRY.iter().flat_map(|group| group.iter().copied());
    all.filter(move |entry| entry.name().to_ascii_lowercase().contains(&text))
}

/// Names that may have been meant, the likeliest first, five at most: the nearest one, then those whose last parts are near
/// the last part of `name`.
pub fn near(name: &str) -> Vec<&'static str> {
    const MOST: usize = 5;
    let mut names: Vec<&str> = nearest(name).into_iter().collect();
    let last_of = |name: &str| name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    let wanted = last_of(name);
    if name.len() > 200 || wanted.len() < 4 {
        return names;
    }
    let all = REGISTRY.iter().flat_map(|group| group.iter());
    let mut scored: Vec<(usize, &str)> = all
        .map(|entry| (base::distance(&wanted, &last_of(entry.name())), entry.name()))
        .filter(|(far, other)| far * 4 <= wanted.len() && !names.contains(other))
        .collect();
    scored.sort_unstable();
    names.extend(scored.into_iter().map(|(_, name)| name));
    names.truncate(MOST);
    names
}

/// The known name that differs least, if it differs little.
pub fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > 200 {
        return None;
    }
    let all = REGISTRY.iter().flat_map(|group| group.iter());
    let scored = all.map(|entry| (base::distance(&name.to_ascii_lowercase(), entry.name()), entry.name()));
    // A short last part that differs as a whole is another word, not a slip.
    let last = name.rsplit('.').next().unwrap_or("").len();
    scored.min().filter(|(far, _)| *far <= 6 && far * 2 <= last.saturating_add(1)).map(|(_, near)| near)
}
