//! What the stages of this host's own deliveries and answers read of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use server_config::parameters::{service_smtp, service_smtp_modules};
use server_config::{Config, run_count};

use crate::autoreply::language::Languages;
use crate::autoreply::texts::SiteTexts;
use crate::settings::Stage;

/// prog-deliver
#[derive(Clone, Debug)]
pub struct Programs {
    /// `shellpath`: where programs may come from.
    pub folder: Option<PathBuf>,
    /// uid and gid that programs get when smtpd is root (S42).
    pub identity: (u32, u32),
    pub timeout: Duration,
}

/// unix-deliver
#[derive(Clone, Debug)]
pub struct Native {
    /// The folder of the mailboxes.
    pub spool: PathBuf,
    /// `maildeliveryprogram`, instead of a mailbox.
    pub program: Option<PathBuf>,
    pub needs_sender: bool,
    pub strips_cr: bool,
    pub identity: (u32, u32),
}

/// Of the three stages.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    pub unix_deliver: Stage,
    pub prog_deliver: Stage,
    pub autoreply_handler: Stage,
    pub programs: Programs,
    pub native: Native,
    pub languages: Languages,
    pub site_texts: SiteTexts,
    /// How long a sender is not answered again.
    pub vacation_period: Duration,
}

impl LocalSettings {
    pub fn from_config(config: &Config) -> LocalSettings {
        let stage = |threads: i64, log: bool| Stage { threads: usize::try_from(threads).unwrap_or(1), log };
        let path = |text: String| Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty());
        // A number that is none must not become root's.
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX - 1);
        let languages = Languages::from_config(config);
        LocalSettings {
            unix_deliver: stage(
                run_count::of_local(config, &service_smtp::UNIX_DELIVER_MIN_RUN_COUNT),
                config.get(&service_smtp::UNIX_DELIVER_LOG),
            ),
            prog_deliver: stage(
                run_count::of_local(config, &service_smtp::PROG_DELIVER_MIN_RUN_COUNT),
                config.get(&service_smtp::PROG_DELIVER_LOG),
            ),
            autoreply_handler: stage(
                run_count::of_local(config, &service_smtp::AUTOREPLY_HANDLER_MIN_RUN_COUNT),
                config.get(&service_smtp::AUTOREPLY_HANDLER_LOG),
            ),
            programs: Programs {
                folder: path(config.get(&service_smtp::SHELL_PATH)),
                identity: (
                    number(config.get(&service_smtp::DEFAULT_UID)),
                    number(config.get(&service_smtp::DEFAULT_GID)),
                ),
                timeout: config.get(&service_smtp::PROGRAM_TIMEOUT),
            },
            native: Native {
                spool: config.get(&service_smtp_modules::MAIL_SPOOL).into(),
                program: path(config.get(&service_smtp_modules::MAIL_DELIVERY_PROGRAM)),
                needs_sender: config.get(&service_smtp_modules::NEED_SENDER),
                strips_cr: config.get(&service_smtp_modules::STRIP_CR),
                identity: (
                    number(config.get(&service_smtp_modules::UNIX_UID)),
                    number(config.get(&service_smtp_modules::UNIX_GID)),
                ),
            },
            site_texts: SiteTexts::from_config(config, &languages.site),
            languages,
            vacation_period: config.get(&service_smtp_modules::VACATION_PERIOD),
        }
    }
}
