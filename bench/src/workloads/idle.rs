//! Sessions that do nothing: between `prepared` and `worked` they are opened, and held until the caller has looked.

use std::io::{Error, Result};
use std::time::Instant;

use openssl::ssl::{SslConnector, SslMethod};

use super::{log_in, pause, say};
use crate::Plan;
use crate::client::Client;

/// Opens `messages` sessions, one after the other.
fn hold(plan: &Plan, open: impl Fn(usize) -> Result<Client>) -> Result<()> {
    pause("prepared")?;
    let begin = Instant::now();
    let sessions = (0..plan.messages).map(open).collect::<Result<Vec<Client>>>()?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    say("done", sessions.len() as f64);
    say("opened_per_second", sessions.len() as f64 / elapsed.as_secs_f64());
    Ok(())
}

/// A session that waits for news.
pub fn select_and_idle(mut client: Client) -> Result<Client> {
    client.imap("SELECT INBOX")?;
    client.send(b"i IDLE\r\n")?;
    if client.line()?.starts_with('+') { Ok(client) } else { Err(Error::other("IDLE was refused")) }
}

/// A log-in of each user, so that checking a password for the first time is not part of what is measured.
fn known(plan: &Plan) -> Result<()> {
    (0..plan.clients).try_for_each(|number| log_in(plan, number)?.imap("LOGOUT").map(|_| ()))
}

/// IMAP sessions of the users in turn.
pub fn idle(plan: &Plan) -> Result<()> {
    known(plan)?;
    hold(plan, |number| select_and_idle(log_in(plan, number % plan.clients)?))
}

/// The same inside TLS.
pub fn idle_tls(plan: &Plan) -> Result<()> {
    let authority = plan.authority.as_ref().ok_or_else(|| Error::other("--authority is missing"))?;
    let mut tls = SslConnector::builder(SslMethod::tls_client()).map_err(Error::other)?;
    tls.set_ca_file(authority).map_err(Error::other)?;
    let tls = tls.build();
    known(plan)?;
    hold(plan, |number| {
        let mut client = Client::connect_tls(plan.imaps, &tls)?;
        let user = plan.first + number % plan.clients;
        client.imap(&format!("LOGIN u{user} pw-u{user}"))?;
        select_and_idle(client)
    })
}

/// SMTP sessions that have said who they are.
pub fn idle_smtp(plan: &Plan) -> Result<()> {
    hold(plan, |_| {
        let mut client = Client::connect(plan.smtp)?;
        client.smtp(b"EHLO load.example.org\r\n", "250")?;
        Ok(client)
    })
}
