//! When the nightly work is due: once a day, in the hour `store.expirestart` (S146).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Remembers the day on which it last ran.
#[derive(Debug, Default)]
pub struct Nightly {
    last: Option<(i16, i16)>,
}

impl Nightly {
    /// Whether the work is due at this second, local time. True once a day.
    pub fn is_due(&mut self, second: i64, hour: i64) -> bool {
        let now = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
        let day = (now.year(), now.day_of_year());
        if i64::from(now.hour()) != hour || self.last == Some(day) {
            return false;
        }
        self.last = Some(day);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_due_once_in_its_hour_each_day() {
        let mut nightly = Nightly::default();
        let base = 1_700_000_000;
        let hours: Vec<i64> = (0..48 * 60).filter(|minute| nightly.is_due(base + minute * 60, 3)).collect();
        assert_eq!(hours.len(), 2);
        assert_eq!(hours[1] - hours[0], 24 * 60);
    }
}
