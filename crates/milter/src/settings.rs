//! What is configured of filters, as plain values.

use std::time::Duration;

use base::endpoint::Endpoint;
use server_config::Config;
use server_config::parameters::milters;

/// What becomes of mail when a filter fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// As if the filter were not there.
    Accept,
    TempFail,
    Reject,
    /// The message is taken and held.
    Quarantine,
}

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As log lines call it.
    pub name: String,
    pub endpoint: Endpoint,
    pub connect_timeout: Duration,
    /// For each step before the message.
    pub command_timeout: Duration,
    /// For the whole of the message, and again for the verdict.
    pub message_timeout: Duration,
    pub on_failure: OnFailure,
    /// Whether a connection is kept for the next client.
    pub reuse: bool,
}

impl Filter {
    /// The filters of a list, in its order. An item is the name of a filter whose parameters say where it is.
    ///
    /// # Errors
    /// The first item that has no address.
    pub fn all(config: &Config, names: &[String]) -> Result<Vec<Filter>, String> {
        names.iter().map(|name| Filter::named(config, name)).collect()
    }

    fn named(config: &Config, name: &str) -> Result<Filter, String> {
        let Some(endpoint) = config.get_in(&milters::ADDRESS, name) else {
            let parameter = milters::ADDRESS.name.replace('*', name);
            return Err(format!("milter {name}: {parameter} is not set"));
        };
        Ok(Filter {
            name: name.to_owned(),
            endpoint,
            connect_timeout: config.get_in(&milters::CONNECT_TIMEOUT, name),
            command_timeout: config.get_in(&milters::COMMAND_TIMEOUT, name),
            message_timeout: config.get_in(&milters::MESSAGE_TIMEOUT, name),
            on_failure: match config.get_in(&milters::DEFAULT_ACTION, name).as_str() {
                "accept" => OnFailure::Accept,
                "reject" => OnFailure::Reject,
                "quarantine" => OnFailure::Quarantine,
                _ => OnFailure::TempFail,
            },
            reuse: config.get_in(&milters::REUSE, name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_what_its_parameters_say() {
        let text = "local.service.smtp.milter.dkim.address = inet:8891@localhost\n\
                    local.service.smtp.milter.dkim.defaultaction = accept\n\
                    local.service.smtp.milter.dkim.commandtimeout = 7\n";
        let config = Config::from_text(text).unwrap();
        let filters = Filter::all(&config, &["dkim".to_owned()]).unwrap();
        assert_eq!(filters[0].endpoint, Endpoint::Inet { host: "localhost".into(), port: 8891 });
        assert_eq!(filters[0].on_failure, OnFailure::Accept);
        assert_eq!(filters[0].command_timeout, Duration::from_secs(7));
        assert_eq!(filters[0].message_timeout, Duration::from_secs(300));
        let why = Filter::all(&config, &["dkim".into(), "spam".into()]).unwrap_err();
        assert!(why.contains("local.service.smtp.milter.spam.address"), "{why}");
    }
}
