//! Dates of headers (RFC 5322 §3.3, §4.3), and as people write them.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Seconds since 1970 UTC, and the zone's seconds east of Greenwich.
pub fn date_and_zone(value: &[u8]) -> Option<(i64, i32)> {
    let text = without_blanks_around_colons(&without_comments(value));
    let words: Vec<&str> = text.split([' ', '\t', '\r', '\n', ',']).filter(|word| !word.is_empty()).collect();
    // The day of the month is the first number that is no time; the name of the week's day does not count.
    let at =
        words.iter().position(|word| word.bytes().all(|byte| byte.is_ascii_digit()) && word.len() <= 2)?;
    let (day, month, year, rest) =
        match words.get(at.checked_sub(1).unwrap_or(usize::MAX)).and_then(|word| month(word)) {
            // asctime: "Mon Jan  2 15:04:05 2006"
            Some(month) => (words[at], month, None, &words[at + 1..]),
            None => (words[at], month(words.get(at + 1)?)?, Some(*words.get(at + 2)?), words.get(at + 3..)?),
        };
    let day: i64 = day.parse().ok()?;
    let (hour, minute, second) = rest.first().and_then(|time| clock(time))?;
    let (year, zone) = match year {
        Some(year) => (year, rest.get(1).and_then(|zone| offset(zone)).unwrap_or(0)),
        None => match (rest.get(1), rest.get(2)) {
            (Some(zone), Some(year)) if offset(zone).is_some() => (*year, offset(zone).unwrap_or(0)),
            (Some(year), zone) => (*year, zone.and_then(|zone| offset(zone)).unwrap_or(0)),
            _ => return None,
        },
    };
    let year = full_year(year)?;
    if !(1..=31).contains(&day) || day > days_in(year, month) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - i64::from(zone), zone))
}

/// Seconds since 1970 UTC of a Date field's value.
pub fn date(value: &[u8]) -> Option<i64> {
    date_and_zone(value).map(|(second, _)| second)
}

/// `Mon, 28 Feb 2000 10:00:00 -0800`
pub fn format_date(second: i64, zone_seconds: i32) -> String {
    let local = second + i64::from(zone_seconds);
    let (days, clock) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let sign = if zone_seconds < 0 { '-' } else { '+' };
    let zone = zone_seconds.unsigned_abs() / 60;
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        DAYS[usize::try_from((days + 3).rem_euclid(7)).unwrap_or(0)],
        MONTHS[usize::try_from(month - 1).unwrap_or(0)],
        clock / 3600,
        clock / 60 % 60,
        clock % 60,
        zone / 60,
        zone % 60
    )
}

fn without_comments(value: &[u8]) -> String {
    let mut depth = 0usize;
    let mut text = String::with_capacity(value.len().min(200));
    for byte in value.iter().take(500) {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            byte if depth == 0 && byte.is_ascii() => text.push(char::from(*byte)),
            _ => {}
        }
    }
    text
}

/// `10 : 11 : 12` is one word (RFC 5322 §4.3, obs-hour).
fn without_blanks_around_colons(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for (place, piece) in text.split(':').enumerate() {
        if place > 0 {
            joined.truncate(joined.trim_ascii_end().len());
            joined.push(':');
        }
        joined.push_str(if place > 0 { piece.trim_ascii_start() } else { piece });
    }
    joined
}

fn month(word: &str) -> Option<i64> {
    let start = word.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(start))?;
    i64::try_from(at + 1).ok()
}

fn full_year(word: &str) -> Option<i64> {
    let year: i64 = word.parse().ok()?;
    Some(match (word.len(), year) {
        (1 | 2, 0..=49) => year + 2000, // RFC 5322 §4.3
        (1..=3, _) => year + 1900,
        (4, 1900..) => year,
        _ => return None,
    })
}

fn clock(word: &str) -> Option<(i64, i64, i64)> {
    let mut parts = word.split([':', '.']).map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().flatten().unwrap_or(0);
    let legal = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    legal.then_some((hour, minute, second))
}

fn offset(word: &str) -> Option<i32> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'+' => (1, &word[1..]),
        b'-' => (-1, &word[1..]),
        _ => return named_zone(word),
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    Some(sign * (hours.min(23) * 3600 + minutes.min(59) * 60))
}

/// RFC 5322 §4.3; one letter says nothing.
fn named_zone(word: &str) -> Option<i32> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "UT" | "UTC" | "GMT" | "Z" => 0,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "CET" | "BST" => 1,
        "CEST" | "EET" => 2,
        "JST" => 9,
        one if one.len() == 1 && one.bytes().all(|byte| byte.is_ascii_alphabetic()) => 0,
        _ => return None,
    };
    Some(hours * 3600)
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a day; nothing when there is no such one.
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_one = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    is_one.then(|| days_since_1970(year, month, day))
}

/// Days of the proleptic Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of so many days since 1970.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_in_old_and_new_forms() {
        for (text, second) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706),
            ("21 Nov 97 09:55:06 GMT", 880_106_106),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706),
            ("Thu,\r\n 13\r\n  Feb 1969 23:32 -0330", -27_723_480),
            ("Mon Feb 28 10:00:00 2000", 951_732_000),
            ("Mon Feb 28 10:00:00 PST 2000", 951_760_800),
            ("28 February 2000 10:00:00 -08:00 (PST)", 951_760_800),
            ("Mon, 28 Feb 2000 10:00:00 nonsense", 951_732_000),
        ] {
            let read = date(text.as_bytes());
            assert_eq!(read.unwrap_or(0), second, "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "32 Jan 2000 10:00:00 +0000",
            "30 Feb 2000 10:00 +0000",
            "1 Jan 2000 25:00 +0000",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(second in -2_000_000_000i64..10_000_000_000, minutes in -720i32..=840) {
            let text = format_date(second, minutes * 60);
            prop_assert_eq!(date_and_zone(text.as_bytes()), Some((second, minutes * 60)), "{}", text);
        }

        #[test]
        fn no_value_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            date(&value);
        }
    }
}
