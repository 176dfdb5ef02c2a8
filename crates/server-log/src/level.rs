//! What a line is about and how much it matters.

/// What a line is about: the first word after the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    General,
    Ldap,
    Network,
    Account,
    Protocol,
    Stats,
    Store,
}

impl Category {
    /// As the line shows it.
    pub fn name(self) -> &'static str {
        match self {
            Category::General => "General",
            Category::Ldap => "LDAP",
            Category::Network => "Network",
            Category::Account => "Account",
            Category::Protocol => "Protocol",
            Category::Stats => "Stats",
            Category::Store => "Store",
        }
    }
}

/// How much a line matters. The order is the original's: `Critical` is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Critical,
    Error,
    Warning,
    Notice,
    Information,
    Debug,
}

impl Level {
    const ALL: [Level; 6] =
        [Level::Critical, Level::Error, Level::Warning, Level::Notice, Level::Information, Level::Debug];

    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Level> {
        if name.eq_ignore_ascii_case("informational") {
            return Some(Level::Information); // NMS: both spellings occur
        }
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// As the line shows it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Critical => "Critical",
            Level::Error => "Error",
            Level::Warning => "Warning",
            Level::Notice => "Notice",
            Level::Information => "Information",
            Level::Debug => "Debug",
        }
    }

    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn of_number(number: u8) -> Level {
        Level::ALL.get(usize::from(number)).copied().unwrap_or(Level::Debug)
    }

    /// slog's six levels stand for ours, in order.
    pub(crate) fn of_slog(level: slog::Level) -> Level {
        match level {
            slog::Level::Critical => Level::Critical,
            slog::Level::Error => Level::Error,
            slog::Level::Warning => Level::Warning,
            slog::Level::Info => Level::Notice,
            slog::Level::Debug => Level::Information,
            slog::Level::Trace => Level::Debug,
        }
    }
}
