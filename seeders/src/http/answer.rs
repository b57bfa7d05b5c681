//! What an answer means.

use super::secrets::Told;
use super::send::{Deed, Task};
use super::{Answer, SendError};
use crate::hash;
use planc::graph::{Capture, CaptureFrom, HttpFixture, Json};
use std::time::Duration;

/// What became of one request.
pub(super) enum Outcome {
    /// An account was made, or its captured values anew.
    Made(Told),
    /// It was there already.
    Existed,
    /// The probe found it alive.
    Alive,
    /// The probe found it dead.
    Dead,
    /// Nothing was made; it is tried again.
    Again { after: Duration, hold: Hold },
    /// Nobody knows whether anything was made.
    Lost(String),
    /// Nothing was made, for good.
    Failed(String),
}

/// Who waits until a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// This row alone.
    Row,
    /// All requests, for as long as the service asked for.
    Asked,
    /// All requests: there were too many, and the service does not say for how long.
    Backoff,
}

/// Judges the answer to one request.
pub(super) fn judge(http: &HttpFixture, task: &Task, answer: Result<Answer, SendError>) -> Outcome {
    let left = task.attempt < http.retry.attempts;
    let answer = match answer {
        Ok(answer) => answer,
        // A request that never left, or that can be asked twice, is tried again.
        Err(SendError { unsent, .. })
            if left && (unsent || http.exists.is_some() || task.deed.is_probe()) =>
        {
            return Outcome::Again { after: backoff(task), hold: Hold::Row };
        }
        Err(SendError { message, unsent: true }) => return Outcome::Failed(message),
        Err(SendError { message, .. }) => return Outcome::Lost(message),
    };
    if http.retry.statuses.contains(&answer.status) && left {
        return match retry_after(&answer) {
            Some(after) => Outcome::Again { after, hold: Hold::Asked },
            None if answer.status == 429 => Outcome::Again { after: Duration::ZERO, hold: Hold::Backoff },
            None => Outcome::Again { after: backoff(task), hold: Hold::Row },
        };
    }
    let body = String::from_utf8_lossy(&answer.body);
    if let (Deed::Probe { .. }, Some(probe)) = (task.deed, &http.probe) {
        return match answer.status {
            status if probe.alive.iter().any(|pattern| pattern.matches(status)) => Outcome::Alive,
            400..=499 if !http.retry.statuses.contains(&answer.status) => Outcome::Dead,
            _ => Outcome::Failed(told(task, &answer, &body)),
        };
    }
    if let (Deed::Create, Some(exists)) = (task.deed, &http.exists)
        && exists.status.matches(answer.status)
        && exists.body_contains.as_ref().is_none_or(|text| body.contains(text.as_str()))
    {
        return Outcome::Existed;
    }
    if http.created.iter().any(|pattern| pattern.matches(answer.status)) {
        return match captured(&http.capture, &answer) {
            Ok(told) => Outcome::Made(told),
            Err(why) => Outcome::Lost(format!("it was made, and {why}")),
        };
    }
    match answer.status {
        // A gateway may answer so for a service that has done it all the same.
        500.. if !http.retry.statuses.contains(&answer.status) => Outcome::Lost(told(task, &answer, &body)),
        _ => Outcome::Failed(told(task, &answer, &body)),
    }
}

fn told(task: &Task, answer: &Answer, body: &str) -> String {
    let excerpt: String = body.chars().take(200).collect();
    let tries = if task.attempt > 1 { format!(" after {} attempts", task.attempt) } else { String::new() };
    let what = if task.deed.is_probe() { "the probe got " } else { "" };
    format!("{what}status {}{tries}: {}", answer.status, excerpt.trim())
}

/// 100 ms doubled with each attempt, at most 10 s, and up to a quarter more so that retries do not march in step.
pub(super) fn backoff(task: &Task) -> Duration {
    let base = 100u64.saturating_mul(1 << (task.attempt - 1).min(10)).min(10_000);
    let jitter =
        hash::below(hash::mix(task.n ^ (u64::from(task.attempt) << 48)), u128::from(base / 4 + 1)) as u64;
    Duration::from_millis(base + jitter)
}

/// `Retry-After` in seconds, or as a date relative to the answer's own `Date`; at most an hour.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get("retry-after")?.trim();
    let most = Duration::from_secs(3_600);
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(most));
    }
    let at = http_date(text)?;
    let now = answer.headers.get("date").and_then(|date| http_date(date))?;
    Some(Duration::from_secs(u64::try_from(at - now).unwrap_or(0)).min(most))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<i64> {
    let stamp = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok();
    stamp.map(|stamp| stamp.as_second())
}

/// What the service told of the account.
fn captured(captures: &[Capture], answer: &Answer) -> Result<Told, String> {
    let mut told = Told::new();
    for capture in captures {
        let value = find(&capture.from, answer)?.filter(|value| !is_empty(value));
        let value = value
            .ok_or_else(|| format!("the answer has nothing where `capture` looks for `{}`", capture.name))?;
        told.insert(capture.name.clone(), value);
    }
    Ok(told)
}

fn is_empty(value: &Json) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn find(from: &CaptureFrom, answer: &Answer) -> Result<Option<Json>, String> {
    let body = || String::from_utf8_lossy(&answer.body);
    Ok(match from {
        CaptureFrom::Json(path) => {
            let path = serde_json_path::JsonPath::parse(path)
                .map_err(|error| format!("`{path}` is not a JSONPath: {error}"))?;
            let body: Json = serde_json::from_slice(&answer.body).map_err(|_| "the answer is not JSON")?;
            path.query(&body).first().cloned()
        }
        CaptureFrom::Header(name) => answer.headers.get(name).map(|value| Json::from(value.as_str())),
        CaptureFrom::Cookie(name) => {
            let cookies = answer.headers.get("set-cookie").map_or("", String::as_str);
            let mut pairs = cookies.lines().filter_map(|line| line.split(';').next()?.split_once('='));
            pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| Json::from(value.trim()))
        }
        CaptureFrom::Regex(text) => {
            let regex = regex::Regex::new(text).map_err(|error| error.to_string())?;
            let body = body();
            let found = regex.captures(&body);
            found.and_then(|it| it.get(1).or(it.get(0))).map(|value| Json::from(value.as_str()))
        }
        CaptureFrom::Body => Some(Json::from(body())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Answer { status, headers, body: body.into() }
    }

    #[test]
    fn retry_after_in_both_forms() {
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(retry_after(&answer(429, &[("retry-after", "3")], "")), seconds(3));
        let dated =
            [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")];
        assert_eq!(retry_after(&answer(429, &dated, "")), seconds(10));
        assert_eq!(retry_after(&answer(429, &[("retry-after", "99999999")], "")), seconds(3_600));
        assert_eq!(retry_after(&answer(429, &[], "")), None);
    }

    #[test]
    fn values_are_captured_from_every_place() {
        let headers = [("x-key", "from a header"), ("set-cookie", "a=1; Path=/\nsession=s3ss; HttpOnly")];
        let answer = answer(201, &headers, r#"{"key":"from json","empty":""}"#);
        let one = |from| {
            let told = captured(&[Capture { name: "it".into(), from }], &answer);
            told.map(|mut told| told.remove("it").expect("captured"))
        };
        assert_eq!(one(CaptureFrom::Json("$.key".into())), Ok(json!("from json")));
        assert_eq!(one(CaptureFrom::Header("x-key".into())), Ok(json!("from a header")));
        assert_eq!(one(CaptureFrom::Cookie("session".into())), Ok(json!("s3ss")));
        assert_eq!(one(CaptureFrom::Regex("\"(from [a-z]+)\"".into())), Ok(json!("from json")));
        for path in ["$.empty", "$.none"] {
            let error = one(CaptureFrom::Json(path.into())).unwrap_err();
            assert_eq!(error, "the answer has nothing where `capture` looks for `it`");
        }
    }
}
