//! smtp-router: where mail for other domains goes, domain by domain (S55).
//!
//! A table (`hostrewrites`) may name the next hop of a domain, a list (`smarthosts`) that of all others; else its own hosts are. Nothing of this is written down: it
//! is found anew at each attempt, so that a changed table holds for mail that waits, too.

use server_log::Category;

use crate::mta::Desk;
use crate::onward;
use crate::work::{Group, Route, Work};

/// Takes the recipients that are elsewhere out of the routes and puts them together by where they go.
pub fn run(desk: &Desk, work: &mut Work) -> Vec<Group> {
    let elsewhere: Vec<usize> = work
        .routes
        .iter()
        .filter(|(_, route)| matches!(route, Route::Elsewhere))
        .map(|(place, _)| *place)
        .collect();
    work.routes.retain(|(_, route)| !matches!(route, Route::Elsewhere));
    let mut groups: Vec<Group> = Vec::new();
    let mut by_name = std::collections::HashMap::new();
    let smart: Vec<String> = desk.outbound.smart_hosts.iter().map(ToString::to_string).collect();
    let smart_hosts = (!smart.is_empty()).then(|| smart.join(" "));
    for place in &elsewhere {
        let address = &work.entry.envelope.recipients[*place].address;
        let Some((_, domain)) = address.rsplit_once('@') else { continue };
        // In A-labels, as DNS has it: one folder, one site, whichever way it was written.
        let domain = base::idn::domain(domain);
        let hub = desk.settings.host_rewrites.first(&domain).map(str::to_ascii_lowercase);
        let hub = hub.or_else(|| smart_hosts.clone());
        // S55: by domain, before it is known that two go to the same hub; unless they are to go together.
        let name = match &hub {
            Some(hub) if desk.settings.together => format!("hub {hub}"),
            _ => domain.clone(),
        };
        let onward = onward::concerns(desk, work, *place);
        let at = *by_name.entry((name, onward)).or_insert_with(|| {
            groups.push(Group { domain, hub, onward, places: Vec::new() });
            groups.len() - 1
        });
        groups[at].places.push(*place);
    }
    if desk.settings.smtp_router.log {
        let (id, local) = (&work.entry.envelope.id, work.routes.len());
        desk.log.notice(
            Category::Protocol,
            format_args!("smtp-router: {id} local={local} elsewhere={}", elsewhere.len()),
        );
    }
    groups
}
