//! Worker threads of smtpd's modules: `minruncount` of the module, else the default of its kind, else its own default.

use crate::parameters::service_smtp_modules;
use crate::{Config, Count, OptionalCount, Parameter};

/// Of a module that speaks with other hosts.
pub fn of_network(config: &Config, own: &Parameter<Count>) -> i64 {
    run_count(config, own, &service_smtp_modules::NETWORK_MIN_RUN_COUNT)
}

/// Of a module that works on this host.
pub fn of_local(config: &Config, own: &Parameter<Count>) -> i64 {
    run_count(config, own, &service_smtp_modules::LOCAL_MIN_RUN_COUNT)
}

fn run_count(config: &Config, own: &Parameter<Count>, of_kind: &Parameter<OptionalCount>) -> i64 {
    config.get_set(own).or_else(|| config.get(of_kind)).unwrap_or_else(|| config.get(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::service_smtp::{
        SMTP_ACCEPT_MIN_RUN_COUNT, SMTP_DELIVER_MIN_RUN_COUNT, SMTP_ROUTER_MIN_RUN_COUNT,
    };

    #[test]
    fn a_module_goes_before_its_kind_and_its_kind_before_the_default() {
        let nothing = Config::empty();
        assert_eq!(of_network(&nothing, &SMTP_ACCEPT_MIN_RUN_COUNT), 32);
        assert_eq!(of_local(&nothing, &SMTP_ROUTER_MIN_RUN_COUNT), 10);
        let set = "service.smtp.networkdefaultminruncount = 5\nservice.smtp.localdefaultminruncount = 3\n\
                   service.smtp.smtp-deliver.minruncount = 7\n";
        let config = Config::from_text(set).unwrap();
        assert_eq!(of_network(&config, &SMTP_ACCEPT_MIN_RUN_COUNT), 5);
        assert_eq!(of_network(&config, &SMTP_DELIVER_MIN_RUN_COUNT), 7);
        assert_eq!(of_local(&config, &SMTP_ROUTER_MIN_RUN_COUNT), 3);
    }
}
