//! Rows that are made and looked at, and their way to the server as arrays.

use crate::copy::Kind;
use crate::error::SeedError;
use crate::names::ident;
use crate::rows::RowSource;
use crate::schema::LiveTable;
use crate::stage::{self, Lane, NUMBER, TextParam};

/// A larger fixture is sampled: its first, its last, and some between. What only another row has is told when that row
/// is encoded, or by the server, and all is rolled back just the same.
const SAMPLE: u64 = 2_000;

/// Row numbers to look at: all of a small fixture, else the first and last quarter of the sample and some between.
pub(super) fn sample(rows: u64) -> Box<dyn Iterator<Item = u64> + Send> {
    if rows <= SAMPLE {
        return Box::new(1..=rows);
    }
    let edge = SAMPLE / 4;
    let middle = rows - 2 * edge;
    let step = middle.div_ceil(SAMPLE / 2).max(1) as usize;
    Box::new((1..=edge).chain((edge + 1..=rows - edge).step_by(step)).chain(rows - edge + 1..=rows))
}

/// Whether [`sample`] has all rows.
pub(super) fn sampled_whole(rows: u64) -> bool {
    rows <= SAMPLE
}

/// The lanes of some columns, in their order; `None` when the fixture does not supply them all.
pub(super) fn pick<'l>(lanes: &'l [Lane], names: &[String]) -> Option<Vec<&'l Lane>> {
    names.iter().map(|name| lanes.iter().find(|lane| lane.name == *name)).collect()
}

/// Whether it is known what a column will hold: the fixture supplies it, or nothing does and it is NULL.
pub(super) fn is_known(live: &LiveTable, lanes: &[Lane], name: &str) -> bool {
    match (lanes.iter().find(|lane| lane.name == name), live.column(name)) {
        // Lists in lists are taken apart by unnest.
        (Some(lane), _) => !matches!(lane.kind, Kind::Array(..)),
        (None, Some(column)) => !column.has_default && !column.generated,
        (None, None) => false,
    }
}

/// Rows as the server will see them, as a table called `k` with the row number in front.
pub(super) struct Given {
    /// What stands after FROM.
    pub(super) from: String,
    pub(super) params: Vec<TextParam>,
    /// Whether a column is among them that nothing supplies, so that it will be NULL.
    pub(super) assumes_null: bool,
}

impl Given {
    /// The sampled rows with some columns. Those that neither the fixture nor a default supplies are NULL; `None` when one
    /// of the others gets its value from the database.
    pub(super) fn new(
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
        names: &[String],
    ) -> Result<Option<Given>, SeedError> {
        if !names.iter().all(|name| is_known(live, lanes, name)) {
            return Ok(None);
        }
        let (mut chosen, mut nulls) = (Vec::new(), Vec::new());
        for name in names {
            match lanes.iter().find(|lane| lane.name == *name) {
                Some(lane) => chosen.push(lane.clone()),
                None => {
                    let type_name = live.column(name).map_or("text", |column| column.type_name.as_str());
                    nulls.push(format!("NULL::{type_name} AS {}", ident(name)));
                }
            }
        }
        let mut types = vec!["bigint"];
        let mut all = vec![NUMBER.to_string()];
        for lane in &chosen {
            types.push(live.column(&lane.name).map_or("text", |column| column.type_name.as_str()));
            all.push(lane.name.clone());
        }
        let assumes_null = !nulls.is_empty();
        let from = match assumes_null {
            false => stage::unnest(&types, "k", &all),
            true => format!("(SELECT g.*, {} FROM {}) k", nulls.join(", "), stage::unnest(&types, "g", &all)),
        };
        let numbers: Vec<String> = sample(source.rows()).map(|n| n.to_string()).collect();
        let mut params = vec![TextParam(Some(format!("{{{}}}", numbers.join(","))))];
        params.extend(stage::arrays(source, &chosen, sample(source.rows()))?);
        Ok(Some(Given { from, params, assumes_null }))
    }
}

/// The identities of a fixture's rows, as a table called `k`.
pub(super) struct Identities {
    /// `unnest(…) AS k(…)`.
    pub(super) from: String,
    pub(super) params: Vec<TextParam>,
    /// Whether these are all.
    pub(super) whole: bool,
}

/// Identities in one statement.
const MOST: u64 = 100_000;

impl Identities {
    /// The identities of all rows, or of a sample of very many. `None` when the table lacks a column of the identity.
    pub(super) fn of(
        live: &LiveTable,
        source: &RowSource,
        identity: &[String],
    ) -> Result<Option<Identities>, SeedError> {
        let Ok(lanes) = stage::lanes(source, live, identity) else {
            return Ok(None);
        };
        if lanes.is_empty() || lanes.iter().any(|lane| matches!(lane.kind, Kind::Array(..))) {
            return Ok(None);
        }
        let types: Vec<&str> = identity
            .iter()
            .map(|name| live.column(name).map_or("text", |column| column.type_name.as_str()))
            .collect();
        let whole = source.rows() <= MOST;
        let rows: Box<dyn Iterator<Item = u64> + Send> =
            if whole { Box::new(1..=source.rows()) } else { sample(source.rows()) };
        let params = stage::arrays(source, &lanes, rows)?;
        Ok(Some(Identities { from: stage::unnest(&types, "k", identity), params, whole }))
    }
}
