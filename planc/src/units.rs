//! Quantities with their unit: durations, rates, shares, sizes, fixed-point numbers.
//!
//! A bare number is not a quantity (house rule 7). Parsing gives a [`UnitError`] that names the
//! likely unit, so that the caller can turn it into a diagnostic with a help that can be pasted.
//! Everything here is exact integer arithmetic; nothing reads a clock.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// An event rate: `count` events every `per`. `167/s` is `{ count: 167, per: 1s }`.
///
/// Fractions are folded into `per`: `0.5/s` is `{ count: 5, per: 10s }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// Events per period. May be 0 (a ramp that starts from nothing).
    pub count: u64,
    /// The period; never zero.
    pub per: Duration,
}

impl Rate {
    /// Events per second as a real number, for arithmetic that ends in a display or an integer.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.per.as_secs_f64()
    }
}

/// A share of a whole in parts per million, 0 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartsPerMillion(pub u32);

impl PartsPerMillion {
    /// The share as a real number between 0 and 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

/// A decimal number in millionths, so that bounds need no float: `12.5` is `Fixed(12_500_000)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fixed(pub i64);

impl Fixed {
    /// The number as a float, for comparison with measured values.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }
}

/// Why a text is not the quantity that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong, rustc style: lower case, no full stop.
    pub message: String,
    /// What to write instead, when that can be told.
    pub suggestion: Option<String>,
}

impl UnitError {
    fn new(message: impl Into<String>, suggestion: Option<String>) -> Self {
        UnitError { message: message.into(), suggestion }
    }
}

/// Splits `12.5ms` into (`12.5`, `ms`); underscores inside the number are dropped.
fn split_number(text: &str) -> (String, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    (text[..end].replace('_', ""), &text[end..])
}

/// Parses a decimal into millionths; at most six decimals, no sign, no exponent.
fn parse_millionths(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty())
        || fraction.len() > 6
        || !whole.chars().all(|c| c.is_ascii_digit())
        || !fraction.chars().all(|c| c.is_ascii_digit())
        || whole.len() > 18
    {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut millionths = whole * 1_000_000;
    if !fraction.is_empty() {
        let scale = 10u128.pow(6 - fraction.len() as u32);
        millionths += fraction.parse::<u128>().ok()? * scale;
    }
    Some(millionths)
}

/// For messages.
const UNITS_OF_TIME: &str = "the units are `ms`, `s`, `m` and `h`";

fn unknown_unit(unit: &str) -> String {
    format!("unknown unit of time `{unit}`: {UNITS_OF_TIME}")
}

/// Parses `500ms`, `30s`, `5m`, `1h30m`, `1.5s`, `2d`, `250us`. Zero is `0s`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::new("an empty text is not a duration", Some("30s".into())));
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let Some(millionths) = parse_millionths(&number) else {
            return Err(UnitError::new(format!("`{text}` is not a duration"), Some("30s".into())));
        };
        let scale: u128 = match unit {
            _ if unit.starts_with(' ') => {
                let unit = unit.trim();
                let message = format!("a duration is one word, such as `30s`; {UNITS_OF_TIME}");
                let short = match unit {
                    "ns" | "us" | "µs" | "ms" | "s" | "m" | "h" | "d" => Some(unit),
                    "sec" | "secs" | "second" | "seconds" => Some("s"),
                    "min" | "mins" | "minute" | "minutes" => Some("m"),
                    "hour" | "hours" => Some("h"),
                    "day" | "days" => Some("d"),
                    _ => return Err(UnitError::new(unknown_unit(unit), None)),
                };
                return Err(UnitError::new(message, short.map(|short| format!("{number}{short}"))));
            }
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" => {
                return Err(UnitError::new("a duration needs a unit", Some(format!("{text}s"))));
            }
            "sec" | "secs" | "second" | "seconds" => {
                return Err(UnitError::new(
                    format!("unknown unit of time `{unit}`"),
                    Some(format!("{number}s")),
                ));
            }
            "min" | "mins" | "minute" | "minutes" => {
                return Err(UnitError::new(
                    format!("unknown unit of time `{unit}`"),
                    Some(format!("{number}m")),
                ));
            }
            _ => {
                return Err(UnitError::new(unknown_unit(unit), None));
            }
        };
        nanos += millionths * scale / 1_000_000;
        rest = next;
    }
    // A year is longer than any run and keeps later arithmetic far from overflow.
    if nanos > 366 * 86_400_000_000_000 {
        return Err(UnitError::new(format!("`{text}` is longer than a year"), None));
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// Parses `167/s`, `5/m`, `0.5/s`, `10/100ms`, `1_000/s`.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let text = text.trim();
    let Some((count, per)) = text.split_once('/') else {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shown = if digits.is_empty() { "50" } else { digits };
        return Err(UnitError::new("a rate needs a unit", Some(format!("{shown}/s"))));
    };
    let bad = || UnitError::new(format!("`{text}` is not a rate"), Some("50/s".into()));
    let mut millionths = parse_millionths(&count.trim().replace('_', "")).ok_or_else(bad)?;
    let per = per.trim();
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) {
        parse_duration(per)?
    } else {
        let unit = match per {
            "sec" | "second" => "s",
            "min" | "minute" => "m",
            "hour" => "h",
            other => other,
        };
        parse_duration(&format!("1{unit}")).map_err(|_| {
            UnitError::new(format!("unknown unit of time `{per}`"), Some(format!("{}/s", count.trim())))
        })?
    };
    if per.is_zero() {
        return Err(bad());
    }
    let mut scale: u128 = 1_000_000;
    while scale > 1 && millionths.is_multiple_of(10) {
        millionths /= 10;
        scale /= 10;
    }
    let per_nanos = per.as_nanos() * scale;
    if millionths > u64::MAX as u128 || per_nanos > u64::MAX as u128 {
        return Err(bad());
    }
    Ok(Rate { count: millionths as u64, per: Duration::from_nanos(per_nanos as u64) })
}

/// Parses `0.1%` or `0.001` into parts per million; the whole is 100% or 1.
pub fn parse_share(text: &str) -> Result<PartsPerMillion, UnitError> {
    let text = text.trim();
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), true),
        None => (text, false),
    };
    let Some(millionths) = parse_millionths(&number.replace('_', "")) else {
        return Err(UnitError::new(format!("`{text}` is not a share"), Some("0.1%".into())));
    };
    let ppm = if percent { millionths / 100 } else { millionths };
    if ppm > 1_000_000 {
        let suggestion = (!percent).then(|| format!("{number}%"));
        return Err(UnitError::new(format!("a share is at most 100%, not `{text}`"), suggestion));
    }
    Ok(PartsPerMillion(ppm as u32))
}

/// Parses `1MiB`, `64KiB`, `10MB`, `512B` into bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let (number, unit) = split_number(text);
    let Some(millionths) = parse_millionths(&number) else {
        return Err(UnitError::new(format!("`{text}` is not a size"), Some("1MiB".into())));
    };
    let scale: u128 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err(UnitError::new("a size needs a unit", Some(format!("{text}B")))),
        other => return Err(UnitError::new(format!("unknown unit of size `{other}`"), None)),
    };
    u64::try_from(millionths * scale / 1_000_000)
        .map_err(|_| UnitError::new(format!("`{text}` is too large"), None))
}

/// Parses a signed decimal with at most six decimals; `_` may separate digits.
pub fn parse_fixed(text: &str) -> Result<Fixed, UnitError> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let millionths = parse_millionths(&digits.replace('_', ""))
        .and_then(|m| i64::try_from(m).ok())
        .ok_or_else(|| UnitError::new(format!("`{text}` is not a number"), None))?;
    Ok(Fixed(if negative { -millionths } else { millionths }))
}

/// Parses a whole number; `_` may separate digits, as in `10_000`.
pub fn parse_integer(text: &str) -> Result<i64, UnitError> {
    let cleaned = text.trim().replace('_', "");
    // Some read it as octal, some as decimal.
    let digits = cleaned.trim_start_matches(['-', '+']);
    if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit()) {
        let plain = digits.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        let message = format!("`{}` starts with a 0 that says nothing", text.trim());
        return Err(UnitError::new(message, Some(plain.to_string())));
    }
    cleaned.parse().map_err(|_| UnitError::new(format!("`{}` is not a whole number", text.trim()), None))
}

/// Writes a duration the way a plan does: `1h30m`, `45s`, `1.5s`, `250ms`, `12µs`.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    let decimal = |value: u128, scale: u128, unit: &str| {
        let whole = value / scale;
        let fraction = format!("{:0width$}", value % scale, width = scale.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{whole}{unit}") } else { format!("{whole}.{fraction}{unit}") }
    };
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return decimal(nanos, 1_000, "µs");
    }
    if nanos < 1_000_000_000 {
        return decimal(nanos, 1_000_000, "ms");
    }
    if nanos < 60_000_000_000 || !nanos.is_multiple_of(1_000_000_000) {
        return decimal(nanos, 1_000_000_000, "s");
    }
    let seconds = nanos / 1_000_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = String::new();
    for (value, unit) in [(h, "h"), (m, "m"), (s, "s")] {
        if value > 0 {
            out.push_str(&format!("{value}{unit}"));
        }
    }
    out
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = show_duration(self.per);
        match text.as_str() {
            "1s" => write!(f, "{}/s", self.count),
            "1m" => write!(f, "{}/m", self.count),
            "1h" => write!(f, "{}/h", self.count),
            _ => write!(f, "{}/{text}", self.count),
        }
    }
}

impl fmt::Display for PartsPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", trim_decimal(i64::from(self.0) * 100))
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&trim_decimal(self.0))
    }
}

/// Millionths as the shortest decimal.
fn trim_decimal(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let value = millionths.unsigned_abs();
    let fraction = format!("{:06}", value % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let whole = value / 1_000_000;
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `50100` as `50,100`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,200 rows`.
pub fn count(n: impl TryInto<u64>, noun: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = |m| Ok(Duration::from_millis(m));
        assert_eq!(parse_duration("500ms"), ms(500));
        assert_eq!(parse_duration("1h30m"), ms(5_400_000));
        assert_eq!(parse_duration("1.5s"), ms(1_500));
        assert_eq!(parse_duration("30").unwrap_err().suggestion.as_deref(), Some("30s"));
        assert_eq!(parse_duration("5min").unwrap_err().suggestion.as_deref(), Some("5m"));
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("99999999999999999999h").is_err());
        for text in ["1h30m", "45s", "1.5s", "250ms", "12µs", "0s", "5m"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("167/s"), Ok(Rate { count: 167, per: Duration::from_secs(1) }));
        assert_eq!(parse_rate("0.5/s"), Ok(Rate { count: 5, per: Duration::from_secs(10) }));
        assert_eq!(parse_rate("10/100ms"), Ok(Rate { count: 10, per: Duration::from_millis(100) }));
        assert_eq!(parse_rate("50").unwrap_err().suggestion.as_deref(), Some("50/s"));
        assert_eq!(parse_rate("1_000/s").unwrap().to_string(), "1000/s");
        assert!(parse_rate("5/0s").is_err());
    }

    #[test]
    fn shares_sizes_numbers() {
        assert_eq!(parse_share("0.1%"), Ok(PartsPerMillion(1_000)));
        assert_eq!(parse_share("0.001"), Ok(PartsPerMillion(1_000)));
        assert_eq!(parse_share("5").unwrap_err().suggestion.as_deref(), Some("5%"));
        assert_eq!(PartsPerMillion(1_000).to_string(), "0.1%");
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert!(parse_size("1").is_err());
        assert_eq!(parse_fixed("-12.5"), Ok(Fixed(-12_500_000)));
        assert_eq!(Fixed(-12_500_000).to_string(), "-12.5");
        assert_eq!(parse_integer("10_000"), Ok(10_000));
    }
}
