//! One page that needs no network: verdict, gates, and the seconds of the load as drawn lines.

use super::junit::escape;
use super::metrics::{self, TREND_STATS};
use super::terminal::{STAGE_COLUMNS, stage_cells, sums, word};
use super::{baseline, traces};
use crate::evidence::{Evidence, HealthSecond, NodeOutcome, Tick};
use crate::judge::{GateState, Verdict};

/// Width and height of a chart's drawing area, and the room for its numbers.
const W: f64 = 860.0;
const H: f64 = 180.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 22.0;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%;font-size:.86rem}\
td,th{padding:.25rem .5rem;border-bottom:1px solid #d8dee4;text-align:left}td.n,th.n{text-align:right}\
.badge{color:#fff;border-radius:4px;padding:.1rem .6rem}.pass{background:#1a7f37}.bad{background:#cf222e}\
.odd{background:#9a6700}code{font-size:.9em}svg{width:100%;height:auto}svg text{font-size:11px;fill:#57606a}\
.fix{color:#57606a}@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}td,th{border-color:#30363d}}";

/// One line of a chart.
struct Line<T> {
    name: &'static str,
    colour: &'static str,
    value: fn(&T) -> f64,
}

/// What a chart shows one of for each second.
trait Second {
    /// Its end, microseconds since the load's start.
    fn at_us(&self) -> u64;
    /// Whether the generator was late in it.
    fn late(&self) -> bool;
}

impl Second for Tick {
    fn at_us(&self) -> u64 {
        self.at_us
    }

    fn late(&self) -> bool {
        self.late
    }
}

impl Second for HealthSecond {
    fn at_us(&self) -> u64 {
        self.at_us
    }

    fn late(&self) -> bool {
        self.late
    }
}

/// A point of a scraped metric: when, and its value in thousandths.
struct Scraped((u64, i64));

impl Second for Scraped {
    fn at_us(&self) -> u64 {
        self.0.0
    }

    fn late(&self) -> bool {
        false
    }
}

/// The page.
pub(crate) fn render(evidence: &Evidence, verdict: &Verdict) -> String {
    let graph = &evidence.graph;
    let title = escape(&format!("{} ({})", graph.plan, graph.profile));
    let badge = match verdict.exit {
        0 => "pass",
        105 | 112 => "odd",
        _ => "bad",
    };
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}: {0}</title><style>{STYLE}</style></head><body>\n\
         <h1><span class=\"badge {badge}\">{0}</span> {title} <small>exit {1}</small></h1>\n<p>{2}</p>\n",
        word(verdict.status),
        verdict.exit,
        escape(&graph.about)
    );
    list(&mut out, "", verdict.causes.iter().map(|cause| cause.text.clone()));
    list(
        &mut out,
        "Overridden guards",
        evidence.overrides.iter().map(|over| format!("{}: {}", over.guard, over.reason)),
    );
    gates(&mut out, verdict);
    stages(&mut out, verdict);
    charts(&mut out, evidence);
    metric_table(&mut out, evidence);
    table(&mut out, "Baseline", baseline::COLUMNS, &baseline::rows(evidence));
    table(&mut out, "Slowest traces", traces::COLUMNS, &traces::rows(evidence));
    triage(&mut out, evidence);
    list(&mut out, "Load", sums(evidence).into_iter());
    list(&mut out, "Strains on the generator", verdict.warnings.iter().cloned());
    list(&mut out, "Not measured", verdict.not_measured.iter().cloned());
    nodes(&mut out, evidence);
    let facts = evidence.environment.iter().map(|(name, value)| format!("{name}: {value}"));
    let ids = [format!("run: {}", evidence.run_id), format!("graph: {}", evidence.graph_id)];
    list(&mut out, "Where it ran", facts.chain(ids));
    out.push_str("</body></html>\n");
    out
}

fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.map(|item| format!("<li>{}</li>", escape(&item))).collect();
    if items.is_empty() {
        return;
    }
    if !title.is_empty() {
        out.push_str(&format!("<h2>{title}</h2>\n"));
    }
    out.push_str(&format!("<ul>{}</ul>\n", items.join("")));
}

fn stages(out: &mut String, verdict: &Verdict) {
    let cells = |cells: &[String], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    if !verdict.stages.is_empty() {
        let rows: String = verdict.stages.iter().map(|row| cells(&stage_cells(row), "td")).collect();
        let head = cells(&STAGE_COLUMNS.map(str::to_owned), "th");
        out.push_str(&format!("<h2>Stages</h2><table>{head}{rows}</table>\n"));
    }
    list(out, "", verdict.ceilings.iter().cloned());
}

fn triage(out: &mut String, evidence: &Evidence) {
    let lines = super::terminal::triage(evidence, usize::MAX);
    if !lines.is_empty() {
        out.push_str(&format!("<h2>Triage</h2>\n<pre>{}</pre>\n", escape(&lines.join("\n"))));
    }
}

fn gates(out: &mut String, verdict: &Verdict) {
    if verdict.gates.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Gates</h2><table><tr><th></th><th>gate</th><th>bound</th><th class=n>value</th><th class=n>samples</th>\
         <th>95% interval</th><th class=n>margin</th></tr>\n",
    );
    for gate in &verdict.gates {
        let mark = match gate.state {
            GateState::Pass => "✓",
            GateState::Fail => "✗",
            GateState::Skipped => "–",
            _ => "?",
        };
        let mut remarks: Vec<&str> = Vec::new();
        remarks.extend(gate.advisory.then_some("advisory"));
        remarks.extend(gate.within_noise.then_some("within noise"));
        remarks.extend(gate.note.as_deref());
        out.push_str(&format!(
            "<tr><td>{mark}</td><td><code>{}</code><br><small>{}</small></td><td>{}</td><td class=n>{}</td>\
             <td class=n>{}</td><td>{}</td><td class=n>{}</td></tr>\n",
            escape(&gate.subject()),
            escape(&remarks.join(", ")),
            escape(&gate.text),
            gate.value_text,
            gate.samples,
            gate.interval_text,
            gate.margin_percent.map(|margin| format!("{:.0}%", margin.0)).unwrap_or_default()
        ));
    }
    out.push_str("</table>\n");
}

fn charts(out: &mut String, evidence: &Evidence) {
    let ticks = evidence.load.as_ref().map(|load| load.ticks.as_slice()).unwrap_or_default();
    if ticks.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Second by second</h2>\n<p><small>Shaded seconds: the generator was late.</small></p>\n",
    );
    fn line<T>(name: &'static str, colour: &'static str, value: fn(&T) -> f64) -> Line<T> {
        Line { name, colour, value }
    }
    chart(
        out,
        ticks,
        "latency of answered requests, ms",
        &[
            line("p50", "#2da44e", |tick| tick.p50_us as f64 / 1e3),
            line("p95", "#bf8700", |tick| tick.p95_us as f64 / 1e3),
            line("p99", "#cf222e", |tick| tick.p99_us as f64 / 1e3),
        ],
    );
    chart(
        out,
        ticks,
        "requests and iterations a second",
        &[
            line("requests", "#0969da", |tick| tick.requests as f64),
            line("failed", "#cf222e", |tick| tick.failed as f64),
            line("dropped", "#8250df", |tick| tick.dropped as f64),
        ],
    );
    chart(
        out,
        ticks,
        "virtual users",
        &[
            line("alive", "#57606a", |tick| f64::from(tick.vus)),
            line("busy", "#0969da", |tick| f64::from(tick.busy_vus)),
        ],
    );
    for (metric, record) in evidence.load.iter().flat_map(|load| &load.scrapes) {
        let points: Vec<Scraped> = record.points.iter().map(|point| Scraped(*point)).collect();
        if !points.is_empty() {
            chart(out, &points, metric, &[line("scraped", "#0969da", |point| point.0.1 as f64 / 1e3)]);
        }
    }
    let seconds = evidence.load.as_ref().map(|load| load.health.seconds.as_slice()).unwrap_or_default();
    if seconds.is_empty() {
        return;
    }
    chart(
        out,
        seconds,
        "the generator: lateness of starts and delay of reading, ms",
        &[
            line("start p99", "#0969da", |second| millis(second.starts_us, 1)),
            line("start max", "#54aeff", |second| millis(second.starts_us, 2)),
            line("read p99", "#bf8700", |second| millis(second.reads_us, 1)),
        ],
    );
    chart(
        out,
        seconds,
        "the generator: % of a core, and of the time",
        &[
            line("own CPU", "#0969da", |second| f64::from(second.cpu_centicores.unwrap_or(0))),
            line("run queue", "#cf222e", |second| percent_of(second.run_queue_ppm)),
            line("steal", "#8250df", |second| percent_of(second.steal_ppm)),
            line("throttled", "#bf8700", |second| percent_of(second.throttled_ppm)),
            line("pressure", "#57606a", |second| percent_of(second.pressure_ppm)),
        ],
    );
}

fn millis(spread_us: Option<[u64; 3]>, which: usize) -> f64 {
    spread_us.map_or(0.0, |spread| spread[which] as f64 / 1e3)
}

fn percent_of(ppm: Option<u32>) -> f64 {
    f64::from(ppm.unwrap_or(0)) / 1e4
}

fn chart<T: Second>(out: &mut String, ticks: &[T], title: &str, lines: &[Line<T>]) {
    let last = ticks.last().map_or(1, |tick| tick.at_us().max(1)) as f64;
    let values = ticks.iter().flat_map(|tick| lines.iter().map(move |line| (line.value)(tick)));
    let top = values.fold(0.0, f64::max).max(1e-9);
    let x = |at_us: u64| LEFT + at_us as f64 / last * W;
    let y = |value: f64| 8.0 + (1.0 - value / top) * H;
    out.push_str(&format!(
        "<h3>{}</h3><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{0}\">",
        escape(title),
        LEFT + W + 8.0,
        H + BOTTOM + 8.0
    ));
    let width = W / ticks.len() as f64;
    for tick in ticks.iter().filter(|tick| tick.late()) {
        let left = x(tick.at_us()) - width;
        out.push_str(&format!(
            "<rect x=\"{left:.1}\" y=\"8\" width=\"{width:.1}\" height=\"{H}\" fill=\"#bf8700\" opacity=\".2\"/>"
        ));
    }
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let at = y(value);
        out.push_str(&format!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8884\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            LEFT + W,
            LEFT - 6.0,
            at + 4.0,
            short(value)
        ));
        let seconds = last / 1e6 * f64::from(part) / 4.0;
        let across = LEFT + W * f64::from(part) / 4.0;
        out.push_str(&format!(
            "<text x=\"{across:.1}\" y=\"{}\" text-anchor=\"middle\">{}s</text>",
            H + BOTTOM + 4.0,
            short(seconds)
        ));
    }
    for (i, line) in lines.iter().enumerate() {
        let points: Vec<String> =
            ticks.iter().map(|t| format!("{:.1},{:.1}", x(t.at_us()), y((line.value)(t)))).collect();
        out.push_str(&format!(
            "<polyline fill=\"none\" stroke=\"{0}\" stroke-width=\"1.5\" points=\"{1}\"/><text x=\"{2}\" y=\"20\" \
             style=\"fill:{0}\">{3}</text>",
            line.colour,
            points.join(" "),
            LEFT + 8.0 + 70.0 * i as f64,
            line.name
        ));
    }
    out.push_str("</svg>\n");
}

fn metric_table(out: &mut String, evidence: &Evidence) {
    let rows = metrics::rows(evidence);
    if rows.is_empty() {
        return;
    }
    out.push_str("<h2>Metrics</h2><table><tr><th>metric</th>");
    TREND_STATS.iter().for_each(|name| out.push_str(&format!("<th class=n>{name}</th>")));
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str(&format!("<tr><td><code>{}</code></td>", escape(&row.subject)));
        if row.is_trend() {
            TREND_STATS.iter().for_each(|name| out.push_str(&format!("<td class=n>{}</td>", row.text(name))));
        } else {
            out.push_str(&format!("<td colspan=\"{}\">{}</td>", TREND_STATS.len(), row.line()));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn table<const N: usize>(out: &mut String, title: &str, columns: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let heads: String = columns.iter().map(|name| format!("<th>{name}</th>")).collect();
    out.push_str(&format!("<h2>{title}</h2><table><tr>{heads}</tr>\n"));
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        out.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    out.push_str("</table>\n");
}

fn nodes(out: &mut String, evidence: &Evidence) {
    out.push_str("<h2>What was done</h2><table>\n");
    for node in &evidence.nodes {
        let mark = match node.outcome {
            NodeOutcome::Passed => "✓",
            NodeOutcome::Overridden | NodeOutcome::Skipped => "!",
            _ => "✗",
        };
        let fix = node.fix.as_ref().map(|fix| format!("<br><span class=fix>fix: {}</span>", escape(fix)));
        out.push_str(&format!(
            "<tr><td>{mark}</td><td>{}</td><td>{}</td><td>{}{}</td><td class=n>{} ms</td></tr>\n",
            escape(&node.kind),
            escape(&node.name),
            escape(&node.detail),
            fix.unwrap_or_default(),
            node.milliseconds
        ));
    }
    out.push_str("</table>\n");
}

/// A number of an axis.
fn short(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1e3),
        v if v >= 100.0 || v == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
