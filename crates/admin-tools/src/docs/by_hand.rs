//! Pages of those who read their command lines themselves: the daemons, and the scripts that start and stop them. A tidy test
//! holds the options against what each says of itself.

use clap::{Arg, ArgAction, Command};

use super::pages::Page;

type More = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SERVICES: [&str; 5] = ["store", "smtp", "imap", "pop", "http"];

const ENVIRONMENT: (&str, &[(&str, &str)]) = (
    "ENVIRONMENT",
    &[
        ("CONFIGROOT", "The config folder of the instance, where --instance is not given."),
        (
            "BINDIR",
            "The folder that has the programs. Without it: the script's own folder, ../bin beside it, \
            and ../target/release of a checkout.",
        ),
    ],
);

const START: More = &[
    (
        "EXIT STATUS",
        &[
            ("0", "All that are enabled serve."),
            (
                "1",
                "Something did not start, and what it said is shown. What this call had started is \
                stopped again, unless the web mail alone did not start. Nothing is started at all \
                when configutil check finds an error.",
            ),
            ("2", "All of them served already."),
        ],
    ),
    ENVIRONMENT,
    (
        "FILES",
        &[
            ("run/SERVICE.pid", "Written by the daemon when it serves."),
            ("run/SERVICE.supervisor", "The process that restarts it."),
            ("run/SERVICE.stderr", "What the daemon said before its log was open."),
        ],
    ),
    ("SEE ALSO", &[("stop-msg(1), status-msg(1), refresh-msg(1), configutil(1)", "")]),
];

const STOP: More = &[
    ("EXIT STATUS", &[("0", "None of them runs any more."), ("1", "There is no such instance or service.")]),
    ("ENVIRONMENT", &[ENVIRONMENT.1[0]]),
    ("SEE ALSO", &[("start-msg(1), status-msg(1)", "")]),
];

const REFRESH: More = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Each daemon that runs has read everything again."),
            (
                "1",
                "A daemon did not take something, which is shown, and goes on with the former; or it \
                did not answer within service.readtimeout seconds; or none of them runs; or \
                configutil check finds an error, and nothing was sent.",
            ),
        ],
    ),
    ENVIRONMENT,
    (
        "FILES",
        &[
            ("run/SERVICE.refreshed", "The processes that have read again."),
            ("run/SERVICE.refused", "What they did not take, a line each."),
            ("run/SERVICE.restart", "The parameters whose change waits for a restart."),
        ],
    ),
    ("SEE ALSO", &[("start-msg(1), configutil(1)", "")]),
];

const STATUS: More = &[
    ("EXIT STATUS", &[("0", "Each that is enabled serves."), ("1", "One that is enabled does not.")]),
    ENVIRONMENT,
    ("SEE ALSO", &[("start-msg(1), stop-msg(1)", "")]),
];

const SUPERVISE: More = &[
    ("ENVIRONMENT", &[ENVIRONMENT.1[0], ("BINDIR", "The folder that has the programs.")]),
    (
        "FILES",
        &[
            ("run/SERVICE.stop", "Ends the supervisor instead of another start."),
            ("run/SERVICE.stderr", "What the daemon said, and when it was started again."),
        ],
    ),
    ("SEE ALSO", &[("start-msg(1), stop-msg(1)", "")]),
];

const DAEMON: More = &[
    (
        "SIGNALS",
        &[
            ("TERM", "It ends what it has under way and itself."),
            (
                "HUP",
                "It reads its configuration and certificates again; refresh-msg sends it and \
             waits.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It was told to end."),
            ("1", "It could not start, or not go on; the reason is on standard error and in the log."),
            ("2", "The command line is wrong."),
        ],
    ),
    ("SEE ALSO", &[("start-msg(1), configutil(1)", "")]),
];

const PLUGINHOST: More = &[("SEE ALSO", &[("smtpd(8)", "")])];

fn instance() -> Arg {
    Arg::new("instance")
        .long("instance")
        .value_name("DIR")
        .help("The instance; else CONFIGROOT names its config folder")
}

fn help() -> Arg {
    Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print help")
}

fn try_privileges() -> Arg {
    Arg::new("try-privileges").long("try-privileges").value_name("DIR").help(
        "Confine itself, try what it must not do, with DIR as a foreign folder, and say what came of it",
    )
}

fn script(name: &'static str, about: &'static str, long: &'static str) -> Command {
    Command::new(name).about(about).long_about(long).disable_help_flag(true).arg(instance()).arg(help()).arg(
        Arg::new("service")
            .value_name("SERVICE")
            .num_args(0..)
            .value_parser(SERVICES)
            .help("The services that are meant; all of them when none is named"),
    )
}

/// The scripts that are used beside the programs.
pub fn scripts() -> Vec<Page> {
    let supervise = Command::new("msg-supervise")
        .about("Runs one daemon and restarts it when it dies")
        .long_about(
            "Started by start-msg, one for each service. It restarts the daemon after 1, 2, 4 ... 60 \
            seconds, from 1 again after a minute of good service. A daemon that ends with status \
            1 before it ever served has refused to start, and is not restarted. TERM ends the \
            daemon and the supervisor.",
        )
        .disable_help_flag(true)
        .arg(help())
        .arg(
            Arg::new("service")
                .value_name("SERVICE")
                .required(true)
                .value_parser(SERVICES)
                .help("Whose daemon it runs"),
        );
    [
        (
            script(
                "start-msg",
                "Starts the suite, or the services named",
                "Starts the suite, or the services named, in the order store smtp imap pop http, each \
                under a supervisor that restarts it. One line tells of each daemon. While the \
                store recovers it waits, as long as it takes. The others are not started while \
                the store daemon does not run.",
            ),
            START,
        ),
        (
            script(
                "stop-msg",
                "Stops the suite, or the services named",
                "Stops the suite, or the services named, in the order http pop imap smtp store. \
                Daemons finish what they have under way; after 30 seconds they are killed.",
            ),
            STOP,
        ),
        (
            script(
                "refresh-msg",
                "Has the running daemons read their configuration and certificates again",
                "Looks at the configuration first (configutil check), sends HUP to each daemon that \
                runs, and waits until it has read. Parameters whose change waits for a restart \
                are named.",
            ),
            REFRESH,
        ),
        (
            script(
                "status-msg",
                "Says which daemons run",
                "One line for each daemon: running, starting or being restarted, not running, or not \
                enabled.",
            ),
            STATUS,
        ),
        (supervise, SUPERVISE),
    ]
    .into_iter()
    .map(|(command, more)| Page {
        command: command.version(VERSION).disable_version_flag(true),
        section: "1",
        more,
    })
    .collect()
}

/// The daemons, and the process that smtpd starts for plug-ins.
pub fn daemons() -> Vec<Page> {
    let served = [
        ("smtpd", "Accepts, routes and delivers mail"),
        ("imapd", "Serves mailboxes to IMAP clients"),
        ("popd", "Serves maildrops to POP3 clients"),
        ("mshttpd", "Serves the web mail, and mailboxes to JMAP clients"),
    ]
    .map(|(name, about)| Command::new(name).about(about).arg(instance()).arg(try_privileges()));
    let stored = Command::new("stored")
        .about("Keeps the message store")
        .arg(instance())
        .arg(
            Arg::new("t")
                .short('t')
                .num_args(0)
                .action(ArgAction::SetTrue)
                .help("Exit with 0 when the store is ready, 1 when not"),
        )
        .arg(
            Arg::new("1")
                .short('1')
                .action(ArgAction::SetTrue)
                .help("Recover, age and clean up once, and end"),
        )
        .arg(try_privileges());
    let pluginhost = Command::new("pluginhost")
        .about("Calls the plug-ins of config/plugins.cfg")
        .long_about("smtpd starts it by itself, where config/plugins.cfg names plug-ins.")
        .arg(Arg::new("instance").value_name("INSTANCE").required(true).help("The instance's folder"))
        .disable_help_flag(true);
    let mut pages: Vec<Page> = served
        .into_iter()
        .chain([stored])
        .map(|command| Page { command, section: "8", more: DAEMON })
        .collect();
    pages.push(Page { command: pluginhost, section: "8", more: PLUGINHOST });
    for page in &mut pages {
        page.command = page.command.clone().version(VERSION);
    }
    pages
}
