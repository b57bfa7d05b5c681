//! Rows as a pure function of (seed, fixture, row number, base time).
//!
//! A [`RowSource`] is compiled once from the graph: the order in which columns need each other, templates cut into
//! pieces, the keys of the draws. Making a row reads nothing else, so any row can be made alone and in any order.

use crate::generators::{Cell, Context, How, Maker, Uses, uses_of};
use crate::hash;
use planc::expr::Scope;
use planc::graph::{Children, Columns, ExecutionGraph, Fixture, Generator, Json};
use planc::relation::Relation;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Values that templates see outside of the row, by dotted path: `inputs.api_key`, `services.postgres.url`, `run_id`.
pub type Inputs = BTreeMap<String, Json>;

/// Version of the generators, kept in the ledger. Raised whenever the same definition gives other rows than before, so
/// that rows of an earlier program are never taken for ours unseen.
pub const GENERATOR_VERSION: i32 = 1;

/// Why a row cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The fixture.
    pub fixture: String,
    /// The column, when it is one column's fault.
    pub column: Option<String>,
    /// The row, when it is one row's fault.
    pub row: Option<u64>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixture `{}`", self.fixture)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RowError {}

/// The rows of one fixture.
#[derive(Debug, Clone)]
pub struct RowSource {
    fixture: String,
    rows: u64,
    base: i64,
    names: Vec<String>,
    makers: Vec<Maker>,
    /// For each column: the columns to make, in order, itself last.
    plans: Vec<Vec<usize>>,
    /// All columns in an order in which each comes after what it needs.
    order: Vec<usize>,
    /// Whether a column's values move with the base time.
    moves: Vec<bool>,
    outer: Arc<Inputs>,
    family: Option<Family>,
}

/// The parents of the rows.
#[derive(Debug, Clone)]
struct Family {
    relation: Relation,
    parents: Arc<RowSource>,
}

/// Names that are never a column inside a template.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "n" | "rows" | "inputs" | "services" | "run_id")
}

/// Names that rows by parent see besides: they are never a column of the row itself.
pub(crate) const OF_CHILDREN: [&str; 2] = ["parent", "child"];

impl RowSource {
    /// Compiles the rows of the fixture called `fixture` in the graph. `base_micros` (since 1970) is what relative times
    /// are relative to. Fails for an unknown fixture, columns or fixtures that need each other in a circle, and
    /// generators that cannot give any value.
    pub fn new(
        graph: &ExecutionGraph,
        fixture: &str,
        inputs: &Inputs,
        base_micros: i64,
    ) -> Result<RowSource, RowError> {
        let mut outer = inputs.clone();
        for (name, value) in &graph.inputs {
            outer.entry(format!("inputs.{name}")).or_insert_with(|| value.clone());
        }
        build(graph, fixture, &Arc::new(outer), base_micros, &mut Vec::new())
    }

    /// Number of rows; row numbers run from 1 to this.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Column names, sorted.
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// The base time in microseconds since 1970.
    pub fn base_micros(&self) -> i64 {
        self.base
    }

    /// Row `n` (from 1): a pure function of (seed, fixture, n, base time).
    pub fn row(&self, n: u64) -> Result<BTreeMap<String, Json>, RowError> {
        let mut cells = Vec::new();
        self.fill(n, &mut cells)?;
        Ok(self.names.iter().cloned().zip(cells.iter().map(Cell::to_json)).collect())
    }

    /// One value of row `n`, without making the columns that it does not need.
    pub fn value(&self, n: u64, column: &str) -> Result<Json, RowError> {
        let index = self.names.iter().position(|name| name == column).ok_or_else(|| RowError {
            fixture: self.fixture.clone(),
            column: Some(column.into()),
            row: None,
            message: "there is no such column".into(),
        })?;
        Ok(self.cell(n, index)?.to_json())
    }

    /// Whether the column's values move with the base time.
    pub fn moves(&self, column: &str) -> bool {
        self.names.iter().position(|name| name == column).is_some_and(|index| self.moves[index])
    }

    /// Whether some columns draw from another table, and what is not known yet.
    pub(crate) fn undrawn(&self, wanted: &[usize]) -> bool {
        self.order_for(wanted).iter().any(|index| match &self.makers[*index].how {
            crate::generators::How::Sample(values) => values.is_empty(),
            _ => false,
        })
    }

    /// The value, when it is the same for every row.
    pub(crate) fn constant(&self, index: usize) -> Option<&Cell> {
        match &self.makers[index].how {
            How::Const(cell) => Some(cell),
            _ => None,
        }
    }

    /// As many characters as a text of the column has at most, where that can be told without making the rows.
    pub(crate) fn most_chars(&self, index: usize) -> Option<usize> {
        let length = |cell: &Cell| match cell {
            Cell::Json(Json::String(text)) => Some(text.chars().count()),
            _ => None,
        };
        match &self.makers[index].how {
            How::Const(cell) => length(cell),
            How::Text(text) => text.most_chars(self.rows, &|column| self.most_chars(column)),
            How::Weighted(branches) => {
                branches.iter().map(|(_, cell)| length(cell)).try_fold(0, |most, next| Some(most.max(next?)))
            }
            How::Uuid | How::UuidV7 => Some(36),
            How::Digest(..) => Some(64),
            How::Hex(length) => Some(*length),
            How::Other(source, column, _) => source.most_chars(*column),
            _ => None,
        }
    }

    /// Makes all cells of row `n` into `cells`, in the order of [`Self::columns`].
    pub(crate) fn fill(&self, n: u64, cells: &mut Vec<Cell>) -> Result<(), RowError> {
        self.make(n, &self.order, cells)
    }

    /// The parent's row of row `n`, and which of its children the row is.
    fn place(&self, n: u64) -> Option<(u64, u64)> {
        self.family.as_ref().and_then(|family| family.relation.place(n))
    }

    /// One cell of row `n`.
    pub(crate) fn cell(&self, n: u64, index: usize) -> Result<Cell, RowError> {
        let mut cells = Vec::new();
        self.make(n, &self.plans[index], &mut cells)?;
        Ok(std::mem::replace(&mut cells[index], Cell::NULL))
    }

    /// The order in which to make some columns and what they need, for [`Self::make`].
    pub(crate) fn order_for(&self, wanted: &[usize]) -> Vec<usize> {
        let needed = |index: &usize| wanted.iter().any(|want| self.plans[*want].contains(index));
        self.order.iter().copied().filter(needed).collect()
    }

    /// Makes the cells of row `n` that `order` lists; the others stay as they are in `cells`, null where it is fresh.
    pub(crate) fn make(&self, n: u64, order: &[usize], cells: &mut Vec<Cell>) -> Result<(), RowError> {
        if n == 0 || n > self.rows {
            return Err(RowError {
                fixture: self.fixture.clone(),
                column: None,
                row: Some(n),
                message: format!("rows run from 1 to {}", self.rows),
            });
        }
        // One caller makes the same cells again and again: those of the row before need no clearing.
        if cells.len() != self.names.len() {
            cells.clear();
            cells.resize(self.names.len(), Cell::NULL);
        }
        let place = self.place(n);
        for &index in order {
            let maker = &self.makers[index];
            // The cell of the row before, for its memory.
            let mut cell = std::mem::replace(&mut cells[index], Cell::NULL);
            let scope = RowScope::placed(self, n, place, cells, maker.key);
            maker.make(n, self.base, &scope, &mut cell).map_err(|message| RowError {
                fixture: self.fixture.clone(),
                column: Some(self.names[index].clone()),
                row: Some(n),
                message,
            })?;
            cells[index] = cell;
        }
        Ok(())
    }
}

/// What a template of row `n` sees: `n`, `rows`, the values from outside, and the columns made so far.
pub(crate) struct RowScope<'a> {
    source: &'a RowSource,
    n: u64,
    /// The parent's row, and which of its children this is.
    place: Option<(u64, u64)>,
    cells: &'a [Cell],
    key: u64,
    drawn: std::cell::Cell<u64>,
}

impl<'a> RowScope<'a> {
    pub(crate) fn new(source: &'a RowSource, n: u64, cells: &'a [Cell], key: u64) -> Self {
        let place = source.place(n);
        Self::placed(source, n, place, cells, key)
    }

    fn placed(source: &'a RowSource, n: u64, place: Option<(u64, u64)>, cells: &'a [Cell], key: u64) -> Self {
        RowScope { source, n, place, cells, key, drawn: std::cell::Cell::new(hash::TEMPLATE_DRAWS) }
    }

    /// The row number.
    pub(crate) fn number(&self) -> u64 {
        self.n
    }

    /// The cell of a column.
    pub(crate) fn cell(&self, index: usize) -> &Cell {
        &self.cells[index]
    }
}

impl RowScope<'_> {
    /// The column of the parent's row, by its index there.
    pub(crate) fn parent_cell(&self, index: usize) -> Result<Cell, String> {
        match (&self.source.family, self.place) {
            (Some(family), Some((parent, _))) => {
                family.parents.cell(parent, index).map_err(|error| error.to_string())
            }
            _ => Err("the row has no parent".into()),
        }
    }

    /// `child`, `parent.n`, `parent.<column>`.
    fn of_parent(&self, first: &str, rest: &[String]) -> Option<Json> {
        let (parent, child) = self.place?;
        match (first, rest) {
            ("child", []) => Some(Json::from(child)),
            ("parent", [n]) if n == "n" => Some(Json::from(parent)),
            ("parent", [column, rest @ ..]) => {
                let parents = &self.source.family.as_ref()?.parents;
                drill(&parents.value(parent, column).ok()?, rest).cloned()
            }
            _ => None,
        }
    }
}

impl Scope for RowScope<'_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "n" if rest.is_empty() => return Some(Json::from(self.n)),
            "rows" if rest.is_empty() => return Some(Json::from(self.source.rows)),
            "parent" | "child" if self.source.family.is_some() => return self.of_parent(first, rest),
            name if !is_reserved(name) => {
                if let Some(index) = self.source.names.iter().position(|column| column == name) {
                    return drill(&self.cells[index].to_json(), rest).cloned();
                }
            }
            _ => {}
        }
        lookup(&self.source.outer, path)
    }

    fn random(&self) -> u64 {
        let index = self.drawn.get();
        self.drawn.set(index + 1);
        hash::draw(self.key, self.n, index)
    }

    fn now_micros(&self) -> i64 {
        self.source.base
    }
}

/// The value at a dotted path of the inputs; a longer path looks into an object or a list.
pub(crate) fn lookup(inputs: &Inputs, path: &[String]) -> Option<Json> {
    (1..=path.len())
        .rev()
        .find_map(|split| drill(inputs.get(&path[..split].join("."))?, &path[split..]).cloned())
}

fn drill<'a>(value: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(value, |value, key| match value {
        Json::Object(map) => map.get(key),
        Json::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Templates over values from outside alone (and `rows`): URLs, statements of checks.
pub(crate) struct OuterScope<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) graph: &'a ExecutionGraph,
    pub(crate) rows: u64,
    pub(crate) now: i64,
}

impl Scope for OuterScope<'_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        if path.len() == 1 && path[0] == "rows" {
            return Some(Json::from(self.rows));
        }
        lookup(self.inputs, path).or_else(|| match path {
            [head, name, rest @ ..] if head == "inputs" => drill(self.graph.inputs.get(name)?, rest).cloned(),
            _ => None,
        })
    }

    fn random(&self) -> u64 {
        hash::mix(self.graph.seed)
    }

    fn now_micros(&self) -> i64 {
        self.now
    }
}

fn build(
    graph: &ExecutionGraph,
    alias: &str,
    outer: &Arc<Inputs>,
    base: i64,
    above: &mut Vec<String>,
) -> Result<RowSource, RowError> {
    let fail = |column: Option<&String>, message: String| RowError {
        fixture: alias.into(),
        column: column.cloned(),
        row: None,
        message,
    };
    let fixture = graph.fixture(alias).ok_or_else(|| fail(None, "there is no such fixture".into()))?;
    if above.iter().any(|name| name == alias) {
        return Err(fail(None, format!("fixtures refer to each other in a circle: {}", above.join(" → "))));
    }
    above.push(alias.into());
    let family = match &fixture.children {
        Some(children) => Some(family(graph, fixture, children, outer, base, above)?),
        None => None,
    };
    let columns = fixture.columns();
    let names: Vec<String> = columns.keys().cloned().collect();
    let hidden = |name: &str| is_reserved(name) || family.is_some() && OF_CHILDREN.contains(&name);
    // What templates may mean by a name: hidden names keep their place, and never match.
    let seen: Vec<&str> = names.iter().map(|name| if hidden(name) { "" } else { name.as_str() }).collect();
    let mut makers = Vec::with_capacity(names.len());
    for (name, column) in columns {
        let key = hash::column_key(graph.seed, &fixture.fixture, name);
        let mut other =
            |alias: &str| build(graph, alias, outer, base, above).map(Arc::new).map_err(|e| e.to_string());
        let context = Context { columns: &seen, parents: family.as_ref().map(|family| &*family.parents) };
        let maker = Maker::new(&column.generator, key, &context, &mut other);
        makers.push(maker.map_err(|message| fail(Some(name), message))?);
    }
    above.pop();
    let (needs, mut moves) = dependencies(columns, &seen, &makers, family.as_ref());
    let (order, plans) = arrange(&needs)
        .map_err(|index| fail(Some(&names[index]), "columns need each other in a circle".into()))?;
    for &index in &order {
        moves[index] |= needs[index].iter().any(|need| moves[*need]);
    }
    Ok(RowSource {
        fixture: alias.into(),
        rows: fixture.rows,
        base,
        names,
        makers,
        plans,
        order,
        moves,
        outer: Arc::clone(outer),
        family,
    })
}

/// The parents' rows and how many children each has.
fn family(
    graph: &ExecutionGraph,
    fixture: &Fixture,
    children: &Children,
    outer: &Arc<Inputs>,
    base: i64,
    above: &mut Vec<String>,
) -> Result<Family, RowError> {
    let fail = |message: String| RowError { fixture: fixture.name.clone(), column: None, row: None, message };
    let parents = build(graph, &children.of, outer, base, above)?;
    let relation = Relation::new(graph.seed, &fixture.fixture, children, parents.rows)
        .ok_or_else(|| fail(format!("the children of `{}` cannot be counted", children.of)))?;
    if relation.rows() != fixture.rows {
        return Err(fail(format!(
            "the plan counts {} rows, and the parents in `{}` have {} children",
            fixture.rows,
            children.of,
            relation.rows()
        )));
    }
    Ok(Family { relation, parents: Arc::new(parents) })
}

/// For each column the columns it needs, and whether it looks at the base time itself.
fn dependencies(
    columns: &Columns,
    seen: &[&str],
    makers: &[Maker],
    family: Option<&Family>,
) -> (Vec<Vec<usize>>, Vec<bool>) {
    let mut needs = Vec::new();
    let mut moves = Vec::new();
    for (column, maker) in columns.values().zip(makers) {
        let mut uses = Uses::default();
        let mut timed = false;
        uses_of(&column.generator, &mut uses);
        timed |= matches!(
            column.generator,
            Generator::BeforeNow(_) | Generator::AfterNow(_) | Generator::TimeWithin { .. }
        );
        if let How::Other(source, index, _) = &maker.how {
            timed |= source.moves[*index];
        }
        if let Some(family) = family {
            let of_parent =
                uses.paths.iter().filter(|path| path[0] == "parent").filter_map(|path| path.get(1));
            timed |= of_parent.into_iter().any(|column| family.parents.moves(column));
        }
        let wanted =
            |path: &Vec<String>| seen.iter().position(|name| path.first().is_some_and(|p| p == name));
        let mut columns: Vec<usize> = uses.paths.iter().filter_map(wanted).collect();
        columns.sort_unstable();
        columns.dedup();
        needs.push(columns);
        moves.push(timed || uses.now);
    }
    (needs, moves)
}

/// An order of all columns, and the closure of each; the error is a column on a circle.
#[allow(clippy::type_complexity)]
fn arrange(needs: &[Vec<usize>]) -> Result<(Vec<usize>, Vec<Vec<usize>>), usize> {
    fn visit(
        index: usize,
        needs: &[Vec<usize>],
        state: &mut [u8],
        out: &mut Vec<usize>,
    ) -> Result<(), usize> {
        match state[index] {
            2 => return Ok(()),
            1 => return Err(index),
            _ => state[index] = 1,
        }
        for &need in &needs[index] {
            visit(need, needs, state, out)?;
        }
        state[index] = 2;
        out.push(index);
        Ok(())
    }
    let mut order = Vec::new();
    let mut state = vec![0; needs.len()];
    for index in 0..needs.len() {
        visit(index, needs, &mut state, &mut order)?;
    }
    let mut plans = Vec::new();
    for index in 0..needs.len() {
        let mut plan = Vec::new();
        visit(index, needs, &mut vec![0; needs.len()], &mut plan)?;
        plans.push(plan);
    }
    Ok((order, plans))
}

/// A text template over what is known outside of rows, for callers in this crate.
pub(crate) fn render_outer(template: &planc::expr::Template, scope: &dyn Scope) -> Result<String, String> {
    planc::eval::render(template, scope).map_err(|e| e.0)
}
