//! Lists and objects with slots, filled in the memory of the row before: their shape is the same in every row.

use super::{Context, Text, Whole};
use crate::rows::RowScope;
use planc::expr::Expr;
use planc::graph::{Json, JsonTemplate};
use serde_json::Map;

/// A compiled JSON template.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Const(Json),
    Text(Text),
    Whole(Whole),
    Value(Expr),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    pub(crate) fn new(template: &JsonTemplate, context: &Context<'_>) -> Tree {
        match template {
            JsonTemplate::Const(value) => Tree::Const(value.clone()),
            JsonTemplate::Text(text) => Tree::Text(Text::new(text, context)),
            JsonTemplate::Value(expr) => match Whole::new(expr) {
                Some(whole) => Tree::Whole(whole),
                None => Tree::Value(expr.clone()),
            },
            JsonTemplate::List(items) => {
                Tree::List(items.iter().map(|item| Tree::new(item, context)).collect())
            }
            JsonTemplate::Map(map) => {
                Tree::Map(map.iter().map(|(key, item)| (key.clone(), Tree::new(item, context))).collect())
            }
        }
    }

    /// Makes the value of a row.
    pub(crate) fn fill(&self, scope: &RowScope<'_>, out: &mut Json) -> Result<(), String> {
        match self {
            Tree::Const(value) => {
                if out != value {
                    *out = value.clone();
                }
            }
            Tree::Text(text) => text.render(scope, empty_text(out))?,
            Tree::Whole(whole) => *out = whole.json(scope)?,
            Tree::Value(expr) => *out = planc::eval::eval(expr, scope).map_err(|e| e.0)?,
            Tree::List(items) => {
                if !matches!(out, Json::Array(there) if there.len() == items.len()) {
                    *out = Json::Array(vec![Json::Null; items.len()]);
                }
                let there = out.as_array_mut().into_iter().flatten();
                there.zip(items).try_for_each(|(value, item)| item.fill(scope, value))?;
            }
            Tree::Map(items) => {
                let same = |there: &Map<String, Json>| {
                    there.len() == items.len() && items.iter().all(|(key, _)| there.contains_key(key))
                };
                if !matches!(out, Json::Object(there) if same(there)) {
                    *out = Json::Object(items.iter().map(|(key, _)| (key.clone(), Json::Null)).collect());
                }
                for (key, item) in items {
                    item.fill(scope, &mut out[key.as_str()])?;
                }
            }
        }
        Ok(())
    }
}

/// An empty text to write into, in the memory of the text that was there.
pub(crate) fn empty_text(value: &mut Json) -> &mut String {
    if !value.is_string() {
        *value = Json::String(String::with_capacity(32));
    }
    let Json::String(text) = value else { unreachable!("it was made one") };
    text.clear();
    text
}
