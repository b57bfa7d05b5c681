//! Conditions on values, and the checks that a fixture makes in its own transaction.

use crate::error::{ErrorKind, SeedError};
use crate::generators::{civil_from_days, rfc3339};
use crate::rows::OuterScope;
use crate::stage::TextParam;
use planc::eval;
use planc::expr::{Scope, Segment, Template};
use planc::graph::{Check, Expectation, Expected, Json, JsonTemplate, JsonType, Matcher, Probe};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Row};

/// Whether a value (`None`: it is not there) satisfies a condition. The error says that the condition itself has no
/// meaning (an unknown name, a bad pattern).
pub fn matches(matcher: &Matcher, value: Option<&Json>, scope: &dyn Scope) -> Result<bool, String> {
    let wanted = |template: &JsonTemplate| eval::json(template, scope).map_err(|e| e.0);
    let Some(value) = value else {
        return Ok(matches!(matcher, Matcher::Absent));
    };
    let ordered = |template: &JsonTemplate, holds: fn(std::cmp::Ordering) -> bool| {
        Ok::<bool, String>(compare(value, &wanted(template)?).is_some_and(holds))
    };
    Ok(match matcher {
        Matcher::Equals(template) => equal(value, &wanted(template)?),
        Matcher::Present => true,
        Matcher::Absent => false,
        Matcher::Matches(pattern) => {
            let regex =
                regex::Regex::new(pattern).map_err(|e| format!("`{pattern}` is not a pattern: {e}"))?;
            regex.is_match(&eval::to_text(value))
        }
        Matcher::Contains(template) => contains(value, &wanted(template)?),
        Matcher::ContainsAll(template) => match wanted(template)? {
            Json::Array(all) => all.iter().all(|one| contains(value, one)),
            one => contains(value, &one),
        },
        Matcher::Gt(template) => ordered(template, std::cmp::Ordering::is_gt)?,
        Matcher::Ge(template) => ordered(template, std::cmp::Ordering::is_ge)?,
        Matcher::Lt(template) => ordered(template, std::cmp::Ordering::is_lt)?,
        Matcher::Le(template) => ordered(template, std::cmp::Ordering::is_le)?,
        Matcher::OneOf(templates) => {
            for template in templates {
                if equal(value, &wanted(template)?) {
                    return Ok(true);
                }
            }
            false
        }
        Matcher::Type(wanted) => has_type(value, *wanted),
        Matcher::Length(inner) => {
            let length = match value {
                Json::String(text) => text.chars().count(),
                Json::Array(list) => list.len(),
                Json::Object(map) => map.len(),
                _ => return Ok(false),
            };
            matches(inner, Some(&Json::from(length)), scope)?
        }
        Matcher::All(all) => {
            for one in all {
                if !matches(one, Some(value), scope)? {
                    return Ok(false);
                }
            }
            true
        }
    })
}

/// Equality; numbers by value. A text and a number are equal when the text is that number: templates give text.
fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(_), Json::Number(_) | Json::String(_)) | (Json::String(_), Json::Number(_)) => {
            compare(left, right).is_some_and(std::cmp::Ordering::is_eq)
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        _ => left == right,
    }
}

fn compare(left: &Json, right: &Json) -> Option<std::cmp::Ordering> {
    if let (Json::String(a), Json::String(b)) = (left, right) {
        return Some(a.cmp(b));
    }
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        return Some(a.cmp(&b));
    }
    let number = |value: &Json| match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number(left)?.partial_cmp(&number(right)?)
}

fn contains(value: &Json, wanted: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(&eval::to_text(wanted)),
        Json::Array(list) => list.iter().any(|item| equal(item, wanted)),
        Json::Object(map) => wanted.as_str().is_some_and(|key| map.contains_key(key)),
        _ => false,
    }
}

fn has_type(value: &Json, wanted: JsonType) -> bool {
    match wanted {
        JsonType::Null => value.is_null(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => value.is_i64() || value.is_u64(),
        JsonType::String => value.is_string(),
        JsonType::Array => value.is_array(),
        JsonType::Object => value.is_object(),
    }
}

/// Runs a fixture's checks; the error lists all that do not hold.
pub(crate) async fn verify(
    client: &Client,
    checks: &[Check],
    scope: &OuterScope<'_>,
) -> Result<(), SeedError> {
    let mut failures = Vec::new();
    let mut fixes = Vec::new();
    for check in checks {
        let Probe::Sql { statement } = &check.probe else {
            failures.push(format!("check `{}` is not an SQL statement", check.name));
            continue;
        };
        let (sql, bound) = bind(statement, scope)
            .map_err(|e| SeedError::new(ErrorKind::Verify, format!("check `{}`: {e}", check.name)))?;
        let params: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
        let rows = client.query(&sql, &params).await.map_err(|error| {
            let inner = SeedError::from(error);
            SeedError::new(
                ErrorKind::Verify,
                format!("check `{}` cannot be made: {}", check.name, inner.message),
            )
        })?;
        let before = failures.len();
        for expectation in &check.expect {
            if let Some(failure) = judge(expectation, &rows, scope) {
                failures.push(format!("check `{}`: {failure}", check.name));
            }
        }
        if failures.len() > before {
            fixes.extend(check.fix.clone());
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("after seeding, {}; everything was rolled back", failures.join("; "));
    let error = SeedError::new(ErrorKind::Verify, message);
    Err(if fixes.is_empty() { error } else { error.help(fixes.join("; ")) })
}

/// The statement with its slots as `$1` …, and their values.
fn bind(statement: &Template, scope: &dyn Scope) -> Result<(String, Vec<TextParam>), String> {
    let mut sql = String::new();
    let mut params = Vec::new();
    for segment in &statement.segments {
        match segment {
            Segment::Literal(text) => sql.push_str(text),
            Segment::Slot(expr) => {
                let value = eval::eval(expr, scope).map_err(|e| e.0)?;
                params.push(TextParam((!value.is_null()).then(|| eval::to_text(&value))));
                sql.push_str(&format!("${}", params.len()));
            }
        }
    }
    Ok((sql, params))
}

/// Why an expectation does not hold, if so.
fn judge(expectation: &Expectation, rows: &[Row], scope: &dyn Scope) -> Option<String> {
    let (seen, matcher) = match &expectation.what {
        Expected::Rows(matcher) => (Ok(Some(Json::from(rows.len()))), matcher),
        Expected::Value(matcher) => (rows.first().map(first_value).transpose(), matcher),
        _ => return Some(format!("`{}` is not a question for SQL", expectation.name)),
    };
    let held = seen.and_then(|seen| matches(matcher, seen.as_ref(), scope).map(|holds| (holds, seen)));
    match held {
        Ok((true, _)) => None,
        Ok((false, Some(seen))) => Some(format!("{}, but it is {seen}", wanted(expectation, matcher, scope))),
        Ok((false, None)) => Some(format!("{}, but there is no row", wanted(expectation, matcher, scope))),
        Err(error) => Some(error),
    }
}

fn wanted(expectation: &Expectation, matcher: &Matcher, scope: &dyn Scope) -> String {
    match matcher {
        Matcher::Equals(template) => {
            let value = eval::json(template, scope).map(|value| value.to_string()).unwrap_or_default();
            format!("`{}` should be {value}", expectation.name)
        }
        _ => format!("`{}` should hold", expectation.name),
    }
}

/// The first column of a row as JSON: numbers, booleans, null and JSON as themselves, the rest as text.
pub fn first_value(row: &Row) -> Result<Json, String> {
    let Some(column) = row.columns().first() else {
        return Ok(Json::Null);
    };
    let Raw(bytes) = row.try_get::<_, Raw<'_>>(0).map_err(|e| e.to_string())?;
    match bytes {
        None => Ok(Json::Null),
        Some(bytes) => decode(column.type_(), bytes)
            .ok_or_else(|| format!("a value of type `{}` cannot be read: cast it to text", column.type_())),
    }
}

struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Option<Json> {
    let epoch = 946_684_800_000_000;
    Some(match *ty {
        Type::BOOL => Json::from(raw.first() == Some(&1)),
        Type::INT2 => Json::from(i16::from_be_bytes(raw.try_into().ok()?)),
        Type::INT4 => Json::from(i32::from_be_bytes(raw.try_into().ok()?)),
        Type::INT8 => Json::from(i64::from_be_bytes(raw.try_into().ok()?)),
        Type::OID => Json::from(u32::from_be_bytes(raw.try_into().ok()?)),
        Type::FLOAT4 => Json::from(f32::from_be_bytes(raw.try_into().ok()?)),
        Type::FLOAT8 => Json::from(f64::from_be_bytes(raw.try_into().ok()?)),
        Type::NUMERIC => number(raw)?,
        Type::JSON => serde_json::from_slice(raw).ok()?,
        Type::JSONB => serde_json::from_slice(raw.get(1..)?).ok()?,
        Type::UUID => Json::from(uuid::Uuid::from_slice(raw).ok()?.to_string()),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            Json::from(rfc3339(i64::from_be_bytes(raw.try_into().ok()?).checked_add(epoch)?))
        }
        Type::DATE => {
            let days = i64::from(i32::from_be_bytes(raw.try_into().ok()?)) + 10_957;
            let (year, month, day) = civil_from_days(days);
            Json::from(format!("{year:04}-{month:02}-{day:02}"))
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR => text(raw)?,
        _ => match ty.kind() {
            tokio_postgres::types::Kind::Enum(_) => text(raw)?,
            tokio_postgres::types::Kind::Domain(base) => decode(base, raw)?,
            _ if ty.name() == "citext" => text(raw)?,
            _ => return None,
        },
    })
}

fn text(raw: &[u8]) -> Option<Json> {
    std::str::from_utf8(raw).ok().map(Json::from)
}

/// A numeric: a whole number where it is one and fits, else a float.
fn number(raw: &[u8]) -> Option<Json> {
    let short = |at: usize| Some(i16::from_be_bytes(raw.get(at..at + 2)?.try_into().ok()?));
    let (count, weight, sign) = (short(0)?, i32::from(short(2)?), short(4)? as u16);
    if sign & 0xc000 == 0xc000 {
        return Some(Json::from(if sign == 0xc000 { "NaN" } else { "Infinity" }));
    }
    let mut whole: Option<i128> = Some(0);
    let mut float = 0f64;
    let mut fraction = false;
    for at in 0..i32::from(count) {
        let digit = short(8 + 2 * at as usize)?;
        let power = weight - at;
        float += f64::from(digit) * 10f64.powi(4 * power);
        fraction |= power < 0 && digit != 0;
        if power >= 0 {
            let scaled = 10_000i128.checked_pow(power as u32).and_then(|p| p.checked_mul(i128::from(digit)));
            whole = whole.zip(scaled).and_then(|(a, b)| a.checked_add(b));
        }
    }
    let factor = if sign == 0x4000 { -1 } else { 1 };
    match whole.and_then(|whole| i64::try_from(whole * factor).ok()) {
        Some(whole) if !fraction => Some(Json::from(whole)),
        _ => Some(Json::from(float * factor as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Nothing;
    impl Scope for Nothing {
        fn get(&self, _: &[String]) -> Option<Json> {
            None
        }
        fn random(&self) -> u64 {
            0
        }
        fn now_micros(&self) -> i64 {
            0
        }
    }

    #[test]
    fn matchers() {
        let c = JsonTemplate::Const;
        for (matcher, value, holds) in [
            (Matcher::Equals(c(json!(5))), Some(json!(5.0)), true),
            (Matcher::Equals(c(json!("5"))), Some(json!(5)), true),
            (Matcher::Equals(c(json!("x"))), Some(json!("y")), false),
            (Matcher::Gt(c(json!(4))), Some(json!(5)), true),
            (Matcher::Le(c(json!(4))), Some(json!(5)), false),
            (Matcher::Lt(c(json!("b"))), Some(json!("a")), true),
            (Matcher::Ge(c(json!(1))), Some(json!(null)), false),
            (Matcher::Present, Some(json!(null)), true),
            (Matcher::Present, None, false),
            (Matcher::Absent, None, true),
            (Matcher::OneOf(vec![c(json!(1)), c(json!(2))]), Some(json!(2)), true),
            (Matcher::Contains(c(json!("b"))), Some(json!("abc")), true),
            (Matcher::ContainsAll(c(json!(["a", "b"]))), Some(json!(["a"])), false),
            (Matcher::Matches("^a+$".into()), Some(json!("aaa")), true),
            (Matcher::Type(JsonType::Integer), Some(json!(1.5)), false),
            (Matcher::Length(Box::new(Matcher::Equals(c(json!(2))))), Some(json!("äö")), true),
            (Matcher::All(vec![Matcher::Gt(c(json!(1))), Matcher::Lt(c(json!(3)))]), Some(json!(2)), true),
        ] {
            assert_eq!(matches(&matcher, value.as_ref(), &Nothing), Ok(holds), "{matcher:?} on {value:?}");
        }
    }
}
