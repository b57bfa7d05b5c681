//! `runner check`: what `planc check` says, and with a database what only that can tell. Nothing is written.

use crate::evidence::NodeOutcome;
use crate::exit::Exit;
use crate::mask::Masker;
use crate::plan::{self, Disk};
use crate::values::Values;
use crate::world::World;
use crate::{database, guards, inputs};
use planc::diagnostic::{Diagnostic, Diagnostics};
use planc::graph::{ExecutionGraph, Expr, Pool, Segment, Service, ServiceKind};
use planc::render::Findings;
use planc::source::Span;
use planc::{Compilation, Options};
use seeders::Misfit;
use seeders::cluster::{Cluster, ClusterOptions, DataDir, kept_path};
use std::collections::BTreeMap;

/// What is to be checked against which database.
pub struct Request {
    /// The day against which every `allow` is held.
    pub today: Option<jiff::civil::Date>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--set`.
    pub set: Vec<(String, String)>,
    /// Look at the database too.
    pub live: bool,
    /// Database to look at, in place of the plan's.
    pub database_url: Option<String>,
    /// Pattern for the name of the database.
    pub database_guard: Option<String>,
}

/// What was found in one plan.
pub struct Checked {
    /// What the text alone shows, and what the database does.
    pub parts: Vec<Findings>,
    /// What was looked at, for people.
    pub told: Vec<String>,
    /// Why the database could not be looked at.
    pub unknown: Option<Unknown>,
}

/// Why the database could not be looked at.
pub struct Unknown {
    /// How the program ends, unless the plan has errors.
    pub exit: Exit,
    /// Lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Unknown {
    fn new(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Unknown {
        Unknown { exit, message: message.into(), help: Some(help.into()) }
    }
}

/// Checks one plan.
pub fn check(path: &str, request: &Request, world: &World) -> Checked {
    let options = |env: BTreeMap<String, String>, profile: Option<String>| Options {
        profile,
        set: request.set.clone(),
        env,
        require_inputs: false,
        today: request.today,
    };
    // An empty environment, as `planc check` has it: findings on the text are the same on every machine.
    let done = planc::check(&Disk, path, &options(BTreeMap::new(), request.profile.clone()));
    let profiles = done.profiles.clone();
    let rejected = done.diagnostics.has_errors();
    let mut checked = Checked { parts: vec![Findings::of(path, done)], told: Vec::new(), unknown: None };
    if !request.live {
        return checked;
    }
    if rejected {
        checked.told.push(format!("`{path}` has errors: its database was not looked at"));
        return checked;
    }
    let compile = |profile: &String| {
        // A database is found as `runner apply` finds it: by the environment.
        let options = options(world.env.clone(), Some(profile.clone()));
        (profile.clone(), planc::check(&Disk, path, &options))
    };
    let compiled: Vec<(String, Compilation)> = profiles.iter().map(compile).collect();
    match look(path, compiled, request, world) {
        Ok(found) => {
            checked.parts.extend(found.parts);
            checked.told.extend(found.told);
        }
        Err(unknown) => checked.unknown = Some(unknown),
    }
    checked
}

struct Found {
    parts: Vec<Findings>,
    told: Vec<String>,
}

/// Looks at the database once for each profile whose fixtures differ.
fn look(
    path: &str,
    compiled: Vec<(String, Compilation)>,
    request: &Request,
    world: &World,
) -> Result<Found, Unknown> {
    let mut found = Found { parts: Vec::new(), told: Vec::new() };
    let mut by_profile: Vec<(String, Diagnostics)> = Vec::new();
    let mut seen: Vec<(String, Seen)> = Vec::new();
    let mut first = None;
    for (profile, done) in compiled {
        let asks = |graph: &&ExecutionGraph| {
            plan::has_tables(graph) || foreign_pool(graph).is_some() || !graph.sql_gates.is_empty()
        };
        let Some(graph) = done.graph.as_ref().filter(asks) else {
            if done.graph.is_none() {
                // A value of the environment that the plan cannot take.
                found.parts.push(Findings::from_diagnostics(done.sources, done.diagnostics));
            }
            continue;
        };
        let key = question(graph);
        if !seen.iter().any(|(asked, _)| *asked == key) {
            let (answer, told) = ask(path, graph, request, world)?;
            if !found.told.contains(&told) {
                found.told.push(told);
            }
            seen.push((key.clone(), answer));
        }
        let mut diagnostics = Diagnostics::default();
        for (_, answer) in seen.iter().filter(|(asked, _)| *asked == key) {
            let placed = answer.misfits.iter().filter_map(|misfit| plan::placed_at(&done.origins, misfit));
            diagnostics.extend(placed);
            let place = done.origins.get("database.pool");
            diagnostics.extend(place.and_then(|place| crowded(graph, &answer.capacity, *place)));
            diagnostics.extend(answer.statements.iter().filter_map(|told| not_taken(&done.origins, told)));
        }
        by_profile.push((profile, diagnostics));
        first.get_or_insert((done.sources, done.allows));
    }
    match first {
        None => found.told.push(format!("`{path}` seeds no tables: no database was looked at")),
        Some((sources, allows)) => {
            let mut merged = Diagnostics::default();
            merged.extend(planc::merge_profiles(by_profile));
            let allowed = allows.take(&mut merged);
            found.parts.push(Findings { allowed, ..Findings::from_diagnostics(sources, merged) });
        }
    }
    Ok(found)
}

/// What a database answered.
struct Seen {
    misfits: Vec<Misfit>,
    capacity: database::Capacity,
    /// Gates in SQL whose statements it does not take, and why.
    statements: Vec<(String, String)>,
}

/// The service's pools, where the plan does not start their server itself: of its own, `planc check` speaks.
fn foreign_pool(graph: &ExecutionGraph) -> Option<Pool> {
    graph.pool.filter(|_| !graph.database.as_ref().is_some_and(|url| guards::is_started_here(graph, url)))
}

/// Full pools against what the server has left.
fn crowded(graph: &ExecutionGraph, capacity: &database::Capacity, place: Span) -> Option<Diagnostic> {
    let database::Capacity { max, reserved, elsewhere } = *capacity;
    let pool = foreign_pool(graph)?;
    let sum = pool.exceeds(max, reserved + elsewhere)?;
    let message = format!(
        "full pools want {} connections, and the server has {} for them",
        pool.wanted(),
        max.saturating_sub(reserved + elsewhere)
    );
    let note = format!(
        "max_connections is {max}, of which {reserved} are reserved and {elsewhere} are open to other databases"
    );
    Some(
        Diagnostic::warning(planc::POOL_EXCEEDS_CONNECTIONS, place, message)
            .note(sum)
            .note(note)
            .note("this is seen in the live database")
            .help("raise max_connections of the server, or make the pool smaller"),
    )
}

/// A gate whose statement the database does not take.
fn not_taken(origins: &BTreeMap<String, Span>, (gate, why): &(String, String)) -> Option<Diagnostic> {
    let place = origins.get(&format!("thresholds.{gate}"))?;
    let message = format!("the statement of this gate fails: {why}");
    Some(
        Diagnostic::error(planc::LIVE_MISFIT, *place, message)
            .note("it was planned in the live database, and not run"),
    )
}

/// What the answer of the database hangs on.
fn question(graph: &ExecutionGraph) -> String {
    let parts =
        (&graph.fixtures, &graph.inputs, &graph.open_inputs, &graph.database, &graph.services, graph.seed);
    let parts = (parts, &graph.sql_gates);
    serde_json::to_string(&parts).unwrap_or_default()
}

/// Reads one database; also says in words what was looked at.
fn ask(
    path: &str,
    graph: &ExecutionGraph,
    request: &Request,
    world: &World,
) -> Result<(Seen, String), Unknown> {
    let mut values = Values::new(graph.seed, world.clock);
    values.set("run_id", "check");
    let mut masker = Masker::default();
    let set = request.set.iter().cloned().collect();
    let refused = inputs::resolve(graph, &set, &world.env, &mut values, &mut masker);
    let at = find(path, graph, request, &values, &refused)?;
    if let Some(password) = database::password_in_url(&at.url) {
        masker.add(&password);
    }
    let unreachable = |message: String| Unknown {
        exit: Exit::DatabaseUnreachable,
        message: format!("`{path}` was not checked against its database: {}", masker.hide(&message)),
        help: Some("check that it runs and that the URL, the user and the password are right".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| unreachable(format!("there is no runtime: {e}")))?;
    let (mut misfits, capacity, statements) = runtime.block_on(async {
        let client = database::connect(&at.url).await.map_err(unreachable)?;
        let looked = seeders::review(&client, graph, values.map(), at.seeds).await;
        let misfits = looked.map_err(|error| Unknown { help: error.help, ..unreachable(error.message) })?;
        let mut statements = Vec::new();
        for gate in &graph.sql_gates {
            if let Err(why) = database::prepare(&at.url, &gate.statement, &values).await {
                statements.push((gate.name.clone(), masker.hide(&why)));
            }
        }
        Ok((misfits, database::capacity(&client).await.map_err(unreachable)?, statements))
    })?;
    for misfit in &mut misfits {
        misfit.message = masker.hide(&misfit.message);
        misfit.notes.iter_mut().for_each(|note| *note = masker.hide(note));
        misfit.help = misfit.help.take().map(|help| masker.hide(&help));
    }
    let name = database::name_in_url(&at.url).unwrap_or_default();
    Ok((
        Seen { misfits, capacity, statements },
        format!("`{path}` was checked against {} `{}`", at.what, masker.hide(&name)),
    ))
}

/// A database to look at.
struct At {
    url: String,
    what: &'static str,
    /// Whether it is the plan's own, whose role will seed.
    seeds: bool,
    /// A server that was started to look into it.
    _server: Option<Cluster>,
}

/// The database that is asked for: the one given, the plan's own, or one that an earlier run kept.
fn find(
    path: &str,
    graph: &ExecutionGraph,
    request: &Request,
    values: &Values,
    refused: &[crate::evidence::NodeRecord],
) -> Result<At, Unknown> {
    if let Some(url) = &request.database_url {
        // Whoever gives a URL has chosen, and nothing is written: only a pattern that is given too is held against it.
        let name = database::name_in_url(url).unwrap_or_default();
        if let Some(pattern) =
            request.database_guard.as_ref().filter(|pattern| !database::like(pattern, &name))
        {
            let help = "give the URL of a test database, or another `--database-guard PATTERN`";
            return Err(Unknown::new(
                Exit::Refused,
                format!("the database `{name}` is not `{pattern}`"),
                help,
            ));
        }
        return Ok(At { url: url.clone(), what: "the given database", seeds: false, _server: None });
    }
    let Some(template) = &graph.database else {
        let message = format!("`{path}` names no database");
        return Err(Unknown::new(Exit::Usage, message, "give --database-url URL"));
    };
    if guards::is_started_here(graph, template) {
        return kept(path, graph, template);
    }
    let Ok(url) = planc::eval::render(template, values) else {
        let why: Vec<String> = refused.iter().map(|node| format!("{}: {}", node.name, node.detail)).collect();
        let fixes: Vec<&str> = refused.iter().filter_map(|node| node.fix.as_deref()).collect();
        let message = format!("the database of `{path}` is not known: {}", why.join("; "));
        let help = format!("{}, or give --database-url URL", fixes.join(", "));
        return Err(Unknown::new(Exit::Refused, message, help));
    };
    let addresses = guards::database_address(graph, &url, request.database_guard.as_deref());
    if let Some(refusal) = addresses.into_iter().find(|node| node.outcome != NodeOutcome::Passed) {
        let message = format!("{} of `{path}` is refused: {}", refusal.name, refusal.detail);
        let help = refusal.fix.unwrap_or_default();
        return Err(Unknown::new(
            Exit::Refused,
            message,
            format!("{help}; or look at it with --database-url URL"),
        ));
    }
    Ok(At { url, what: "the database", seeds: true, _server: None })
}

/// The database of a service that the plan starts: there is none before a run, unless an earlier one was kept.
fn kept(path: &str, graph: &ExecutionGraph, template: &planc::expr::Template) -> Result<At, Unknown> {
    let service = service_of(graph, template);
    let name = service.map_or("", |service| service.name.as_str());
    let none = |why: &str| {
        let message = format!("`{path}` starts its own database (`services.{name}`): {why}");
        let help = "give --database-url URL of a database with the same schema";
        Unknown::new(Exit::Usage, message, help)
    };
    let Some(Service { kind: ServiceKind::Postgres { database, keep, settings }, .. }) = service else {
        return Err(none("there is none before a run"));
    };
    let Some(keep) = keep else {
        return Err(none("there is none before a run"));
    };
    let failed = |error: seeders::cluster::ClusterError| Unknown {
        exit: Exit::DatabaseUnreachable,
        message: format!(
            "the database that `{path}` keeps under `{keep}` cannot be started: {}",
            error.message
        ),
        help: error.help,
    };
    let folder = kept_path(keep).map_err(failed)?;
    if !folder.join("data/PG_VERSION").exists() {
        return Err(none(&format!("no run has kept one under `{keep}` yet")));
    }
    let options = ClusterOptions { data: DataDir::Kept(folder), settings: settings.clone(), bin: None };
    let cluster = Cluster::start(options).map_err(failed)?;
    Ok(At { url: cluster.url(database), what: "the kept database", seeds: true, _server: Some(cluster) })
}

/// The service that a URL is of.
fn service_of<'g>(graph: &'g ExecutionGraph, template: &planc::expr::Template) -> Option<&'g Service> {
    let Some(Segment::Slot(Expr::Path(path))) = template.segments.first() else { return None };
    graph.services.iter().find(|service| path.get(1) == Some(&service.name))
}
