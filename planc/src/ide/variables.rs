//! What a template can name at the cursor.

use super::Document;
use super::complete::{CURSOR, Completion, CompletionKind, Cursor, Proposals};
use super::hover;
use super::names::Kind;
use super::templates;
use super::tree::Node;
use std::ops::Range;

impl Document<'_> {
    pub(super) fn inside_template(&self, cursor: &Cursor<'_>, slot: Range<usize>) -> Vec<Completion> {
        let text = cursor.text;
        let word = |byte: &u8| templates::is_word(*byte) || *byte == b'.';
        let length =
            text.as_bytes()[slot.start..cursor.at].iter().rev().take_while(|byte| word(byte)).count();
        let mut start = cursor.at - length;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let (base, from) = match text[start..cursor.at].rfind('.') {
            Some(dot) => (&text[start..start + dot], start + dot + 1),
            None => ("", start),
        };
        let after =
            &text.as_bytes()[cursor.at + CURSOR.len_utf8()..slot.end.max(cursor.at + CURSOR.len_utf8())];
        let rest = after.iter().take_while(|byte| templates::is_word(**byte)).count();
        let mut out = Proposals::over(from..cursor.at + rest);
        match base {
            "" if text[slot.start..start].trim_end().ends_with('|') => filters(&mut out),
            "" => self.roots(cursor, &mut out),
            base => self.fields(cursor, base, &mut out),
        }
        out.found
    }

    /// Names that an expression at the cursor can begin with.
    fn roots(&self, cursor: &Cursor<'_>, out: &mut Proposals) {
        let keys = cursor.spot.keys();
        let mut names: Vec<&str> = Vec::new();
        match keys.as_slice() {
            ["scenarios", own, ..] => {
                for (name, _) in self.bindings(own, cursor.at) {
                    out.word(CompletionKind::Name(Kind::Binding), &name, None);
                }
                names.extend(["run_id", "vu", "iteration", "iteration_global", "scenario"]);
            }
            ["tokens", ..] => names.extend(["token", "scopes", "run_id"]),
            ["services", ..] => names.push("port"),
            ["guards" | "preflight" | "setup" | "teardown", ..] => names.push("run_id"),
            _ => {}
        }
        let fixture = match keys.as_slice() {
            ["fixtures", own, ..] => self.columns_of(own),
            ["columns" | "create" | "verify", ..] => self.own_columns_and_fields(),
            _ => Vec::new(),
        };
        if !fixture.is_empty() {
            fixture.iter().for_each(|(kind, name)| out.word(CompletionKind::Name(*kind), name, None));
            names.extend(["n", "rows", "seed"]);
            if self.children(cursor).is_some() {
                names.extend(["parent", "child"]);
            }
        }
        if keys.contains(&"record") {
            names.push("response");
        }
        for name in names {
            out.word(CompletionKind::Variable, name, hover::about_word(name));
        }
        for (block, kind) in [("inputs", Kind::Input), ("services", Kind::Service)] {
            if !self.all(kind).is_empty() {
                out.push(CompletionKind::Variable, block, format!("{block}."), None);
            }
        }
        for name in ["now", "range", "random"] {
            out.word(CompletionKind::Function, name, hover::about_word(name));
        }
    }

    /// What a name has inside.
    fn fields(&self, cursor: &Cursor<'_>, base: &str, out: &mut Proposals) {
        match base {
            "inputs" => {
                for name in self.all(Kind::Input) {
                    let about =
                        self.declaration("inputs", name).and_then(|node| node.get("type")?.text(&self.text));
                    out.word(CompletionKind::Name(Kind::Input), name, about);
                }
            }
            "services" => {
                self.all(Kind::Service)
                    .iter()
                    .for_each(|n| out.word(CompletionKind::Name(Kind::Service), n, None));
            }
            "random" => {
                for (name, about) in
                    hover::WORDS.iter().filter_map(|(n, a)| Some((n.strip_prefix("random.")?, a)))
                {
                    out.push(CompletionKind::Function, name, format!("{name}("), Some(about));
                }
            }
            "response" => {
                for field in ["status", "headers", "json", "body", "duration"] {
                    out.word(CompletionKind::Variable, field, None);
                }
            }
            base => match base.strip_prefix("services.") {
                Some(service) => self.service_fields(service, out),
                None => self.row_fields(cursor, base, out),
            },
        }
    }

    fn service_fields(&self, service: &str, out: &mut Proposals) {
        let node = self.declaration("services", service);
        let postgres = node.is_some_and(|node| node.get("ephemeral").is_some());
        let last: &[&str] = if postgres { &["database", "socket"] } else { &["log"] };
        for field in ["url", "host", "port"].iter().chain(last) {
            out.word(CompletionKind::Variable, field, None);
        }
    }

    /// `children` of the fixture that the cursor is in.
    fn children(&self, cursor: &Cursor<'_>) -> Option<&Node> {
        match cursor.spot.keys()[..] {
            ["fixtures", own, ..] => self.declaration("fixtures", own)?.get("children"),
            _ => self.tree.get("children"),
        }
    }

    fn row_fields(&self, cursor: &Cursor<'_>, binding: &str, out: &mut Proposals) {
        if let ("parent", Some(children)) = (binding, self.children(cursor)) {
            let parents = children.get("of").and_then(|of| of.text(&self.text)).unwrap_or("");
            for (kind, name) in self.columns_of(parents) {
                out.word(CompletionKind::Name(kind), &name, None);
            }
            return out.word(CompletionKind::Variable, "n", hover::about_word("n"));
        }
        let ["scenarios", own, ..] = cursor.spot.keys()[..] else { return };
        let drawn = self.bindings(own, cursor.at).into_iter().find(|(name, _)| name == binding);
        let Some((_, Some(fixture))) = drawn else { return };
        for (kind, name) in self.columns_of(&fixture) {
            out.word(CompletionKind::Name(kind), &name, None);
        }
    }

    /// Names bound in a scenario before a byte, and the fixture of those that are drawn.
    fn bindings(&self, scenario: &str, at: usize) -> Vec<(String, Option<String>)> {
        let draws = self.declaration("scenarios", scenario).and_then(|node| node.get("draw"));
        let mut out: Vec<(String, Option<String>)> = Vec::new();
        for draw in draws.map_or(&[][..], Node::entries) {
            let from = draw.value.get("from").unwrap_or(&draw.value).text(&self.text);
            out.push((draw.name.clone(), from.map(String::from)));
        }
        for name in self.names.iter().filter(|name| name.defines && name.range.end < at) {
            let symbol = &name.symbol;
            let known = out.iter().any(|(known, _)| *known == symbol.name);
            if symbol.kind == Kind::Binding && symbol.within == scenario && !known {
                out.push((symbol.name.clone(), None));
            }
        }
        out
    }

    /// The columns of a fixture of the plan or the folder, the fields of a file of rows among them.
    pub(super) fn columns_of(&self, fixture: &str) -> Vec<(Kind, String)> {
        if let Some(file) = self.fixture_file(fixture) {
            return file.own_columns_and_fields();
        }
        let node = self.declaration("fixtures", fixture);
        self.with_fields(node, fixture)
    }

    /// The columns of a fixture's file.
    pub(super) fn own_columns_and_fields(&self) -> Vec<(Kind, String)> {
        self.with_fields(Some(&self.tree), self.own_name().unwrap_or(""))
    }

    fn with_fields(&self, node: Option<&Node>, fixture: &str) -> Vec<(Kind, String)> {
        let Some(node) = node else { return Vec::new() };
        let columns = node.get("columns").map_or(&[][..], Node::entries).iter();
        let mut out: Vec<(Kind, String)> =
            columns.map(|column| (Kind::Column, column.name.clone())).collect();
        if node.get("rows_from").is_some() {
            out.extend(self.record_fields(fixture).1.into_iter().map(|name| (Kind::Column, name)));
        }
        out
    }
}

fn filters(out: &mut Proposals) {
    for (name, _, least, _) in crate::expr::Filter::NAMES {
        let end = if *least > 0 { "(" } else { "" };
        out.push(CompletionKind::Function, name, format!("{name}{end}"), hover::about_word(name));
    }
}
