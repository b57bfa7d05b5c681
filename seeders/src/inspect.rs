//! All table fixtures against the live schema, before anything is written; everything is told at once.
//!
//! Nothing here writes, and nothing waits for long: each fixture has a read-only transaction of its own, so that no lock
//! is held on its table while others are looked at.

mod columns;
mod domains;
mod keys;
mod parents;
mod reset;
mod sampled;
mod values;

use crate::error::{ErrorKind, SeedError, said};
use crate::misfit::{Misfit, MisfitKind, Place};
use crate::names::{did_you_mean, ident};
use crate::options::Mask;
use crate::postgres::{Job, LOCK_LIMIT};
use crate::receipt::Receipt;
use crate::rows::{Inputs, RowSource};
use crate::samples;
use crate::schema::{self, LiveTable};
use crate::stage::{Lane, TextParam};
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, OnConflict, TableFixture};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

/// Compares all table fixtures of the graph with the live tables, as it is done before they are seeded. The list holds
/// every misfit, warnings included; an `Err` means that the database could not be read.
pub async fn inspect(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
) -> Result<Vec<Misfit>, SeedError> {
    look_at_all(client, graph, inputs, Purpose { seeds: true, resets: false }).await
}

/// The same without the intention to seed, and with what would stand in the way of a reset. `seeds` says that the role
/// of this connection is the one that will seed: what it may not do and whether the server takes writes is told only then.
pub async fn review(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
    seeds: bool,
) -> Result<Vec<Misfit>, SeedError> {
    // Whoever migrates the table at this moment goes first.
    client.batch_execute("SET lock_timeout = '5s'; SET statement_timeout = '30s'").await?;
    look_at_all(client, graph, inputs, Purpose { seeds, resets: true }).await
}

/// What beside the fit of rows and tables is asked for.
#[derive(Debug, Clone, Copy)]
struct Purpose {
    seeds: bool,
    resets: bool,
}

async fn look_at_all(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
    purpose: Purpose,
) -> Result<Vec<Misfit>, SeedError> {
    let mut misfits = Vec::new();
    let mut first = purpose.seeds;
    for fixture in &graph.fixtures {
        let scripted;
        let table = match &fixture.kind {
            FixtureKind::Table(table) => table,
            FixtureKind::Sql(scripts) => {
                scripted = crate::sql::declared(scripts);
                &scripted
            }
            FixtureKind::Http(_) => continue,
        };
        client.batch_execute(&format!("BEGIN READ ONLY; {LOCK_LIMIT}")).await?;
        let found =
            look_at(client, graph, (fixture, table), inputs, purpose, std::mem::take(&mut first)).await;
        client.batch_execute("ROLLBACK").await?;
        match found {
            Ok(mut found) => misfits.append(&mut found),
            // Someone holds its lock, say: what can be said of the others is said.
            Err(error)
                if purpose.resets && !matches!(error.kind, ErrorKind::Connection | ErrorKind::Lost) =>
            {
                let message = format!("`{}` could not be looked at: {}", table.table, error.message);
                let misfit = Misfit::error(MisfitKind::Other, Place::Table, message);
                misfits.push(Misfit { fixture: fixture.name.clone(), ..misfit });
            }
            Err(error) => return Err(error),
        }
    }
    let mask = Mask::new(graph, inputs, &[]);
    misfits.iter_mut().for_each(|misfit| misfit.hide(&mask));
    Ok(misfits)
}

async fn look_at(
    client: &Client,
    graph: &ExecutionGraph,
    (fixture, table): (&Fixture, &TableFixture),
    inputs: &Inputs,
    purpose: Purpose,
    writable: bool,
) -> Result<Vec<Misfit>, SeedError> {
    let sql = "SELECT (extract(epoch FROM now()) * 1000000)::bigint, current_setting('TimeZone'), \
                      extract(timezone FROM now())::int4";
    let row = client.query_one(sql, &[]).await?;
    client.batch_execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'").await?;
    let samples = samples::of(client, graph, fixture, false).await?;
    let graph = samples.graph.as_ref().unwrap_or(graph);
    let fixture = graph.fixture(&fixture.name).unwrap_or(fixture);
    let table = match &fixture.kind {
        FixtureKind::Table(table) => table,
        FixtureKind::Sql(_) | FixtureKind::Http(_) => table,
    };
    let mut finder = Finder::new(client, graph, fixture, table, inputs, row.get(0));
    if !samples::filled_before(graph, fixture) {
        finder.misfits = samples.misfits;
    }
    finder.zone = Some((row.get(1), row.get(2)));
    finder.privileges = purpose.seeds;
    if writable {
        finder.writable().await?;
    }
    finder.twins();
    // What a script's rows are is known only when it has run.
    if matches!(fixture.kind, FixtureKind::Sql(_)) {
        return Ok(finder.misfits);
    }
    if let Some((live, source)) = finder.look().await? {
        finder.domains(&live, &source).await?;
        if purpose.resets {
            finder.reset(&live, &source).await?;
        }
    }
    Ok(finder.misfits)
}

/// The live table, when the fixture fits; warnings become notes of the receipt. `seeded` says that the ledger knows these
/// very rows: the table and their parents are looked at, and the rows are not.
pub(crate) async fn fitting(
    client: &Client,
    job: &Job<'_>,
    base: i64,
    seeded: bool,
    receipt: &mut Receipt,
) -> Result<LiveTable, SeedError> {
    let mut finder = Finder::new(client, job.graph, job.fixture, job.table, job.inputs, base);
    finder.seeded = seeded;
    finder.writable().await?;
    let live = finder.look().await?;
    let (warnings, errors): (Vec<Misfit>, Vec<Misfit>) = finder.misfits.into_iter().partition(|m| m.warning);
    if !errors.is_empty() {
        return Err(SeedError::misfits(errors));
    }
    receipt.notes.extend(warnings.into_iter().map(|warning| warning.message));
    live.map(|(live, _)| live).ok_or_else(|| SeedError::misfits(Vec::new()))
}

/// What stands in the way of writing at all: a standby, a role that may not keep the ledger.
pub(crate) async fn writable(client: &Client, job: &Job<'_>) -> Result<Vec<Misfit>, SeedError> {
    let mut finder =
        Finder::new(client, job.graph, job.fixture, job.table, job.inputs, job.options.base_micros);
    finder.writable().await?;
    Ok(finder.misfits)
}

struct Finder<'a> {
    client: &'a Client,
    graph: &'a ExecutionGraph,
    fixture: &'a Fixture,
    table: &'a TableFixture,
    inputs: &'a Inputs,
    base: i64,
    /// The time zone that sessions of the database have by themselves, and its seconds east of UTC.
    zone: Option<(String, i32)>,
    /// Whether the role of this connection is the one that seeds.
    privileges: bool,
    /// The ledger knows these very rows: they went into this table before.
    seeded: bool,
    /// Whether the table holds no row; `None` where nobody looked.
    empty: Option<bool>,
    /// The tables of the plan's fixtures, once they have been asked for.
    tables: Option<Vec<Option<u32>>>,
    misfits: Vec<Misfit>,
}

impl<'a> Finder<'a> {
    fn new(
        client: &'a Client,
        graph: &'a ExecutionGraph,
        fixture: &'a Fixture,
        table: &'a TableFixture,
        inputs: &'a Inputs,
        base: i64,
    ) -> Self {
        let misfits = Vec::new();
        Finder {
            client,
            graph,
            fixture,
            table,
            inputs,
            base,
            zone: None,
            privileges: true,
            seeded: false,
            empty: None,
            tables: None,
            misfits,
        }
    }

    fn tell(&mut self, misfit: Misfit) {
        self.misfits.push(Misfit { fixture: self.fixture.name.clone(), ..misfit });
    }

    /// Asks the server; what it does not answer is told as not looked at, and everything else goes on. An `Err` means
    /// that the connection is gone.
    async fn ask(
        &mut self,
        what: &str,
        sql: &str,
        params: &[TextParam],
    ) -> Result<Option<Vec<Row>>, SeedError> {
        match self.try_ask(sql, params).await? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => {
                let why = error.as_db_error().map(said).unwrap_or_default();
                let late = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
                let help = match error.code() {
                    Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                        Some("grant the role SELECT on it".to_string())
                    }
                    Some(code) if late.contains(code) => {
                        Some("look again when the server is idle".to_string())
                    }
                    _ => None,
                };
                let message = format!("{what} could not be looked at: {why}");
                self.tell(Misfit::warning(MisfitKind::Other, Place::Table, message).help(help));
                Ok(None)
            }
        }
    }

    /// The same for those who know better what to say about a refusal.
    async fn try_ask(
        &self,
        sql: &str,
        params: &[TextParam],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, SeedError> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            params.iter().map(|param| (param as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
        // Sent together; the answers come in this order.
        let (saved, answer) = tokio::join!(
            self.client.batch_execute("SAVEPOINT planc_look"),
            self.client.query_typed(sql, &typed)
        );
        saved?;
        match answer {
            Err(error) if error.as_db_error().is_some() => {
                self.client.batch_execute("ROLLBACK TO SAVEPOINT planc_look").await?;
                Ok(Err(error))
            }
            answer => Ok(Ok(answer?)),
        }
    }

    /// The database takes writes, and the role may keep the ledger.
    async fn writable(&mut self) -> Result<(), SeedError> {
        let row = self
            .client
            .query_typed_one(
                "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on', current_user::text, \
                    CASE WHEN to_regclass('planc.ledger') IS NOT NULL \
                        THEN has_table_privilege('planc.ledger', 'SELECT, INSERT, UPDATE, DELETE') \
                    WHEN to_regnamespace('planc') IS NOT NULL THEN has_schema_privilege('planc', 'CREATE') \
                    ELSE has_database_privilege(current_database(), 'CREATE') END",
                &[],
            )
            .await?;
        let other = |message: &str, help: String| {
            Misfit::error(MisfitKind::Other, Place::Fixture, message).help(help)
        };
        if row.get(0) {
            let help = "give the URL of the primary".to_string();
            self.tell(other("the database is a standby: it takes no writes", help));
        } else if row.get(1) {
            let help = "give a role or a database without default_transaction_read_only".to_string();
            self.tell(other("sessions of this database are read-only", help));
        }
        if !row.get::<_, bool>(3) {
            let role: String = row.get(2);
            let help = format!("run once as an owner: CREATE SCHEMA planc AUTHORIZATION {}", ident(&role));
            self.tell(other(&format!("role `{role}` may not keep the ledger `planc.ledger`"), help));
        }
        Ok(())
    }

    /// Two entries of the plan that share a ledger entry and disagree.
    fn twins(&mut self) {
        let hash = |fixture: &Fixture| crate::ledger::content_hash(self.graph, fixture, self.inputs);
        let mine = hash(self.fixture);
        let twin = self.graph.fixtures.iter().find(|other| {
            other.name < self.fixture.name && other.fixture == self.fixture.fixture && hash(other) != mine
        });
        if let Some(twin) = twin {
            let message = format!(
                "`{}` is the same fixture file with other rows: each seeding would undo the other",
                twin.name
            );
            let help = "give the copy of the file a `fixture:` name of its own".to_string();
            self.tell(Misfit::error(MisfitKind::Other, Place::Fixture, message).help(help));
        }
    }

    /// Everything about the fit of one fixture's rows.
    async fn look(&mut self) -> Result<Option<(LiveTable, RowSource)>, SeedError> {
        let source = match RowSource::new(self.graph, &self.fixture.name, self.inputs, self.base) {
            Ok(source) => source,
            Err(error) => {
                self.tell(Misfit::error(MisfitKind::Other, blamed(&error.column), error.message));
                return Ok(None);
            }
        };
        let Some(live) = schema::load(self.client, &self.table.table).await? else {
            let names = schema::table_names(self.client).await?;
            let help = match did_you_mean(&self.table.table, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "run the service's migrations, or mend `table:`".into(),
            };
            let message = format!("table `{}` does not exist", self.table.table);
            let misfit = Misfit::error(MisfitKind::Other, Place::Table, message).help(help);
            self.tell(match self.script_before() {
                Some(script) => {
                    let note = format!("the script `{script}`, which runs first, may make it");
                    Misfit { warning: true, ..misfit.note(note) }
                }
                None => misfit,
            });
            return Ok(None);
        };
        self.shape(&live, &source);
        self.lacking(&live);
        let lanes: Vec<Lane> = source
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(index, name)| {
                let column = live.column(name).filter(|column| !column.generated)?;
                Some(Lane { index, name: name.clone(), kind: column.kind.clone() })
            })
            .collect();
        self.identity(&live);
        self.fresh(&source);
        self.zones(&live, &source, &lanes);
        if self.seeded {
            // What is wrong with such a row by now the write will tell.
            self.parents(&live, &source, &lanes).await?;
            return Ok(Some((live, source)));
        }
        let all: Vec<usize> = lanes.iter().map(|lane| lane.index).collect();
        if source.undrawn(&all) {
            return Ok(None);
        }
        // A role that may not read the table is told so elsewhere.
        let none = format!("SELECT NOT EXISTS (SELECT FROM {})", live.quoted());
        self.empty = self.try_ask(&none, &[]).await?.ok().and_then(|rows| Some(rows.first()?.get(0)));
        if self.values(&live, &source, &lanes) && self.server_values(&live, &source, &lanes).await? {
            self.other_keys(&live, &source, &lanes).await?;
            self.parents(&live, &source, &lanes).await?;
            self.constraints(&live, &source, &lanes).await?;
        }
        Ok(Some((live, source)))
    }

    /// A script that is to run before this fixture is seeded, and of which nobody knows what it makes.
    fn script_before(&self) -> Option<&'a str> {
        let before = self.graph.fixtures.iter().take_while(|other| other.name != self.fixture.name);
        let mut scripts =
            before.filter(|other| matches!(other.kind, FixtureKind::Sql(_)) && other.rows_in().is_none());
        // Once the table is to be written, all that comes first has run.
        scripts.next().filter(|_| self.zone.is_some()).map(|script| script.name.as_str())
    }

    /// Privileges that seeding needs.
    fn lacking(&mut self, live: &LiveTable) {
        let mut needed = vec!["SELECT", "INSERT"];
        let updates = matches!(self.table.on_conflict, OnConflict::Refresh | OnConflict::Exact);
        if updates || self.table.columns.values().any(|column| column.fresh_within.is_some()) {
            needed.push("UPDATE");
        }
        if self.table.on_conflict == OnConflict::Exact {
            needed.push("DELETE");
        }
        let unread = !self.privileges && live.lacking.iter().any(|lack| lack == "SELECT");
        if unread {
            let message =
                format!("the rows of `{}` could not be looked at: the role may not read them", live.name);
            let help = format!("GRANT SELECT ON {} TO <the role of this connection>", live.quoted());
            self.tell(Misfit::warning(MisfitKind::Other, Place::Table, message).help(help));
        }
        needed.retain(|need| live.lacking.iter().any(|lack| lack == need));
        if self.privileges && !needed.is_empty() {
            let lacking = needed.join(", ");
            let help = format!("GRANT {lacking} ON {} TO <the role of database.url>", live.quoted());
            let message = format!("the role lacks {lacking} on `{}`", live.name);
            self.tell(Misfit::error(MisfitKind::Other, Place::Table, message).help(help));
        }
    }

    /// Other fixtures of the plan on a table, this one left out: those before it in seeding order, and those after.
    async fn seeded_by(&mut self, table: u32) -> Result<(Vec<&'a Fixture>, Vec<&'a Fixture>), SeedError> {
        if self.tables.is_none() {
            self.tables = Some(self.tables_of_fixtures().await?);
        }
        let mine = |fixture: &&Fixture| fixture.name == self.fixture.name;
        let at = self.graph.fixtures.iter().position(|fixture| mine(&fixture));
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (index, other) in self.graph.fixtures.iter().enumerate() {
            let there = self.tables.as_ref().is_some_and(|tables| tables[index] == Some(table));
            if there && !mine(&other) {
                if at.is_some_and(|at| at < index) { &mut after } else { &mut before }.push(other);
            }
        }
        Ok((before, after))
    }

    /// The tables of all fixtures of the plan.
    async fn tables_of_fixtures(&self) -> Result<Vec<Option<u32>>, SeedError> {
        let name = |fixture: &Fixture| fixture.rows_in().map(|(table, _)| schema::quoted_name(table));
        let names: Vec<Option<String>> = self.graph.fixtures.iter().map(name).collect();
        let sql = "SELECT to_regclass(name)::oid FROM unnest($1) WITH ORDINALITY u(name, at) ORDER BY at";
        let rows = self.client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// The column at fault, or the fixture.
fn blamed(column: &Option<String>) -> Place {
    column.as_deref().map_or(Place::Fixture, Place::from)
}
