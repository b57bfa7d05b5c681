//! `runner report`: a run told again.

use super::{Stop, print, read};
use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::judge::{self, Verdict};
use crate::output;
use crate::report;
use std::path::Path;

pub(super) fn report_again(
    path: &Path,
    format: &str,
    template: Option<&Path>,
    to: Option<&Path>,
) -> Result<Exit, Stop> {
    let evidence = read(path)?;
    let verdict = judge::judge(&evidence.graph, &evidence);
    let text = match template {
        Some(file) => filled(file, &evidence, &verdict)?,
        None => {
            // The parser takes names of the list only.
            let Some(report) = report::by_name(format) else { return Ok(Exit::Usage) };
            (report.render)(&evidence, &verdict)
        }
    };
    match to {
        None => print(&text)?,
        Some(file) => {
            let plain = anstream::adapter::strip_str(&text).to_string();
            output::write(file, &plain).map_err(|why| Stop(Exit::OutputLost, format!("error: {why}\n")))?;
        }
    }
    Ok(Exit::Pass)
}

fn filled(file: &Path, evidence: &Evidence, verdict: &Verdict) -> Result<String, Stop> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Stop(Exit::Usage, format!("error: cannot read `{name}`: {error}\n")))?;
    report::template::render(&name, &text, evidence, verdict).map_err(|why| Stop(Exit::Usage, why))
}
