//! A flow chart for Graphviz.

use super::outline::outline;
use crate::graph::ExecutionGraph;

pub(super) fn render(graph: &ExecutionGraph) -> String {
    let outline = outline(graph);
    let mut out = format!("digraph \"{}\" {{\n  rankdir=TB;\n  node [shape=box];\n", escape(&outline.plan));
    let mut last: Vec<String> = Vec::new();
    let join = |out: &mut String, from: &[String], to: &str| {
        for id in from {
            out.push_str(&format!("  {id} -> {to};\n"));
        }
    };
    for (i, phase) in outline.phases.iter().enumerate() {
        let id = format!("p{i}");
        let names: Vec<String> = phase.items.iter().map(|(name, _)| escape(name)).collect();
        out.push_str(&format!("  {id} [label=\"{}\\n{}\"];\n", phase.name, names.join("\\n")));
        join(&mut out, &last, &id);
        last = vec![id];
    }
    for smoke in [true, false] {
        let stage: Vec<_> = outline.scenarios.iter().enumerate().filter(|(_, s)| s.smoke == smoke).collect();
        for (i, s) in &stage {
            let text = format!("{}\\n{}", escape(&s.name), escape(&s.words()));
            out.push_str(&format!("  s{i} [label=\"{text}\", style=rounded];\n"));
            let needs = stage.iter().filter(|(_, other)| s.needs.contains(&other.name));
            let needs: Vec<String> = needs.map(|(at, _)| format!("s{at}")).collect();
            join(&mut out, if needs.is_empty() { &last } else { &needs }, &format!("s{i}"));
        }
        if !stage.is_empty() {
            last = stage.iter().map(|(i, _)| format!("s{i}")).collect();
        }
    }
    if !outline.gates.is_empty() {
        let gates: Vec<String> = outline.gates.iter().map(|g| escape(&format!("{} {}", g.0, g.1))).collect();
        out.push_str(&format!("  gates [shape=diamond, label=\"{}\"];\n", gates.join("\\n")));
        join(&mut out, &last, "gates");
    }
    out.push_str("}\n");
    out
}

/// Text inside a quoted string.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
