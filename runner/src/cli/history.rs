//! `runner history`: the runs of a plan, and how many in a row were green.

use super::arguments::{HistoryArgs, HistoryFormat};
use super::{Stop, load, print, store};
use crate::exit::Exit;
use crate::history::{self, Entry, table};
use crate::plan::Loaded;
use crate::world::World;
use planc::graph::{History, Period};

pub(super) fn history(args: &HistoryArgs, world: &World) -> Result<Exit, Stop> {
    if args.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    // What is doubtful in the plan was told when it was run.
    let Loaded { graph, .. } = load(&args.plan, &args.inputs, world)?;
    let store = store(args.history.as_deref(), world);
    let all =
        history::read(&store, &graph.plan).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    let entries: Vec<Entry> = all.into_iter().filter(|entry| of_profile(entry, &graph.profile)).collect();
    let asked = asked(args, graph.history)?;
    let streak = asked.map(|asked| history::streak(&entries, Some(&graph), asked));
    let shown = &entries[entries.len().saturating_sub(args.last)..];
    print(&match args.format {
        HistoryFormat::Terminal => {
            let runs = planc::units::count(entries.len(), "run");
            let title = format!("{} ({}), {runs} in {}", graph.plan, graph.profile, store.display());
            table::render(&title, shown, streak.as_ref())
        }
        HistoryFormat::Json => table::json(shown, streak.as_ref()),
    })?;
    Ok(match streak {
        Some(streak) if args.streak.is_some() && !streak.holds() => Exit::Fail,
        _ => Exit::Pass,
    })
}

/// What is no record may be of any profile.
fn of_profile(entry: &Entry, profile: &str) -> bool {
    entry.as_ref().map_or(true, |(record, _)| record.profile == profile)
}

/// The streak that the command line or the plan asks for.
fn asked(args: &HistoryArgs, plan: Option<History>) -> Result<Option<History>, Stop> {
    let per = args.per.map(Period::from).or(plan.map(|plan| plan.per)).unwrap_or_default();
    let streak = match args.streak {
        Some(0) | None => plan.map(|plan| plan.streak),
        some => some,
    };
    if streak.is_none() && args.streak.is_some() {
        let help = "the plan has no `history`: give a number, such as `--streak 3`";
        return Err(Stop(Exit::Usage, format!("error: {help}\n")));
    }
    Ok(streak.map(|streak| History { streak, per }))
}
