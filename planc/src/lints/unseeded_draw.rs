//! A draw that needs more rows than are seeded, or an id that no row has.

use super::{Lint, iterations, thousands, users, wants_success};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::expr::{BinaryOp, Expr, Filter, Function, Segment, Template};
use crate::graph::{Body, Demand, Draw, DrawOrder, FixtureKind, Generator, HttpStep, Json, JsonTemplate};
use crate::resolved::{Fixture, ResolvedPlan, Scenario};
use crate::units::show_duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0405", name: "unseeded-draw" }, page: include_str!("unseeded-draw.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        for draw in &scenario.scenario.draw {
            diagnostics.extend(misfit(plan, scenario, draw));
        }
    }
    if !plan.lost.fixtures && !plan.lost.steps {
        literal_ids(plan, diagnostics);
    }
}

fn misfit(plan: &ResolvedPlan, scenario: &Scenario, draw: &Draw) -> Option<Diagnostic> {
    let fixture = plan.fixture(&draw.fixture)?;
    let rows = fixture.fixture.rows as f64;
    let demand = &scenario.scenario.demand;
    let (needed, what) = match draw.order {
        DrawOrder::PerVu => (f64::from(demand.max_vus()), "virtual users, each with its own row"),
        DrawOrder::Exclusive => (iterations(demand)?.floor(), "iterations, each with a row of its own"),
        DrawOrder::RoundRobin | DrawOrder::Random | DrawOrder::Shuffle => return None,
    };
    if needed <= rows {
        return None;
    }
    let span = scenario.draws.get(&draw.binding).copied().unwrap_or(scenario.span);
    let (needed, rows) = (thousands(needed), thousands(rows));
    let diagnostic = Diagnostic::error(
        LINT.code,
        span,
        format!("{needed} {what}, and `{}` has {rows} rows", draw.fixture),
    )
    .also(fixture.span, format!("{rows} rows"))
    .help(format!("seed `rows: {}`, or lower the load", needed.replace(',', "_")));
    Some(match draw.order {
        DrawOrder::Exclusive => diagnostic.note(format!("{} = {needed} iterations", sum(demand))),
        _ => diagnostic,
    })
}

/// Where a number of iterations comes from: `10/s × 5m`, `50 virtual users × 20`.
fn sum(demand: &Demand) -> String {
    match &demand.plain() {
        Demand::Iterations { vus, iterations, shared: false, .. } => {
            format!("{} × {iterations}", users(f64::from(*vus)))
        }
        Demand::Arrivals { start_rate, pieces, .. } => {
            let mut from = *start_rate;
            let mut parts = Vec::new();
            for piece in pieces.iter() {
                let lasts = show_duration(piece.duration);
                match piece.duration.is_zero() {
                    true => {}
                    false if from == piece.target => parts.push(format!("{from} × {lasts}")),
                    false => parts.push(format!("{from} to {} × {lasts}", piece.target)),
                }
                from = piece.target;
            }
            parts.join(" + ")
        }
        Demand::Iterations { iterations, .. } => iterations.to_string(),
        Demand::Users { .. } => String::new(),
    }
}

/// A fixture whose identity is text, the row's number and text.
struct Shape<'a> {
    fixture: &'a Fixture,
    column: &'a str,
    before: String,
    after: String,
    /// Digits at least.
    width: usize,
}

/// What stands where an id may stand.
enum Asked {
    Text(String),
    /// A number drawn at random between text: `ag-{{ random.int(1, 9000) | pad(5) }}`.
    Drawn {
        before: String,
        after: String,
        width: usize,
        low: i64,
        high: i64,
    },
}

/// Prefixes shorter than this are no sign of a fixture.
const TELLING: usize = 3;

fn literal_ids(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let shapes: Vec<Shape<'_>> = plan.fixtures.iter().filter_map(shape).collect();
    if shapes.is_empty() {
        return;
    }
    let steps = plan.all_steps();
    let requests =
        || steps.iter().filter_map(|step| Some((plan.place(step.id).url_span, step.kind.request()?)));
    // What the plan itself makes need not be seeded.
    let made: Vec<String> = requests().flat_map(|(_, http)| makes(http)).collect();
    for (span, http) in requests().filter(|(_, http)| wants_success(http)) {
        for asked in asks(http) {
            let told = match asked {
                Asked::Text(text) if made.contains(&text) => None,
                Asked::Text(text) => no_such_row(&shapes, &text),
                drawn => beyond(&shapes, &drawn),
            };
            if let Some((message, shape)) = told {
                let rows = shape.fixture.fixture.rows;
                diagnostics.push(
                    Diagnostic::warning(LINT.code, span, message)
                        .also(shape.fixture.span, format!("{} rows", thousands(rows as f64)))
                        .note(format!(
                            "its `{}` runs from `{}` to `{}`",
                            shape.column,
                            shape.id(1),
                            shape.id(rows)
                        ))
                        .help(format!(
                            "draw a row: `draw: {{ row: {0} }}` and `{{{{ row.{1} }}}}`",
                            shape.fixture.fixture.name, shape.column
                        )),
                );
            }
        }
    }
}

/// An id of the shape of some fixture's, which none of them has.
fn no_such_row<'s, 'p>(shapes: &'s [Shape<'p>], text: &str) -> Option<(String, &'s Shape<'p>)> {
    let number = |shape: &Shape<'_>| {
        let digits = text.strip_prefix(shape.before.as_str())?.strip_suffix(shape.after.as_str())?;
        let digits = (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)?;
        digits.parse::<u64>().ok()
    };
    let fit: Vec<(&Shape<'_>, u64)> = shapes.iter().filter_map(|s| Some((s, number(s)?))).collect();
    if fit.iter().any(|(s, n)| (1..=s.fixture.fixture.rows).contains(n) && s.id(*n) == text) {
        return None;
    }
    let (shape, _) = fit.into_iter().max_by_key(|(shape, _)| shape.fixture.fixture.rows)?;
    Some((format!("`{text}` is no row of `{}`", shape.fixture.fixture.name), shape))
}

/// A number drawn over more rows than there are.
fn beyond<'s, 'p>(shapes: &'s [Shape<'p>], asked: &Asked) -> Option<(String, &'s Shape<'p>)> {
    let Asked::Drawn { before, after, width, low, high } = asked else { return None };
    let mut fit = shapes.iter().filter(|s| s.before == *before && s.after == *after && s.width == *width);
    let (shape, None) = (fit.next()?, fit.next()) else { return None };
    let rows = shape.fixture.fixture.rows;
    let inside = *low >= 1 && u64::try_from(*high).is_ok_and(|high| high <= rows);
    if inside || low > high {
        return None;
    }
    let (low, rows) = (*low, thousands(rows as f64));
    let high = if *high < 0 { high.to_string() } else { thousands(*high as f64) };
    let name = &shape.fixture.fixture.name;
    Some((format!("rows {low} to {high} are asked for, and `{name}` has {rows} rows"), shape))
}

impl Shape<'_> {
    fn id(&self, n: u64) -> String {
        format!("{}{n:0width$}{}", self.before, self.after, width = self.width)
    }
}

fn shape(fixture: &Fixture) -> Option<Shape<'_>> {
    let FixtureKind::Table(table) = &fixture.fixture.kind else { return None };
    let [column] = table.identity.as_slice() else { return None };
    let segments = match &table.columns.get(column)?.generator {
        Generator::Value(JsonTemplate::Text(text)) => flat(text),
        Generator::Value(JsonTemplate::Value(expr)) => flat_expr(expr),
        _ => return None,
    };
    let (before, slot, after) = around(&segments)?;
    let (value, width) = padded(slot)?;
    let telling = before.chars().filter(char::is_ascii_alphabetic).count() >= TELLING;
    (telling && matches!(value, Expr::Path(path) if path == &["n"])).then_some(Shape {
        fixture,
        column,
        before,
        after,
        width,
    })
}

/// The one slot of a text and what is around it.
fn around(segments: &[Segment]) -> Option<(String, &Expr, String)> {
    match segments {
        [Segment::Literal(before), Segment::Slot(slot)] => Some((before.clone(), slot, String::new())),
        [Segment::Literal(before), Segment::Slot(slot), Segment::Literal(after)] => {
            Some((before.clone(), slot, after.clone()))
        }
        _ => None,
    }
}

/// A number and how many digits it is written with at least.
fn padded(expr: &Expr) -> Option<(&Expr, usize)> {
    match expr {
        Expr::Filter(Filter::Pad, value, args) => match args.as_slice() {
            [Expr::Const(width)] => {
                Some((value, usize::try_from(width.as_u64()?).ok().filter(|width| *width <= 40)?))
            }
            _ => None,
        },
        other => Some((other, 0)),
    }
}

/// Segments with `a ~ b` and encodings of whole values taken apart.
fn flat(template: &Template) -> Vec<Segment> {
    join(template.segments.iter().flat_map(|segment| match segment {
        Segment::Literal(text) => vec![Segment::Literal(text.clone())],
        Segment::Slot(expr) => flat_expr(expr),
    }))
}

fn flat_expr(expr: &Expr) -> Vec<Segment> {
    match expr {
        Expr::Filter(Filter::Urlencode | Filter::String, value, _) => flat_expr(value),
        Expr::Binary(BinaryOp::Concat, left, right) => {
            join([flat_expr(left), flat_expr(right)].into_iter().flatten())
        }
        Expr::Const(Json::String(text)) => vec![Segment::Literal(text.clone())],
        other => vec![Segment::Slot(other.clone())],
    }
}

fn join(segments: impl Iterator<Item = Segment>) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for segment in segments {
        match (out.last_mut(), segment) {
            (Some(Segment::Literal(last)), Segment::Literal(text)) => last.push_str(&text),
            (_, segment) => out.push(segment),
        }
    }
    out
}

/// The values that a step asks for: parts of its path, its query, and lists of ids in its body.
fn asks(http: &HttpStep) -> Vec<Asked> {
    let request = &http.request;
    let mut values: Vec<Vec<Segment>> = Vec::new();
    // PUT makes what it names.
    if request.method != "PUT" {
        values.extend(parts(&flat(&request.url)));
    }
    values.extend(request.query.values().map(flat));
    if let Some(Body::Json(json)) = &request.body {
        // A list of ids asks; a lone one in a POST may be what is made.
        let patch = request.method == "PATCH";
        in_json(json, false, &mut |value, listed| values.extend((listed || patch).then_some(value)));
    }
    values.iter().filter_map(|value| asked(value)).collect()
}

fn asked(value: &[Segment]) -> Option<Asked> {
    if let [Segment::Literal(text)] = value {
        return Some(Asked::Text(text.clone()));
    }
    let (before, slot, after) = around(value)?;
    let (Expr::Call(Function::RandomInt, args), width) = padded(slot)? else { return None };
    let [Expr::Const(low), Expr::Const(high)] = args.as_slice() else { return None };
    Some(Asked::Drawn { before, after, width, low: low.as_i64()?, high: high.as_i64()? })
}

/// What a POST or PUT names may be what it makes.
fn makes(http: &HttpStep) -> Vec<String> {
    let request = &http.request;
    if !["POST", "PUT"].contains(&request.method.as_str()) {
        return Vec::new();
    }
    let mut values = if request.method == "PUT" { parts(&flat(&request.url)) } else { Vec::new() };
    match &request.body {
        Some(Body::Json(json)) => {
            in_json(json, false, &mut |value, listed| values.extend((!listed).then_some(value)));
        }
        Some(Body::Form(fields)) => values.extend(fields.values().map(flat)),
        _ => {}
    }
    let literal = |value: Vec<Segment>| match value.as_slice() {
        [Segment::Literal(text)] => Some(text.clone()),
        _ => None,
    };
    values.into_iter().filter_map(literal).collect()
}

/// Every text of a JSON body, and whether it is itself an element of a list.
fn in_json(json: &JsonTemplate, listed: bool, see: &mut dyn FnMut(Vec<Segment>, bool)) {
    match json {
        JsonTemplate::Const(value) => in_const(value, listed, see),
        JsonTemplate::Text(text) => see(flat(text), listed),
        JsonTemplate::Value(expr) => see(flat_expr(expr), listed),
        JsonTemplate::List(items) => items.iter().for_each(|item| in_json(item, true, see)),
        JsonTemplate::Map(map) => map.values().for_each(|value| in_json(value, false, see)),
    }
}

fn in_const(value: &Json, listed: bool, see: &mut dyn FnMut(Vec<Segment>, bool)) {
    match value {
        Json::String(text) => see(vec![Segment::Literal(text.clone())], listed),
        Json::Array(items) => items.iter().for_each(|item| in_const(item, true, see)),
        Json::Object(map) => map.values().for_each(|value| in_const(value, false, see)),
        _ => {}
    }
}

/// The parts of a URL between its separators.
fn parts(url: &[Segment]) -> Vec<Vec<Segment>> {
    let mut out: Vec<Vec<Segment>> = vec![Vec::new()];
    for segment in url {
        let Segment::Literal(text) = segment else {
            out.last_mut().expect("there is always a part").push(segment.clone());
            continue;
        };
        for (at, piece) in text.split(['/', '?', '&', '=', '#']).enumerate() {
            if at > 0 {
                out.push(Vec::new());
            }
            if !piece.is_empty() {
                out.last_mut().expect("there is always a part").push(Segment::Literal(piece.to_string()));
            }
        }
    }
    out
}
