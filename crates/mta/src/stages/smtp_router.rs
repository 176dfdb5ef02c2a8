//! smtp-router: where mail for other domains goes. Sending to other hosts is not built yet, so it goes back.

use server_log::Category;

use crate::mta::Desk;
use crate::work::{Route, Work};

pub fn run(desk: &Desk, work: &mut Work) {
    let elsewhere: Vec<usize> = work
        .routes
        .iter()
        .filter(|(_, route)| matches!(route, Route::Elsewhere))
        .map(|(place, _)| *place)
        .collect();
    work.routes.retain(|(_, route)| !matches!(route, Route::Elsewhere));
    for place in &elsewhere {
        work.fail(*place, "5.4.4", "this server delivers to its own mailboxes only; it cannot send mail on");
    }
    if desk.settings.smtp_router.log {
        let (id, local) = (&work.entry.envelope.id, work.routes.len());
        desk.log.notice(
            Category::Protocol,
            format_args!("smtp-router: {id} local={local} elsewhere={}", elsewhere.len()),
        );
    }
}
