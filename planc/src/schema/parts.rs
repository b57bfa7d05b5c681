//! The pieces that schemas are made of.

use crate::graph::Json;
use serde_json::{Map, json};

pub(super) fn object(required: &[&str], keys: &[(&str, Json)]) -> Json {
    let properties: Map<String, Json> =
        keys.iter().map(|(key, schema)| (key.to_string(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

pub(super) fn described(description: &str, mut schema: Json) -> Json {
    schema["description"] = json!(description);
    schema
}

pub(super) fn local(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

pub(super) fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

pub(super) fn scalar(description: &str) -> Json {
    json!({ "type": ["string", "number"], "description": description })
}

pub(super) fn whole(description: &str) -> Json {
    described(description, local("count"))
}

pub(super) fn list(description: &str, item: Json) -> Json {
    json!({ "type": "array", "items": item, "description": description })
}

pub(super) fn one_or_many(description: &str, item: Json) -> Json {
    json!({ "anyOf": [item, { "type": "array", "items": item }], "description": description })
}

pub(super) fn named(description: &str, value: Json) -> Json {
    json!({ "type": "object", "additionalProperties": value, "description": description })
}

pub(super) fn word(description: &str, words: &[&str]) -> Json {
    json!({ "enum": words, "description": description })
}

pub(super) fn texts(description: &str) -> Json {
    named(description, local("template"))
}

/// Anything, with slots in its texts.
pub(super) fn any(description: &str) -> Json {
    json!({ "description": description })
}
