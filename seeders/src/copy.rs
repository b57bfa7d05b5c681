//! From a generated value to the bytes of a Postgres type, in COPY's binary and text formats.
//!
//! A value that is not one of the type is an error with the reason; the caller adds fixture, column and row.

use crate::generators::{Cell, days_from_civil, hex, rfc3339};
use crate::names::array_element;
use planc::graph::Json;
use serde::de::IgnoredAny;
use std::net::IpAddr;

/// What a column's type is to the encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale, when limited.
    Numeric(Option<(i32, i32)>),
    /// Most characters, when limited.
    Text(Option<usize>),
    Uuid,
    Date,
    Timestamp,
    Timestamptz,
    Json,
    Jsonb,
    Bytea,
    Inet,
    Cidr,
    /// Its labels.
    Enum(Vec<String>),
    /// Element kind and its type's oid.
    Array(Box<Kind>, u32),
    /// Known to the server alone: goes as text through the type's own input function.
    Other,
}

impl Kind {
    /// Whether values can go in binary.
    pub(crate) fn is_binary(&self) -> bool {
        match self {
            Kind::Other => false,
            Kind::Array(element, _) => element.is_binary(),
            _ => true,
        }
    }

    /// Whether the server has a hash function for every value.
    pub(crate) fn is_hashed(&self) -> bool {
        match self {
            Kind::Other | Kind::Json => false,
            Kind::Array(element, _) => element.is_hashed(),
            _ => true,
        }
    }
}

/// COPY BINARY's header: signature, flags, extension length.
pub(crate) const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// COPY BINARY's trailer.
pub(crate) const BINARY_TRAILER: &[u8] = b"\xff\xff";

/// Microseconds from 1970 to 2000, Postgres' own epoch.
const EPOCH: i64 = 946_684_800_000_000;

/// Appends one field in binary: length and bytes, or -1 for null.
pub(crate) fn binary(kind: &Kind, cell: &Cell, out: &mut Vec<u8>) -> Result<(), String> {
    if matches!(cell, Cell::Json(Json::Null)) {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let done = bytes(kind, cell, out);
    if done.is_err() {
        out.truncate(start);
        return done;
    }
    let length = i32::try_from(out.len() - start - 4).map_err(|_| "the value is too large".to_string())?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn bytes(kind: &Kind, cell: &Cell, out: &mut Vec<u8>) -> Result<(), String> {
    match kind {
        Kind::Bool => out.push(u8::from(boolean(cell)?)),
        Kind::Int2 => out.extend_from_slice(&narrow::<i16>(cell, "smallint")?.to_be_bytes()),
        Kind::Int4 => out.extend_from_slice(&narrow::<i32>(cell, "integer")?.to_be_bytes()),
        Kind::Int8 => out.extend_from_slice(&narrow::<i64>(cell, "bigint")?.to_be_bytes()),
        Kind::Float4 => out.extend_from_slice(&(float(cell)? as f32).to_be_bytes()),
        Kind::Float8 => out.extend_from_slice(&float(cell)?.to_be_bytes()),
        Kind::Numeric(limit) => numeric(&decimal_text(cell)?, *limit, out)?,
        Kind::Text(limit) => {
            let start = out.len();
            text_bytes(cell, out)?;
            check_text(&out[start..], *limit)?;
        }
        Kind::Enum(labels) => out.extend_from_slice(label(cell, labels)?.as_bytes()),
        Kind::Uuid => out.extend_from_slice(&uuid(cell)?.to_be_bytes()),
        Kind::Date => {
            let days = micros(cell)?.div_euclid(86_400_000_000) - 10_957;
            out.extend_from_slice(&(days as i32).to_be_bytes());
        }
        Kind::Timestamp | Kind::Timestamptz => {
            out.extend_from_slice(&(micros(cell)? - EPOCH).to_be_bytes());
        }
        Kind::Json => json_bytes(cell, out)?,
        Kind::Jsonb => {
            out.push(1);
            json_bytes(cell, out)?;
        }
        Kind::Bytea => out.extend_from_slice(&hex_bytes(cell)?),
        Kind::Inet => network(cell, false, out)?,
        Kind::Cidr => network(cell, true, out)?,
        Kind::Array(element, oid) => array(element, *oid, cell, out)?,
        Kind::Other => return Err("this type has no binary form here".into()),
    }
    Ok(())
}

/// How a value is named in a message: its type and itself, cut short.
pub(crate) fn shown(cell: &Cell) -> String {
    let (what, text) = match cell {
        Cell::Json(Json::Null) => return "null".into(),
        Cell::Json(Json::Bool(b)) => ("the boolean", b.to_string()),
        Cell::Json(Json::Number(n)) => ("the number", n.to_string()),
        Cell::Json(Json::String(s)) => ("the text", s.clone()),
        Cell::Json(list @ Json::Array(_)) => ("the list", list.to_string()),
        Cell::Json(map) => ("the object", map.to_string()),
        Cell::Micros(m) => ("the time", rfc3339(*m)),
        Cell::Fixed(_) => ("the number", plain(cell)),
        Cell::Uuid(_) => ("the UUID", plain(cell)),
        Cell::Digest(_) => ("the hash", plain(cell)),
    };
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{what} `{cut}{dots}`")
}

fn wrong<T>(cell: &Cell, wanted: &str) -> Result<T, String> {
    Err(format!("{} is not {wanted}", shown(cell)))
}

fn boolean(cell: &Cell) -> Result<bool, String> {
    match cell {
        Cell::Json(Json::Bool(value)) => Ok(*value),
        Cell::Json(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Cell::Json(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => wrong(cell, "a boolean"),
    }
}

fn narrow<T: TryFrom<i64>>(cell: &Cell, name: &str) -> Result<T, String> {
    let value = match cell {
        Cell::Json(Json::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15).map(|f| f as i64)),
        Cell::Json(Json::String(text)) => text.parse::<i64>().ok(),
        Cell::Fixed(millionths) if millionths % 1_000_000 == 0 => Some(millionths / 1_000_000),
        _ => None,
    };
    let Some(value) = value else {
        return wrong(cell, "a whole number");
    };
    T::try_from(value).map_err(|_| format!("{} does not fit {name}", shown(cell)))
}

fn float(cell: &Cell) -> Result<f64, String> {
    let value = match cell {
        Cell::Json(Json::Number(number)) => number.as_f64(),
        Cell::Json(Json::String(text)) => text.parse::<f64>().ok(),
        Cell::Fixed(millionths) => Some(*millionths as f64 / 1_000_000.0),
        _ => None,
    };
    value.map_or_else(|| wrong(cell, "a number"), Ok)
}

/// A plain decimal: sign, digits, point, digits.
fn decimal_text(cell: &Cell) -> Result<String, String> {
    let text = match cell {
        Cell::Fixed(_) => plain(cell),
        Cell::Json(Json::Number(number)) if number.is_f64() => format!("{}", number.as_f64().unwrap_or(0.0)),
        Cell::Json(Json::Number(number)) => number.to_string(),
        Cell::Json(Json::String(text)) => text.trim().to_string(),
        _ => return wrong(cell, "a number"),
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let dots = digits.bytes().filter(|b| *b == b'.').count();
    let others = digits.bytes().any(|b| b != b'.' && !b.is_ascii_digit());
    if dots > 1 || others || digits.len() == dots || digits.len() > 1_000 {
        return wrong(cell, "a plain decimal number");
    }
    Ok(text)
}

fn numeric(text: &str, limit: Option<(i32, i32)>, out: &mut Vec<u8>) -> Result<(), String> {
    let negative = text.starts_with('-');
    let digits = text.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    if let Some((precision, scale)) = limit {
        let places = (precision - scale).max(0) as usize;
        if whole.len() > places {
            return Err(format!("the number `{text}` does not fit numeric({precision},{scale})"));
        }
    }
    let scale = fraction.len();
    let padded_whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded_fraction = format!("{fraction}{}", "0".repeat((4 - scale % 4) % 4));
    let group = |chunk: &[u8]| chunk.iter().fold(0i16, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    let mut groups: Vec<i16> = padded_whole.as_bytes().chunks(4).map(group).collect();
    let mut weight = groups.len() as i16 - 1;
    groups.extend(padded_fraction.as_bytes().chunks(4).map(group));
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let sign: u16 = if negative && !groups.is_empty() { 0x4000 } else { 0 };
    out.extend_from_slice(&(groups.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(scale as i16).to_be_bytes());
    groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    Ok(())
}

fn text_bytes(cell: &Cell, out: &mut Vec<u8>) -> Result<(), String> {
    match cell {
        Cell::Json(Json::String(text)) => out.extend_from_slice(text.as_bytes()),
        Cell::Json(Json::Array(_) | Json::Object(_)) => return wrong(cell, "text"),
        other => out.extend_from_slice(plain(other).as_bytes()),
    }
    Ok(())
}

fn check_text(bytes: &[u8], limit: Option<usize>) -> Result<(), String> {
    if bytes.contains(&0) {
        return Err("text in Postgres cannot hold a NUL character".into());
    }
    let Some(limit) = limit.filter(|limit| bytes.len() > *limit) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(bytes);
    let count = text.chars().count();
    if count > limit {
        let cut: String = text.chars().take(60).collect();
        return Err(format!("the text `{cut}` is {count} characters long; the column holds {limit}"));
    }
    Ok(())
}

fn label<'a>(cell: &'a Cell, labels: &[String]) -> Result<&'a str, String> {
    let Cell::Json(Json::String(text)) = cell else {
        return wrong(cell, "a value of the enum");
    };
    if labels.contains(text) {
        return Ok(text);
    }
    let meant = crate::names::did_you_mean(text, labels.iter().map(String::as_str));
    let hint = match meant {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => format!("; it has {}", labels.iter().take(12).cloned().collect::<Vec<_>>().join(", ")),
    };
    Err(format!("`{text}` is not a value of the enum{hint}"))
}

fn uuid(cell: &Cell) -> Result<u128, String> {
    match cell {
        Cell::Uuid(bits) => Ok(*bits),
        Cell::Json(Json::String(text)) => {
            uuid::Uuid::parse_str(text).map(|id| id.as_u128()).or_else(|_| wrong(cell, "a UUID"))
        }
        _ => wrong(cell, "a UUID"),
    }
}

fn micros(cell: &Cell) -> Result<i64, String> {
    match cell {
        Cell::Micros(micros) => Ok(*micros),
        Cell::Json(Json::String(text)) => parse_time(text).map_or_else(|| wrong(cell, "a time"), Ok),
        _ => wrong(cell, "a time"),
    }
}

/// RFC 3339, or a date and time without offset (taken as UTC), or a date.
fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_microsecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() <= 10
    {
        let days = days_from_civil(date.year().into(), date.month().into(), date.day().into());
        return Some(days * 86_400_000_000);
    }
    let time = text.parse::<jiff::civil::DateTime>().ok()?;
    let days = days_from_civil(time.year().into(), time.month().into(), time.day().into());
    let seconds = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some((days * 86_400 + seconds) * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1_000)
}

/// JSON as text. A text that looks like an object or a list must be one; any other text is a JSON string.
fn json_bytes(cell: &Cell, out: &mut Vec<u8>) -> Result<(), String> {
    let written = match cell {
        Cell::Json(Json::String(text)) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str::<IgnoredAny>(text)
                .map_err(|e| format!("{} is not JSON: {e}", shown(cell)))?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        Cell::Json(value) => serde_json::to_writer(out, value),
        other => serde_json::to_writer(out, &other.to_json()),
    };
    written.map_err(|error| error.to_string())
}

fn hex_bytes(cell: &Cell) -> Result<Vec<u8>, String> {
    if let Cell::Digest(bytes) = cell {
        return Ok(bytes.to_vec());
    }
    let Cell::Json(Json::String(text)) = cell else {
        return wrong(cell, "bytes (`\\x` and hexadecimal digits)");
    };
    let digits = text.strip_prefix("\\x").map(str::as_bytes).filter(|digits| digits.len() % 2 == 0);
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .and_then(|digits| digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>())
        .map_or_else(|| wrong(cell, "bytes (`\\x` and hexadecimal digits)"), Ok)
}

fn network(cell: &Cell, cidr: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let wanted = if cidr { "a network such as `10.0.0.0/8`" } else { "an IP address" };
    let Cell::Json(Json::String(text)) = cell else {
        return wrong(cell, wanted);
    };
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok())),
        None => (text.as_str(), None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return wrong(cell, wanted);
    };
    let (family, octets) = match address {
        IpAddr::V4(v4) => (2u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (3u8, v6.octets().to_vec()),
    };
    let most = (octets.len() * 8) as u8;
    let bits = match bits {
        None => most,
        Some(Some(bits)) if bits <= most => bits,
        Some(_) => return wrong(cell, wanted),
    };
    let host_bits =
        (usize::from(bits)..octets.len() * 8).any(|bit| octets[bit / 8] & (0x80 >> (bit % 8)) != 0);
    if cidr && host_bits {
        return Err(format!("{} has bits set to the right of its mask", shown(cell)));
    }
    out.extend_from_slice(&[family, bits, u8::from(cidr), octets.len() as u8]);
    out.extend_from_slice(&octets);
    Ok(())
}

fn array(element: &Kind, oid: u32, cell: &Cell, out: &mut Vec<u8>) -> Result<(), String> {
    let Cell::Json(Json::Array(items)) = cell else {
        return Err(format!("{} is not a list", shown(cell)));
    };
    let nulls = items.iter().any(Json::is_null);
    out.extend_from_slice(&i32::from(!items.is_empty()).to_be_bytes());
    out.extend_from_slice(&i32::from(nulls).to_be_bytes());
    out.extend_from_slice(&oid.to_be_bytes());
    if items.is_empty() {
        return Ok(());
    }
    let count = i32::try_from(items.len()).map_err(|_| "the list is too long".to_string())?;
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    for item in items {
        match (element, item) {
            (Kind::Text(limit), Json::String(text)) => {
                check_text(text.as_bytes(), *limit)?;
                let length = i32::try_from(text.len()).map_err(|_| "the value is too large".to_string())?;
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            _ => binary(element, &Cell::Json(item.clone()), out)?,
        }
    }
    Ok(())
}

/// A scalar as the text that Postgres' input function of its type understands.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Json(Json::String(text)) => text.clone(),
        Cell::Json(other) => other.to_string(),
        Cell::Micros(micros) => rfc3339(*micros),
        Cell::Uuid(bits) => uuid::Uuid::from_u128(*bits).to_string(),
        Cell::Digest(bytes) => hex(bytes),
        Cell::Fixed(millionths) => {
            let sign = if *millionths < 0 { "-" } else { "" };
            let value = millionths.unsigned_abs();
            match value % 1_000_000 {
                0 => format!("{sign}{}", value / 1_000_000),
                rest => {
                    let fraction = format!("{rest:06}");
                    format!("{sign}{}.{}", value / 1_000_000, fraction.trim_end_matches('0'))
                }
            }
        }
    }
}

/// The value in Postgres' text form, `None` for null. Lists are array literals for array types and JSON for others.
pub(crate) fn text(kind: &Kind, cell: &Cell) -> Option<String> {
    match (kind, cell) {
        (_, Cell::Json(Json::Null)) => None,
        (Kind::Json | Kind::Jsonb, _) => {
            let mut bytes = Vec::new();
            let text = json_bytes(cell, &mut bytes).ok().and_then(|()| String::from_utf8(bytes).ok());
            Some(text.unwrap_or_else(|| plain(cell)))
        }
        (Kind::Array(element, _), Cell::Json(Json::Array(items))) => {
            let mut out = String::from("{");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                array_element(&mut out, text(element, &Cell::Json(item.clone())).as_deref());
            }
            out.push('}');
            Some(out)
        }
        (Kind::Bytea, Cell::Digest(bytes)) => Some(format!("\\x{}", hex(bytes))),
        _ => Some(plain(cell)),
    }
}

/// Appends one field of COPY's text format (without delimiter).
pub(crate) fn copy_text(kind: &Kind, cell: &Cell, out: &mut Vec<u8>) {
    let Some(text) = text(kind, cell) else {
        out.extend_from_slice(b"\\N");
        return;
    };
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encode(kind: Kind, value: Json) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        binary(&kind, &Cell::Json(value), &mut out).map(|()| out)
    }

    fn field(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok([&(bytes.len() as i32).to_be_bytes()[..], bytes].concat())
    }

    #[test]
    fn known_bytes() {
        assert_eq!(encode(Kind::Int4, json!(null)), Ok(vec![255; 4]));
        assert_eq!(encode(Kind::Bool, json!(true)), field(&[1]));
        assert_eq!(encode(Kind::Int2, json!(-2)), field(&[255, 254]));
        assert_eq!(encode(Kind::Int4, json!("17")), field(&[0, 0, 0, 17]));
        assert_eq!(encode(Kind::Int8, json!(258)), field(&[0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(encode(Kind::Float8, json!(1)), field(&[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(encode(Kind::Text(Some(2)), json!("äö")), field("äö".as_bytes()));
        assert_eq!(encode(Kind::Date, json!("2000-01-02")), field(&[0, 0, 0, 1]));
        let second = field(&1_000_000i64.to_be_bytes());
        assert_eq!(encode(Kind::Timestamptz, json!("2000-01-01T01:00:01+01:00")), second);
        assert_eq!(encode(Kind::Timestamp, json!("2000-01-01 00:00:01")), second);
        assert_eq!(encode(Kind::Jsonb, json!({"a": 1})), field(b"\x01{\"a\":1}"));
        assert_eq!(encode(Kind::Json, json!("x")), field(b"\"x\""));
        assert_eq!(encode(Kind::Bytea, json!("\\x00fF")), field(&[0, 255]));
        assert_eq!(encode(Kind::Inet, json!("10.1.2.3")), field(&[2, 32, 0, 4, 10, 1, 2, 3]));
        assert_eq!(encode(Kind::Cidr, json!("10.0.0.0/8")), field(&[2, 8, 1, 4, 10, 0, 0, 0]));
    }

    #[test]
    fn numerics() {
        let numeric = |groups: &[i16], weight: i16, sign: u16, scale: i16| {
            let mut out = Vec::new();
            out.extend_from_slice(&(groups.len() as i16).to_be_bytes());
            out.extend_from_slice(&weight.to_be_bytes());
            out.extend_from_slice(&sign.to_be_bytes());
            out.extend_from_slice(&scale.to_be_bytes());
            groups.iter().for_each(|g| out.extend_from_slice(&g.to_be_bytes()));
            field(&out)
        };
        let encode = |text: &str| encode(Kind::Numeric(None), json!(text));
        assert_eq!(encode("0"), numeric(&[], 0, 0, 0));
        assert_eq!(encode("12345.678"), numeric(&[1, 2345, 6780], 1, 0, 3));
        assert_eq!(encode("-0.0001"), numeric(&[1], -1, 0x4000, 4));
        assert_eq!(encode("10000"), numeric(&[1], 1, 0, 0));
        assert_eq!(encode("0.00001"), numeric(&[1000], -2, 0, 5));
        assert!(encode("1e5").is_err() && encode(".").is_err() && encode("").is_err());
    }

    #[test]
    fn arrays() {
        let bytes = encode(Kind::Array(Box::new(Kind::Int4), 23), json!([7, null])).unwrap();
        let expected = [
            &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1][..],
            &[0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255][..],
        ]
        .concat();
        assert_eq!(Ok(bytes), field(&expected));
        let empty = encode(Kind::Array(Box::new(Kind::Text(None)), 25), json!([]));
        assert_eq!(empty, field(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]));
        let kind = Kind::Array(Box::new(Kind::Text(None)), 25);
        assert_eq!(text(&kind, &Cell::Json(json!(["a,b", null]))).as_deref(), Some("{\"a,b\",NULL}"));
    }

    #[test]
    fn mistakes_name_the_value() {
        for (kind, value, words) in [
            (Kind::Int4, json!("seven"), "the text `seven` is not a whole number"),
            (Kind::Int2, json!(70_000), "the number `70000` does not fit smallint"),
            (Kind::Int4, json!(1.5), "the number `1.5` is not a whole number"),
            (Kind::Bool, json!("yes"), "the text `yes` is not a boolean"),
            (Kind::Uuid, json!("x"), "the text `x` is not a UUID"),
            (Kind::Text(Some(2)), json!("abc"), "the text `abc` is 3 characters long; the column holds 2"),
            (Kind::Text(None), json!(["a"]), "the list `[\"a\"]` is not text"),
            (Kind::Timestamptz, json!("soon"), "the text `soon` is not a time"),
            (Kind::Numeric(Some((4, 2))), json!(100), "the number `100` does not fit numeric(4,2)"),
            (Kind::Cidr, json!("10.0.0.1/8"), "the text `10.0.0.1/8` has bits set to the right of its mask"),
            (
                Kind::Enum(vec!["Online".into()]),
                json!("online"),
                "`online` is not a value of the enum; did you mean `Online`?",
            ),
        ] {
            assert_eq!(encode(kind, value), Err(words.to_string()));
        }
    }

    #[test]
    fn text_format() {
        let mut out = Vec::new();
        copy_text(&Kind::Text(None), &Cell::Json(json!("a\tb\\c\nd")), &mut out);
        copy_text(&Kind::Other, &Cell::NULL, &mut out);
        assert_eq!(out, b"a\\tb\\\\c\\nd\\N");
        assert_eq!(text(&Kind::Numeric(None), &Cell::Fixed(-1_500_000)).as_deref(), Some("-1.5"));
    }
}
