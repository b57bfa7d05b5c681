//! What each function does. All randomness and the clock come from the scope.

use super::{Result, error, numbers, text};
use crate::expr::{Function, Scope};
use crate::graph::Json;

/// The most numbers that `range` gives.
const MAX_RANGE: i64 = 10_000;
/// The most names that a certificate is asked for.
const MAX_NAMES: usize = 100;
/// The longest text that `random.hex` and `random.alnum` give.
const MAX_RANDOM: u64 = 65_536;

pub(super) fn call(function: Function, args: &[Json], scope: &dyn Scope) -> Result<Json> {
    let argument = |at: usize| args.get(at).ok_or_else(|| error("a function without its argument"));
    match function {
        Function::Now => now(args.first(), scope.now_micros()),
        Function::RandomInt => {
            let (low, high) = (integer(argument(0)?)?, integer(argument(1)?)?);
            if low > high {
                return Err(error(format!("`random.int({low}, {high})`: the first is the larger")));
            }
            let span = (i128::from(high) - i128::from(low) + 1) as u128;
            numbers::from_whole(i128::from(low) + below(scope.random(), span) as i128)
        }
        Function::RandomFloat => {
            let bound =
                |value: &Json| numbers::float(value).ok_or_else(|| error("`random.float` needs two numbers"));
            let (low, high) = (bound(argument(0)?)?, bound(argument(1)?)?);
            let share = (scope.random() >> 11) as f64 / (1u64 << 53) as f64;
            numbers::finite(low + (high - low) * share)
                .ok_or_else(|| error("`random.float` over too wide a range"))
        }
        Function::RandomChoice => match argument(0)? {
            Json::Array(items) if !items.is_empty() => {
                Ok(items[below(scope.random(), items.len() as u128) as usize].clone())
            }
            _ => Err(error("`random.choice` needs a list that is not empty")),
        },
        Function::RandomHex => random_text(argument(0)?, b"0123456789abcdef", scope),
        Function::RandomAlnum => random_text(
            argument(0)?,
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            scope,
        ),
        Function::RandomUuid => Ok(Json::String(uuid(scope.random(), scope.random()))),
        Function::Range => {
            let (from, to) = match args {
                [to] => (0, integer(to)?),
                [from, to] => (integer(from)?, integer(to)?),
                _ => return Err(error("`range` takes one or two numbers")),
            };
            if to.saturating_sub(from) > MAX_RANGE {
                return Err(error("`range` gives at most 10,000 numbers"));
            }
            Ok(Json::Array((from..to).map(Json::from).collect()))
        }
        Function::Csr => {
            let names = dns_names(argument(0)?)?;
            let made = scope.csr(&names);
            made.map(Json::String).ok_or_else(|| error("`csr` is for the steps of a scenario"))
        }
    }
}

/// One name or several, as a certificate can carry them.
fn dns_names(value: &Json) -> Result<Vec<&str>> {
    let names: Option<Vec<&str>> = match value {
        Json::Array(items) => items.iter().map(Json::as_str).collect(),
        one => one.as_str().map(|name| vec![name]),
    };
    let names = names.filter(|names| !names.is_empty() && names.len() <= MAX_NAMES);
    let names = names.ok_or_else(|| error("`csr` takes a host name or a list of 1 to 100"))?;
    let fine =
        |name: &str| (1..=253).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    match names.iter().find(|name| !fine(name)) {
        Some(name) => Err(error(format!("`csr`: `{name}` is not a host name"))),
        None => Ok(names),
    }
}

fn now(format: Option<&Json>, micros: i64) -> Result<Json> {
    match format.and_then(Json::as_str) {
        Some("unix") => return Ok(micros.div_euclid(1_000_000).into()),
        Some("unix_ms") => return Ok(micros.div_euclid(1_000).into()),
        None if format.is_none() => {}
        _ => return Err(error("`now` takes nothing, \"unix\" or \"unix_ms\"")),
    }
    let time = jiff::Timestamp::from_microsecond(micros.div_euclid(1_000) * 1_000);
    let time = time.map_err(|_| error("a time beyond the calendar"))?;
    text(format!("{time:.3}"))
}

/// A number under `bound` from 64 random bits; `bound` is at most 2^64.
fn below(random: u64, bound: u128) -> u128 {
    // For the full range the bits are the number; the product would need 129 bits only beyond that.
    if bound > u128::from(u64::MAX) { u128::from(random) } else { (u128::from(random) * bound) >> 64 }
}

fn random_text(length: &Json, alphabet: &[u8], scope: &dyn Scope) -> Result<Json> {
    let length = length.as_u64().filter(|length| *length <= MAX_RANDOM);
    let length = length.ok_or_else(|| error("a random text has 0 to 65,536 characters"))?;
    let mut out = String::with_capacity(length as usize);
    // Ten digits of base 62 (or 16) fit in 64 bits.
    let base = alphabet.len() as u64;
    let (mut word, mut left) = (0, 0);
    for _ in 0..length {
        if left == 0 {
            (word, left) = (scope.random(), 10);
        }
        out.push(char::from(alphabet[(word % base) as usize]));
        word /= base;
        left -= 1;
    }
    text(out)
}

/// Version 4, variant 1 around 122 given bits.
fn uuid(high: u64, low: u64) -> String {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{high:016x}{low:016x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn integer(value: &Json) -> Result<i64> {
    value.as_i64().ok_or_else(|| error(format!("{} is not a whole number", super::to_text(value))))
}
