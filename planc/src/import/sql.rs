//! Fixtures to start from, read out of a hand-written SQL seed.

use super::quoted;
use super::values::{Made, Names, column};
use crate::Files;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::Json;
use crate::source::{FileId, SourceMap, Span};
use crate::sql::{self, Deed, Statement};
use sqlparser::ast::{
    self as tree, ConflictTarget, Expr, FunctionArg, FunctionArgExpr, Insert, ObjectName, OnConflictAction,
    OnInsert, SelectItem, SetExpr, Spanned, TableFactor, TableObject,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use std::fmt::Write;

/// Rows of a `VALUES` list that become one.
const MOST_VALUES: usize = 100;

/// What came of importing SQL scripts.
#[derive(Debug, Default)]
pub struct ImportedSql {
    /// The texts that were read.
    pub sources: SourceMap,
    /// What could not be carried over, at its place.
    pub diagnostics: Diagnostics,
    /// The fixtures, in the order of the statements.
    pub fixtures: Vec<ImportedFixture>,
}

/// One fixture file.
#[derive(Debug)]
pub struct ImportedFixture {
    /// Its name, for `NAME.yaml`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A fixture for each `INSERT` of some scripts. What cannot be said in a fixture is told, and stands in it as a comment.
pub fn sql(files: &dyn Files, paths: &[String]) -> ImportedSql {
    let mut reader = Reader { out: ImportedSql::default() };
    for path in paths {
        match files.read(path) {
            Ok(text) => {
                let file = reader.out.sources.add(path, text);
                reader.script(file);
            }
            Err(why) => {
                let file = reader.out.sources.add(path, "");
                let message = format!("cannot read `{path}`: {why}");
                let at = Span::new(file, 0..0);
                reader.out.diagnostics.push(Diagnostic::error(codes::UNREADABLE_FILE, at, message));
            }
        }
    }
    reader.out
}

struct Reader {
    out: ImportedSql,
}

/// The rows of a statement: how many, and their values by column.
struct Rows<'t> {
    count: i64,
    names: Names,
    /// The expressions of one row, or those of each.
    values: Vec<Vec<&'t Expr>>,
}

/// Where a statement stands.
struct Place<'t> {
    file: FileId,
    statement: &'t Statement,
    text: &'t str,
    path: String,
}

impl Place<'_> {
    /// The bytes of an expression; the whole first line where the parser does not know them.
    fn of(&self, expr: &Expr) -> Span {
        let span = expr.span();
        let own = &self.text[self.statement.range.clone()];
        let byte = |line: u64, column: u64| {
            let before: usize =
                own.split_inclusive('\n').take(line.checked_sub(1)? as usize).map(str::len).sum();
            let column = own
                .get(before..)?
                .chars()
                .take(column.checked_sub(1)? as usize)
                .map(char::len_utf8)
                .sum::<usize>();
            Some(self.statement.range.start + before + column)
        };
        let start = byte(span.start.line, span.start.column);
        match (start, byte(span.end.line, span.end.column)) {
            (Some(start), Some(end)) if start < end && end <= self.text.len() => {
                Span::new(self.file, start..end)
            }
            _ => self.whole(),
        }
    }

    fn whole(&self) -> Span {
        let own = &self.text[self.statement.range.clone()];
        let line = own.lines().next().map_or(0, str::len);
        Span::new(self.file, self.statement.range.start..self.statement.range.start + line)
    }
}

impl Reader {
    fn script(&mut self, file: FileId) {
        let (path, text) = {
            let source = self.out.sources.file(file);
            (source.name.clone(), source.text.clone())
        };
        let (statements, complaints) = sql::script(&text);
        for complaint in complaints {
            let span = Span::new(file, complaint.range);
            self.warn(span, format!("{}: it is left out", complaint.message), None);
        }
        for statement in &statements {
            let place = Place { file, statement, text: &text, path: path.clone() };
            if statement.deed != Deed::Insert {
                let message = match statement.deed {
                    Deed::CopyIn => {
                        "copied rows are left out: a fixture takes them as they are by `sql: FILE`"
                    }
                    _ => "only `INSERT` becomes a fixture: this statement is left out",
                };
                self.warn(place.whole(), message.into(), None);
                continue;
            }
            if let Err((span, why, help)) = self.statement(&place) {
                self.warn(span, format!("this statement is left out: {why}"), help);
            }
        }
    }

    fn warn(&mut self, span: Span, message: String, help: Option<&str>) {
        let diagnostic = Diagnostic::warning(codes::NOT_IMPORTED, span, message);
        self.out.diagnostics.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// One `INSERT`; the error says why it is left out.
    fn statement(&mut self, place: &Place<'_>) -> Result<(), (Span, String, Option<&'static str>)> {
        let whole = |why: String| (place.whole(), why, None);
        let own = &place.text[place.statement.range.clone()];
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, own).map_err(|error| {
            // The place that it adds is one within the statement.
            let said = error.to_string();
            let said = said.strip_prefix("sql parser error: ").unwrap_or(&said);
            whole(said.split(" at Line:").next().unwrap_or(said).to_string())
        })?;
        let [tree::Statement::Insert(insert)] = parsed.as_slice() else {
            return Err(whole("it is more than an `INSERT`".into()));
        };
        let TableObject::TableName(table) = &insert.table else {
            return Err(whole("it names no table".into()));
        };
        if insert.columns.is_empty() {
            let help = "name the columns in the script: INSERT INTO table (a, b) …";
            return Err((place.whole(), "it names no columns".into(), Some(help)));
        }
        let rows = rows(insert).map_err(whole)?;
        if rows.values.iter().any(|row| row.len() != insert.columns.len()) {
            return Err(whole("it has more or fewer values than columns".into()));
        }
        let columns: Vec<String> = insert.columns.iter().map(last).collect();
        let fixture = self.fixture(place, insert, &named(table), &columns, &rows);
        self.out.fixtures.push(fixture);
        Ok(())
    }

    fn fixture(
        &mut self,
        place: &Place<'_>,
        insert: &Insert,
        table: &str,
        columns: &[String],
        rows: &Rows<'_>,
    ) -> ImportedFixture {
        let identity = identity(insert, columns, rows);
        let mut lines = String::new();
        for (at, name) in columns.iter().enumerate() {
            let key = identity.contains(name);
            let first = rows.values[0][at];
            match cell(rows, at, key) {
                Ok((text, note)) => {
                    if !note.is_empty() {
                        let _ = writeln!(lines, "  # {note}");
                        self.warn(place.of(first), format!("column `{name}` is {note}"), None);
                    }
                    let _ = writeln!(lines, "  {}: {text}", quoted(name));
                }
                Err(why) => {
                    self.warn(place.of(first), format!("column `{name}` is left out: {why}"), None);
                    let line = sql::line_column(place.text, place.of(first).start as usize).0;
                    let written = sql::first_line(&first.to_string());
                    let _ = writeln!(lines, "  # {name}: {written}   (line {line}) not carried over: {why}");
                }
            }
        }
        let name = self.free_name(table);
        let line = sql::line_column(place.text, place.statement.range.start).0;
        let mut text = format!(
            "# Written by `planc import sql` from {}, line {line}: a start, to be read before it is used.\n\
             fixture: {}\ntable: {}\nrows: {}\n",
            place.path,
            quoted(&name),
            quoted(table),
            rows.count
        );
        let keys: Vec<String> = identity.iter().map(|key| quoted(key)).collect();
        let _ = match keys.as_slice() {
            [one] => writeln!(text, "identity: {one}"),
            _ => writeln!(text, "identity: [{}]", keys.join(", ")),
        };
        if does_nothing(insert) {
            text.push_str(
                "# The script left rows that were there as they were (DO NOTHING). `refresh` mends those that the fixture made.\n",
            );
        }
        let _ = write!(text, "columns:\n{lines}");
        self.proved(place, &name, &mut text);
        ImportedFixture { name, text }
    }

    /// Says at the top of a fixture what `planc check` has against it.
    fn proved(&mut self, place: &Place<'_>, name: &str, text: &mut String) {
        struct One<'t>(&'t str);
        impl Files for One<'_> {
            fn read(&self, _: &str) -> Result<String, String> {
                Ok(self.0.to_string())
            }
        }
        let compiled = crate::compile_fixture(&One(text), "fixture.yaml", &crate::Options::default());
        let errors: Vec<String> = compiled
            .diagnostics
            .iter()
            .filter(|found| found.level == crate::diagnostic::Level::Error)
            .map(|found| format!("[{}] {}", found.code.id, found.message))
            .collect();
        for error in &errors {
            self.warn(place.whole(), format!("`planc check` refuses `{name}.yaml`: {error}"), None);
        }
        let told: String =
            errors.iter().map(|error| format!("# planc check refuses it still: {error}\n")).collect();
        text.insert_str(0, &told);
    }

    /// The table's name without its schema, numbered where it is taken.
    fn free_name(&self, table: &str) -> String {
        let bare = table.rsplit('.').next().unwrap_or(table);
        let taken = |name: &str| self.out.fixtures.iter().any(|fixture| fixture.name == name);
        let numbered = (2..).map(|at| format!("{bare}-{at}"));
        std::iter::once(bare.to_string()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }
}

/// How a column is written, whether its rows come one by one or from a number.
fn cell(rows: &Rows<'_>, at: usize, key: bool) -> Result<(String, &'static str), String> {
    let mut each = Vec::new();
    for row in &rows.values {
        each.push(rows.names.made(row[at])?);
    }
    let same = each.iter().all(|made| *made == each[0]);
    if rows.values.len() as i64 != rows.count || same && !key {
        return column(&each[0]);
    }
    let one = |made: &Made| match made {
        Made::Const(Json::String(text)) if !text.contains(['\'', '\\', '{', '}', '\n']) => {
            Ok(format!("'{text}'"))
        }
        Made::Const(value @ (Json::Number(_) | Json::Bool(_))) => Ok(value.to_string()),
        _ => Err("rows with something else than plain texts and numbers".to_string()),
    };
    let items: Vec<String> = each.iter().map(one).collect::<Result<_, _>>()?;
    Ok((Json::from(format!("{{{{ [{}][n - 1] }}}}", items.join(", "))).to_string(), ""))
}

/// Columns that the script itself takes for the rows' key, else `id`, else the first.
fn identity(insert: &Insert, columns: &[String], rows: &Rows<'_>) -> Vec<String> {
    if let Some(OnInsert::OnConflict(conflict)) = &insert.on
        && let Some(ConflictTarget::Columns(names)) = &conflict.conflict_target
    {
        return names.iter().map(|name| name.value.clone()).collect();
    }
    let differs = |at: usize| {
        let made: Vec<_> = rows.values.iter().map(|row| rows.names.made(row[at])).collect();
        let numbered =
            |made: &Result<Made, String>| matches!(made, Ok(Made::Expr(_) | Made::Text(_) | Made::Ready(..)));
        made.iter().any(numbered) || made.len() > 1 && made.windows(2).all(|pair| pair[0] != pair[1])
    };
    let id = columns.iter().position(|name| name == "id").filter(|at| differs(*at) || rows.count == 1);
    let first = (0..columns.len()).find(|at| differs(*at));
    vec![columns[id.or(first).unwrap_or(0)].clone()]
}

fn does_nothing(insert: &Insert) -> bool {
    matches!(&insert.on, Some(OnInsert::OnConflict(conflict)) if conflict.action == OnConflictAction::DoNothing)
}

/// Where the rows come from; the error says why they cannot be known.
fn rows(insert: &Insert) -> Result<Rows<'_>, String> {
    let query = insert.source.as_deref().ok_or("it has no rows")?;
    if query.with.is_some() || query.limit_clause.is_some() {
        return Err("`WITH` and `LIMIT` have no word in a fixture".into());
    }
    let none = Names { names: Vec::new(), number: String::new(), most: 0 };
    match query.body.as_ref() {
        SetExpr::Values(values) => {
            let values: Vec<Vec<&Expr>> = values.rows.iter().map(|row| row.iter().collect()).collect();
            match values.len() {
                0 => Err("it has no rows".into()),
                count if count > MOST_VALUES => Err(format!(
                    "{count} rows written out are better kept in the script: `sql: FILE` takes it as it is"
                )),
                count => Ok(Rows { count: count as i64, names: none, values }),
            }
        }
        SetExpr::Select(select) => {
            if select.selection.is_some() || select.distinct.is_some() || select.having.is_some() {
                return Err("`WHERE`, `DISTINCT` and `HAVING` have no word in a fixture".into());
            }
            let one = |item: &'_ SelectItem| match item {
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => Ok(()),
                _ => Err("a `*` among its values".to_string()),
            };
            select.projection.iter().try_for_each(one)?;
            let values = select.projection.iter().filter_map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
                _ => None,
            });
            let values = vec![values.collect::<Vec<_>>()];
            match select.from.as_slice() {
                [] => Ok(Rows { count: 1, names: none, values }),
                [from] if from.joins.is_empty() => {
                    let (count, names) = series(&from.relation)?;
                    Ok(Rows { count, names, values })
                }
                _ => Err("its rows come from several sources: write `children: { of: …, each: … }`".into()),
            }
        }
        _ => Err("its rows come from a query".into()),
    }
}

/// `generate_series(a, b[, step]) AS g`.
fn series(from: &TableFactor) -> Result<(i64, Names), String> {
    let (name, alias, arguments) = match from {
        TableFactor::Table { name, alias, args: Some(args), .. } => (name, alias, args.args.as_slice()),
        TableFactor::Function { name, alias, args, .. } => (name, alias, args.as_slice()),
        _ => return Err("its rows come from another table or query".into()),
    };
    if !last(name).eq_ignore_ascii_case("generate_series") {
        return Err(format!("its rows come from `{name}`"));
    }
    let whole = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
            match (Names { names: Vec::new(), number: String::new(), most: 0 }).made(expr) {
                Ok(Made::Const(Json::Number(number))) => number.as_i64(),
                _ => None,
            }
        }
        _ => None,
    };
    let numbers: Option<Vec<i64>> = arguments.iter().map(whole).collect();
    let (from, to, step) = match numbers.as_deref() {
        Some([from, to]) => (*from, *to, 1),
        Some([from, to, step]) if *step > 0 => (*from, *to, *step),
        _ => return Err("the bounds of `generate_series` are no whole numbers".into()),
    };
    let count = to.checked_sub(from).filter(|wide| *wide >= 0).map(|wide| wide / step + 1);
    let count = count.ok_or("`generate_series` gives no rows")?;
    let before = from.checked_sub(step).ok_or("a number that is too large")?;
    let number = match (step, before) {
        (1, 0) => "n".into(),
        (1, before) if before < 0 => format!("(n - {})", before.unsigned_abs()),
        (1, before) => format!("(n + {before})"),
        (step, 0) => format!("(n * {step})"),
        (step, before) if before < 0 => format!("(n * {step} - {})", before.unsigned_abs()),
        (step, before) => format!("(n * {step} + {before})"),
    };
    let mut names = vec!["generate_series".to_string()];
    if let Some(alias) = alias {
        names.push(alias.name.value.clone());
        names.extend(alias.columns.iter().map(|column| column.name.value.clone()));
    }
    Ok((count, Names { names, number, most: to }))
}

/// The last part of a name, without its quotes.
fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map_or(String::new(), |ident| ident.value.clone())
}

fn named(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.clone());
    parts.collect::<Vec<_>>().join(".")
}
