//! `runner report`: a run told again.

use super::{Stop, print, read};
use crate::exit::Exit;
use crate::judge;
use crate::output;
use crate::report;
use std::path::Path;

pub(super) fn report_again(path: &Path, format: &str, to: Option<&Path>) -> Result<Exit, Stop> {
    let evidence = read(path)?;
    let verdict = judge::judge(&evidence.graph, &evidence);
    // The parser takes names of the list only.
    let Some(report) = report::by_name(format) else { return Ok(Exit::Usage) };
    let text = (report.render)(&evidence, &verdict);
    match to {
        None => print(&text)?,
        Some(file) => {
            let plain = anstream::adapter::strip_str(&text).to_string();
            output::write(file, &plain).map_err(|why| Stop(Exit::OutputLost, format!("error: {why}\n")))?;
        }
    }
    Ok(Exit::Pass)
}
