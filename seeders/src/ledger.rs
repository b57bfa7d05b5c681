//! The ledger: `planc.ledger` in the seeded database remembers what each fixture made.
//!
//! The definition is a small execution graph with nothing in it but the fixture, the fixtures that it refers to and
//! the inputs that it uses, so that old rows can be made again by the same code that made them.

use crate::error::{ErrorKind, SeedError};
use crate::generators::{Uses, uses_of, uses_of_template};
use crate::rows::{GENERATOR_VERSION, Inputs};
use crate::samples;
use planc::graph::*;
use planc::units::PartsPerMillion;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// One fixture's entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) definition: ExecutionGraph,
    /// Earlier definitions of which rows may still be there.
    pub(crate) previous: Vec<Past>,
    pub(crate) content_hash: String,
    pub(crate) base_micros: i64,
    pub(crate) fingerprint: String,
    /// Parts of the fingerprint (see `buckets`), where the rows are as the definition says. Read by [`buckets`] alone.
    pub(crate) buckets: Option<Vec<u8>>,
    /// Who wrote the rows (see `versions`), where nobody else did.
    pub(crate) versions: Option<String>,
    /// At the time of seeding the table held nothing but the fixture's rows.
    pub(crate) whole_table: bool,
    /// Row numbers that were there already and are not ours.
    pub(crate) foreign_rows: Vec<i64>,
    /// [`GENERATOR_VERSION`] of the program that made the rows.
    pub(crate) generator_version: i32,
    /// Name and version of that program.
    pub(crate) program: String,
}

/// An earlier definition.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Past {
    pub(crate) definition: ExecutionGraph,
    pub(crate) base_micros: i64,
    pub(crate) foreign_rows: Vec<i64>,
    #[serde(default = "first_version")]
    pub(crate) generator_version: i32,
}

/// Ledgers from before the version was recorded.
fn first_version() -> i32 {
    1
}

impl Entry {
    /// Whether the rows were made from this very definition by the generators of this program.
    pub(crate) fn is_of(&self, hash: &str) -> bool {
        self.content_hash == hash && self.generator_version == GENERATOR_VERSION
    }

    /// The definitions that made rows, the newest first.
    pub(crate) fn pasts(&self) -> Vec<Past> {
        let newest = Past {
            definition: self.definition.clone(),
            base_micros: self.base_micros,
            foreign_rows: self.foreign_rows.clone(),
            generator_version: self.generator_version,
        };
        std::iter::once(newest).chain(self.previous.iter().cloned()).collect()
    }
}

impl Past {
    /// The fixture of the definition: always the last.
    pub(crate) fn fixture(&self) -> Option<&Fixture> {
        self.definition.fixtures.last()
    }

    /// Row numbers that are ours.
    pub(crate) fn ours(&self) -> impl Iterator<Item = u64> + use<> {
        let foreign: BTreeSet<u64> = self.foreign_rows.iter().map(|n| *n as u64).collect();
        let rows = self.fixture().map_or(0, |fixture| fixture.rows);
        (1..=rows).filter(move |n| !foreign.contains(n))
    }
}

/// Identity of what a fixture makes: SHA-256 of its definition, without its alias, its `about` and any secret's value.
pub fn content_hash(graph: &ExecutionGraph, fixture: &Fixture, inputs: &Inputs) -> String {
    hash_of(definition(graph, fixture, inputs))
}

/// The content hash of a definition: what was drawn from other tables is no part of it.
pub(crate) fn hash_of(mut definition: ExecutionGraph) -> String {
    samples::forget(&mut definition);
    definition.id()
}

/// The fixture and what it refers to as a graph of its own; the fixture stands last.
pub(crate) fn definition(graph: &ExecutionGraph, fixture: &Fixture, inputs: &Inputs) -> ExecutionGraph {
    let mut names = BTreeMap::new();
    let mut order = Vec::new();
    collect(graph, fixture, &mut names, &mut order);
    let mut used = BTreeSet::new();
    let fixtures: Vec<Fixture> = order
        .iter()
        .map(|found| {
            let main = found.name == fixture.name;
            let mut copy = (*found).clone();
            copy.about.clear();
            copy.after.clear();
            if let FixtureKind::Table(table) = &mut copy.kind {
                // How rows are brought, not which.
                (table.skip_foreign_key_triggers, table.rebuild_indexes) = (false, false);
            }
            copy.name = names[&found.name].clone();
            if !main {
                copy.verify.clear();
                let columns = found.columns().clone();
                copy.kind = FixtureKind::Table(TableFixture::kept(String::new(), Vec::new(), columns));
            }
            rename(&mut copy, &names);
            inputs_used(&copy, &mut used);
            copy
        })
        .collect();
    small_graph(graph, fixtures, &used, inputs)
}

/// Fixtures that `fixture` refers to, depth first, itself last; the names they get in a definition.
fn collect<'a>(
    graph: &'a ExecutionGraph,
    fixture: &'a Fixture,
    names: &mut BTreeMap<String, String>,
    order: &mut Vec<&'a Fixture>,
) {
    if names.contains_key(&fixture.name) {
        return;
    }
    let taken = names.values().any(|name| *name == fixture.fixture);
    let name = if taken { fixture.name.clone() } else { fixture.fixture.clone() };
    names.insert(fixture.name.clone(), name);
    let taken = fixture.columns().values().filter_map(|column| match &column.generator {
        Generator::Fixture { fixture: other, .. } => Some(other),
        _ => None,
    });
    for other in taken.chain(fixture.children.as_ref().map(|children| &children.of)) {
        if let Some(other) = graph.fixture(other) {
            collect(graph, other, names, order);
        }
    }
    order.push(fixture);
}

fn rename(fixture: &mut Fixture, names: &BTreeMap<String, String>) {
    if let Some(children) = &mut fixture.children
        && let Some(name) = names.get(&children.of)
    {
        children.of = name.clone();
    }
    for column in fixture.columns_mut().values_mut() {
        if let Generator::Fixture { fixture: other, .. } = &mut column.generator
            && let Some(name) = names.get(other)
        {
            *other = name.clone();
        }
    }
}

/// Adds the names that a request looks at.
pub(crate) fn request_uses(request: &Request, uses: &mut Uses) {
    uses_of_template(&request.url, uses);
    request.query.values().chain(request.headers.values()).for_each(|text| uses_of_template(text, uses));
    if let Some(body) = &request.body {
        body.paths(&mut |path| uses.paths.push(path.to_vec()));
    }
}

/// Adds the names of inputs that a fixture's columns and requests look at.
fn inputs_used(fixture: &Fixture, used: &mut BTreeSet<String>) {
    let mut uses = Uses::default();
    for column in fixture.columns().values() {
        uses_of(&column.generator, &mut uses);
    }
    if let FixtureKind::Http(http) = &fixture.kind {
        http.requests().for_each(|request| request_uses(request, &mut uses));
    }
    used.extend(
        uses.paths
            .into_iter()
            .filter(|path| path.len() > 1 && path[0] == "inputs")
            .map(|path| path[1].clone()),
    );
}

fn small_graph(
    graph: &ExecutionGraph,
    fixtures: Vec<Fixture>,
    used: &BTreeSet<String>,
    inputs: &Inputs,
) -> ExecutionGraph {
    let value = |name: &String| {
        if graph.open_inputs.get(name).is_some_and(|input| input.secret) {
            return None;
        }
        let value = graph.inputs.get(name).or_else(|| inputs.get(&format!("inputs.{name}")))?;
        Some((name.clone(), value.clone()))
    };
    ExecutionGraph {
        schema: SCHEMA,
        plan: String::new(),
        about: String::new(),
        profile: String::new(),
        seed: graph.seed,
        inputs: used.iter().filter_map(value).collect(),
        open_inputs: BTreeMap::new(),
        target: None,
        database: None,
        pool: None,
        template: false,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures,
        tokens: BTreeMap::new(),
        preflight: Vec::new(),
        metrics: BTreeMap::new(),
        scrapes: BTreeMap::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios: Vec::new(),
        gates: Vec::new(),
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: HealthLimits {
            lateness_p99: Duration::ZERO,
            achieved: PartsPerMillion(0),
            strains: Default::default(),
        },
        report: Report::default(),
        when_to_run: None,
        history: None,
    }
}

/// The right to change a fixture's rows, until the end of the transaction.
pub(crate) struct Lock {
    /// Somebody else had it first.
    pub(crate) waited: bool,
    /// The transaction's time, which the ledger's entry gets.
    pub(crate) stamp: String,
}

/// Takes the lock of a fixture, after some settings for the transaction. `waiting` is called when somebody else has it.
pub(crate) async fn lock(
    client: &Client,
    key: &str,
    settings: &str,
    waiting: &mut dyn FnMut(),
) -> Result<Lock, SeedError> {
    let key = lock_key(key);
    let sql = format!("{settings}; SELECT pg_try_advisory_xact_lock({key}), now()::text");
    let messages = client.simple_query(&sql).await?;
    let row = last_row(&messages)?;
    let stamp = row.get(1).unwrap_or_default().to_string();
    if row.get(0) == Some("t") {
        return Ok(Lock { waited: false, stamp });
    }
    waiting();
    // Another seeding may well take longer than any lock of a table should.
    let limit = "SELECT current_setting('lock_timeout'), set_config('lock_timeout', '0', true)";
    let limit: String = client.query_one(limit, &[]).await?.get(0);
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&key]).await?;
    client.execute("SELECT set_config('lock_timeout', $1, true)", &[&limit]).await?;
    Ok(Lock { waited: true, stamp })
}

/// The row that the last statement of a simple query gave.
pub(crate) fn last_row(messages: &[SimpleQueryMessage]) -> Result<&SimpleQueryRow, SeedError> {
    let row = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.ok_or_else(|| SeedError::new(ErrorKind::Other, "the server gave no row"))
}

/// Advisory locks are a database's own, so the key needs the fixture alone.
pub(crate) fn lock_key(key: &str) -> i64 {
    crate::hash::column_key(0, "planc ledger", key) as i64
}

/// Whether the ledger is there. Not by `to_regclass`, which does not see what another session made while this one
/// waited for its lock: a session remembers that there was no such name.
pub(crate) async fn exists(client: &Client) -> Result<bool, SeedError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'planc' AND c.relname = 'ledger')";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Makes the ledger when it is not there.
pub(crate) async fn create(client: &Client) -> Result<(), SeedError> {
    if exists(client).await? {
        return migrate(client).await.map(drop);
    }
    // Two sessions that both make it would collide in the catalogue.
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&lock_key("")]).await?;
    // Even with IF NOT EXISTS it asks for the right to make schemas, which the owner of this one need not have.
    let made = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'planc')";
    let schema = match client.query_one(made, &[]).await?.get(0) {
        true => "",
        false => "CREATE SCHEMA planc; ",
    };
    client
        .batch_execute(&format!(
            "{schema}\
             CREATE TABLE IF NOT EXISTS planc.ledger ( \
                fixture text PRIMARY KEY, definition jsonb NOT NULL, previous jsonb NOT NULL DEFAULT '[]', \
                content_hash text NOT NULL, rows bigint NOT NULL, base_micros bigint NOT NULL, \
                fingerprint text NOT NULL, whole_table boolean NOT NULL, foreign_rows bigint[] NOT NULL DEFAULT '{{}}', \
                note text NOT NULL DEFAULT '', who text NOT NULL, program text NOT NULL, \
                applied_at timestamptz NOT NULL DEFAULT now(), generator_version integer NOT NULL DEFAULT 1, \
                buckets bytea, versions text); \
             COMMENT ON TABLE planc.ledger IS 'what load-test fixtures made in this database; written by planc/runner'",
        ))
        .await
        .map_err(|error| SeedError::from(error).help("the ledger needs a schema `planc`: CREATE SCHEMA planc AUTHORIZATION <role>"))
}

/// Brings a ledger that an earlier version made up to date, and says whether one is there for certain. Not in the
/// transaction of a seeding: that would keep all other seeders from reading it until the end.
pub(crate) async fn migrate(client: &Client) -> Result<bool, SeedError> {
    // Here a name that the session takes for unknown costs one question more, and that is asked under the lock.
    let sql = "SELECT (SELECT count(*) FROM pg_attribute WHERE attrelid = l AND NOT attisdropped \
        AND attname IN ('generator_version', 'buckets', 'versions')) FROM to_regclass('planc.ledger') l WHERE l IS NOT NULL";
    let messages = client.simple_query(sql).await?;
    let Ok(row) = last_row(&messages) else { return Ok(false) };
    if row.get(0) != Some("3") {
        let change = "ALTER TABLE planc.ledger ADD COLUMN IF NOT EXISTS generator_version integer NOT NULL \
            DEFAULT 1, ADD COLUMN IF NOT EXISTS buckets bytea, ADD COLUMN IF NOT EXISTS versions text";
        client.batch_execute(change).await.map_err(|error| {
            SeedError::from(error).help(format!("run once as the owner of the ledger: {change}"))
        })?;
    }
    Ok(true)
}

/// Whether the entry was written by the transaction with this stamp.
pub(crate) async fn is_stamped(client: &Client, key: &str, stamp: &str) -> Result<bool, SeedError> {
    let sql = "SELECT 1 FROM planc.ledger WHERE fixture = $1 AND applied_at::text = $2";
    Ok(exists(client).await? && client.query_opt(sql, &[&key, &stamp]).await?.is_some())
}

/// Reads a fixture's entry.
pub(crate) async fn read(client: &Client, key: &str) -> Result<Option<Entry>, SeedError> {
    if !exists(client).await? {
        return Ok(None);
    }
    read_there(client, key).await
}

/// As [`read`], of a ledger that is there.
pub(crate) async fn read_there(client: &Client, key: &str) -> Result<Option<Entry>, SeedError> {
    let row = client
        .query_typed_opt(
            // A ledger of an earlier version lacks columns: the names are then those of the row of values.
            "SELECT l.* FROM (VALUES (1, NULL::text)) AS old(generator_version, versions), LATERAL ( \
                SELECT definition, previous, content_hash, base_micros, fingerprint, whole_table, foreign_rows, \
                    generator_version, program, versions FROM planc.ledger WHERE fixture = $1) l",
            &[(&key, Type::TEXT)],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let unreadable = |error: serde_json::Error| {
        SeedError::new(
            ErrorKind::Other,
            format!("the ledger's entry was written by another version: {error}"),
        )
        .help("reset the fixture with that version, or delete its row from planc.ledger and its rows by hand")
    };
    Ok(Some(Entry {
        definition: serde_json::from_value(row.get(0)).map_err(unreadable)?,
        previous: serde_json::from_value(row.get(1)).map_err(unreadable)?,
        content_hash: row.get(2),
        base_micros: row.get(3),
        fingerprint: row.get(4),
        buckets: None,
        whole_table: row.get(5),
        foreign_rows: row.get(6),
        generator_version: row.get(7),
        program: row.get(8),
        versions: row.get(9),
    }))
}

/// The parts of the fingerprint in a fixture's entry.
pub(crate) async fn buckets(client: &Client, key: &str) -> Result<Option<Vec<u8>>, SeedError> {
    let sql = "SELECT buckets FROM planc.ledger WHERE fixture = $1";
    let row = client.query_typed_opt(sql, &[(&key, Type::TEXT)]).await?;
    Ok(row.and_then(|row| row.get(0)))
}

/// Writes a fixture's entry.
pub(crate) async fn write(client: &Client, key: &str, entry: &Entry, who: &str) -> Result<(), SeedError> {
    let unwritable = |error: serde_json::Error| SeedError::new(ErrorKind::Other, error.to_string());
    let definition = serde_json::to_value(&entry.definition).map_err(unwritable)?;
    let previous = serde_json::to_value(&entry.previous).map_err(unwritable)?;
    let rows = entry.definition.fixtures.last().map_or(0, |fixture| fixture.rows as i64);
    client
        .execute(
            "INSERT INTO planc.ledger AS l (fixture, definition, previous, content_hash, rows, base_micros, fingerprint, \
                whole_table, foreign_rows, who, program, generator_version, buckets, versions) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
             ON CONFLICT (fixture) DO UPDATE SET definition = excluded.definition, previous = excluded.previous, \
                content_hash = excluded.content_hash, rows = excluded.rows, base_micros = excluded.base_micros, \
                fingerprint = excluded.fingerprint, whole_table = excluded.whole_table, \
                foreign_rows = excluded.foreign_rows, who = excluded.who, program = excluded.program, \
                generator_version = excluded.generator_version, buckets = excluded.buckets, versions = excluded.versions, applied_at = now()",
            &[
                &key,
                &definition,
                &previous,
                &entry.content_hash,
                &rows,
                &entry.base_micros,
                &entry.fingerprint,
                &entry.whole_table,
                &entry.foreign_rows,
                &who,
                &entry.program,
                &entry.generator_version,
                &entry.buckets,
                &entry.versions,
            ],
        )
        .await?;
    Ok(())
}

/// Notes that a fixture's times were moved.
pub(crate) async fn rebase(client: &Client, key: &str, base_micros: i64) -> Result<(), SeedError> {
    let sql = "UPDATE planc.ledger SET base_micros = $2, applied_at = now() WHERE fixture = $1";
    client.execute(sql, &[&key, &base_micros]).await?;
    Ok(())
}

/// Notes who wrote a fixture's rows (see `versions`), where the ledger can be written.
pub(crate) async fn note_versions(client: &Client, key: &str, versions: &str) -> Result<(), SeedError> {
    client.batch_execute("SAVEPOINT planc_versions").await?;
    let sql = "UPDATE planc.ledger SET versions = $2 WHERE fixture = $1";
    let end = match client.execute(sql, &[&key, &versions]).await {
        Ok(_) => "RELEASE SAVEPOINT planc_versions",
        Err(_) => "ROLLBACK TO SAVEPOINT planc_versions; RELEASE SAVEPOINT planc_versions",
    };
    Ok(client.batch_execute(end).await?)
}

/// Forgets a fixture.
pub(crate) async fn delete(client: &Client, key: &str) -> Result<(), SeedError> {
    client.execute("DELETE FROM planc.ledger WHERE fixture = $1", &[&key]).await?;
    Ok(())
}
