//! Dates as IMAP writes them (RFC 3501 §9 `date-time`), in UTC.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECONDS: i64 = 86_400;

/// `17-Jul-1996 02:44:25 +0000`; the day has two places.
pub fn internal_date(nanos: i64) -> Vec<u8> {
    let seconds = nanos.div_euclid(1_000_000_000);
    let (year, month, date) = civil(day(seconds));
    let second = seconds.rem_euclid(DAY_SECONDS);
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0).min(11)];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{date:>2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000").into_bytes()
}

/// Days since 1970 of a moment, disregarding time and zone (RFC 3501 §6.4.4).
pub fn day(unix_seconds: i64) -> i64 {
    unix_seconds.div_euclid(DAY_SECONDS)
}

/// Year, month and day of the Gregorian calendar. Years are counted from 1 March, in eras of 400.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_date_has_the_fixed_form() {
        assert_eq!(internal_date(0), b" 1-Jan-1970 00:00:00 +0000");
        assert_eq!(internal_date(837_571_465_999_999_999), b"17-Jul-1996 02:44:25 +0000");
        assert_eq!(internal_date(951_782_400_000_000_000), b"29-Feb-2000 00:00:00 +0000");
        assert_eq!(day(-1), -1);
    }
}
