//! Rows as far as the plan alone tells them: for what must be known of them before there is a database.
//!
//! A value that hangs on a secret, on the run's own services or on what the database holds is not known here. What is
//! known is what the seeders make: a test of theirs holds the two against each other.

use crate::draw;
use crate::eval;
use crate::expr::{self, Template};
use crate::graph::{Fixture, Generator, Json, WeightedValue};
use crate::relation::Relation;
use crate::units::parse_duration;
use std::cell::Cell;
use std::collections::BTreeMap;

/// How deep columns and fixtures are followed through each other.
const MAX_HOPS: usize = 16;

/// The rows of one fixture.
#[derive(Debug)]
pub struct KnownRows<'a> {
    seed: u64,
    fixture: &'a Fixture,
    relation: Option<(Relation, Box<KnownRows<'a>>)>,
    /// Fixtures that its columns take from, by name.
    others: BTreeMap<&'a str, KnownRows<'a>>,
}

impl<'a> KnownRows<'a> {
    /// The rows of `fixture`; `all` are the fixtures that it may refer to.
    pub fn new(seed: u64, fixture: &'a Fixture, all: &'a [Fixture]) -> Self {
        Self::at(seed, fixture, &|name| all.iter().find(|other| other.name == name), 0)
    }

    /// The same, with fixtures looked up by name.
    pub fn of(seed: u64, fixture: &'a Fixture, find: &dyn Fn(&str) -> Option<&'a Fixture>) -> Self {
        Self::at(seed, fixture, find, 0)
    }

    fn at(seed: u64, fixture: &'a Fixture, find: &dyn Fn(&str) -> Option<&'a Fixture>, hops: usize) -> Self {
        let inner = |name: &str| {
            let other = find(name).filter(|_| hops < MAX_HOPS)?;
            Some(Self::at(seed, other, find, hops + 1))
        };
        let relation = fixture.children.as_ref().and_then(|children| {
            let parent = inner(&children.of)?;
            let relation = Relation::new(seed, &fixture.fixture, children, parent.fixture.rows)?;
            Some((relation, Box::new(parent)))
        });
        let mut others = BTreeMap::new();
        for column in fixture.columns().values() {
            if let Generator::Fixture { fixture: name, .. } = &column.generator
                && !others.contains_key(name.as_str())
            {
                others.extend(inner(name).map(|other| (name.as_str(), other)));
            }
        }
        KnownRows { seed, fixture, relation, others }
    }

    /// The value of a column in row `n` (from 1), a relative time as microseconds from the run's base time. `None` when
    /// the plan does not tell it.
    pub fn value(&self, n: u64, column: &str) -> Option<Json> {
        self.value_at(n, column, 0)
    }

    fn value_at(&self, n: u64, column: &str, hops: usize) -> Option<Json> {
        if hops > MAX_HOPS {
            return None;
        }
        let key = draw::column_key(self.seed, &self.fixture.fixture, column);
        let row =
            Row { rows: self, n, key, hops, drawn: Cell::new(draw::TEMPLATE_DRAWS), timed: Cell::new(false) };
        let below = |span: u128| draw::below(draw::draw(key, n, 0), span) as i128;
        let span = |from: i64, to: i64| (i128::from(to) - i128::from(from) + 1) as u128;
        Some(match &self.fixture.columns().get(column)?.generator {
            Generator::Value(value) | Generator::References { value, .. } => {
                eval::json(value, &row).ok().filter(|_| !row.timed.get())?
            }
            Generator::Weighted(branches) => weighted(branches, &below)?,
            Generator::Integer { from, to } => {
                Json::from((i128::from(*from) + below(span(*from, *to))) as i64)
            }
            Generator::Decimal { from, to } => {
                let millionths = (i128::from(from.0) + below(span(from.0, to.0))) as i64;
                match millionths % 1_000_000 {
                    0 => Json::from(millionths / 1_000_000),
                    _ => Json::from(millionths as f64 / 1_000_000.0),
                }
            }
            Generator::BeforeNow(offset) => Json::from(-row.offset(offset)?),
            Generator::AfterNow(offset) => Json::from(row.offset(offset)?),
            Generator::TimeWithin { from, to, past } => {
                let (from, to) = (i64::try_from(from.as_micros()).ok()?, i64::try_from(to.as_micros()).ok()?);
                let offset = (i128::from(from) + below(span(from, to) - 1)) as i64;
                Json::from(if *past { -offset } else { offset })
            }
            Generator::Uuid => hyphened(draw::uuid(key, n)),
            Generator::UuidV7 => hyphened(draw::uuid_v7(key, n)),
            Generator::Sha256 { text, key: None } => {
                let text = eval::render(text, &row).ok().filter(|_| !row.timed.get())?;
                let digest = <sha2::Sha256 as sha2::Digest>::digest(text);
                Json::String(digest.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Generator::Sha256 { .. }
            | Generator::Password { .. }
            | Generator::Fake { .. }
            | Generator::Sample { .. } => return None,
            Generator::Hex { length } => Json::String(draw::hex(key, n, *length as usize)),
            Generator::Fixture { fixture, column, random } => {
                let other = self.others.get(fixture.as_str())?;
                let rows = other.fixture.rows;
                let row = match random {
                    true => below(u128::from(rows)) as u64 + 1,
                    false => n.checked_sub(1)?.checked_rem(rows)? + 1,
                };
                other.value_at(row, column, hops + 1)?
            }
            Generator::Record(values) => values.get(usize::try_from(n.checked_sub(1)?).ok()?)?.clone(),
        })
    }
}

/// A UUID as it is written.
fn hyphened(bits: u128) -> Json {
    let hex = format!("{bits:032x}");
    Json::String([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn weighted(branches: &[WeightedValue], below: &dyn Fn(u128) -> i128) -> Option<Json> {
    let total: u64 = branches.iter().map(|branch| u64::from(branch.weight)).sum();
    let point = below(u128::from(total)) as u64;
    let mut sum = 0;
    branches
        .iter()
        .find(|branch| {
            sum += u64::from(branch.weight);
            point < sum
        })
        .map(|branch| branch.value.clone())
}

/// What a template of one row sees.
struct Row<'r, 'a> {
    rows: &'r KnownRows<'a>,
    n: u64,
    key: u64,
    hops: usize,
    drawn: Cell<u64>,
    /// The time was asked for, which nobody knows yet.
    timed: Cell<bool>,
}

impl Row<'_, '_> {
    /// A rendered duration in microseconds.
    fn offset(&self, template: &Template) -> Option<i64> {
        let text = eval::render(template, self).ok().filter(|_| !self.timed.get())?;
        i64::try_from(parse_duration(&text).ok()?.as_micros()).ok()
    }
}

impl expr::Scope for Row<'_, '_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        let (first, rest) = path.split_first()?;
        let place = || self.rows.relation.as_ref().and_then(|(relation, _)| relation.place(self.n));
        match (first.as_str(), rest, &self.rows.relation) {
            ("n", [], _) => Some(Json::from(self.n)),
            ("rows", [], _) => Some(Json::from(self.rows.fixture.rows)),
            ("child", [], Some(_)) => place().map(|(_, child)| Json::from(child)),
            ("parent", [column, rest @ ..], Some((_, parents))) => {
                let (parent, _) = place()?;
                match column.as_str() {
                    "n" => rest.is_empty().then(|| Json::from(parent)),
                    column => drill(&parents.value_at(parent, column, self.hops + 1)?, rest),
                }
            }
            ("inputs" | "services" | "run_id", ..) => None,
            (column, rest, _) => drill(&self.rows.value_at(self.n, column, self.hops + 1)?, rest),
        }
    }

    fn random(&self) -> u64 {
        let index = self.drawn.get();
        self.drawn.set(index + 1);
        draw::draw(self.key, self.n, index)
    }

    fn now_micros(&self) -> i64 {
        self.timed.set(true);
        0
    }
}

fn drill(value: &Json, path: &[String]) -> Option<Json> {
    let inner = path.iter().try_fold(value, |value, key| match value {
        Json::Object(map) => map.get(key),
        Json::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    });
    inner.cloned()
}
