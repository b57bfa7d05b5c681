//! What came out: faults by gates.

use super::catalogue::Kind;
use crate::exit::Exit;
use planc::graph::{Gate, GateLevel, SqlGate};
use planc::units::show_duration;
use serde_json::{Value, json};
use std::time::Duration;

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// Faults by gates.
pub(crate) struct Matrix {
    /// The gates of the short form.
    pub(crate) gates: Vec<Gate>,
    /// Gates in SQL, numbered on from those. What they are there for is in the database, where no fault of the catalogue
    /// is: that one noticed is told, that one noticed nothing says nothing.
    pub(crate) sql_gates: Vec<SqlGate>,
    /// One for each fault.
    pub(crate) rows: Vec<Row>,
    /// How long each load was.
    pub(crate) load: Duration,
    /// Not all faults were asked for: then nothing is said of gates that noticed none.
    pub(crate) partly: bool,
}

/// One fault.
pub(crate) struct Row {
    /// Which.
    pub(crate) kind: Kind,
    /// What was broken; why it could not be for one that was not tried.
    pub(crate) about: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// Why nothing need notice it.
    pub(crate) allowed: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// What came of a fault.
pub(crate) enum Outcome {
    /// The run was not green.
    Noticed {
        /// Which gates broke, in their order.
        gates: Vec<bool>,
        /// How the run ended.
        exit: Exit,
        /// What else noticed: a preflight check, an expectation, a step that never ran.
        other: Option<String>,
    },
    /// The run was green.
    Survived,
    /// The run was not green for reasons of the generator alone.
    Unclear(String),
    /// The plan has nothing that it could break.
    Untried,
}

impl Row {
    /// In a few words.
    pub(crate) fn told(&self) -> String {
        match &self.outcome {
            Outcome::Noticed { gates, exit, .. } => {
                let broke = gates.iter().filter(|broke| **broke).count();
                format!("noticed: exit {}, {broke} gates broke", exit.code())
            }
            Outcome::Survived => "nothing noticed".into(),
            Outcome::Unclear(why) => format!("cannot be told: {}", first_line(why)),
            Outcome::Untried => format!("{} not tried: {}", self.kind.name(), self.about),
        }
    }
}

impl Matrix {
    /// Gates that decide and that no fault broke for which they are there.
    pub(crate) fn unproven(&self) -> Vec<usize> {
        let proven = |at: usize, gate: &Gate| {
            self.rows.iter().any(|row| match &row.outcome {
                Outcome::Noticed { gates, .. } => {
                    gates.get(at).copied().unwrap_or(false) && row.kind.proves(gate)
                }
                _ => false,
            })
        };
        let open = |(at, gate): &(usize, &Gate)| gate.level == GateLevel::Required && !proven(*at, gate);
        match self.partly {
            true => Vec::new(),
            false => self.gates.iter().enumerate().filter(open).map(|(at, _)| at).collect(),
        }
    }

    /// Faults that nothing noticed and nobody allowed.
    pub(crate) fn survivors(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| {
            row.allowed.is_none() && matches!(row.outcome, Outcome::Survived | Outcome::Unclear(_))
        })
    }

    fn columns(&self) -> usize {
        self.gates.len() + self.sql_gates.len()
    }

    /// Pass when every gate showed what it is there for and every fault was noticed or allowed.
    pub(crate) fn exit(&self) -> Exit {
        let tried = self.rows.iter().any(|row| !matches!(row.outcome, Outcome::Untried));
        let sound = tried && self.unproven().is_empty() && self.survivors().next().is_none();
        if sound { Exit::Pass } else { Exit::Fail }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let in_sql = self.sql_gates.iter();
        let in_sql = in_sql.map(|gate| json!({ "subject": gate.name, "condition": gate.condition() }));
        let gates =
            self.gates.iter().map(|gate| json!({ "subject": gate.subject(), "condition": gate.text }));
        let gates = gates.chain(in_sql);
        let rows = self.rows.iter().map(|row| {
            let (outcome, noticed, exit, other) = match &row.outcome {
                Outcome::Noticed { gates, exit, other } => {
                    let broke = gates.iter().enumerate().filter(|(_, broke)| **broke).map(|(at, _)| at);
                    ("noticed", broke.collect(), Some(exit.code()), other.clone())
                }
                Outcome::Survived => ("survived", Vec::new(), Some(0), None),
                Outcome::Unclear(why) => ("unclear", Vec::new(), None, Some(why.clone())),
                Outcome::Untried => ("untried", Vec::new(), None, None),
            };
            json!({
                "fault": row.kind.name(), "about": row.about, "outcome": outcome, "gates": noticed, "exit": exit,
                "other": other, "allowed": row.allowed, "seconds": row.took.as_secs(),
            })
        });
        json!({
            "gates": gates.collect::<Vec<_>>(),
            "faults": rows.collect::<Vec<_>>(),
            "unproven_gates": self.unproven(),
            "survivors": self.survivors().map(|row| row.kind.name()).collect::<Vec<_>>(),
            "exit": self.exit().code(),
        })
    }
}

/// For people.
pub(crate) fn render(matrix: &Matrix) -> String {
    let mut out = format!("\n{BOLD}gates{RESET}\n");
    let unproven = matrix.unproven();
    for (at, gate) in matrix.gates.iter().enumerate() {
        let mark = match (gate.level, unproven.contains(&at)) {
            (GateLevel::Advisory, _) => format!("{DIM}advisory{RESET}"),
            (_, true) => format!("{RED}broken by nothing that it is there for{RESET}"),
            (_, false) => String::new(),
        };
        let line = format!("  {:>3}  {} {}  {mark}", label(at), gate.subject(), gate.text);
        out.push_str(&format!("{}\n", line.trim_end()));
    }
    for (at, gate) in matrix.sql_gates.iter().enumerate() {
        let label = label(matrix.gates.len() + at);
        out.push_str(&format!("  {label:>3}  {} ({})  {DIM}in SQL{RESET}\n", gate.name, gate.condition()));
    }
    out.push_str(&format!(
        "\n{BOLD}faults × gates{RESET}  each over {} of load\n",
        show_duration(matrix.load)
    ));
    let heads: String = (0..matrix.columns()).map(|at| format!("{:>4}", label(at))).collect();
    out.push_str(&format!("  {DIM}{:<14}{heads}{RESET}\n", ""));
    matrix.rows.iter().for_each(|row| out.push_str(&line(matrix, row)));
    out.push_str(&closing(matrix, &unproven));
    out
}

fn label(at: usize) -> String {
    format!("g{}", at + 1)
}

fn line(matrix: &Matrix, row: &Row) -> String {
    let broke =
        |at: usize| matches!(&row.outcome, Outcome::Noticed { gates, .. } if gates.get(at) == Some(&true));
    let cell = |at: usize| match (broke(at), row.kind.proves(&matrix.gates[at])) {
        (true, true) => format!("   {RED}✗{RESET}"),
        // By failures that count as above every bound.
        (true, false) => format!("   {YELLOW}x{RESET}"),
        (false, _) => format!("   {DIM}·{RESET}"),
    };
    let cells: String = (0..matrix.columns()).map(cell).collect();
    let none = matches!(&row.outcome, Outcome::Noticed { gates, .. } if !gates.contains(&true));
    let told = match &row.outcome {
        Outcome::Noticed { exit, other, .. } if none => {
            format!(
                "exit {}: {}",
                exit.code(),
                first_line(other.as_deref().unwrap_or("refused before the load"))
            )
        }
        Outcome::Noticed { .. } => String::new(),
        Outcome::Survived => format!("{RED}nothing noticed{RESET}"),
        Outcome::Unclear(why) => format!("{YELLOW}cannot be told: {}{RESET}", first_line(why)),
        Outcome::Untried => format!("{DIM}not tried: {}{RESET}", row.about),
    };
    let allowed =
        row.allowed.as_ref().map_or(String::new(), |why| format!("  {YELLOW}allowed: {why}{RESET}"));
    let about = match row.outcome {
        Outcome::Untried => String::new(),
        _ => format!("{DIM}{}{RESET}  ", row.about),
    };
    format!("  {:<14}{cells}  {about}{told}{allowed}\n", row.kind.name())
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn closing(matrix: &Matrix, unproven: &[usize]) -> String {
    let survivors: Vec<&str> = matrix.survivors().map(|row| row.kind.name()).collect();
    let tried = matrix.rows.iter().filter(|row| !matches!(row.outcome, Outcome::Untried)).count();
    let mut out = String::from("\n");
    if tried == 0 {
        out.push_str("no fault could be tried\n");
    }
    if !unproven.is_empty() {
        let labels: Vec<String> = unproven.iter().map(|at| label(*at)).collect();
        out.push_str(&format!(
            "{} broke under nothing that it is there for: tighten it, or drop it\n",
            labels.join(", ")
        ));
    }
    if !survivors.is_empty() {
        let named = survivors.join(", ");
        out.push_str(&format!(
            "nothing noticed {named}: add a gate, an expectation or a check, or say why not with --allow {}=REASON\n",
            survivors[0]
        ));
    }
    let exit = matrix.exit();
    let (colour, word) = if exit == Exit::Pass { (GREEN, "proven") } else { (RED, "not proven") };
    let gates = matrix.gates.iter().filter(|gate| gate.level == GateLevel::Required).count();
    out.push_str(&format!(
        "{colour}{BOLD}{word}{RESET}  {} of {tried} faults noticed, {} of {gates} gates broke as they should, exit {}\n",
        tried - matrix.rows.iter().filter(|row| matches!(row.outcome, Outcome::Survived | Outcome::Unclear(_))).count(),
        gates - unproven.len(),
        exit.code()
    ));
    out
}
