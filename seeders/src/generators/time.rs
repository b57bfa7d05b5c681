//! Generators relative to the base time, and the few lines of calendar that rows need.

use super::{Cell, Context, How, Text};
use crate::hash;
use crate::rows::RowScope;
use planc::expr::Template;
use planc::units::parse_duration;
use std::time::Duration;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn parse(text: &str) -> Result<i64, String> {
    parse_duration(text).map(micros).map_err(|e| match e.suggestion {
        Some(suggestion) => format!("{} (such as `{suggestion}`)", e.message),
        None => e.message,
    })
}

pub(super) fn offset(template: &Template, past: bool, context: &Context<'_>) -> Result<How, String> {
    match template.as_literal() {
        Some(text) => {
            let offset = parse(text)?;
            Ok(How::FixedOffset(if past { -offset } else { offset }))
        }
        None => Ok(How::Offset(Text::new(template, context), past)),
    }
}

pub(super) fn within(from: Duration, to: Duration, past: bool) -> Result<How, String> {
    let (from, to) = (micros(from), micros(to));
    if from >= to {
        return Err("the range of times is empty".into());
    }
    Ok(How::Within(from, (to - from) as u128, past))
}

pub(super) fn rendered(text: &Text, past: bool, base: i64, scope: &RowScope<'_>) -> Result<Cell, String> {
    let mut offset = String::new();
    text.render(scope, &mut offset)?;
    let offset = parse(&offset)?;
    moved(base, if past { -offset } else { offset })
}

pub(super) fn drawn(base: i64, from: i64, span: u128, past: bool, draw: u64) -> Result<Cell, String> {
    let offset = from + hash::below(draw, span) as i64;
    moved(base, if past { -offset } else { offset })
}

pub(super) fn moved(base: i64, offset: i64) -> Result<Cell, String> {
    base.checked_add(offset).map(Cell::Micros).ok_or_else(|| "the time is out of range".to_string())
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339 in UTC with microseconds: `2026-11-21T13:10:27.000000Z`.
pub(crate) fn rfc3339(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar() {
        for (days, date) in
            [(0, (1970, 1, 1)), (10_957, (2000, 1, 1)), (11_016, (2000, 2, 29)), (-1, (1969, 12, 31))]
        {
            assert_eq!(civil_from_days(days), date);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
        }
        for days in (-200_000..200_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(rfc3339(1_795_266_627_000_042), "2026-11-21T13:10:27.000042Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
    }
}
