//! Any two parts of a graph, compared value by value: for changes that have no name of their own.

use super::change::quoted;
use crate::graph::Json;
use serde::Serialize;

const SHOWN: usize = 3;

/// The first few values that differ, in words.
pub(super) fn told<T: Serialize>(old: &T, new: &T) -> String {
    let value = |part: &T| serde_json::to_value(part).unwrap_or(Json::Null);
    let mut found = Vec::new();
    differences(&value(old), &value(new), "", &mut found);
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    let mut out = found.join("; ");
    if more > 0 {
        out.push_str(&format!("; {more} more"));
    }
    out
}

fn differences(old: &Json, new: &Json, path: &str, out: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        // A template or a constant is one value to a reader.
        _ if text(old).is_some() && text(new).is_some() && text(old) != text(new) => {
            out.push(said(path, Some(old), Some(new)))
        }
        (Json::Object(o), Json::Object(n)) => {
            for key in o.keys().chain(n.keys().filter(|key| !o.contains_key(*key))) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (o.get(key), n.get(key)) {
                    (Some(o), Some(n)) => differences(o, n, &path, out),
                    (o, n) => out.push(said(&path, o, n)),
                }
            }
        }
        (Json::Array(o), Json::Array(n)) if o.len() == n.len() => {
            for (at, (o, n)) in o.iter().zip(n).enumerate() {
                differences(o, n, &format!("{path}[{at}]"), out);
            }
        }
        (Json::Array(o), Json::Array(n)) if named(o, n).is_some() => {
            out.extend(named(o, n).into_iter().flatten())
        }
        _ if path.is_empty() => out.push("the steps are others".into()),
        _ => out.push(said(path, Some(old), Some(new))),
    }
}

/// The named things that only one of two lists has, when the other differs in nothing else.
fn named(old: &[Json], new: &[Json]) -> Option<Vec<String>> {
    let same = old.iter().zip(new).take_while(|(o, n)| o == n).count();
    let (o, n) = (&old[same..], &new[same..]);
    let end = o.iter().rev().zip(n.iter().rev()).take_while(|(o, n)| o == n).count();
    let (gone, come) = (&o[..o.len() - end], &n[..n.len() - end]);
    let told = |items: &[Json], what: &str| -> Option<Vec<String>> {
        let name = |item: &Json| Some(format!("{} {what}", quoted(item.get("name")?.as_str()?)));
        items.iter().map(name).collect()
    };
    match (gone.is_empty(), come.is_empty()) {
        (false, true) => told(gone, "is gone"),
        (true, false) => told(come, "is new"),
        _ => None,
    }
}

fn said(path: &str, old: Option<&Json>, new: Option<&Json>) -> String {
    let show = |value: &Json| text(value).map(|text| quoted(&text));
    // The graph's own words for how a value is held are not the user's.
    let path = path.replace(".const", "").replace(".http.", ".").replace("kind.", "");
    let path = quoted(&path);
    match (old.filter(|v| !v.is_null()), new.filter(|v| !v.is_null())) {
        (None, Some(new)) => match show(new) {
            Some(new) => format!("{path} is {new}, it was not set"),
            None => format!("{path} is new"),
        },
        (Some(old), None) => match show(old) {
            Some(old) => format!("{path} is gone, it was {old}"),
            None => format!("{path} is gone"),
        },
        (old, new) => match (old.and_then(show), new.and_then(show)) {
            (Some(old), Some(new)) => format!("{path} is {new}, it was {old}"),
            _ => format!("{path} changed"),
        },
    }
}

/// A plain value, a literal template or a duration as a text.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Array(parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(segment).collect();
            parts.filter(|parts| !parts.is_empty()).map(|parts| parts.concat())
        }
        Json::Object(map) => {
            let nanos = map.get("nanos").and_then(Json::as_u64);
            let seconds = map.get("secs").and_then(Json::as_u64);
            let (seconds, nanos) = seconds.zip(nanos).filter(|_| map.len() == 2)?;
            let nanos = u32::try_from(nanos).ok()?;
            Some(crate::units::show_duration(std::time::Duration::new(seconds, nanos)))
        }
        Json::Null => None,
    }
}

/// A part of a template, as the plan writes it.
fn segment(part: &Json) -> Option<String> {
    let part = part.as_object().filter(|part| part.len() == 1)?;
    if let Some(literal) = part.get("literal") {
        return literal.as_str().map(str::to_string);
    }
    let path = part.get("slot")?.get("path").and_then(Json::as_array);
    let names: Option<Vec<&str>> = path.and_then(|path| path.iter().map(Json::as_str).collect());
    Some(names.map_or("{{ … }}".to_string(), |names| format!("{{{{ {} }}}}", names.join("."))))
}
