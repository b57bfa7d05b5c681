//! `runner judge`: a verdict again, from the evidence.

use super::arguments::{Judge, VerdictFormat};
use super::{Stop, print, read, tell};
use crate::exit::Exit;
use crate::judge;
use crate::output;
use crate::report::terminal;
use crate::trim;
use crate::what_if::{self, NoAnswer};

pub(super) fn judge_again(args: &Judge) -> Result<Exit, Stop> {
    let mut evidence = read(&args.evidence)?;
    let asked = !args.threshold.is_empty();
    if asked {
        evidence = what_if::with_gates(&evidence, &args.threshold).map_err(|why| match why {
            NoAnswer::Rejected(why) => Stop(Exit::Usage, why),
            NoAnswer::NotKept(why) => Stop(Exit::Invalid, why),
        })?;
    }
    let verdict = judge::judge(&evidence.graph, &evidence);
    print(&match args.format {
        VerdictFormat::Terminal if asked => what_if::tell(&evidence, &verdict),
        VerdictFormat::Terminal => terminal::outcome(&evidence, &verdict),
        VerdictFormat::Json => format!("{}\n", serde_json::to_string_pretty(&verdict).unwrap_or_default()),
    })?;
    if let Some(file) = &args.trim {
        let small =
            trim::trimmed(&evidence).map_err(|why| Stop(Exit::Internal, format!("error: {why}\n")))?;
        output::write_evidence(file, &small)
            .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}\n")))?;
        tell(&format!("wrote {}\n", file.display()));
    }
    Ok(verdict.status)
}
