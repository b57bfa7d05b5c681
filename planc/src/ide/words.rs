//! The schema, asked by path: which keys and words can stand there, and what they mean.

use super::spot::Part;
use crate::graph::Json;
use crate::schema;

/// How deep references and alternatives are followed.
const MAX_HOPS: usize = 8;

/// The schema of a kind of file.
pub(super) struct Words {
    root: Json,
}

/// A key that can stand in a map.
pub(super) struct Key<'s> {
    pub(super) name: &'s str,
    pub(super) about: Option<&'s str>,
    pub(super) required: bool,
    /// Its value stands on lines of its own.
    pub(super) container: bool,
}

impl Words {
    pub(super) fn plan() -> Self {
        Words { root: schema::plan() }
    }

    pub(super) fn fixture() -> Self {
        Words { root: schema::fixture() }
    }

    /// All that a value at a path can be.
    fn at(&self, path: &[Part]) -> Vec<&Json> {
        let mut here = self.alternatives(&self.root);
        for part in path {
            here = here.into_iter().filter_map(|schema| inner(schema, part)).collect();
            here = here.into_iter().flat_map(|schema| self.alternatives(schema)).collect();
        }
        here
    }

    /// A schema with what it refers to and what else it can be.
    fn alternatives<'s>(&'s self, schema: &'s Json) -> Vec<&'s Json> {
        let mut out = Vec::new();
        self.gather(schema, 0, &mut out);
        out
    }

    fn gather<'s>(&'s self, schema: &'s Json, hops: usize, out: &mut Vec<&'s Json>) {
        if hops > MAX_HOPS {
            return;
        }
        out.push(schema);
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
        if let Some(referred) = name.and_then(|name| self.root["$defs"].get(name)) {
            self.gather(referred, hops + 1, out);
        }
        for other in schema["anyOf"].as_array().into_iter().flatten() {
            self.gather(other, hops + 1, out);
        }
    }

    /// The keys of the map at a path, in the schema's order, each once.
    pub(super) fn keys(&self, path: &[Part]) -> Vec<Key<'_>> {
        let mut out: Vec<Key<'_>> = Vec::new();
        for schema in self.at(path) {
            let required =
                |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
            for (name, value) in schema["properties"].as_object().into_iter().flatten() {
                if !out.iter().any(|known| known.name == name) {
                    let (about, container) = (self.about(value), self.container(value));
                    out.push(Key { name, about, required: required(name), container });
                }
            }
        }
        out
    }

    /// What a key of the map at a path means.
    pub(super) fn key(&self, path: &[Part], name: &str) -> Option<&str> {
        self.at(path)
            .into_iter()
            .filter_map(|schema| schema["properties"].get(name))
            .find_map(|s| self.about(s))
    }

    /// The words of which one must stand at a path.
    pub(super) fn choices(&self, path: &[Part]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for schema in self.at(path) {
            let words = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
            out.extend(words.map(|word| word.as_str().map_or_else(|| word.to_string(), String::from)));
            let types = &schema["type"];
            if types == "boolean" || types.as_array().is_some_and(|types| types[..] == ["boolean", "string"])
            {
                out.extend(["true".to_string(), "false".to_string()]);
            }
        }
        out.dedup();
        out
    }

    fn about<'s>(&'s self, schema: &'s Json) -> Option<&'s str> {
        self.alternatives(schema).into_iter().find_map(|schema| schema["description"].as_str())
    }

    /// Whether a value can be nothing but a map or a list.
    fn container(&self, schema: &Json) -> bool {
        let mut kinds = self.alternatives(schema).into_iter().filter(|s| s.get("type").is_some()).peekable();
        kinds.peek().is_some() && kinds.all(|schema| schema["type"] == "object" || schema["type"] == "array")
    }
}

/// The schema of a value inside.
fn inner<'s>(schema: &'s Json, part: &Part) -> Option<&'s Json> {
    match part {
        Part::Item => schema.get("items"),
        Part::Key(key) => {
            let own = schema["properties"].get(key);
            own.or_else(|| schema.get("additionalProperties")).filter(|schema| schema.is_object())
        }
    }
}
