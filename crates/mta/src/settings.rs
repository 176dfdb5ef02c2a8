//! What the mta reads of the configuration, as plain values.

use std::time::Duration;

use directory::LocalDomains;
use message_store::QuotaPolicy;
use server_config::parameters::{service_smtp, service_smtp_modules};
use server_config::{Config, run_count};

use base::pattern::{Pattern, Table};

use crate::ages::Ages;
use crate::local_settings::LocalSettings;
use crate::quota::Notices;

/// How one stage runs.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// `minruncount`
    pub threads: usize,
    /// Whether it logs a line for each message (S25).
    pub log: bool,
}

/// What is done about a failure: the sum of `*actions` (S43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions(pub i64);

impl Actions {
    pub fn reply(self) -> bool {
        self.0 & 1 != 0
    }

    pub fn hold(self) -> bool {
        self.0 & 2 != 0
    }

    pub fn postmaster(self) -> bool {
        self.0 & 4 != 0
    }

    pub fn log(self) -> bool {
        self.0 & 8 != 0
    }
}

/// How mail is sent to other hosts.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `usemx`; off, a domain's own addresses are used.
    pub use_mx: bool,
    /// `fallbackhosts` (S67 to S70)
    pub fallback: Table,
    /// The port of other hosts.
    pub port: u16,
    /// Connections to one host at once.
    pub connections_max: usize,
    /// Threads of smtp-deliver: those that are always there, and how many there may be.
    pub threads: (usize, usize),
    /// Recipients of one transaction.
    pub recipients_max: usize,
    /// `alwaysqueue`: nothing is sent but what is asked for or comes up in a scan.
    pub always_queue: bool,
    /// `checkdeferredqueue` (S47)
    pub check_deferred: bool,
}

/// Settings of all stages.
#[derive(Clone, Debug)]
pub struct Settings {
    pub host_name: String,
    pub domains: LocalDomains,
    pub hops_max: u32,
    /// `deferredperiod`: the longest time between two attempts.
    pub deferred_period: Duration,
    /// `counterdeltatime`: how often the queue's length is sampled for `counterutil`.
    pub sample_period: Duration,
    /// `maxqueuetime` (X1) and `delaywarning`
    pub ages: Ages,
    pub account_handler: Stage,
    pub smtp_router: Stage,
    pub mailbox_deliver: Stage,
    /// `service.smtp.mailbox-deliver.maxruncount`
    pub mailbox_deliver_most: usize,
    pub smtp_deliver: Stage,
    pub error_handler: Stage,
    /// `remotemaildomains` (S71): remote, and nobody is looked up for them.
    pub remote_domains: Vec<Pattern>,
    /// `hostrewrites`: the next hop of domains.
    pub host_rewrites: Table,
    /// Whether recipients of different domains go in one transaction when their next hop is the same.
    pub together: bool,
    /// `enveloperewritemethod`: the address of somebody whose mailbox is on another host.
    pub envelope_rewrite: i64,
    /// `routingattribute`, lower case.
    pub routing_attribute: String,
    /// `addresentfrom` (S37)
    pub resent_from: bool,
    /// `adddeliveredto`
    pub delivered_to: bool,
    /// `service.smtp.smtp-router.maxrecipients`: recipients of one copy of a message to a group.
    pub copy_recipients_max: usize,
    pub remote: Remote,
    pub hops_exceeded: Actions,
    pub quota_exceeded: Actions,
    /// Who may have how much, and what happens beyond.
    pub quota: QuotaPolicy,
    pub quota_notices: Notices,
    pub unknown_account: Actions,
    /// Whether what this host writes itself is signed.
    pub signs: bool,
    /// Of unix-deliver, prog-deliver and autoreply-handler.
    pub local: LocalSettings,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        let stage = |threads: i64, log: bool| Stage { threads: usize::try_from(threads).unwrap_or(1), log };
        let host = config.get(&server_config::parameters::local::HOST_NAME);
        let local = LocalSettings::from_config(config);
        Settings {
            host_name: if host.is_empty() { "localhost".into() } else { host },
            domains: LocalDomains::from_config(config),
            hops_max: u32::try_from(config.get(&service_smtp::MAX_MTA_HOPS)).unwrap_or(30),
            deferred_period: config.get(&service_smtp::DEFERRED_PERIOD),
            sample_period: config.get(&service_smtp_modules::COUNTER_DELTA_TIME),
            ages: Ages {
                give_up: config.get(&service_smtp::MAX_QUEUE_TIME),
                warn: Some(config.get(&service_smtp_modules::DELAY_WARNING)).filter(|after| !after.is_zero()),
            },
            account_handler: stage(
                run_count::of_local(config, &service_smtp::ACCOUNT_HANDLER_MIN_RUN_COUNT),
                config.get(&service_smtp::ACCOUNT_HANDLER_LOG),
            ),
            smtp_router: stage(
                run_count::of_local(config, &service_smtp::SMTP_ROUTER_MIN_RUN_COUNT),
                config.get(&service_smtp::SMTP_ROUTER_LOG),
            ),
            mailbox_deliver: stage(
                run_count::of_local(config, &service_smtp::MAILBOX_DELIVER_MIN_RUN_COUNT),
                config.get(&service_smtp::MAILBOX_DELIVER_LOG),
            ),
            mailbox_deliver_most: usize::try_from(config.get(&service_smtp::MAILBOX_DELIVER_MAX_RUN_COUNT))
                .unwrap_or(0),
            error_handler: stage(
                run_count::of_local(config, &service_smtp::ERROR_HANDLER_MIN_RUN_COUNT),
                config.get(&service_smtp::ERROR_HANDLER_LOG),
            ),
            resent_from: config.get(&service_smtp::ADD_RESENT_FROM),
            delivered_to: config.get(&service_smtp_modules::ADD_DELIVERED_TO),
            copy_recipients_max: usize::try_from(config.get(&service_smtp_modules::ROUTER_MAX_RECIPIENTS))
                .unwrap_or(usize::MAX),
            hops_exceeded: Actions(config.get(&service_smtp::HOPCOUNTEXCEED_ACTIONS)),
            quota_exceeded: Actions(config.get(&service_smtp::QUOTAEXCEED_ACTIONS)),
            signs: config.get(&service_smtp::DKIM_SIGN),
            quota: QuotaPolicy::from_config(config),
            quota_notices: Notices::from_config(config, &local.languages.site),
            local,
            unknown_account: Actions(config.get(&service_smtp::UNKNOWNACCTS_ACTIONS)),
            smtp_deliver: stage(
                run_count::of_network(config, &service_smtp::SMTP_DELIVER_MIN_RUN_COUNT),
                config.get(&service_smtp::SMTP_DELIVER_LOG),
            ),
            remote_domains: config.get(&service_smtp::REMOTE_MAIL_DOMAINS),
            host_rewrites: config.get(&service_smtp::HOST_REWRITES),
            together: config.get(&service_smtp_modules::TOGETHER),
            envelope_rewrite: config.get(&service_smtp_modules::ENVELOPE_REWRITE),
            routing_attribute: config.get(&service_smtp_modules::ROUTING_ATTRIBUTE).to_ascii_lowercase(),
            remote: Remote {
                use_mx: config.get(&service_smtp_modules::USE_MX),
                fallback: config.get(&service_smtp::FALLBACK_HOSTS),
                port: config.get(&service_smtp_modules::REMOTE_PORT),
                connections_max: usize::try_from(config.get(&service_smtp_modules::MAX_CONNECTIONS))
                    .unwrap_or(20),
                threads: threads(config),
                recipients_max: usize::try_from(config.get(&service_smtp_modules::REMOTE_RECIPIENTS))
                    .unwrap_or(100),
                always_queue: config.get(&service_smtp_modules::ALWAYS_QUEUE),
                check_deferred: config.get(&service_smtp::CHECK_DEFERRED),
            },
        }
    }
}

/// `minruncount` and `maxruncount` of smtp-deliver.
fn threads(config: &Config) -> (usize, usize) {
    let of = |count: i64| usize::try_from(count).unwrap_or(1).max(1);
    let always = of(run_count::of_network(config, &service_smtp::SMTP_DELIVER_MIN_RUN_COUNT));
    (always, always.max(of(config.get(&service_smtp_modules::DELIVER_MAX_RUN_COUNT))))
}
