//! `runner check`: what is wrong with plans, the database asked too.

use super::arguments::{Check, Deny};
use super::{Stop, print, tell, today};
use crate::check::{self, Request, Unknown};
use crate::exit::Exit;
use crate::plan;
use crate::world::World;
use planc::render::{Findings, View};

pub(super) fn check(args: &Check, world: &World) -> Result<Exit, Stop> {
    let request = Request {
        today: today(world),
        profile: args.profile.clone(),
        set: args.set.clone(),
        live: args.live,
        database_url: args.database_url.clone(),
        database_guard: args.database_guard.clone(),
    };
    for path in &args.plans {
        plan::readable(path).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    }
    let (mut parts, mut unknown) = (Vec::new(), Vec::new());
    for path in &args.plans {
        let checked = check::check(path, &request, world);
        parts.extend(checked.parts);
        unknown.extend(checked.unknown);
        checked.told.iter().for_each(|told| tell(&format!("{told}\n")));
    }
    let findings = Findings::merge(parts);
    let summary = findings.summary();
    // The parser takes names of the list only.
    let Some(format) = planc::render::format(&args.format) else { return Ok(Exit::Usage) };
    print(&(format.render)(&findings, View { color: true, coverage: args.verbose }))?;
    for Unknown { message, help, .. } in &unknown {
        let help = help.as_ref().map(|help| format!("  help: {help}\n")).unwrap_or_default();
        tell(&format!("error: {message}\n{help}"));
    }
    let denied = args.deny.contains(&Deny::Warnings) && summary.warnings > 0;
    Ok(match unknown.first() {
        _ if summary.errors > 0 || denied => Exit::PlanRejected,
        Some(unknown) => unknown.exit,
        None => Exit::Pass,
    })
}
