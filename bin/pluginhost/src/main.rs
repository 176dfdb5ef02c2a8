//! pluginhost: loads the plug-ins of `config/plugins.cfg` and calls them for smtpd, which starts it.

fn main() -> std::process::ExitCode {
    plugin_host::main()
}
