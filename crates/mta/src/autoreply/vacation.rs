//! `mailAutoReplyMode`, `vacationStartDate` and `vacationEndDate`: whether an account answers by itself now.

use directory::Entry as Account;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

/// How an account answers (X4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once to each sender in a period, between two dates.
    Vacation,
    /// To every message.
    Reply,
    /// To every message, with the message.
    Echo,
}

impl Mode {
    /// The mode of an account, if it has one. A word that is no mode is none.
    pub fn of(account: &Account) -> Option<Mode> {
        match account.attributes.get("mailautoreplymode")?.first()?.trim().to_ascii_lowercase().as_str() {
            "vacation" => Some(Mode::Vacation),
            "reply" => Some(Mode::Reply),
            "echo" => Some(Mode::Echo),
            _ => None,
        }
    }

    /// As the directory writes it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Vacation => "vacation",
            Mode::Reply => "reply",
            Mode::Echo => "echo",
        }
    }
}

/// Whether the account answers at this second.
pub fn is_answering(account: &Account, now: i64) -> bool {
    match Mode::of(account) {
        None => false,
        Some(Mode::Vacation) => {
            let (begin, end) = window(account);
            begin.is_none_or(|begin| begin <= now) && end.is_none_or(|end| now < end)
        }
        Some(Mode::Reply | Mode::Echo) => true,
    }
}

/// The first second of the vacation and the first one behind it. A date that cannot be read is none.
pub fn window(account: &Account) -> (Option<i64>, Option<i64>) {
    let date = |name: &str| account.attributes.get(name)?.first().map(|value| generalized_time(value));
    let begin = date("vacationstartdate").flatten().map(|(second, _)| second);
    // A day without a time is meant as a whole.
    let end = date("vacationenddate").flatten().map(|(second, unit)| second.saturating_add(unit));
    (begin, end)
}

/// Generalized time (RFC 4517 §3.3.13), `YYYYMMDD` without a time as well; without a zone it is this host's. The second,
/// and how many seconds it stands for: a day, which a change of the clock makes longer or shorter, or none.
fn generalized_time(text: &str) -> Option<(i64, i64)> {
    generalized_time_at(text, TimeZone::system)
}

fn generalized_time_at(text: &str, here: impl Fn() -> TimeZone) -> Option<(i64, i64)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |from: usize, length: usize| text.get(from..from + length)?.parse::<i8>().ok();
    let date = Date::new(text.get(..4)?.parse().ok()?, number(4, 2)?, number(6, 2)?).ok()?;
    let two_or_none = |from: usize| if digits >= from + 2 { number(from, 2) } else { Some(0) };
    if ![8, 10, 12, 14].contains(&digits) {
        return None;
    }
    let (hour, minute, second) = (two_or_none(8)?, two_or_none(10)?, two_or_none(12)?);
    let time = Time::new(hour, minute, second.min(59), 0).ok()?;
    let mut zone = &text[digits..];
    if let Some(fraction) = zone.strip_prefix(['.', ',']) {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = if zone.is_empty() { here() } else { zone_of(zone)? };
    let second_of = |date: Date| Some(zone.to_timestamp(date.to_datetime(time)).ok()?.as_second());
    let second = second_of(date)?;
    let next_day = if digits == 8 { date.tomorrow().ok().and_then(second_of) } else { None };
    Some((second, next_day.map_or(0, |next| next.saturating_sub(second))))
}

fn zone_of(text: &str) -> Option<TimeZone> {
    if text == "Z" || text == "z" {
        return Some(TimeZone::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let part = |from: usize| digits.get(from..from + 2).map(str::parse::<i32>);
    let hours = part(0)?.ok()?;
    let minutes = if digits.len() == 4 { part(2)?.ok()? } else { 0 };
    let legal = (digits.len() == 2 || digits.len() == 4) && hours < 24 && minutes < 60;
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    legal.then(|| TimeZone::fixed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::tests::account;
    use proptest::prelude::*;

    #[test]
    fn a_vacation_lasts_from_its_first_second_to_the_end_of_its_last_day() {
        let dated = |from: &str, to: &str| {
            account(&[
                ("mailautoreplymode", "Vacation"),
                ("vacationstartdate", from),
                ("vacationenddate", to),
            ])
        };
        let zulu = dated("20260228100000Z", "20260301120000+0200");
        let begin = 1_772_272_800;
        for (second, answers) in
            [(begin - 1, false), (begin, true), (begin + 86_399, true), (begin + 86_400, false)]
        {
            assert_eq!(is_answering(&zulu, second), answers, "{second}");
        }
        let day = generalized_time("20260228").unwrap();
        assert_eq!(window(&dated("20260228", "20260228")), (Some(day.0), Some(day.0 + 86_400)));
        assert!(is_answering(&dated("soon", "20260230"), 0), "a date that is none does not end the vacation");
    }

    /// In Berlin the last Sunday of March has 23 hours, and that of October 25.
    #[test]
    fn a_day_on_which_the_clock_changes_is_meant_as_a_whole() {
        let berlin = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (day, hours) in [("20270328", 23), ("20261025", 25), ("20280229", 24), ("20261231", 24)] {
            assert_eq!(generalized_time_at(day, berlin).unwrap().1, hours * 3600, "{day}");
        }
        assert_eq!(generalized_time_at("20261025Z", berlin).unwrap().1, 24 * 3600);
        assert_eq!(generalized_time_at("202610251200", berlin).unwrap().1, 0);
    }

    #[test]
    fn the_other_modes_have_no_dates() {
        let echo = account(&[("mailautoreplymode", "echo"), ("vacationenddate", "20000101000000Z")]);
        assert!(is_answering(&echo, 1_772_272_800));
        assert!(!is_answering(&account(&[("mailautoreplymode", "off")]), 0));
        assert!(!is_answering(&account(&[]), 0));
    }

    #[test]
    fn times_are_read_in_every_legal_form() {
        for (text, second) in [
            ("20260228100000Z", Some(1_772_272_800)),
            ("202602281000Z", Some(1_772_272_800)),
            ("2026022810Z", Some(1_772_272_800)),
            ("20260228100000.5Z", Some(1_772_272_800)),
            ("20260228020000-0800", Some(1_772_272_800)),
            ("2026022811+01", Some(1_772_272_800)),
            ("20260230100000Z", None),
            ("2026022810000Z", None),
            ("20260228250000Z", None),
            ("20260228100000Q", None),
            ("20260228100000+9", None),
            ("", None),
        ] {
            assert_eq!(generalized_time(text).map(|(second, _)| second), second, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,30}|[0-9]{8,16}[-+.Z0-9]{0,6}") {
            let _ = generalized_time(&text);
        }
    }
}
