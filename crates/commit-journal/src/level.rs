//! Sync levels and how one inherits from another (S153 to S155).

/// What "durable" means for one kind of file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum SyncLevel {
    /// The system decides when (relay hosts, benchmarks).
    None = 0,
    /// `fdatasync` before it is said. The default.
    #[default]
    Data = 1,
    /// `fsync`, and the folder that names the file.
    Full = 2,
}

impl SyncLevel {
    /// The level of a configured number; nothing when it is none of 0, 1, 2.
    pub fn from_number(number: i64) -> Option<SyncLevel> {
        match number {
            0 => Some(SyncLevel::None),
            1 => Some(SyncLevel::Data),
            2 => Some(SyncLevel::Full),
            _ => None,
        }
    }
}

/// The levels of the store's files: `local.store.synclevel` and its relatives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncLevels {
    /// `store.idx`, `store.log`
    pub index: SyncLevel,
    /// `store.cNN`
    pub cache: SyncLevel,
    /// `store.usr`
    pub user: SyncLevel,
    /// `store.sub`
    pub subscribe: SyncLevel,
    /// `store.exp`
    pub expunge: SyncLevel,
    /// `N.msg`
    pub message: SyncLevel,
    /// quota records
    pub quota: SyncLevel,
}

impl SyncLevels {
    /// Every file at `level`.
    pub fn all(level: SyncLevel) -> SyncLevels {
        SyncLevels {
            index: level,
            cache: level,
            user: level,
            subscribe: level,
            expunge: level,
            message: level,
            quota: level,
        }
    }

    /// The general level sets all; one that is set itself overrides it (S154). `value` answers for a stem of
    /// `local.store.<stem>synclevel`, the empty stem being the general level; nothing means unset.
    pub fn inherit(mut value: impl FnMut(&str) -> Option<SyncLevel>) -> SyncLevels {
        let general = value("").unwrap_or_default();
        let mut level = |stem: &str| value(stem).unwrap_or(general);
        SyncLevels {
            index: level("index"),
            cache: level("cache"),
            user: level("user"),
            subscribe: level("subscribe"),
            expunge: level("expunge"),
            message: level("message"),
            quota: level("quota"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_general_level_is_inherited_unless_overridden() {
        let levels = SyncLevels::inherit(|stem| match stem {
            "" => Some(SyncLevel::Full),
            "index" => Some(SyncLevel::None),
            _ => None,
        });
        assert_eq!(levels, SyncLevels { index: SyncLevel::None, ..SyncLevels::all(SyncLevel::Full) });
        assert_eq!(SyncLevels::inherit(|_| None), SyncLevels::all(SyncLevel::Data));
    }
}
