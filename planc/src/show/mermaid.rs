//! A flow chart that GitHub draws in Markdown.

use super::outline::outline;
use crate::graph::ExecutionGraph;

pub(super) fn render(graph: &ExecutionGraph) -> String {
    let outline = outline(graph);
    let mut out = String::from("flowchart TD\n");
    let mut last: Option<String> = None;
    for (i, phase) in outline.phases.iter().enumerate() {
        let id = format!("p{i}");
        let names: Vec<String> = phase.items.iter().map(|(name, _)| escape(name)).collect();
        out.push_str(&format!("  {id}[\"{}<br/>{}\"]\n", phase.name, names.join("<br/>")));
        out.extend(last.map(|last| format!("  {last} --> {id}\n")));
        last = Some(id);
    }
    for smoke in [true, false] {
        let stage: Vec<_> = outline.scenarios.iter().enumerate().filter(|(_, s)| s.smoke == smoke).collect();
        if stage.is_empty() {
            continue;
        }
        let title = if smoke { "smoke" } else { "load" };
        out.push_str(&format!("  subgraph {title}\n"));
        for (i, s) in &stage {
            let text = format!("{}<br/>{}", escape(&s.name), escape(&s.words()));
            out.push_str(&format!("    s{i}[\"{text}\"]\n"));
            for need in &s.needs {
                if let Some((at, _)) = stage.iter().find(|(_, other)| &other.name == need) {
                    out.push_str(&format!("    s{at} --> s{i}\n"));
                }
            }
        }
        out.push_str("  end\n");
        out.extend(last.map(|last| format!("  {last} --> {title}\n")));
        last = Some(title.to_string());
    }
    if !outline.gates.is_empty() {
        let gates: Vec<String> = outline.gates.iter().map(|g| escape(&format!("{} {}", g.0, g.1))).collect();
        out.push_str(&format!("  gates{{{{\"{}\"}}}}\n", gates.join("<br/>")));
        out.extend(last.map(|last| format!("  {last} --> gates\n")));
    }
    out
}

/// Text inside a quoted label.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', " ")
}
