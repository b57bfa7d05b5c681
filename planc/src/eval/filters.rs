//! What each filter does.

use super::{MAX_TEXT, Result, equal, error, kind, numbers, text, to_text, too_long};
use crate::expr::Filter;
use crate::graph::Json;
use sha2::Digest;

pub(super) fn apply(filter: Filter, value: Json, args: &[Json]) -> Result<Json> {
    let argument = |at: usize| args.get(at).ok_or_else(|| error("a filter without its argument"));
    match filter {
        Filter::Pad => pad(&value, argument(0)?),
        Filter::Upper => text(to_text(&value).to_uppercase()),
        Filter::Lower => text(to_text(&value).to_lowercase()),
        Filter::Trim => text(to_text(&value).trim().to_string()),
        Filter::Int => int(&value),
        Filter::Float => float(&value),
        Filter::String => text(to_text(&value)),
        Filter::Round => round(&value, args.first()),
        Filter::Abs => abs(&value),
        Filter::Length => length(&value),
        Filter::First => edge(&value, true),
        Filter::Last => edge(&value, false),
        Filter::Join => join(&value, args.first()),
        Filter::Replace => replace(&to_text(&value), &to_text(argument(0)?), &to_text(argument(1)?)),
        Filter::Default => Ok(if equal(&value, &Json::Null) { argument(0)?.clone() } else { value }),
        Filter::Tojson => text(value.to_string()),
        Filter::Urlencode => text(urlencode(scalar(&value, "urlencode")?.as_bytes())),
        Filter::Sha256 => {
            let digest = sha2::Sha256::digest(to_text(&value).as_bytes());
            Ok(Json::String(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        Filter::Base64 => text(base64(to_text(&value).as_bytes())),
    }
}

/// Leading zeros; a minus stays in front of them.
fn pad(value: &Json, width: &Json) -> Result<Json> {
    let width = width.as_u64().and_then(|w| usize::try_from(w).ok()).filter(|w| *w <= MAX_TEXT);
    let width = width.ok_or_else(|| error("`pad` needs a width, such as `pad(5)`"))?;
    let written = scalar(value, "pad")?;
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", written.as_str()),
    };
    let zeros = width.saturating_sub(written.chars().count());
    text(format!("{sign}{}{digits}", "0".repeat(zeros)))
}

fn int(value: &Json) -> Result<Json> {
    match value {
        Json::String(s) => {
            let s = s.trim();
            if let Ok(whole) = s.parse::<i128>() {
                return numbers::from_whole(whole);
            }
            let number = s.parse::<f64>().ok().and_then(numbers::finite);
            int(&number.ok_or_else(|| error(format!("`{s}` is not a number")))?)
        }
        Json::Number(n) if n.is_f64() => {
            let float = n.as_f64().unwrap_or(0.0).trunc();
            // Within ±2^64 the conversion is exact; beyond it `from_whole` refuses.
            numbers::from_whole(float as i128)
        }
        Json::Number(_) => Ok(value.clone()),
        Json::Bool(b) => Ok(Json::from(i64::from(*b))),
        other => Err(error(format!("`int` needs a number or a text, not {}", kind(other)))),
    }
}

fn float(value: &Json) -> Result<Json> {
    let number = match value {
        Json::String(s) => s.trim().parse::<f64>().ok(),
        other => numbers::float(other),
    };
    number.and_then(numbers::finite).ok_or_else(|| error(format!("{} is not a number", describe(value))))
}

fn round(value: &Json, digits: Option<&Json>) -> Result<Json> {
    if matches!(value, Json::Number(n) if !n.is_f64()) {
        return Ok(value.clone());
    }
    let number =
        value.as_f64().ok_or_else(|| error(format!("`round` needs a number, not {}", kind(value))))?;
    let digits = match digits {
        None => 0,
        Some(digits) => digits
            .as_i64()
            .filter(|d| (0..=15).contains(d))
            .ok_or_else(|| error("`round` takes 0 to 15 digits"))?,
    };
    let scale = 10f64.powi(digits as i32);
    let rounded = (number * scale).round() / scale;
    Ok(numbers::finite(rounded).unwrap_or_else(|| value.clone()))
}

fn abs(value: &Json) -> Result<Json> {
    match value {
        Json::Number(n) if n.is_f64() => {
            numbers::finite(n.as_f64().unwrap_or(0.0).abs()).ok_or_else(|| error("not a finite number"))
        }
        Json::Number(_) => numbers::from_whole(numbers::whole(value).unwrap_or(0).abs()),
        other => Err(error(format!("`abs` needs a number, not {}", kind(other)))),
    }
}

fn length(value: &Json) -> Result<Json> {
    match value {
        Json::String(s) => Ok(s.chars().count().into()),
        Json::Array(a) => Ok(a.len().into()),
        Json::Object(o) => Ok(o.len().into()),
        other => Err(error(format!("{} has no length", kind(other)))),
    }
}

fn edge(value: &Json, first: bool) -> Result<Json> {
    let found = match value {
        Json::Array(items) => (if first { items.first() } else { items.last() }).cloned(),
        Json::String(s) => {
            let c = if first { s.chars().next() } else { s.chars().next_back() };
            c.map(|c| Json::String(c.to_string()))
        }
        other => return Err(error(format!("{} has no first or last element", kind(other)))),
    };
    found.ok_or_else(|| error(format!("{} is empty", kind(value))))
}

fn join(value: &Json, separator: Option<&Json>) -> Result<Json> {
    let Json::Array(items) = value else {
        return Err(error(format!("`join` needs a list, not {}", kind(value))));
    };
    let separator = separator.map(to_text).unwrap_or_default();
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(&separator);
        }
        out.push_str(&to_text(item));
        if out.len() > MAX_TEXT {
            return Err(too_long());
        }
    }
    text(out)
}

fn replace(value: &str, from: &str, to: &str) -> Result<Json> {
    let hits = value.matches(from).count();
    if hits.checked_mul(to.len()).is_none_or(|added| added > 2 * MAX_TEXT) {
        return Err(too_long());
    }
    text(value.replace(from, to))
}

/// Percent-encoding; RFC 3986's unreserved characters stay.
pub(crate) fn urlencode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let at = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[at as usize]) } else { '=' });
        }
    }
    out
}

/// A text, number or boolean as text.
fn scalar(value: &Json, filter: &str) -> Result<String> {
    match value {
        Json::String(_) | Json::Number(_) | Json::Bool(_) => Ok(to_text(value)),
        other => Err(error(format!("`{filter}` needs a text or a number, not {}", kind(other)))),
    }
}

fn describe(value: &Json) -> String {
    match value {
        Json::String(s) => format!("`{s}`"),
        other => kind(other).to_string(),
    }
}
