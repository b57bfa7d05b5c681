//! An OpenAPI file (3.0 or 3.1, YAML or JSON) as the catalogue of endpoints.
//!
//! Of the file is read what a plan can be held against: method, path, scopes and the target's own limits. What requests
//! and answers look like stays the plan's to say.

use super::Parser;
use super::load::Loader;
use super::requests::METHODS;
use crate::ast::{Catalogue, Endpoint, Plan, Quantity, Request, Text, Typed, Word};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::{Parsed, Template};
use crate::near::{listed, nearest};
use crate::source::{SourceMap, Span, Spanned};
use crate::units::Rate;
use crate::yaml::{self, Entry, Node, NodeKind};
use std::collections::BTreeMap;

/// References followed from one place at most: one that leads to itself ends there.
const MOST_REFERENCES: usize = 32;

/// One operation of the file.
pub(crate) struct Operation<'n> {
    /// Its `operationId`; `GET /users/{id}` without one.
    pub(crate) name: Word,
    /// Lower case, as a step writes it.
    pub(crate) method: &'static str,
    /// With the path of the file's first server.
    pub(crate) path: Spanned<String>,
    pub(crate) scopes: Vec<Word>,
    pub(crate) limit: Option<Typed<Rate>>,
    /// The operation and its path item, for whoever wants more of it.
    pub(crate) node: &'n Node,
    pub(crate) item: &'n Node,
}

impl Loader<'_> {
    /// Reads the file that `endpoints: { from: … }` names, and puts its operations beside the plan's own entries.
    pub(super) fn catalogue(&mut self, plan: &mut Plan, path: &str) {
        let Some(catalogue) = plan.catalogue.take() else { return };
        let found = self.operations_of(&catalogue, path);
        // What an unreadable file would have had is not a name that is missing.
        plan.lost.endpoints |= found.is_none();
        let mut all: BTreeMap<String, Endpoint> = BTreeMap::new();
        for endpoint in found.into_iter().flatten() {
            all.insert(endpoint.name.value.clone(), endpoint);
        }
        for own in std::mem::take(&mut plan.endpoints) {
            let merged = match (own.request.is_some(), all.remove(&own.name.value)) {
                (false, Some(known)) => Endpoint {
                    scopes: if own.scopes.is_empty() { known.scopes } else { own.scopes },
                    limit: own.limit.or(known.limit),
                    request: known.request,
                    ..own
                },
                (false, None) if !plan.lost.endpoints => {
                    self.diagnostics.push(unknown(&own.name, all.keys().map(String::as_str)));
                    own
                }
                _ => own,
            };
            all.insert(merged.name.value.clone(), merged);
        }
        plan.endpoints = all.into_values().collect();
    }

    fn operations_of(&mut self, catalogue: &Catalogue, path: &str) -> Option<Vec<Endpoint>> {
        let node = self.openapi_file(&catalogue.from, path)?;
        let mut found = operations(&node, catalogue.base.as_ref(), &self.sources, &mut self.diagnostics)?;
        if let Some(include) = &catalogue.include {
            for wanted in include {
                if !found.iter().any(|one| like(&wanted.value, &one.name.value)) {
                    let names = found.iter().map(|one| one.name.value.as_str());
                    self.diagnostics.push(unknown(wanted, names));
                }
            }
            found.retain(|one| include.iter().any(|wanted| like(&wanted.value, &one.name.value)));
        }
        Some(found.into_iter().map(|one| endpoint(one, catalogue)).collect())
    }

    fn openapi_file(&mut self, from: &Word, base: &str) -> Option<Node> {
        let path = super::load::join(base, &from.value);
        let text = self.read(&path, from.span)?;
        let file = self.take_in(&path, joined_surrogates(text))?;
        self.yaml(file)
    }
}

/// All operations of a file, in its order.
pub(crate) fn operations<'n>(
    root: &'n Node,
    base: Option<&Word>,
    sources: &SourceMap,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Operation<'n>>> {
    let mut reader = Reader { root, diagnostics };
    reader.version(sources)?;
    let base = match base {
        Some(base) => base.value.trim_end_matches('/').to_string(),
        None => reader.server()?,
    };
    let mut out: Vec<Operation<'n>> = Vec::new();
    for path in entries(root.get("paths")).iter().filter(|entry| entry.key.value.starts_with('/')) {
        let Some(item) = reader.resolved(&path.value) else { continue };
        for (method, upper) in METHODS {
            let Some(node) = item.get(method) else { continue };
            let found = reader.operation(path, item, method, upper, node, &base);
            match out.iter().find(|known| known.name.value == found.name.value) {
                Some(known) => {
                    let message = format!("`{}` is the `operationId` of two operations", found.name.value);
                    reader.diagnostics.push(
                        Diagnostic::error(codes::DUPLICATE_NAME, found.name.span, message)
                            .also(known.name.span, "the other"),
                    );
                }
                None => out.push(found),
            }
        }
    }
    if out.is_empty() {
        let message = "this file has no operation under `paths`";
        diagnostics.push(Diagnostic::error(codes::MISSING_KEY, first(root), message));
    }
    Some(out)
}

struct Reader<'n, 'd> {
    root: &'n Node,
    diagnostics: &'d mut Diagnostics,
}

impl<'n> Reader<'n, '_> {
    fn version(&mut self, sources: &SourceMap) -> Option<()> {
        let help = "give an OpenAPI 3.0 or 3.1 file";
        let (span, message) = match (self.root.get("openapi"), self.root.get("swagger")) {
            (Some(node), _) => match text(node) {
                Some(version) if version.starts_with("3.") => return Some(()),
                _ => (node.span, format!("OpenAPI {} is not read", sources.text(node.span))),
            },
            (None, Some(node)) => (node.span, format!("Swagger {} is not read", sources.text(node.span))),
            (None, None) => (first(self.root), "this is no OpenAPI file: it has no `openapi: 3…`".into()),
        };
        self.diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, span, message).help(help));
        None
    }

    /// The path of the first server's URL, under which all paths of the file lie.
    fn server(&mut self) -> Option<String> {
        let Some(NodeKind::Sequence(servers)) = self.root.get("servers").map(|node| &node.kind) else {
            return Some(String::new());
        };
        let Some(server) = servers.first() else { return Some(String::new()) };
        let Some(node) = server.get("url") else { return Some(String::new()) };
        let mut url = text(node)?.to_string();
        for variable in entries(server.get("variables")) {
            if let Some(default) = variable.value.get("default").and_then(text) {
                url = url.replace(&format!("{{{}}}", variable.key.value), default);
            }
        }
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None => url.as_str(),
        };
        let path = path.trim_end_matches('/');
        if path.contains('{') || !(path.is_empty() || path.starts_with('/')) {
            let message = format!("the path of the server `{url}` cannot be told");
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, node.span, message)
                    .help("say in the plan's `endpoints` under which path all others lie: `base: /v1`"),
            );
            return None;
        }
        Some(path.to_string())
    }

    /// What a `$ref` within the file leads to.
    fn resolved(&mut self, node: &'n Node) -> Option<&'n Node> {
        match follow(self.root, node) {
            Ok(found) => Some(found),
            Err((span, message)) => {
                let diagnostic = Diagnostic::error(codes::UNKNOWN_REFERENCE, span, message);
                self.diagnostics.push(diagnostic.help("write it into this file, as `#/components/…`"));
                None
            }
        }
    }

    fn operation(
        &mut self,
        path: &'n Entry,
        item: &'n Node,
        method: &'static str,
        upper: &str,
        node: &'n Node,
        base: &str,
    ) -> Operation<'n> {
        let id = node.get("operationId").and_then(|id| Some(Spanned::new(text(id)?.to_string(), id.span)));
        let name = id.unwrap_or_else(|| Spanned::new(format!("{upper} {}", path.key.value), path.key.span));
        let security = node.get("security").or_else(|| self.root.get("security"));
        let limit = node.get(LIMIT).or_else(|| item.get(LIMIT)).or_else(|| self.root.get(LIMIT));
        Operation {
            name,
            method,
            path: Spanned::new(format!("{base}{}", path.key.value), path.key.span),
            scopes: security.map_or(Vec::new(), scopes),
            limit: limit.and_then(|limit| self.limit(limit)),
            node,
            item,
        }
    }

    /// `x-rate-limit: 100/m`, or `{ limit: 100, per: 1m }`.
    fn limit(&mut self, node: &Node) -> Option<Typed<Rate>> {
        let written = match (text(node), node.get("limit").and_then(text), node.get("per").and_then(text)) {
            (Some(rate), ..) => rate.to_string(),
            (None, Some(limit), Some(per)) => format!("{limit}/{}", per.strip_prefix('1').unwrap_or(per)),
            _ => String::new(),
        };
        match Rate::read(&written) {
            Ok(rate) => Some(Typed::Given(Spanned::new(rate, node.span))),
            Err(_) => {
                let message = "this limit cannot be read, and nothing holds the load against it";
                self.diagnostics.push(
                    Diagnostic::warning(codes::BAD_VALUE, node.span, message)
                        .help("write a rate, such as `x-rate-limit: 100/m`, or `limit:` in the plan"),
                );
                None
            }
        }
    }
}

const LIMIT: &str = "x-rate-limit";

/// Follows `$ref`s to a part of the same file.
pub(crate) fn follow<'n>(root: &'n Node, node: &'n Node) -> Result<&'n Node, (Span, String)> {
    let mut at = node;
    for _ in 0..MOST_REFERENCES {
        let Some(reference) = at.get("$ref") else { return Ok(at) };
        let to = text(reference).unwrap_or_default();
        let Some(pointer) = to.strip_prefix("#/") else {
            return Err((reference.span, format!("`{to}` is not within this file")));
        };
        let mut found = Some(root);
        for part in pointer.split('/') {
            let key = part.replace("~1", "/").replace("~0", "~");
            found = found.and_then(|node| node.get(&key));
        }
        at = found.ok_or_else(|| (reference.span, format!("nothing is at `{to}`")))?;
    }
    Err((node.span, "this reference leads back to itself".to_string()))
}

/// Scopes that every one of the alternatives asks for: with less than these no token will do.
fn scopes(node: &Node) -> Vec<Word> {
    let NodeKind::Sequence(alternatives) = &node.kind else { return Vec::new() };
    let of = |alternative: &Node| -> Vec<Word> {
        let schemes = entries(Some(alternative)).iter();
        schemes
            .flat_map(|scheme| match &scheme.value.kind {
                NodeKind::Sequence(scopes) => scopes.as_slice(),
                _ => &[],
            })
            .filter_map(|scope| Some(Spanned::new(text(scope)?.to_string(), scope.span)))
            .collect()
    };
    let mut alternatives = alternatives.iter().map(of);
    let Some(mut common) = alternatives.next() else { return Vec::new() };
    for other in alternatives {
        common.retain(|scope| other.iter().any(|one| one.value == scope.value));
    }
    common
}

fn endpoint(operation: Operation<'_>, catalogue: &Catalogue) -> Endpoint {
    let Operation { name, method, path, scopes, limit, .. } = operation;
    let method = METHODS.iter().find(|(key, _)| *key == method).map_or("GET", |(_, upper)| upper);
    let url =
        Text { span: path.span, parsed: Parsed { value: Template::literal(path.value), uses: Vec::new() } };
    let request = Request {
        method,
        url,
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        timeout: None,
        redirects: None,
    };
    Endpoint { name, request: Some(request), scopes, limit, imported: Some(catalogue.from.span) }
}

fn unknown<'a>(wanted: &Word, names: impl Iterator<Item = &'a str> + Clone) -> Diagnostic {
    let message = format!("the OpenAPI file has no operation `{}`", wanted.value);
    let diagnostic = Diagnostic::error(codes::UNKNOWN_REFERENCE, wanted.span, message);
    match nearest(&wanted.value, names.clone()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(wanted.span, near),
        None => diagnostic.help(format!("it has {}", listed(names.take(12), "and"))),
    }
}

/// `*` stands for any run of characters.
fn like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

pub(crate) fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Mapping(entries)) => entries,
        _ => &[],
    }
}

pub(crate) fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn first(node: &Node) -> Span {
    entries(Some(node)).first().map_or(node.span, |entry| entry.key.span)
}

/// JSON writes a character beyond the first 65,536 as two escapes, which YAML does not know. The character takes their
/// place, with blanks behind it, so that all else stays where it is.
fn joined_surrogates(text: String) -> String {
    if !text.trim_start().starts_with('{') || !text.contains("\\ud") && !text.contains("\\uD") {
        return text;
    }
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(escape, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    while let Some(found) = text[rest..].find("\\u") {
        let at = rest + found;
        let pair = match (unit(at), unit(at + 6)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            }
            _ => None,
        };
        out.push_str(&text[rest..at]);
        match pair {
            Some(character) => {
                out.push(character);
                out.push_str(&" ".repeat(12 - character.len_utf8()));
                rest = at + 12;
            }
            None => {
                out.push_str("\\u");
                rest = at + 2;
            }
        }
    }
    out.push_str(&text[rest..]);
    out
}

impl Parser<'_> {
    /// `from`, `include` and `base` of `endpoints`, when its entries come from a file.
    pub(super) fn catalogue(&mut self, node: &Node) -> Option<Catalogue> {
        let from = node.get("from").filter(|from| matches!(from.kind, NodeKind::Scalar { .. }))?;
        let from = self.word(from)?;
        let include = node.get("include").map(|node| self.words(node));
        let base = node.get("base").and_then(|node| self.word(node));
        if let Some(base) = &base
            && !(base.value.is_empty() || base.value.starts_with('/'))
        {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, base.span, "a path starts with `/`")
                    .help(format!("write `/{}`", base.value)),
            );
        }
        Some(Catalogue { from, include, base })
    }
}

/// The tree of a text that is meant to be an OpenAPI file.
pub(crate) fn parsed(
    sources: &SourceMap,
    file: crate::source::FileId,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    yaml::parse(sources, file, diagnostics)
}

#[cfg(test)]
mod tests {
    use super::{joined_surrogates, like};

    #[test]
    fn patterns() {
        for (pattern, name, holds) in [
            ("list", "list", true),
            ("list", "lists", false),
            ("list*", "listUsers", true),
            ("*Users", "listUsers", true),
            ("l*s*s", "listUsers", true),
            ("*x*", "listUsers", false),
            ("*", "anything", true),
        ] {
            assert_eq!(like(pattern, name), holds, "{pattern} {name}");
        }
    }

    #[test]
    fn pairs_of_escapes_are_one_character_of_the_same_length() {
        let text = r#"{"a": "x\ud83d\ude00y \u00e9 \ud83d"}"#.to_string();
        let joined = joined_surrogates(text.clone());
        assert_eq!(joined.len(), text.len());
        assert_eq!(joined, format!(r#"{{"a": "x😀{}y \u00e9 \ud83d"}}"#, " ".repeat(8)));
    }
}
