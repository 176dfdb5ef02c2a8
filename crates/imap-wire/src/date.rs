//! Dates as IMAP writes them (RFC 3501 §9 `date`, `date-time`). They are sent in UTC.

use crate::cursor::{Cursor, Parsed, decimal};

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

/// Days since 1970 of a date, if there is such a date. Months and days count from 1.
pub fn days(year: i64, month: i64, date: i64) -> Option<i64> {
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + date - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (civil(days) == (year, month, date)).then_some(days)
}

/// The month of this English abbreviation, in any case; January is 1.
pub fn month(name: &[u8]) -> Option<i64> {
    (1i64..)
        .zip(MONTHS)
        .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
        .map(|(month, _)| month)
}

/// `date = date-text / DQUOTE date-text DQUOTE`: days since 1970.
pub fn date(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let quoted = cursor.take(b'"');
    let day = date_text(cursor)?;
    if quoted {
        cursor.expect(b'"', "the quote after a date")?;
    }
    Ok(day)
}

/// `date-text = date-day "-" date-month "-" date-year`
fn date_text(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let start = cursor.clone();
    parts(cursor).map_or_else(|| start.error("a date like 17-Jul-1996"), Ok)
}

fn parts(cursor: &mut Cursor<'_>) -> Option<i64> {
    let date = digits(cursor, 1, 2)?;
    let month = cursor.take(b'-').then(|| cursor.skip(3))?;
    let month = self::month(month)?;
    let year = cursor.take(b'-').then(|| digits(cursor, 4, 4))??;
    days(year, month, date)
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`: seconds since 1970.
pub fn date_time(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let start = cursor.clone();
    moment(cursor).map_or_else(|| start.error("a date and time like \"17-Jul-1996 02:44:25 -0700\""), Ok)
}

fn moment(cursor: &mut Cursor<'_>) -> Option<i64> {
    cursor.take(b'"').then_some(())?;
    cursor.take(b' ');
    let day = parts(cursor)?;
    cursor.take(b' ').then_some(())?;
    let hour = digits(cursor, 2, 2).filter(|hour| *hour < 24)?;
    let minute = cursor.take(b':').then(|| digits(cursor, 2, 2))?.filter(|minute| *minute < 60)?;
    let second = cursor.take(b':').then(|| digits(cursor, 2, 2))?.filter(|second| *second <= 60)?;
    cursor.take(b' ').then_some(())?;
    let east = cursor.take(b'+');
    if !east && !cursor.take(b'-') {
        return None;
    }
    let zone = digits(cursor, 4, 4).filter(|zone| zone / 100 < 24 && zone % 100 < 60)?;
    cursor.take(b'"').then_some(())?;
    let zone = (zone / 100 * 60 + zone % 100) * 60;
    let local = day * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Some(if east { local - zone } else { local + zone })
}

/// `date-time` of RFC 3339 §5.6, `2026-11-29T18:00:00.5+01:00`: seconds since 1970, fractions left out. Nothing when it is none.
pub fn rfc3339(text: &str) -> Option<i64> {
    let mut cursor = Cursor::new(text.as_bytes());
    let cursor = &mut cursor;
    let year = digits(cursor, 4, 4)?;
    let month = cursor.take(b'-').then(|| digits(cursor, 2, 2))??;
    let date = cursor.take(b'-').then(|| digits(cursor, 2, 2))??;
    let day = days(year, month, date)?;
    (cursor.take(b'T') || cursor.take(b't')).then_some(())?;
    let hour = digits(cursor, 2, 2).filter(|hour| *hour < 24)?;
    let minute = cursor.take(b':').then(|| digits(cursor, 2, 2))?.filter(|minute| *minute < 60)?;
    let second = cursor.take(b':').then(|| digits(cursor, 2, 2))?.filter(|second| *second <= 60)?;
    if cursor.take(b'.') && cursor.take_while(|byte| byte.is_ascii_digit()).is_empty() {
        return None;
    }
    let is_utc = cursor.take(b'Z') || cursor.take(b'z');
    let east = !is_utc && cursor.take(b'+');
    let mut zone = 0;
    if !is_utc {
        (east || cursor.take(b'-')).then_some(())?;
        let hours = digits(cursor, 2, 2).filter(|hours| *hours < 24)?;
        let minutes = cursor.take(b':').then(|| digits(cursor, 2, 2))?.filter(|minutes| *minutes < 60)?;
        zone = (hours * 60 + minutes) * 60;
    }
    cursor.is_at_end().then_some(())?;
    let local = day * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Some(if east { local - zone } else { local + zone })
}

fn digits(cursor: &mut Cursor<'_>, least: usize, most: usize) -> Option<i64> {
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    if !(least..=most).contains(&digits.len()) {
        return None;
    }
    decimal(digits).map(i64::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_internal_date_has_the_fixed_form() {
        assert_eq!(internal_date(0), b" 1-Jan-1970 00:00:00 +0000");
        assert_eq!(internal_date(837_571_465_999_999_999), b"17-Jul-1996 02:44:25 +0000");
        assert_eq!(internal_date(951_782_400_000_000_000), b"29-Feb-2000 00:00:00 +0000");
        assert_eq!(day(-1), -1);
    }

    #[test]
    fn moments_of_rfc_3339_are_read() {
        for (text, moment) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1985-04-12T23:20:50.52Z", 482_196_050),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            ("1996-12-20t01:39:57+01:00", 851_042_397),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_173),
        ] {
            assert_eq!(rfc3339(text), Some(moment), "{text}");
        }
        for bad in ["", "1985-04-12", "1985-04-12T23:20:50", "1985-02-30T00:00:00Z", "1985-04-12T23:20:50.Z"]
        {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
        for bad in
            ["1985-04-12T23:20:50Z ", "85-04-12T23:20:50Z", "1985-04-12T24:20:50Z", "1985-04-12 23:20:50Z"]
        {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
        assert_eq!(rfc3339("1985-04-12T23:20:50+0100"), None);
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(date(&mut Cursor::new(b"1-Jan-1970")), Ok(0));
        assert_eq!(date(&mut Cursor::new(b"\"29-feb-2000\"")), Ok(11016));
        let time = b"\"17-Jul-1996 02:44:25 -0700\"";
        assert_eq!(date_time(&mut Cursor::new(time)), Ok(837_596_665));
        for bad in [&b"30-Feb-2000"[..], b"0-Jan-2000", b"1-Foo-2000", b"1-Jan-99", b"x", b"", b"1-Jan-20000"]
        {
            assert!(date(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
        for bad in
            [&b"17-Jul-1996 02:44:25 -0700"[..], b"\"17-Jul-1996 24:00:00 -0700\"", b"\"17-Jul-1996\"", b"\""]
        {
            assert!(date_time(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_date_is_read_as_the_same_moment(seconds in -9_223_372_036i64..9_223_372_036) {
            let text = [b"\"", internal_date(seconds * 1_000_000_000).as_slice(), b"\""].concat();
            prop_assert_eq!(date_time(&mut Cursor::new(&text)), Ok(seconds));
        }
    }
}
