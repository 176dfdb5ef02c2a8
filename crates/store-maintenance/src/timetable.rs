//! When the nightly work is due: once a day, in the hour `store.expirestart` (S146).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const HOUR_SECONDS: i64 = 3600;

/// Remembers the day on which it last ran.
#[derive(Debug, Default)]
pub struct Nightly {
    last: Option<Date>,
}

impl Nightly {
    /// Whether the work is due at this second, local time. True once a day.
    pub fn is_due(&mut self, second: i64, hour: i64) -> bool {
        self.is_due_in(&TimeZone::system(), second, hour)
    }

    fn is_due_in(&mut self, zone: &TimeZone, second: i64, hour: i64) -> bool {
        let today = zone.to_datetime(Timestamp::from_second(second).unwrap_or_default()).date();
        if self.last == Some(today) || begin_of(hour, today, zone).is_none_or(|begin| !is_in(begin, second)) {
            return false;
        }
        self.last = Some(today);
        true
    }
}

fn is_in(begin: i64, second: i64) -> bool {
    (0..HOUR_SECONDS).contains(&second.saturating_sub(begin))
}

/// The second at which this hour of a day begins. An hour that a change of the clock leaves out is the one after it, and of one
/// that comes twice it is the first: the work is done once on those days, too.
fn begin_of(hour: i64, day: Date, zone: &TimeZone) -> Option<i64> {
    let time = day.at(i8::try_from(hour).ok()?, 0, 0, 0);
    Some(zone.to_timestamp(time).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use jiff::civil::datetime;

    use super::*;

    /// Berlin's, as POSIX writes it: the hour from 2 to 3 is left out on the last Sunday of March, and comes twice in October.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    /// The minutes after this local time at which the work is due, when it is asked every minute for three days.
    fn due(zone: &TimeZone, year: i16, month: i8, day: i8, hour: i64) -> Vec<i64> {
        let base = zone.to_timestamp(datetime(year, month, day, 0, 0, 20, 0)).unwrap().as_second();
        let mut nightly = Nightly::default();
        (0..3 * 24 * 60).filter(|minute| nightly.is_due_in(zone, base + minute * 60, hour)).collect()
    }

    #[test]
    fn the_work_is_due_once_in_its_hour_each_day() {
        for zone in [TimeZone::UTC, berlin(), TimeZone::posix("<+0530>-5:30").unwrap()] {
            for (year, month, day) in [(2026, 11, 29), (2026, 12, 31), (2028, 2, 28)] {
                for hour in [0, 3, 23] {
                    let first = hour * 60;
                    let each = [first, first + 24 * 60, first + 48 * 60];
                    assert_eq!(due(&zone, year, month, day, hour), each, "{month}-{day}, {hour}");
                }
            }
        }
    }

    /// Who starts in the middle of the hour begins at once, and not behind it.
    #[test]
    fn a_start_in_the_hour_is_in_time() {
        let base = TimeZone::UTC.to_timestamp(datetime(2026, 12, 31, 23, 59, 59, 0)).unwrap().as_second();
        assert!(Nightly::default().is_due_in(&TimeZone::UTC, base, 23));
        assert!(!Nightly::default().is_due_in(&TimeZone::UTC, base + 1, 23));
        assert!(Nightly::default().is_due_in(&TimeZone::UTC, base + 1, 0));
    }

    #[test]
    fn a_change_of_the_clock_neither_leaves_a_night_out_nor_doubles_it() {
        // March: 2:00 is not there, 3:00 is two hours after midnight. October: 2:00 comes after two hours, and after three.
        assert_eq!(due(&berlin(), 2027, 3, 27, 2), [120, 24 * 60 + 120, 47 * 60 + 120]);
        assert_eq!(due(&berlin(), 2026, 10, 24, 2), [120, 24 * 60 + 120, 49 * 60 + 120]);
        let again =
            berlin().to_timestamp(datetime(2026, 10, 25, 1, 30, 0, 0)).unwrap().as_second() + 2 * 3600;
        assert!(!Nightly::default().is_due_in(&berlin(), again, 2), "a start in the second 2 o'clock");
    }
}
