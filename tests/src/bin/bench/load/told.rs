//! What peers print when they are done.

use serde_json::Value;

/// What a contender told of its run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    /// Requests that got an answer.
    pub(super) requests: f64,
    /// Seconds that it took.
    pub(super) seconds: f64,
    /// Seconds that were asked for.
    pub(super) planned_seconds: f64,
    /// Requests without an answer, or with one that says no.
    pub(super) failed: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Actual minus intended start, of those who tell it.
    pub(super) lateness_p50_us: Option<f64>,
    pub(super) lateness_p99_us: Option<f64>,
    pub(super) lateness_max_us: Option<f64>,
    /// Requests beside the load (ours rehearses).
    pub(super) beside: f64,
    /// Why its figures may mean nothing, in its own words.
    pub(super) complaints: Vec<String>,
}

impl Told {
    /// Requests a second.
    pub(super) fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.requests / self.seconds } else { 0.0 }
    }
}

/// `wrk --latency`.
pub(super) fn wrk(said: &str) -> Result<Told, String> {
    // "  1234 requests in 10.00s, 1.23MB read"
    let line = said.lines().find(|line| line.contains(" requests in ")).ok_or("no `requests in`")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [requests, _, _, seconds, ..] = words[..] else { return Err(line.to_owned()) };
    // "  Socket errors: connect 0, read 3, write 0, timeout 2" and "  Non-2xx or 3xx responses: 7", where there are any.
    let errors = said.lines().find_map(|line| line.trim().strip_prefix("Socket errors:")).unwrap_or("");
    let errors: f64 = errors.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok()).sum();
    let refused = after(said, "Non-2xx or 3xx responses:").map_or(Ok(0.0), number)?;
    Ok(Told {
        requests: number(requests)?,
        seconds: number(seconds.trim_end_matches([',', 's']))?,
        failed: errors + refused,
        p50_ms: after(said, "50%").map(wrk_ms).transpose()?,
        p99_ms: after(said, "99%").map(wrk_ms).transpose()?,
        ..Told::default()
    })
}

/// `488.00us`, `1.02ms`, `1.50s`.
fn wrk_ms(text: &str) -> Result<f64, String> {
    let text = text.trim();
    for (unit, ms) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)] {
        if let Some(value) = text.strip_suffix(unit) {
            return Ok(number(value)? * ms);
        }
    }
    Err(format!("`{text}` has no unit"))
}

/// `oha --output-format json`.
pub(super) fn oha(said: &str) -> Result<Told, String> {
    let told: Value = serde_json::from_str(said).map_err(|e| e.to_string())?;
    let count = |of: &Value, wanted: fn(&str) -> bool| {
        let all = of.as_object().into_iter().flatten().filter(|(name, _)| wanted(name));
        all.filter_map(|(_, count)| count.as_f64()).sum::<f64>()
    };
    let statuses = &told["statusCodeDistribution"];
    let ms = |name: &str| told["latencyPercentiles"][name].as_f64().map(|seconds| seconds * 1e3);
    Ok(Told {
        requests: count(statuses, |_| true),
        seconds: told["summary"]["total"].as_f64().ok_or("no `summary.total`")?,
        failed: count(statuses, |status| !status.starts_with(['2', '3']))
            + count(&told["errorDistribution"], |error| error != "aborted due to deadline"),
        p50_ms: ms("p50"),
        p99_ms: ms("p99"),
        ..Told::default()
    })
}

/// hey's summary.
pub(super) fn hey(said: &str) -> Result<Told, String> {
    // "  [200]	59361 responses" and "  [3]	Get "http://…": EOF" under "Error distribution:".
    let bracketed = |part: &'static str| {
        let lines = said.split(part).nth(1).unwrap_or("").lines().skip(1);
        lines.map_while(|line| line.trim().strip_prefix('[')?.split_once(']'))
    };
    let (mut requests, mut failed) = (0.0, 0.0);
    for (status, rest) in bracketed("Status code distribution:") {
        let count = number(rest.trim().trim_end_matches(" responses"))?;
        requests += count;
        failed += if status.starts_with(['2', '3']) { 0.0 } else { count };
    }
    for (count, _) in bracketed("Error distribution:") {
        failed += number(count)?;
    }
    let ms = |name| after(said, name).map(|rest| number(rest.trim_end_matches("secs")).map(|s| s * 1e3));
    Ok(Told {
        requests,
        seconds: number(after(said, "Total:").ok_or("no `Total:`")?.trim_end_matches("secs"))?,
        failed,
        p50_ms: ms("50% in").transpose()?,
        p99_ms: ms("99% in").transpose()?,
        ..Told::default()
    })
}

/// ApacheBench's summary; its percentiles are whole milliseconds.
pub(super) fn ab(said: &str) -> Result<Told, String> {
    let first = |name: &str| -> Result<f64, String> {
        let rest = after(said, name).ok_or_else(|| format!("no `{name}`"))?;
        number(rest.split_whitespace().next().unwrap_or(""))
    };
    Ok(Told {
        requests: first("Complete requests:")?,
        seconds: first("Time taken for tests:")?,
        // The second line is there only where an answer said no.
        failed: first("Failed requests:")? + first("Non-2xx responses:").unwrap_or(0.0),
        p50_ms: first("50%").ok(),
        p99_ms: first("99%").ok(),
        ..Told::default()
    })
}

/// The last line of `k6.js`: k6's own metrics.
pub(super) fn k6(said: &str) -> Result<Told, String> {
    let line = said.lines().rev().find(|line| line.starts_with('{')).ok_or("no JSON")?;
    let told: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let value = |metric: &str, name: &str| told["metrics"][metric]["values"][name].as_f64();
    Ok(Told {
        requests: value("http_reqs", "count").ok_or("no `http_reqs`")?,
        seconds: told["state"]["testRunDurationMs"].as_f64().ok_or("no `testRunDurationMs`")? / 1e3,
        failed: value("http_req_failed", "passes").unwrap_or(0.0)
            + value("dropped_iterations", "count").unwrap_or(0.0),
        p50_ms: value("http_req_duration", "med"),
        p99_ms: value("http_req_duration", "p(99)"),
        ..Told::default()
    })
}

/// What [`super::bare`] prints.
pub(super) fn bare(said: &str) -> Result<Told, String> {
    let told: Value = serde_json::from_str(said).map_err(|e| e.to_string())?;
    let value = |name: &str| told[name].as_f64().ok_or_else(|| format!("no `{name}`"));
    Ok(Told {
        requests: value("requests")?,
        seconds: value("seconds")?,
        failed: value("failed")? + value("dropped")?,
        p50_ms: Some(value("p50_us")? / 1e3),
        p99_ms: Some(value("p99_us")? / 1e3),
        lateness_p50_us: Some(value("lateness_p50_us")?),
        lateness_p99_us: Some(value("lateness_p99_us")?),
        lateness_max_us: Some(value("lateness_max_us")?),
        ..Told::default()
    })
}

/// The rest of the first line that begins with `name`.
fn after<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    said.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim)
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests;
