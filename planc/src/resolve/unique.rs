//! Values that must differ from row to row: proved from how they are made, or tried on the rows themselves.

use super::Resolver;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Filter, Function, Segment};
use crate::graph::{FixtureKind, Generator, Json, JsonTemplate};
use crate::near::listed;
use crate::resolved::Fixture;
use crate::rows::KnownRows;
use crate::units::grouped;
use std::collections::BTreeMap;

/// Rows from the first on that are all tried, and as many again spread over the others.
const TRIED: u64 = 10_000;
/// Rows that are tried where making one is a long loop.
const TRIED_SLOW: u64 = 100;
/// The last rows, all tried: what repeats late repeats there.
const LAST: u64 = 100;
/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// Two rows with the same values.
struct Twins {
    first: u64,
    second: u64,
    values: Vec<Json>,
}

impl Resolver<'_> {
    /// Identities and columns marked `unique`.
    pub(super) fn unique(&mut self, seed: u64, fixtures: &[Fixture]) {
        for fixture in fixtures {
            let find = |name: &str| {
                fixtures.iter().find(|other| other.fixture.name == name).map(|other| &other.fixture)
            };
            let rows = KnownRows::of(seed, &fixture.fixture, &find);
            let mut told = Vec::new();
            if let FixtureKind::Table(table) = &fixture.fixture.kind
                && let Some(twins) = twins(fixture, &rows, &table.identity)
            {
                self.twins(fixture, &table.identity, &twins);
                told = table.identity.clone();
            }
            for (name, _) in fixture.fixture.columns().iter().filter(|(_, column)| column.unique) {
                let column = std::slice::from_ref(name);
                if told != column
                    && let Some(twins) = twins(fixture, &rows, column)
                {
                    self.repeats(fixture, name, &twins);
                }
            }
        }
    }

    fn twins(&mut self, fixture: &Fixture, identity: &[String], twins: &Twins) {
        let name = &fixture.fixture.name;
        let place = |name: &String| fixture.columns.get(name).copied();
        let identity_place = self.origins.get(&format!("fixtures.{name}.identity")).copied();
        let span = identity_place.unwrap_or(fixture.span);
        let what = listed(identity.iter().map(String::as_str), "and");
        let message =
            format!("rows {} of `{name}` have the same {what}{}", pair(twins), shown(&twins.values));
        let mut diagnostic = Diagnostic::error(codes::IDENTITY_NOT_UNIQUE, span, message);
        for (column, label) in
            identity.iter().zip(std::iter::once("made here").chain(std::iter::repeat("and here")))
        {
            if let Some(place) = place(column) {
                diagnostic = diagnostic.also(place, label);
            }
        }
        self.diagnostics.push(diagnostic.help(match fixture.fixture.columns().get(&identity[0]) {
            Some(column) if matches!(column.generator, Generator::Record(_)) => {
                "leave one of the two out of the file, or name more columns in `identity`".to_string()
            }
            _ => format!(
                "make it from the row's number, such as `{}: \"row-{{{{ n | pad(5) }}}}\"`",
                identity[0]
            ),
        }));
    }

    fn repeats(&mut self, fixture: &Fixture, column: &str, twins: &Twins) {
        let place = fixture.columns.get(column).copied();
        let span = place.unwrap_or(fixture.span);
        let message = format!("rows {} have the same `{column}`{}", pair(twins), shown(&twins.values));
        self.diagnostics.push(
            Diagnostic::error(codes::NOT_UNIQUE, span, message)
                .note(format!("`{column}` is marked `unique: true`"))
                .help("weave the row's number in, such as `{{ n }}`, or leave `unique` out"),
        );
    }
}

fn pair(twins: &Twins) -> String {
    format!("{} and {}", grouped(twins.first), grouped(twins.second))
}

/// `: `a`, `b``; nothing where a value is a time, of which only the offset is known.
fn shown(values: &[Json]) -> String {
    let one = |value: &Json| {
        let text = crate::eval::to_text(value);
        let cut: String = text.chars().take(SHOWN).collect();
        let dots = if cut.len() < text.len() { "…" } else { "" };
        format!("`{cut}{dots}`")
    };
    match values.iter().any(Json::is_null) {
        true => String::new(),
        false => format!(": {}", values.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

/// The first two rows with the same values in all of some columns, when there are and the plan tells.
fn twins(fixture: &Fixture, rows: &KnownRows<'_>, columns: &[String]) -> Option<Twins> {
    let generator = |name: &String| Some(&fixture.fixture.columns().get(name)?.generator);
    if columns.is_empty() || columns.iter().filter_map(generator).any(proved) {
        return None;
    }
    let slow = columns.iter().filter_map(generator).any(slow);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for n in tried(fixture.fixture.rows, if slow { TRIED_SLOW } else { TRIED }) {
        let values: Vec<Json> = columns.iter().map(|column| rows.value(n, column)).collect::<Option<_>>()?;
        // As in SQL, nothing is the same as null.
        if values.iter().any(Json::is_null) {
            continue;
        }
        let key = values.iter().map(Json::to_string).collect::<Vec<_>>().join("\n");
        if let Some(first) = seen.insert(key, n) {
            let timed = |name: &String| {
                let timed = |g: &Generator| {
                    matches!(
                        g,
                        Generator::BeforeNow(_) | Generator::AfterNow(_) | Generator::TimeWithin { .. }
                    )
                };
                generator(name).is_some_and(timed)
            };
            let values =
                columns.iter().zip(values).map(|(name, value)| if timed(name) { Json::Null } else { value });
            return Some(Twins { first, second: n, values: values.collect() });
        }
    }
    None
}

/// Row numbers that are tried, in order.
fn tried(rows: u64, most: u64) -> impl Iterator<Item = u64> {
    let first = rows.min(most);
    let last = rows.saturating_sub(LAST).max(first);
    let step = ((last - first) / most).max(1);
    let spread = (first + 1..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    (1..=first).chain(spread).chain(last + 1..=rows)
}

/// Whether the way a value is made lets no two rows have the same.
fn proved(generator: &Generator) -> bool {
    let number = |expr: &Expr| match expr {
        Expr::Path(path) => path == &["n"],
        Expr::Filter(Filter::Pad | Filter::String | Filter::Int, inner, _) => {
            matches!(&**inner, Expr::Path(path) if path == &["n"])
        }
        _ => false,
    };
    match generator {
        // Two equal draws of so many bits are not to be expected.
        Generator::Uuid | Generator::UuidV7 => true,
        Generator::Fake { numbered, .. } => *numbered,
        Generator::Hex { length } => *length >= 16,
        Generator::Value(JsonTemplate::Value(expr)) => number(expr),
        Generator::Value(JsonTemplate::Text(template)) | Generator::Sha256 { text: template, .. } => {
            let mut slots = template.segments.iter().filter_map(|segment| match segment {
                Segment::Slot(expr) => Some(expr),
                Segment::Literal(_) => None,
            });
            matches!((slots.next(), slots.next()), (Some(only), None) if number(only))
        }
        _ => false,
    }
}

/// Whether making one value may take long.
fn slow(generator: &Generator) -> bool {
    let mut slow = false;
    if let Generator::Value(value) | Generator::References { value, .. } = generator {
        value.calls(&mut |function| slow |= function == Function::Range);
    }
    slow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_tried_in_order_up_to_the_last_and_never_too_many() {
        for rows in [0, 1, 99, 10_000, 10_001, 10_050, 25_000, 1_000_000, 1_000_000_000] {
            let tried: Vec<u64> = tried(rows, TRIED).collect();
            assert!(tried.is_sorted_by(|a, b| a < b), "{rows}");
            assert_eq!(tried.last().copied().unwrap_or(0), rows);
            assert!(tried.len() as u64 <= rows.min(3 * TRIED + LAST), "{rows}: {}", tried.len());
            assert!(rows > TRIED || tried.len() as u64 == rows);
        }
    }
}
