//! What a thing is, in a few words of Markdown.

use super::Document;
use super::names::{Kind, Occurrence, Sort};
use super::spot::{self, Part, Spot, What};
use super::templates::{self, Role};
use super::tree::{Entry, Node, NodeKind};
use super::words::Words;
use crate::executors::{self, Executor, Need};
use crate::near::listed;
use std::ops::Range;

/// The longest piece of the plan's own text that is shown.
const MAX_SHOWN: usize = 80;
/// So many columns of a fixture are shown.
const MAX_COLUMNS: usize = 30;

/// Words about a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Hover {
    /// What they are about.
    pub range: Range<usize>,
    /// Markdown.
    pub text: String,
}

/// Names of the language that every step can use.
const NAMES: [(&str, &str); 11] = [
    ("run_id", "This run's own id, new each time."),
    ("vu", "Number of the virtual user, from 1."),
    ("iteration", "Number of this virtual user's iteration, from 0."),
    ("iteration_global", "Number of the scenario's iteration over all virtual users, from 0."),
    ("scenario", "Name of the scenario."),
    ("response", "The answer to this step's request."),
    ("n", "Number of the row, from 1."),
    ("rows", "Number of the fixture's rows."),
    ("parent", "The row of the parents' fixture that this row belongs to; `parent.n` is its number."),
    ("child", "Which of its parent's children the row is, from 1."),
    ("token", "The token's value."),
];

/// What filters and functions do.
pub(super) const WORDS: [(&str, &str); 29] = [
    ("pad", "`n | pad(5)`: leading zeros up to a width."),
    ("upper", "Upper case."),
    ("lower", "Lower case."),
    ("trim", "Without white space at both ends."),
    ("int", "As a whole number."),
    ("float", "As a decimal."),
    ("string", "As text."),
    ("round", "`x | round(2)`: rounded, to whole numbers unless digits are given."),
    ("abs", "Absolute value."),
    ("length", "Length of a text, list or map."),
    ("count", "Length of a text, list or map."),
    ("first", "First element or character."),
    ("last", "Last element or character."),
    ("join", "`list | join(\", \")`: the elements as one text."),
    ("replace", "`x | replace(\"a\", \"b\")`: every `a` becomes `b`."),
    ("default", "`x | default(1)`: this value in the place of null."),
    ("tojson", "As JSON text."),
    ("urlencode", "Escaped for a URL."),
    ("sha256", "SHA-256 of the text in hexadecimal digits."),
    ("base64", "Base64 of the text."),
    ("now", "`now()`: the time in UTC, RFC 3339; `now(\"unix\")` and `now(\"unix_ms\")` are whole numbers."),
    ("range", "`range(3)` is 0, 1, 2; `range(2, 4)` is 2, 3."),
    ("random.int", "`random.int(1, 6)`: a whole number, both ends included; seeded."),
    ("random.float", "`random.float(0, 1)`: a decimal; seeded."),
    ("random.choice", "`random.choice([\"a\", \"b\"])`: one element; seeded."),
    ("random.hex", "`random.hex(8)`: so many hexadecimal digits; seeded."),
    ("random.alnum", "`random.alnum(8)`: so many letters and digits; seeded."),
    ("random.uuid", "`random.uuid()`: a UUID; seeded."),
    (
        "csr",
        "`csr(name)` or `csr(names)`: a certificate signing request with a key of its own, base64url as in ACME; seeded.",
    ),
];

pub(super) fn about_word(name: &str) -> Option<&'static str> {
    WORDS.iter().chain(&NAMES).find(|(known, _)| *known == name).map(|(_, about)| *about)
}

impl Document<'_> {
    /// What stands at a byte.
    pub fn hover(&self, at: usize) -> Option<Hover> {
        self.sort?;
        let spot = spot::find(&self.tree, at);
        let top = spot.as_ref().and_then(|spot| spot.keys().first().map(ToString::to_string));
        let in_thresholds = top.as_deref() == Some("thresholds");
        if let Some(spot @ Spot { what: What::Key(entry), .. }) = spot.as_ref().filter(|_| in_thresholds)
            && spot.path.len() == 1
        {
            return Some(Hover { range: entry.key.clone(), text: self.gates(spot)? });
        }
        if let Some(name) = self.name_at(at)
            && let Some(text) = self.name(name)
        {
            return Some(Hover { range: name.range.clone(), text });
        }
        match spot? {
            spot @ Spot { what: What::Key(entry), .. } => {
                let text = self.key(&spot.path, &entry.name)?;
                Some(Hover { range: entry.key.clone(), text })
            }
            spot @ Spot { what: What::Value(node), .. } => {
                let hover = |text| Hover { range: node.range.clone(), text };
                if let Some(hover) = self.word(node, at) {
                    return Some(hover);
                }
                match spot.path.last() {
                    Some(Part::Key(key)) if key == "executor" => {
                        executors::by_name(node.text(&self.text)?).map(executor).map(hover)
                    }
                    _ if in_thresholds => self.gates(&spot).map(hover),
                    _ => None,
                }
            }
        }
    }

    /// A filter, a function or a name of the language inside a template.
    fn word(&self, node: &Node, at: usize) -> Option<Hover> {
        let slots = templates::slots(&self.text, node.range.clone());
        let slot = slots.into_iter().find(|slot| slot.start <= at && at <= slot.end)?;
        let chains = templates::chains(&self.text, slot).into_iter();
        let chain = chains.max_by_key(|chain| (chain.words[0].start <= at, chain.words[0].start))?;
        let range = chain.words[0].start..chain.words.last()?.end;
        if at < range.start || range.end < at {
            return None;
        }
        let name = &self.text[range.clone()];
        let name = if chain.role == Role::Name { name.split('.').next()? } else { name };
        Some(Hover { text: titled(name, None, &[about_word(name)?.to_string()]), range })
    }

    /// What a key of the language means.
    fn key(&self, path: &[Part], name: &str) -> Option<String> {
        let words = self.words();
        let about = words.key(path, name);
        let takers = executors::takers(name);
        let of_scenario = matches!(path, [Part::Key(top), Part::Key(_)] if top == "scenarios");
        let mut lines: Vec<String> = about.map(String::from).into_iter().collect();
        if of_scenario && !takers.is_empty() {
            lines.push(format!("Taken by {}.", listed(takers, "and")));
        }
        (!lines.is_empty()).then(|| titled(name, None, &lines))
    }

    pub(super) fn words(&self) -> Words {
        if self.sort == Some(Sort::Fixture) { Words::fixture() } else { Words::plan() }
    }

    fn name(&self, name: &Occurrence) -> Option<String> {
        let word = name.symbol.name.as_str();
        let (title, lines) = match name.symbol.kind {
            Kind::Input => ("input", self.input(word)?),
            Kind::Profile => ("profile", self.slices(self.declaration("profiles", word)?)),
            Kind::Service => ("service", self.in_phase("services", word).into_iter().collect()),
            Kind::Fixture => ("fixture", self.fixture(word)?),
            Kind::File => (
                "fixture file",
                Document::read(self.files, &self.definition(name.range.start).first()?.path)?.own_columns(),
            ),
            Kind::Column => ("column", self.column_made(&name.symbol.within, word)?),
            Kind::Token => ("token", self.token(name)?),
            Kind::Scope => ("scope", self.scope(word)),
            Kind::Endpoint => ("endpoint", self.endpoint(name)?),
            Kind::Metric => ("metric", self.metric(word)?),
            Kind::Scenario => {
                let node = self.declaration("scenarios", word)?;
                let mut lines: Vec<String> = self.slice(node, "executor").into_iter().collect();
                lines.extend(self.scenario_load(word));
                ("scenario", lines)
            }
            Kind::Binding => ("name", self.binding(name)?),
        };
        Some(titled(word, Some(title), &lines))
    }

    fn input(&self, name: &str) -> Option<Vec<String>> {
        let node = self.declaration("inputs", name)?;
        let kind = self.slice(node, "type").unwrap_or_default();
        let secret = kind == "secret";
        let shown = |text: String| if secret { "•••".to_string() } else { format!("`{text}`") };
        let mut lines: Vec<String> = self.slice(node, "about").into_iter().collect();
        lines.push(format!("- type: {kind}"));
        match self.slice(node, "default") {
            Some(default) => lines.push(format!("- default: {}", shown(default))),
            None => lines.push("- no default: given when the run starts".into()),
        }
        for profile in self.tree.get("profiles").map_or(&[][..], Node::entries) {
            if let Some(value) = self.slice(&profile.value, name) {
                lines.push(format!("- in profile {}: {}", profile.name, shown(value)));
            }
        }
        lines.extend(self.slice(node, "env").map(|env| format!("- from the environment: `{env}`")));
        lines.extend(node.get("late").map(|_| "- late: stays open in the graph".to_string()));
        Some(lines)
    }

    fn fixture(&self, name: &str) -> Option<Vec<String>> {
        if self.sort == Some(Sort::Fixture) {
            return Some(self.fixture_file(name)?.own_columns());
        }
        let node = self.declaration("fixtures", name)?;
        let mut lines: Vec<String> = self.in_phase("fixtures", name).into_iter().collect();
        match self.fixture_file(name) {
            Some(file) => lines.extend(file.own_columns()),
            None => lines.extend(self.columns(node)),
        }
        Some(lines)
    }

    /// A fixture file's table and columns.
    fn own_columns(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.slice(&self.tree, "about").into_iter().collect();
        lines.extend(self.slice(&self.tree, "sql").map(|script| format!("- script: `{script}`")));
        lines.extend(self.slice(&self.tree, "table").map(|table| format!("- table: `{table}`")));
        lines.extend(self.slice(&self.tree, "rows_from").map(|file| format!("- rows from `{file}`")));
        lines.extend(self.slice(&self.tree, "rows").map(|rows| format!("- rows in the file: {rows}")));
        lines.extend(self.columns(&self.tree));
        lines
    }

    fn columns(&self, fixture: &Node) -> Vec<String> {
        let columns = fixture.get("columns").map_or(&[][..], Node::entries);
        if columns.is_empty() {
            return Vec::new();
        }
        let row = |column: &Entry| format!("| `{}` | {} |", column.name, code(&self.shown(&column.value)));
        let mut table = vec!["\n| column | made by |".to_string(), "|---|---|".to_string()];
        table.extend(columns.iter().take(MAX_COLUMNS).map(row));
        if columns.len() > MAX_COLUMNS {
            table.push(format!("| … | {} more |", columns.len() - MAX_COLUMNS));
        }
        vec![table.join("\n")]
    }

    fn column_made(&self, fixture: &str, column: &str) -> Option<Vec<String>> {
        let made = |of: &Document<'_>, node: &Node, name: &str| {
            if let Some(node) = node.get("columns").and_then(|columns| columns.get(column)) {
                return Some(vec![code(&of.shown(node))]);
            }
            node.get("rows_from")?;
            let (file, fields) = of.record_fields(name);
            fields.iter().any(|field| field == column).then(|| vec![format!("- a field of `{file}`")])
        };
        match self.fixture_file(fixture) {
            Some(file) => made(&file, &file.tree, file.own_name().unwrap_or(fixture)),
            None if self.sort == Some(Sort::Fixture) => made(self, &self.tree, fixture),
            None => made(self, self.declaration("fixtures", fixture)?, fixture),
        }
    }

    fn token(&self, name: &Occurrence) -> Option<Vec<String>> {
        let node = self.declaration("tokens", &name.symbol.name)?;
        let mut lines: Vec<String> = self.in_phase("tokens", &name.symbol.name).into_iter().collect();
        lines.extend(self.slice(node, "header").map(|header| format!("- header: `{header}`")));
        lines.push(format!("- sent by {}", self.used(name, "step")));
        Some(lines)
    }

    fn scope(&self, scope: &str) -> Vec<String> {
        let with = |block: &str| {
            let entries = self.tree.get(block).map_or(&[][..], Node::entries).iter();
            let has = |entry: &&Entry| {
                let scopes = entry.value.get("scopes").map_or(&[][..], Node::items);
                scopes.iter().any(|item| item.text(&self.text) == Some(scope))
            };
            let names: Vec<&str> = entries.filter(has).map(|entry| entry.name.as_str()).collect();
            if names.is_empty() { "none".to_string() } else { listed(names, "and") }
        };
        vec![
            format!("- tokens with it: {}", with("tokens")),
            format!("- endpoints that need it: {}", with("endpoints")),
        ]
    }

    fn endpoint(&self, name: &Occurrence) -> Option<Vec<String>> {
        let node = self.declaration("endpoints", &name.symbol.name)?;
        let methods = ["get", "post", "put", "patch", "delete", "head", "options"];
        let url =
            methods.iter().find_map(|m| Some(format!("`{} {}`", m.to_uppercase(), self.slice(node, m)?)));
        let mut lines: Vec<String> = url.into_iter().collect();
        lines.extend(self.slice(node, "scopes").map(|scopes| format!("- scopes: {scopes}")));
        lines.extend(self.slice(node, "limit").map(|limit| format!("- limit of the target: {limit}")));
        lines.push(format!("- called by {}", self.used(name, "step")));
        Some(lines)
    }

    fn metric(&self, name: &str) -> Option<Vec<String>> {
        let node = self.declaration("metrics", name)?;
        let kind = node.text(&self.text).map(String::from).or_else(|| self.slice(node, "type"));
        let mut lines: Vec<String> = self.slice(node, "about").into_iter().collect();
        lines.extend(kind.map(|kind| format!("- a {kind} of the plan's own, filled by `record`")));
        Some(lines)
    }

    fn binding(&self, name: &Occurrence) -> Option<Vec<String>> {
        let Some(place) = self.definition(name.range.start).into_iter().next() else {
            return about_word(&name.symbol.name).map(|about| vec![about.to_string()]);
        };
        let given = spot::find(&self.tree, place.range.start)?;
        let What::Key(entry) = given.what else { return Some(vec!["Counter or element of a loop.".into()]) };
        if given.path.last() == Some(&Part::Key("capture".into())) {
            return Some(vec![format!("Captured from the answer: {}", code(&self.shown(&entry.value)))]);
        }
        let fixture = entry.value.get("from").unwrap_or(&entry.value).text(&self.text)?;
        let order = self.slice(&entry.value, "order").unwrap_or("round_robin".into());
        let mut lines = vec![format!("One row of the fixture `{fixture}` an iteration, {order}.")];
        lines.extend(self.fixture(fixture).unwrap_or_default());
        Some(lines)
    }

    /// `3 steps`: how often a name is used.
    fn used(&self, name: &Occurrence, what: &str) -> String {
        match self.references(name.range.start, false).len() {
            0 => format!("no {what}"),
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        }
    }

    /// The entries of a map, a line each.
    fn slices(&self, node: &Node) -> Vec<String> {
        let line = |entry: &Entry| format!("- {}: {}", entry.name, code(&self.shown(&entry.value)));
        node.entries().iter().map(line).collect()
    }

    /// The value of a key as written.
    fn slice(&self, node: &Node, key: &str) -> Option<String> {
        node.get(key).filter(|value| value.kind != NodeKind::Nothing).map(|value| self.shown(value))
    }

    /// A value as written, on one line and not too long.
    fn shown(&self, node: &Node) -> String {
        let text = self.text.get(node.range.clone()).unwrap_or("");
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(MAX_SHOWN) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line,
        }
    }
}

/// Code inside a table: a bar would end the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

fn titled(name: &str, what: Option<&str>, lines: &[String]) -> String {
    let title = match what {
        Some(what) => format!("{what} **`{name}`**"),
        None => format!("**`{name}`**"),
    };
    let mut out = title;
    for line in lines {
        out.push_str(if line.starts_with("- ") { "\n" } else { "\n\n" });
        out.push_str(line);
    }
    out
}

pub(super) fn executor(executor: &Executor) -> String {
    let keys = |need: Need| {
        let keys = executor.keys.iter().filter(|key| key.need == need);
        keys.map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![executor.about.to_string(), format!("- needs {}", keys(Need::Required))];
    let optional = keys(Need::Optional);
    if !optional.is_empty() {
        lines.push(format!("- takes {optional}"));
    }
    titled(executor.name, None, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Filter, Function};

    #[test]
    fn every_filter_and_function_is_told() {
        let filters = Filter::NAMES.iter().map(|filter| filter.0);
        let mut known: Vec<&str> = filters.chain(Function::NAMES.iter().map(|function| function.0)).collect();
        let mut told: Vec<&str> = WORDS.iter().map(|word| word.0).collect();
        known.sort_unstable();
        told.sort_unstable();
        assert_eq!(known, told);
    }
}
