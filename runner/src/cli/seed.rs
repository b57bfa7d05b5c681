//! `runner seed`: fixtures alone, those of files and folders together, those of plans plan by plan.

mod told;

use super::arguments::Seed;
use super::{Stop, end_preparation, internal, load, loaded, print, tell};
use crate::exit::Exit;
use crate::orchestrate::{self, Options};
use crate::plan::{self, Disk, Kind, Loaded};
use crate::world::World;
use planc::Files;
use planc::graph::{
    Check, ExecutionGraph, Expr, Fixture, FixtureKind, ForeignRows, Generator, PostgresFacts, Probe, Segment,
    Template,
};
use seeders::FixtureError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the paths of a command line stand for.
#[derive(Default)]
struct Asked {
    /// Fixture files, to be seeded as one.
    fixtures: Vec<String>,
    /// Those of them that no folder brought, but their own name.
    named: BTreeSet<String>,
    /// Plans and graphs.
    plans: Vec<String>,
}

/// One graph to be seeded.
struct Part {
    loaded: Loaded,
    /// Fixtures that a folder holds and that cannot be seeded without a plan.
    left_out: Vec<String>,
    /// Values of its inputs, for the run.
    set: BTreeMap<String, String>,
    /// What it was read from, for messages.
    from: String,
}

pub(super) fn seed(args: &Seed, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let mut parts = parts(args, world)?;
    parts.iter().for_each(|part| tell(&part.loaded.warnings));
    if args.list {
        print(&told::list(parts.iter().map(|part| &part.loaded)))?;
        return Ok(Exit::Pass);
    }
    // What is wrong with any of them is told before the first is touched.
    for part in &mut parts {
        take_database(part, args)?;
        if let Some(most) = args.max_foreign_rows {
            take_ceiling(&mut part.loaded.graph, most);
        }
        if !part.left_out.is_empty() {
            let names = part.left_out.join("`, `");
            tell(&format!(
                "left out: `{names}`, accounts that a service makes; `runner seed PLAN` seeds them by a plan with a `target`\n"
            ));
        }
    }
    if args.template {
        parts.iter_mut().for_each(|part| part.loaded.graph.template = true);
    }
    if args.dry_run {
        let mut exit = Exit::Pass;
        for part in &parts {
            let (text, refused) = told::dry_run(part, args);
            print(&text)?;
            exit = if refused { Exit::Refused } else { exit };
        }
        return Ok(exit);
    }
    for part in parts {
        let exit = run(part, args, world)?;
        if exit != Exit::Pass {
            return Ok(exit);
        }
    }
    Ok(Exit::Pass)
}

fn run(part: Part, args: &Seed, world: &World) -> Result<Exit, Stop> {
    let Part { loaded: Loaded { graph, written, .. }, set, .. } = part;
    let mode = match (args.reset, args.verify) {
        (true, _) => seeders::Mode::Reset,
        (_, true) => seeders::Mode::Verify,
        _ => seeders::Mode::Apply,
    };
    let options = Options {
        set,
        database_guard: args.database.database_guard.clone(),
        trust_ledger: args.database.trust_ledger,
        secrets: args.database.secrets.as_ref().map(|folder| world.folder.join(folder)),
        keep_stale: !args.fresh,
        mode,
        prune_templates: args.prune,
        out: args.output.folder(&graph, world),
        ..Options::default()
    };
    let mut teller = args.output.teller(written, &graph);
    let evidence = orchestrate::seed(&graph, &options, world, &mut teller).map_err(internal)?;
    end_preparation(&evidence)
}

/// Fixture files as one graph, then each plan.
fn parts(args: &Seed, world: &World) -> Result<Vec<Part>, Stop> {
    let asked = sorted(&args.plans)?;
    let mut out = Vec::new();
    if !asked.fixtures.is_empty() {
        out.push(together(&asked, args, world)?);
    } else if let Some((name, _)) = args.secret.first() {
        let why = format!("--secret {name} is for fixture files; a plan declares its secrets under `inputs`");
        return Err(usage(why));
    }
    for path in asked.plans {
        out.push(Part {
            loaded: load(&path, &args.inputs, world)?,
            left_out: Vec::new(),
            set: args.inputs.set.iter().cloned().collect(),
            from: path,
        });
    }
    Ok(out)
}

fn sorted(paths: &[String]) -> Result<Asked, Stop> {
    let mut asked = Asked::default();
    for path in paths {
        if Path::new(path).is_dir() {
            let found = seeders::fixtures::fixture_files(Path::new(path)).map_err(|error| match error {
                FixtureError::Files(why) | FixtureError::Rejected(why) => usage(why),
            })?;
            for file in found {
                if !asked.fixtures.contains(&file) {
                    asked.fixtures.push(file);
                }
            }
            continue;
        }
        let text = Disk.read(path).map_err(|why| usage(format!("cannot read `{path}`: {why}")))?;
        if plan::kind_of(path, &text) != Kind::Fixture {
            asked.plans.push(path.clone());
            continue;
        }
        asked.named.insert(path.clone());
        if !asked.fixtures.contains(path) {
            asked.fixtures.push(path.clone());
        }
    }
    Ok(asked)
}

fn together(asked: &Asked, args: &Seed, world: &World) -> Result<Part, Stop> {
    if args.inputs.profile.is_some() {
        return Err(usage("--profile is for plans: a fixture file has no profiles".into()));
    }
    let mut set: Vec<(String, String)> = args.inputs.set.clone();
    for (name, variable) in &args.secret {
        let value = world.env.get(variable).filter(|value| !value.is_empty());
        let value =
            value.ok_or_else(|| usage(format!("--secret {name}: the variable `{variable}` is not set")))?;
        set.push((name.clone(), value.clone()));
    }
    let secrets = args.secret.iter().map(|(name, _)| name.clone()).collect();
    let options = planc::Options { set: set.clone(), today: super::today(world), ..Default::default() };
    let mut loaded = loaded(plan::load_fixtures(&Disk, &asked.fixtures, &secrets, &options))?;
    let from = match asked.fixtures.as_slice() {
        [file] => file.clone(),
        files => format!("{} fixture files", files.len()),
    };
    let left_out = leave_out(&mut loaded, asked);
    let open = loaded.graph.open_inputs.keys().cloned().collect::<BTreeSet<_>>();
    let set = set.into_iter().filter(|(name, _)| open.contains(name)).collect();
    Ok(Part { loaded, left_out, set, from })
}

/// Takes accounts over HTTP that a folder brought out of the graph: without a plan there is no target for them. One whose
/// rows another fixture needs, and one that was asked for by name, stay.
fn leave_out(loaded: &mut Loaded, asked: &Asked) -> Vec<String> {
    let needed = |name: &str| {
        let names = |column: &planc::graph::Column| matches!(&column.generator, Generator::Fixture { fixture, .. } if fixture == name);
        loaded.graph.fixtures.iter().any(|fixture| {
            fixture.columns().values().any(names)
                || fixture.after.iter().any(|other| other == name)
                || fixture.children.as_ref().is_some_and(|children| children.of == name)
        })
    };
    let named = |name: &str| loaded.file_of(name).is_none_or(|file| asked.named.contains(file));
    let is_out = |fixture: &Fixture| {
        matches!(&fixture.kind, FixtureKind::Http(http) if !is_absolute(&http.create.url))
            && !named(&fixture.name)
            && !needed(&fixture.name)
    };
    let out: Vec<String> =
        loaded.graph.fixtures.iter().filter(|f| is_out(f)).map(|fixture| fixture.name.clone()).collect();
    loaded.graph.fixtures.retain(|fixture| !out.contains(&fixture.name));
    out
}

fn is_absolute(url: &Template) -> bool {
    matches!(url.segments.first(), Some(Segment::Literal(text)) if text.starts_with("http"))
}

/// The database to seed: the one given, else the plan's; what makes no sense without one is told with what to write.
fn take_database(part: &mut Part, args: &Seed) -> Result<(), Stop> {
    const NAME: &str = "database_url (--database-url)";
    let Part { loaded: Loaded { graph, .. }, set, from, left_out } = part;
    if graph.fixtures.is_empty() {
        let why = match left_out.is_empty() {
            true => "seeds nothing: it has no fixtures",
            false => {
                "has only accounts that a service makes: `runner seed PLAN` seeds them by a plan with a `target`"
            }
        };
        return Err(usage(format!("{from} {why}")));
    }
    if graph.target.is_none()
        && let Some(fixture) = graph.fixtures.iter().find(|f| matches!(f.kind, FixtureKind::Http(_)))
    {
        let why = format!(
            "fixture `{}` makes accounts over HTTP, and {from} has no `target`\n  help: seed the plan that uses it: runner seed PLAN",
            fixture.name
        );
        return Err(usage(why));
    }
    if let Some(url) = &args.database_url {
        // As an input, so that its password stays out of the graph.
        let slot = Segment::Slot(Expr::Path(vec!["inputs".into(), NAME.into()]));
        graph.database = Some(Template { segments: vec![slot] });
        let input = planc::graph::OpenInput { secret: true, env: None, default: None };
        graph.open_inputs.insert(NAME.into(), input);
        set.insert(NAME.into(), url.clone());
    }
    if graph.database.is_none() && plan::has_tables(graph) && !args.dry_run {
        let why = format!(
            "{from}: no database is named\n  help: --database-url postgresql://localhost/NAME_test; --dry-run and --list need none"
        );
        return Err(usage(why));
    }
    Ok(())
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

fn usage(why: String) -> Stop {
    Stop(Exit::Usage, format!("error: {why}\n"))
}
