//! Samples: values that another table holds, of which a fixture's rows draw (`{ references: teams.id, sample: 100 }`).
//!
//! A sample is taken once, when the fixture is first seeded, and kept in the ledger's definition. From then on the rows
//! are the same whatever becomes of the other table; only a value that is gone from there is replaced when the fixture
//! is written again. Which values are taken is a function of (seed, fixture, column, the values that are there): those with
//! the lowest hashes, so that two databases that differ in a few rows have nearly the same sample.

use crate::error::{ErrorKind, SeedError};
use crate::ledger;
use crate::misfit::{Misfit, MisfitKind};
use crate::names::{array_element, did_you_mean, ident};
use crate::schema::{self, LiveColumn, LiveTable};
use crate::stage::TextParam;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, Generator, Json};
use planc::units::grouped;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;

/// Samples of one fixture, by column.
type Taken = BTreeMap<String, Vec<Json>>;

/// What a column draws from.
struct Source<'g> {
    column: &'g str,
    table: &'g str,
    /// The column there.
    of: &'g str,
    size: u32,
    /// What the hashes are keyed by.
    key: String,
}

/// A sample as it could be had.
pub(crate) struct Samples {
    /// The graph with the samples in the fixture's columns; `None` when it has no such column.
    pub(crate) graph: Option<ExecutionGraph>,
    /// Samples that cannot be had.
    pub(crate) misfits: Vec<Misfit>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// The graph for one fixture to be seeded, with the samples of the ledger or new ones. `mend` replaces values that are
/// gone.
///
/// # Errors
/// A table, a column or enough values are not there.
pub(crate) async fn of(
    client: &Client,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    mend: bool,
) -> Result<Samples, SeedError> {
    let mut samples = Samples { graph: None, misfits: Vec::new(), notes: Vec::new() };
    let sources = sources(graph, fixture);
    if sources.is_empty() {
        return Ok(samples);
    }
    let mut recorded = recorded(client, graph, fixture).await?;
    let mut taken = Taken::new();
    for source in &sources {
        let known = recorded.remove(source.column);
        let values = match known {
            Some(values) if !mend => values,
            known => match current(client, source, known.unwrap_or_default(), &mut samples.notes).await? {
                Ok(values) => values,
                Err(misfit) => {
                    samples.misfits.push(Misfit { fixture: fixture.name.clone(), ..misfit });
                    Vec::new()
                }
            },
        };
        taken.insert(source.column.to_string(), values);
    }
    samples.graph = Some(with(graph, &fixture.name, taken));
    Ok(samples)
}

/// The graph with the samples of some fixtures, as the ledger keeps them: for whoever makes rows that were seeded. `None`
/// when none of them draws any.
///
/// # Errors
/// A fixture was never seeded, so that nobody knows what its rows are.
pub async fn with_samples(
    client: &Client,
    graph: &ExecutionGraph,
    fixtures: &BTreeSet<&str>,
) -> Result<Option<ExecutionGraph>, SeedError> {
    let mut out: Option<ExecutionGraph> = None;
    for fixture in graph.fixtures.iter().filter(|fixture| fixtures.contains(fixture.name.as_str())) {
        let sources = sources(graph, fixture);
        if sources.is_empty() {
            continue;
        }
        let taken = recorded(client, graph, fixture).await?;
        if let Some(source) = sources.iter().find(|source| !taken.contains_key(source.column)) {
            let message = format!(
                "fixture `{}`: what `{}` draws from `{}` is not known: this definition of it was never seeded here",
                fixture.name, source.column, source.table
            );
            return Err(SeedError::new(ErrorKind::Other, message).help("seed it first"));
        }
        out = Some(with(out.as_ref().unwrap_or(graph), &fixture.name, taken));
    }
    Ok(out)
}

/// Forgets what was taken: a definition is the same whatever the database held.
pub(crate) fn forget(graph: &mut ExecutionGraph) {
    for fixture in &mut graph.fixtures {
        for column in fixture.columns_mut().values_mut() {
            if let Generator::Sample { values, .. } = &mut column.generator {
                values.clear();
            }
        }
    }
}

/// Whether rows that are made elsewhere may come into the table before the fixture is seeded, so that nothing can be
/// said of what it will hold.
pub(crate) fn filled_before(graph: &ExecutionGraph, fixture: &Fixture) -> bool {
    let tables: BTreeSet<&str> = sources(graph, fixture).iter().map(|source| source.table).collect();
    graph.fixtures.iter().any(|other| match (other.rows_in(), &other.kind) {
        (Some((table, _)), _) => tables.contains(table),
        (None, kind) => matches!(kind, FixtureKind::Sql(_)),
    })
}

fn sources<'g>(graph: &ExecutionGraph, fixture: &'g Fixture) -> Vec<Source<'g>> {
    let columns = fixture.columns().iter();
    let drawn = columns.filter_map(|(name, column)| match &column.generator {
        Generator::Sample { table, column: of, size, .. } => Some((name, table, of, *size)),
        _ => None,
    });
    drawn
        .map(|(column, table, of, size)| {
            let key = format!("{} {} {column} ", graph.seed, fixture.fixture);
            Source { column, table, of, size, key }
        })
        .collect()
}

fn with(graph: &ExecutionGraph, fixture: &str, mut taken: Taken) -> ExecutionGraph {
    let mut out = graph.clone();
    let own = out.fixtures.iter_mut().filter(|own| own.name == fixture);
    for (name, column) in own.flat_map(|own| own.columns_mut().iter_mut()) {
        if let (Generator::Sample { values, .. }, Some(own)) = (&mut column.generator, taken.remove(name)) {
            *values = own;
        }
    }
    out
}

/// The samples of the ledger's entry that were taken as the fixture says.
async fn recorded(client: &Client, graph: &ExecutionGraph, fixture: &Fixture) -> Result<Taken, SeedError> {
    // Whoever only looks at a database may lack the right to read the ledger.
    let readable = "SELECT CASE WHEN to_regclass('planc.ledger') IS NULL THEN true \
                           ELSE has_table_privilege('planc.ledger', 'SELECT') END";
    if !client.query_one(readable, &[]).await?.get::<_, bool>(0) {
        return Ok(Taken::new());
    }
    let Some(entry) = ledger::read(client, &fixture.fixture).await? else { return Ok(Taken::new()) };
    let Some(old) = entry.definition.fixtures.last().filter(|_| entry.definition.seed == graph.seed) else {
        return Ok(Taken::new());
    };
    let mut out = Taken::new();
    for source in sources(graph, fixture) {
        if let Some(Generator::Sample { table, column, size, values }) =
            old.columns().get(source.column).map(|column| &column.generator)
            && (table.as_str(), column.as_str(), *size) == (source.table, source.of, source.size)
            && !values.is_empty()
        {
            out.insert(source.column.to_string(), values.clone());
        }
    }
    Ok(out)
}

/// A sample of what is there now. What is still there of `known` keeps its place, so that rows that draw it do not change.
async fn current(
    client: &Client,
    source: &Source<'_>,
    known: Vec<Json>,
    notes: &mut Vec<String>,
) -> Result<Result<Vec<Json>, Misfit>, SeedError> {
    let misfit = |message: String| Misfit::error(MisfitKind::ForeignKeyOrder, source.column, message);
    let Source { table, of, size, .. } = source;
    let Some(parent) = schema::load(client, table).await? else {
        let message = format!("table `{table}`, of whose rows it draws, does not exist");
        return Ok(Err(misfit(message)));
    };
    let Some(column) = parent.column(of) else {
        let near = did_you_mean(of, parent.columns.iter().map(|column| column.name.as_str()));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        return Ok(Err(misfit(format!("table `{table}` has no column `{of}`")).help(help)));
    };
    let gone = gone(client, &parent, column, &known).await?;
    if !known.is_empty() && gone.is_empty() {
        return Ok(Ok(known));
    }
    let there = lowest(client, &parent, column, source).await?;
    if there.len() < *size as usize {
        let (held, size) = (grouped(there.len() as u64), grouped(u64::from(*size)));
        let message =
            format!("a sample of {size} values of `{table}.{of}` is asked for, and it holds {held}");
        let misfit = misfit(message).note("NULL is no value, and equal values count once");
        return Ok(Err(misfit.help(match there.len() {
            0 => format!("seed `{table}` first"),
            held => format!("write `sample: {held}` or less, or seed `{table}` first"),
        })));
    }
    if known.is_empty() {
        return Ok(Ok(there));
    }
    notes.push(format!(
        "{} of the {} values that `{}` draws are gone from `{table}.{of}`: others are drawn in their place",
        gone.len(),
        known.len(),
        source.column
    ));
    let fresh: Vec<Json> = there.into_iter().filter(|value| !known.contains(value)).collect();
    let mut mended = known;
    // There are as many values as the sample is large, so one is left for each that is gone.
    for (at, value) in gone.into_iter().zip(fresh) {
        mended[at] = value;
    }
    Ok(Ok(mended))
}

/// The values with the lowest hashes.
async fn lowest(
    client: &Client,
    parent: &LiveTable,
    column: &LiveColumn,
    source: &Source<'_>,
) -> Result<Vec<Json>, SeedError> {
    let name = ident(&column.name);
    let sql = format!(
        "SELECT to_jsonb(v), v::text FROM (SELECT DISTINCT p.{name} AS v FROM {} p WHERE p.{name} IS NOT NULL) s \
         ORDER BY sha256(convert_to($1 || v::text, 'UTF8')), v::text LIMIT {}",
        parent.quoted(),
        source.size
    );
    let rows = client.query(&sql, &[&source.key]).await?;
    let value = |row: &tokio_postgres::Row| match row.get::<_, Json>(0) {
        // Digits that a float cannot hold.
        Json::Number(number) if number.is_f64() => Json::String(row.get(1)),
        value => value,
    };
    Ok(rows.iter().map(value).collect())
}

/// Places of the values that no row has any more.
async fn gone(
    client: &Client,
    parent: &LiveTable,
    column: &LiveColumn,
    values: &[Json],
) -> Result<Vec<usize>, SeedError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut texts = String::from("{");
    for value in values {
        if texts.len() > 1 {
            texts.push(',');
        }
        array_element(&mut texts, Some(&planc::eval::to_text(value)));
    }
    texts.push('}');
    let sql = format!(
        "SELECT k.at FROM unnest($1::{}[]) WITH ORDINALITY AS k(v, at) \
         WHERE NOT EXISTS (SELECT FROM {} p WHERE p.{} = k.v) ORDER BY k.at",
        column.type_name,
        parent.quoted(),
        ident(&column.name)
    );
    let rows = client.query(&sql, &[&TextParam(Some(texts))]).await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0) as usize - 1).collect())
}
