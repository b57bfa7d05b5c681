//! One look at a metric, again and again.

use super::{Ground, exposition};
use crate::client::{self, Web};
use crate::database;
use crate::expect::shorten;
use crate::load::Scraped;
use crate::values::Values;
use planc::graph::{Json, LabelOp, Request, Scrape, ScrapeFrom, Take, Template};
use planc::units::show_duration;
use serde_json_path::JsonPath;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Instant;

/// So much of what went wrong is kept.
const TOLD: usize = 200;
/// Beyond this a number is none that a gauge can hold in thousandths.
const MOST: f64 = 9e15;

/// Where a scrape looks.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) web: Option<Web>,
    pub(super) base: Option<String>,
    pub(super) database: Option<String>,
    pub(super) values: Values,
}

/// How one metric is read from what one look gives.
pub(super) struct Reading {
    metric: String,
    read: Result<Read, String>,
    take: Take,
}

enum Read {
    Series(exposition::Selector),
    Path(JsonPath),
    Value,
}

impl Place {
    pub(super) fn of(ground: &Ground) -> Place {
        Place {
            web: ground.web.clone(),
            base: ground.base.clone(),
            database: ground.database.clone(),
            values: ground.values.clone(),
        }
    }
}

/// Metrics that are read from the same answer at the same time are asked for once.
pub(super) fn grouped(scrapes: &BTreeMap<String, Scrape>) -> Vec<(Scrape, Vec<Reading>)> {
    let mut out: Vec<(Scrape, Vec<Reading>)> = Vec::new();
    for (metric, scrape) in scrapes {
        let same = |known: &Scrape| {
            asked(&known.from).is_some()
                && asked(&known.from) == asked(&scrape.from)
                && (known.every, known.within) == (scrape.every, scrape.within)
        };
        let reading = reading(metric, scrape);
        match out.iter_mut().find(|(known, _)| same(known)) {
            Some((_, readings)) => readings.push(reading),
            None => out.push((scrape.clone(), vec![reading])),
        }
    }
    out
}

fn asked(from: &ScrapeFrom) -> Option<&Request> {
    match from {
        ScrapeFrom::Prometheus { request, .. } | ScrapeFrom::Json { request, .. } => Some(request),
        ScrapeFrom::Sql { .. } => None,
    }
}

fn reading(metric: &str, scrape: &Scrape) -> Reading {
    let (read, take) = match &scrape.from {
        ScrapeFrom::Prometheus { series, take, .. } => {
            (exposition::Selector::new(series).map(Read::Series), *take)
        }
        ScrapeFrom::Json { path, take, .. } => (
            JsonPath::parse(path).map(Read::Path).map_err(|why| format!("`{path}` is not a JSONPath: {why}")),
            *take,
        ),
        ScrapeFrom::Sql { .. } => (Ok(Read::Value), Take::Sum),
    };
    Reading { metric: metric.to_owned(), read, take }
}

/// Scrapes until nobody listens any more. A scrape that is late is not made up for.
pub(super) async fn repeat(scrape: Scrape, readings: Vec<Reading>, place: Place, to: mpsc::Sender<Scraped>) {
    let mut clock = tokio::time::interval(scrape.every);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        clock.tick().await;
        let looked = tokio::time::timeout(scrape.within, look(&scrape, &place)).await;
        let seen =
            looked.unwrap_or_else(|_| Err(format!("no answer within {}", show_duration(scrape.within))));
        let at = Instant::now();
        for reading in &readings {
            let value = seen.as_ref().map_err(Clone::clone).and_then(|seen| reading.of(seen));
            let value = value.map_err(|why| shorten(&why, TOLD));
            if to.send(Scraped { metric: reading.metric.clone(), at, value }).is_err() {
                return;
            }
        }
    }
}

/// What one look gave.
enum Seen {
    Body(Vec<u8>),
    Value(Option<Json>),
}

async fn look(scrape: &Scrape, place: &Place) -> Result<Seen, String> {
    match &scrape.from {
        ScrapeFrom::Prometheus { request, .. } | ScrapeFrom::Json { request, .. } => {
            ask(request, scrape, place).await.map(Seen::Body)
        }
        ScrapeFrom::Sql { statement } => query(statement, scrape, place).await.map(Seen::Value),
    }
}

async fn ask(request: &Request, scrape: &Scrape, place: &Place) -> Result<Vec<u8>, String> {
    let web = place.web.as_ref().ok_or("the plan has no `target` to ask")?;
    let mut filled = client::fill(request, place.base.as_deref(), &place.values)?;
    filled.timeout = filled.timeout.or(Some(scrape.within));
    let reply = web.send(&filled).await.map_err(|error| error.to_string())?;
    match reply.status {
        200..300 => Ok(reply.body),
        status => Err(format!("status {status}")),
    }
}

async fn query(statement: &Template, scrape: &Scrape, place: &Place) -> Result<Option<Json>, String> {
    let url = place.database.as_deref().ok_or("the plan has no `database` to ask")?;
    let answer = database::query_within(url, statement, &place.values, scrape.within).await?;
    Ok(answer.value)
}

impl Reading {
    /// The value in thousandths.
    fn of(&self, seen: &Seen) -> Result<i64, String> {
        let numbers = match (self.read.as_ref().map_err(Clone::clone)?, seen) {
            (Read::Series(selector), Seen::Body(body)) => {
                let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
                selector.read(text)?
            }
            (Read::Path(path), Seen::Body(body)) => {
                let json: Json =
                    serde_json::from_slice(body).map_err(|why| format!("the answer is not JSON: {why}"))?;
                let found = path.query(&json).all();
                found.into_iter().map(number).collect::<Result<_, _>>()?
            }
            (Read::Value, Seen::Value(Some(value))) => vec![number(value)?],
            (_, Seen::Value(_)) => return Err("the statement gave no row".into()),
            (Read::Value, Seen::Body(_)) => return Err("no statement was asked".into()),
        };
        let value = self.take.of(&numbers).ok_or("nothing in the answer matches")?;
        match value.is_finite() && value.abs() < MOST / 1e3 {
            true => Ok((value * 1e3).round() as i64),
            false => Err(format!("{value} is no number that a gauge can hold")),
        }
    }
}

/// A number, or a text that is one.
fn number(value: &Json) -> Result<f64, String> {
    let number = match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Bool(flag) => Some(if *flag { 1.0 } else { 0.0 }),
        _ => None,
    };
    number.ok_or_else(|| format!("{} is not a number", shorten(&value.to_string(), 60)))
}

/// Whether a label's text is as a condition wants it.
pub(super) fn holds(op: LabelOp, pattern: Option<&regex::Regex>, wanted: &str, text: &str) -> bool {
    match (op, pattern) {
        (LabelOp::Is, _) => text == wanted,
        (LabelOp::IsNot, _) => text != wanted,
        (LabelOp::Matches, Some(pattern)) => pattern.is_match(text),
        (LabelOp::MatchesNot, Some(pattern)) => !pattern.is_match(text),
        (LabelOp::Matches | LabelOp::MatchesNot, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn scrape(from: ScrapeFrom) -> Scrape {
        Scrape { from, every: Duration::from_secs(1), within: Duration::from_secs(1) }
    }

    fn read_json(path: &str, take: Take, body: &str) -> Result<i64, String> {
        let request = crate::testing::request("/pool");
        let scrape = scrape(ScrapeFrom::Json { request, path: path.into(), take });
        reading("m", &scrape).of(&Seen::Body(body.as_bytes().to_vec()))
    }

    #[test]
    fn a_number_of_an_answer_in_json() {
        let body =
            r#"{"waiting": 7, "size": "2.5", "queues": [{"n": 1}, {"n": 4}], "name": "x", "on": true}"#;
        for (path, take, want) in [
            ("$.waiting", Take::Sum, Ok(7_000)),
            ("$.size", Take::Sum, Ok(2_500)),
            ("$.on", Take::Sum, Ok(1_000)),
            ("$.queues[*].n", Take::Sum, Ok(5_000)),
            ("$.queues[*].n", Take::Max, Ok(4_000)),
            ("$.queues[*].n", Take::Avg, Ok(2_500)),
            ("$.absent", Take::Sum, Err("nothing in the answer matches")),
            ("$.name", Take::Sum, Err("\"x\" is not a number")),
        ] {
            assert_eq!(read_json(path, take, body), want.map_err(str::to_owned), "{path}");
        }
        assert!(read_json("$.a", Take::Sum, "<html>").expect_err("no JSON").contains("not JSON"));
    }

    #[test]
    fn one_answer_serves_all_that_read_it() {
        let request = || crate::testing::request("/metrics");
        let json =
            |path: &str| scrape(ScrapeFrom::Json { request: request(), path: path.into(), take: Take::Sum });
        let sql = || scrape(ScrapeFrom::Sql { statement: Template::literal("select 1") });
        let scrapes = BTreeMap::from([
            ("a".to_owned(), json("$.a")),
            ("b".to_owned(), json("$.b")),
            ("c".to_owned(), Scrape { every: Duration::from_secs(9), ..json("$.c") }),
            ("d".to_owned(), sql()),
            ("e".to_owned(), sql()),
        ]);
        let groups = grouped(&scrapes);
        let names: Vec<Vec<&str>> = groups
            .iter()
            .map(|(_, all)| all.iter().map(|reading| reading.metric.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"]]);
    }
}
