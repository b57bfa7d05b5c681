//! A plan to start from, written from what a service says of itself; fixtures to start from, read out of SQL.

mod sql;
mod values;

pub use sql::{ImportedFixture, ImportedSql, sql};

use crate::Files;
use crate::ast::Quantity;
use crate::diagnostic::Diagnostics;
use crate::graph::Json;
use crate::parse::openapi::{Operation, entries, follow, operations, parsed, text};
use crate::source::SourceMap;
use crate::units::parse_fixed;
use crate::yaml::{Node, NodeKind};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How deep an example of a body goes.
const DEPTH: usize = 6;

/// What came of importing a file.
#[derive(Debug, Default)]
pub struct Imported {
    /// The text that was read.
    pub sources: SourceMap,
    /// What is wrong with it.
    pub diagnostics: Diagnostics,
    /// The plan, unless there is an error.
    pub plan: Option<String>,
}

/// A plan that calls every operation of an OpenAPI file that reads, and names those that write. `from` is how the plan
/// will name the file.
pub fn openapi(files: &dyn Files, path: &str, from: &str) -> Imported {
    let mut out = Imported::default();
    let text = match files.read(path) {
        Ok(text) => text,
        Err(why) => {
            let file = out.sources.add(path, "");
            let span = crate::source::Span::new(file, 0..0);
            let message = format!("cannot read `{path}`: {why}");
            out.diagnostics.push(crate::diagnostic::Diagnostic::error(
                crate::codes::UNREADABLE_FILE,
                span,
                message,
            ));
            return out;
        }
    };
    let file = out.sources.add(path, text);
    let Some(root) = parsed(&out.sources, file, &mut out.diagnostics) else { return out };
    let found = operations(&root, None, &out.sources, &mut out.diagnostics);
    out.plan = found
        .filter(|found| !found.is_empty() && !out.diagnostics.has_errors())
        .map(|found| Writer { root: &root }.plan(&found, from));
    out
}

struct Writer<'n> {
    root: &'n Node,
}

impl Writer<'_> {
    fn plan(&self, operations: &[Operation<'_>], from: &str) -> String {
        let info = self.root.get("info");
        let title = info.and_then(|info| info.get("title")).and_then(text).unwrap_or("the service");
        let (reads, writes): (Vec<_>, Vec<_>) =
            operations.iter().partition(|operation| matches!(operation.method, "get" | "head"));
        // With nothing to read a plan still needs a step.
        let (steps, rest) = if reads.is_empty() { (writes, Vec::new()) } else { (reads, writes) };
        let secured = steps.iter().chain(&rest).any(|operation| self.is_secured(operation));
        let base = self.base();
        let mut out = format!(
            "# Written by `planc import openapi`: a start. The rates, the bounds and the ids are yours to say.\n\
             plan: {}\nabout: {}\n\ninputs:\n  base_url: {{ type: url, env: BASE_URL, default: {} }}\n",
            name(title),
            quoted(&format!("Every operation of {title} that reads.")),
            quoted(&base)
        );
        if secured {
            out.push_str("  api_token: { type: secret, env: API_TOKEN }\n");
        }
        let host = base.split("://").nth(1).unwrap_or(&base);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let _ = write!(
            out,
            "\ntarget:\n  url: \"{{{{ inputs.base_url }}}}\"\n  allow_hosts: [{}]\n  timeout: 10s\n\nendpoints:\n  \
             from: {}\n",
            quoted(host),
            quoted(from)
        );
        if secured {
            let scopes: BTreeSet<&str> =
                steps.iter().flat_map(|one| &one.scopes).map(|scope| scope.value.as_str()).collect();
            let _ = write!(out, "\ntokens:\n  api:\n    value: \"{{{{ inputs.api_token }}}}\"\n");
            if let Some(header) = self.header() {
                let _ = writeln!(out, "    header: {}", quoted(&format!("{header}: {{{{ token }}}}")));
            }
            if !scopes.is_empty() {
                let scopes: Vec<String> = scopes.into_iter().map(quoted).collect();
                let _ = writeln!(out, "    scopes: [{}]", scopes.join(", "));
            }
        }
        out.push_str(
            "\nscenarios:\n  calls:\n    executor: constant-arrival-rate\n    rate: 20/s\n    duration: 1m\n    \
             pre_allocated_vus: 20\n    max_vus: 200\n    steps:\n",
        );
        steps.iter().for_each(|operation| out.push_str(&self.step(operation)));
        if !rest.is_empty() {
            out.push_str(
                "      # These write. They belong above once a guard says that the target is a test environment.\n",
            );
            for line in rest.iter().map(|operation| self.step(operation)).collect::<String>().lines() {
                let _ = writeln!(out, "      # {}", line.get(6..).unwrap_or_default());
            }
        }
        out.push_str(
            "\nthresholds:\n  http_req_duration{endpoint:*}: [\"p(95) < 500ms\"]\n  \
             http_req_failed{endpoint:*}: [\"rate < 1%\"]\n",
        );
        out
    }

    /// Scheme and host of the first server; the paths carry the rest.
    fn base(&self) -> String {
        let server = match self.root.get("servers").map(|node| &node.kind) {
            Some(NodeKind::Sequence(servers)) => servers.first(),
            _ => None,
        };
        let url = server.and_then(|server| text(server.get("url")?)).unwrap_or_default();
        let url = url.split_once("://").filter(|_| !url.contains('{')).and_then(|(scheme, rest)| {
            let host = rest.split('/').next().filter(|host| !host.is_empty())?;
            matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}"))
        });
        url.unwrap_or_else(|| "http://127.0.0.1:8080".into())
    }

    fn security<'a>(&'a self, operation: &Operation<'a>) -> Option<&'a Node> {
        operation.node.get("security").or_else(|| self.root.get("security"))
    }

    fn is_secured(&self, operation: &Operation<'_>) -> bool {
        let Some(NodeKind::Sequence(alternatives)) = self.security(operation).map(|node| &node.kind) else {
            return false;
        };
        !alternatives.is_empty() && alternatives.iter().all(|one| !entries(Some(one)).is_empty())
    }

    /// The header of the first key that goes into one; bearer tokens have the usual.
    fn header(&self) -> Option<String> {
        let schemes = self.root.get("components").and_then(|components| components.get("securitySchemes"));
        entries(schemes).iter().find_map(|scheme| {
            let scheme = follow(self.root, &scheme.value).ok()?;
            let is = |key: &str, value: &str| scheme.get(key).and_then(text) == Some(value);
            (is("type", "apiKey") && is("in", "header"))
                .then(|| scheme.get("name").and_then(text).map(str::to_string))
                .flatten()
        })
    }

    fn step(&self, operation: &Operation<'_>) -> String {
        let mut out = format!("      - call: {}\n", quoted(&operation.name.value));
        for (place, key) in [("path", "path"), ("query", "query"), ("header", "headers")] {
            let values = self.parameters(operation, place);
            if !values.is_empty() {
                let _ = writeln!(out, "        {key}: {{ {} }}", values.join(", "));
            }
        }
        if self.is_secured(operation) {
            out.push_str("        token: api\n");
        }
        if let Some(body) = self.body(operation) {
            let _ = writeln!(out, "        json: {body}");
        }
        let _ = writeln!(out, "        expect: {{ status: {} }}", status(operation));
        out
    }

    /// The parameters that a request cannot do without, with an example each.
    fn parameters(&self, operation: &Operation<'_>, place: &str) -> Vec<String> {
        let lists = [operation.node.get("parameters"), operation.item.get("parameters")];
        let mut named: Vec<(String, String)> = Vec::new();
        for list in lists.into_iter().flatten() {
            let NodeKind::Sequence(items) = &list.kind else { continue };
            for item in items.iter().filter_map(|item| follow(self.root, item).ok()) {
                let name = item.get("name").and_then(text).unwrap_or_default();
                let required = matches!(item.get("required").map(|n| &n.kind), Some(NodeKind::Bool(true)));
                let here = item.get("in").and_then(text) == Some(place);
                if here && (required || place == "path") && !named.iter().any(|(known, _)| known == name) {
                    let example =
                        item.get("example").map(json).unwrap_or_else(|| self.example(item.get("schema"), 0));
                    named.push((name.to_string(), plain(&example)));
                }
            }
        }
        // Of a path all parameters are needed, declared or not.
        if place == "path" {
            for name in operation.path.value.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                if !named.iter().any(|(known, _)| known == name) {
                    named.push((name.to_string(), "1".into()));
                }
            }
        }
        named.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect()
    }

    fn body(&self, operation: &Operation<'_>) -> Option<Json> {
        let body = follow(self.root, operation.node.get("requestBody")?).ok()?;
        let content = entries(body.get("content")).iter().find(|entry| entry.key.value.contains("json"))?;
        let example = content.value.get("example").map(json);
        Some(example.unwrap_or_else(|| self.example(content.value.get("schema"), 0)))
    }

    /// A value that a schema allows.
    fn example(&self, schema: Option<&Node>, depth: usize) -> Json {
        let Some(schema) = schema.and_then(|schema| follow(self.root, schema).ok()) else {
            return Json::from("example");
        };
        for key in ["example", "default", "const"] {
            if let Some(value) = schema.get(key) {
                return json(value);
            }
        }
        for key in ["examples", "enum"] {
            if let Some(NodeKind::Sequence(values)) = schema.get(key).map(|node| &node.kind)
                && let Some(value) = values.first()
            {
                return json(value);
            }
        }
        for key in ["allOf", "oneOf", "anyOf"] {
            if let Some(NodeKind::Sequence(parts)) = schema.get(key).map(|node| &node.kind) {
                let mut all = serde_json::Map::new();
                for part in parts.iter().take(if key == "allOf" { parts.len() } else { 1 }) {
                    match self.example(Some(part), depth + 1) {
                        Json::Object(map) => all.extend(map),
                        other => return other,
                    }
                }
                return Json::Object(all);
            }
        }
        let kind = match schema.get("type").map(|node| &node.kind) {
            // 3.1 lists what it may be.
            Some(NodeKind::Sequence(kinds)) => kinds.iter().filter_map(text).find(|kind| *kind != "null"),
            _ => schema.get("type").and_then(text),
        };
        match kind {
            Some("integer" | "number") => {
                let least = schema.get("minimum").and_then(text).and_then(|least| i64::read(least).ok());
                Json::from(least.unwrap_or(1))
            }
            Some("boolean") => Json::from(true),
            Some("array") if depth < DEPTH => Json::from(vec![self.example(schema.get("items"), depth + 1)]),
            Some("object") | None if depth < DEPTH => self.object(schema, depth),
            _ => Json::from(match schema.get("format").and_then(text) {
                Some("uuid") => "8f14e45f-ceea-467f-a0e6-9e5b5a8b7c1d",
                Some("email") => "someone@example.test",
                Some("date") => "2026-01-01",
                Some("date-time") => "2026-01-01T00:00:00Z",
                Some("uri") => "https://example.test/",
                _ => "example",
            }),
        }
    }

    /// Its required properties.
    fn object(&self, schema: &Node, depth: usize) -> Json {
        let required: Vec<&str> = match schema.get("required").map(|node| &node.kind) {
            Some(NodeKind::Sequence(names)) => names.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let properties = entries(schema.get("properties")).iter();
        let wanted = properties.filter(|entry| required.contains(&entry.key.value.as_str()));
        let fields = wanted.map(|e| (e.key.value.clone(), self.example(Some(&e.value), depth + 1)));
        Json::Object(fields.collect())
    }
}

/// The lowest status of success that the operation declares.
fn status(operation: &Operation<'_>) -> String {
    let declared = entries(operation.node.get("responses")).iter().map(|entry| entry.key.value.as_str());
    let mut fine: Vec<String> = declared
        .filter(|status| status.starts_with('2') && status.len() == 3)
        .map(|status| if status[1..].eq_ignore_ascii_case("xx") { "2xx".into() } else { status.to_string() })
        .collect();
    fine.sort();
    fine.into_iter().next().unwrap_or_else(|| "2xx".into())
}

fn json(node: &Node) -> Json {
    match &node.kind {
        NodeKind::Null => Json::Null,
        NodeKind::Bool(value) => Json::from(*value),
        NodeKind::Scalar { text, plain: true } if parse_fixed(text).is_ok() => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str()))
        }
        NodeKind::Scalar { text, .. } => Json::from(text.as_str()),
        NodeKind::Sequence(items) => items.iter().map(json).collect(),
        NodeKind::Mapping(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.value.clone(), json(&entry.value))).collect())
        }
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// As JSON writes it, where YAML or a template could read it as something else.
fn quoted(text: &str) -> String {
    let fine = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
    if fine { text.to_string() } else { Json::from(text).to_string() }
}

/// A plan's name from a title.
fn name(title: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = title.chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "imported".into() } else { parts.join("-") }
}
