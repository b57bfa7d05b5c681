//! `runner seed`: fixtures alone.

use super::arguments::Seed;
use super::{Stop, end_preparation, internal, load, tell};
use crate::exit::Exit;
use crate::orchestrate::{self, Options};
use crate::plan::{self, Loaded};
use crate::world::World;
use planc::graph::{Check, ExecutionGraph, Expr, ForeignRows, PostgresFacts, Probe, Segment, Template};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn seed(args: &Seed, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let mode = match (args.reset, args.verify) {
        (true, _) => seeders::Mode::Reset,
        (_, true) => seeders::Mode::Verify,
        _ => seeders::Mode::Apply,
    };
    for path in &args.plans {
        let Loaded { mut graph, written, warnings } = load(path, &args.inputs, world)?;
        tell(&warnings);
        let mut set: BTreeMap<String, String> = args.inputs.set.iter().cloned().collect();
        if let Some(url) = &args.database_url {
            take_database(&mut graph, url, &mut set);
        }
        if graph.database.is_none() && plan::has_tables(&graph) {
            let message = format!("error: `{path}` names no database: give --database-url URL\n");
            return Err(Stop(Exit::Usage, message));
        }
        if let Some(most) = args.max_foreign_rows {
            take_ceiling(&mut graph, most);
        }
        let options = Options {
            set,
            database_guard: args.database.database_guard.clone(),
            trust_ledger: args.database.trust_ledger,
            keep_stale: !args.fresh,
            mode,
            out: args.output.folder(&graph, world),
            ..Options::default()
        };
        let mut teller = args.output.teller(written, &graph);
        let evidence = orchestrate::seed(&graph, &options, world, &mut teller).map_err(internal)?;
        let exit = end_preparation(&evidence)?;
        if exit != Exit::Pass {
            return Ok(exit);
        }
    }
    Ok(Exit::Pass)
}

/// Guards every table against rows that are not ours, as `foreign_rows` of a plan's own guard does.
fn take_ceiling(graph: &mut ExecutionGraph, at_most: u64) {
    let tables: BTreeSet<String> = graph
        .fixtures
        .iter()
        .filter_map(|fixture| fixture.rows_in().map(|(table, _)| table.to_owned()))
        .collect();
    for table in tables {
        let foreign_rows = vec![ForeignRows { table: table.clone(), at_most }];
        graph.guards.push(Check {
            name: format!("rows of `{table}` that are not ours"),
            probe: Probe::Postgres(PostgresFacts { database: None, foreign_rows, free_connections: None }),
            expect: Vec::new(),
            within: None,
            fix: Some("give the URL of a test database, or raise `--max-foreign-rows`".into()),
            override_env: None,
            static_guard: false,
            skipped: None,
        });
    }
}

/// Puts a database in the place of the plan's. As an input, so that its password stays out of the graph.
fn take_database(graph: &mut ExecutionGraph, url: &str, set: &mut BTreeMap<String, String>) {
    const NAME: &str = "database_url (--database-url)";
    let slot = Segment::Slot(Expr::Path(vec!["inputs".into(), NAME.into()]));
    graph.database = Some(Template { segments: vec![slot] });
    let input = planc::graph::OpenInput { secret: true, env: None, default: None };
    graph.open_inputs.insert(NAME.into(), input);
    set.insert(NAME.into(), url.into());
}
