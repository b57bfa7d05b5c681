//! The one table of exit codes. `main` is the one place that exits.

use serde::{Deserialize, Serialize};

/// How a program run ended, as a parent process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Every gate held on a valid measurement, or what was asked for was done.
    Pass,
    /// Wrong command line.
    Usage,
    /// A bug of ours.
    Internal,
    /// A gate broke.
    Fail,
    /// Set-up failed.
    SetupFailed,
    /// Teardown failed.
    TeardownFailed,
    /// The plan has errors.
    PlanRejected,
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The measurement cannot carry a verdict.
    Invalid,
    /// Valid, but it cannot decide.
    Inconclusive,
    /// A guard or an allow-list said no; nothing was written.
    Refused,
    /// Seeding failed.
    SeedingFailed,
    /// A token, preflight check, rehearsal or smoke scenario failed; no load was sent.
    PreflightRefused,
    /// A service was not ready in time.
    ServiceNotReady,
    /// A report or the evidence could not be written.
    OutputLost,
    /// The database that was to be looked at could not be read.
    DatabaseUnreachable,
}

/// Every exit with its code and its meaning.
pub const TABLE: &[(Exit, u8, &str)] = &[
    (Exit::Pass, 0, "pass: every gate held on enough samples of a load that was really applied"),
    (Exit::Usage, 2, "usage: wrong command line"),
    (Exit::Internal, 70, "internal error: a bug of ours"),
    (Exit::Fail, 99, "fail: a gate broke"),
    (Exit::SetupFailed, 100, "set-up failed"),
    (Exit::TeardownFailed, 101, "teardown failed"),
    (Exit::PlanRejected, 104, "plan rejected"),
    (Exit::Interrupted, 105, "interrupted"),
    (Exit::Invalid, 111, "invalid: the measurement cannot carry a verdict"),
    (Exit::Inconclusive, 112, "inconclusive: valid, but it cannot decide"),
    (Exit::Refused, 113, "refused: a guard or an allow-list said no; nothing was written"),
    (Exit::SeedingFailed, 114, "seeding failed"),
    (Exit::PreflightRefused, 115, "preflight or smoke refused: no load was sent"),
    (Exit::ServiceNotReady, 116, "a service was not ready"),
    (Exit::OutputLost, 117, "output lost: a report or the evidence could not be written"),
    (Exit::DatabaseUnreachable, 118, "database unreachable: whether the fixtures fit it is not known"),
];

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or(70, |(_, code, _)| *code)
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or("", |(.., meaning)| meaning)
    }
}

/// The table as help text.
pub fn table_text() -> String {
    let lines: Vec<String> =
        TABLE.iter().map(|(_, code, meaning)| format!("  {code:>3}  {meaning}")).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_has_one_code_and_every_code_one_exit() {
        let mut codes: Vec<u8> = TABLE.iter().map(|(_, code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, [0, 2, 70, 99, 100, 101, 104, 105, 111, 112, 113, 114, 115, 116, 117, 118]);
        for (exit, code, _) in TABLE {
            assert_eq!(exit.code(), *code);
        }
    }
}
