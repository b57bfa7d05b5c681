//! Mapping documents: how the payloads of one source system become canonical ones. One JSON file for each system.

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The documents by their source system.
pub(crate) type Mappings = BTreeMap<String, Mapping>;

/// How one system's payloads are read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    source_system: String,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    /// The canonical field by which people know it.
    key: String,
    /// Canonical name to JSON Pointer; all must be there.
    fields: BTreeMap<String, String>,
    #[serde(default)]
    derived: BTreeMap<String, Derived>,
}

/// A field that is computed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Derived {
    /// How many entries a list has.
    Count { list: String },
    /// The sum over a list of one member times another.
    Total { list: String, of: String, times: String },
}

/// A payload that was understood.
pub(crate) struct Mapped {
    pub(crate) key: String,
    pub(crate) canonical: Value,
}

/// Reads every `*.json` of a folder.
///
/// # Errors
/// The first document that is none, or that is not named for its system.
pub(crate) fn load(folder: &Path) -> Result<Mappings, String> {
    let failed = |path: &Path, why: String| format!("mapping document {}: {why}", path.display());
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error.to_string()))?;
    let mut out = Mappings::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error.to_string()))?;
        let mapping: Mapping =
            serde_json::from_str(&text).map_err(|error| failed(&path, error.to_string()))?;
        if path.file_stem().is_none_or(|name| *name != *mapping.source_system) {
            return Err(failed(&path, format!("it is for source system {}", mapping.source_system)));
        }
        out.insert(mapping.source_system.clone(), mapping);
    }
    Ok(out)
}

impl Mapping {
    /// The canonical form of a payload, or what it lacks.
    pub(crate) fn apply(&self, resource: &str, payload: &Value) -> Result<Mapped, String> {
        let rules = self.resources.get(resource).ok_or_else(|| format!("no rules for {resource}"))?;
        let mut canonical = Map::new();
        for (name, pointer) in &rules.fields {
            let value = payload.pointer(pointer).filter(|value| !value.is_null());
            let value = value.ok_or_else(|| format!("{name}: nothing at {pointer}"))?;
            canonical.insert(name.clone(), value.clone());
        }
        for (name, derived) in &rules.derived {
            let value = derived.compute(payload).ok_or_else(|| format!("{name}: cannot be derived"))?;
            canonical.insert(name.clone(), Value::Number(value));
        }
        let key = match canonical.get(&rules.key) {
            Some(Value::String(key)) if !key.is_empty() => key.clone(),
            _ => return Err(format!("{}: not a text", rules.key)),
        };
        Ok(Mapped { key, canonical: Value::Object(canonical) })
    }
}

impl Derived {
    fn compute(&self, payload: &Value) -> Option<Number> {
        let list = |pointer: &str| payload.pointer(pointer).and_then(Value::as_array);
        Some(match self {
            Self::Count { list: pointer } => list(pointer)?.len().into(),
            Self::Total { list: pointer, of, times } => {
                let mut total = 0_i64;
                for entry in list(pointer)? {
                    let product = entry.get(of)?.as_i64()?.checked_mul(entry.get(times)?.as_i64()?)?;
                    total = total.checked_add(product)?;
                }
                total.into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_are_mapped_or_told_what_they_lack() {
        let mapping: Mapping = serde_json::from_value(json!({
            "source_system": "erp",
            "resources": { "sales_orders": {
                "key": "number",
                "fields": { "number": "/header/no", "customer": "/customer" },
                "derived": {
                    "lines": { "count": { "list": "/lines" } },
                    "total_cents": { "total": { "list": "/lines", "of": "price", "times": "qty" } }
                }
            } }
        }))
        .unwrap();
        let mut payload = json!({
            "header": { "no": "SO-1" }, "customer": "C-1",
            "lines": [{ "qty": 2, "price": 250 }, { "qty": 1, "price": 99 }]
        });
        let mapped = mapping.apply("sales_orders", &payload).unwrap();
        assert_eq!(mapped.key, "SO-1");
        let expected = json!({ "number": "SO-1", "customer": "C-1", "lines": 2, "total_cents": 599 });
        assert_eq!(mapped.canonical, expected);
        assert!(mapping.apply("items", &payload).is_err_and(|why| why.contains("no rules for items")));
        payload["lines"][0]["qty"] = json!("two");
        assert!(mapping.apply("sales_orders", &payload).is_err_and(|why| why.contains("total_cents")));
        payload["customer"] = Value::Null;
        assert!(mapping.apply("sales_orders", &payload).is_err_and(|why| why.contains("/customer")));
    }

    #[test]
    fn a_document_is_named_for_its_system() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("notes.txt", "not a mapping");
        write("erp.json", r#"{ "source_system": "erp", "resources": {} }"#);
        assert_eq!(load(folder.path()).unwrap().keys().collect::<Vec<_>>(), ["erp"]);
        write("other.json", r#"{ "source_system": "erp", "resources": {} }"#);
        assert!(load(folder.path()).is_err_and(|why| why.contains("it is for source system erp")));
    }
}
