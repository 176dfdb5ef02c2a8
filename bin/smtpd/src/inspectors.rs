//! Who looks at a message before it is taken, in order.

use std::sync::Arc;

use dispatcher::daemon::Site;
use dkim::Signer;
use server_config::Config;
use smtp_server::inspection::{Inspector, Inspectors};
use smtp_server::signing::Signing;
use smtp_server::verification::Verification;

/// What verifies comes first: it wants the message as it came. What signs comes last: nothing may be changed behind it.
pub fn inspectors(
    config: &Config,
    site: &Site,
    host_name: &str,
    plugged: Option<Arc<dyn Inspector>>,
    signer: &Arc<Signer>,
) -> Inspectors {
    let mut all: Vec<Arc<dyn Inspector>> = Vec::new();
    if let Some(verification) = Verification::from_config(config, host_name, site.log.clone()) {
        all.push(Arc::new(verification));
    }
    all.extend(plugged);
    if let Some(signing) = Signing::from_config(config, signer.clone(), site.log.clone()) {
        all.push(Arc::new(signing));
    }
    Inspectors::new(all)
}
