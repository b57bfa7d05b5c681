//! Which names a template may use in its position, and what they have inside.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::{METRIC, NameUse};
use crate::near::{listed, nearest};
use crate::source::Span;
use std::collections::BTreeMap;

/// What a name has inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Unknown until the run: any attribute may be there.
    Any,
    /// Nothing: text or a number.
    Plain,
    /// These, and it is not a value itself.
    Fields(BTreeMap<String, Shape>),
}

/// The names of one position.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) names: BTreeMap<String, Shape>,
    /// Names that a capture sets, but not before this position.
    pub(super) unset: BTreeMap<String, Span>,
}

/// So many names of one text are told to be unknown; the rest are likely the same mistake.
const MAX_TOLD: usize = 20;

impl Scope {
    pub(super) fn with(mut self, name: &str, shape: Shape) -> Self {
        self.names.insert(name.to_string(), shape);
        self
    }

    pub(super) fn plain<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.names.extend(names.into_iter().map(|name| (name.to_string(), Shape::Plain)));
        self
    }

    /// Reports every name that is not here; true when all are.
    pub(super) fn check(&self, uses: &[NameUse], diagnostics: &mut Diagnostics) -> bool {
        let mut misfits = uses.iter().filter_map(|name_use| self.misfit(name_use)).take(MAX_TOLD).peekable();
        let all = misfits.peek().is_none();
        diagnostics.extend(misfits);
        all
    }

    fn misfit(&self, name_use: &NameUse) -> Option<Diagnostic> {
        let (root, rest) = name_use.path.split_first()?;
        let Some(shape) = self.names.get(root) else { return Some(self.undefined(root, name_use)) };
        let mut shape = shape;
        let mut so_far = root.clone();
        for name in rest {
            match shape {
                Shape::Any => return None,
                Shape::Plain => {
                    let message = format!("`{so_far}` is a plain value and has no `{name}`");
                    return Some(Diagnostic::error(codes::UNDEFINED_NAME, name_use.span, message));
                }
                Shape::Fields(fields) => match fields.get(name) {
                    Some(inner) => shape = inner,
                    None => return Some(missing_field(&so_far, name, fields, name_use.span)),
                },
            }
            so_far = format!("{so_far}.{name}");
        }
        match shape {
            Shape::Fields(fields) => {
                let example =
                    fields.keys().next().map(|field| format!("write `{so_far}.{field}` or the like"));
                let message = format!("`{so_far}` is not a value by itself");
                let diagnostic = Diagnostic::error(codes::UNDEFINED_NAME, name_use.span, message);
                Some(match example {
                    Some(example) => diagnostic.help(example),
                    None => diagnostic,
                })
            }
            _ => None,
        }
    }

    fn undefined(&self, root: &str, name_use: &NameUse) -> Diagnostic {
        if let Some(place) = self.unset.get(root) {
            return Diagnostic::error(
                codes::UNSET_CAPTURE,
                name_use.span,
                format!("`{root}` is not set here"),
            )
            .also(*place, "it is captured here")
            .help("use it in a step that is always played after the capture");
        }
        if root == METRIC {
            let message = "`metric(…)` has no value before the load is over";
            return Diagnostic::error(codes::UNDEFINED_NAME, name_use.span, message)
                .help("it can stand in the `expect` of an SQL gate under `thresholds`");
        }
        let diagnostic =
            Diagnostic::error(codes::UNDEFINED_NAME, name_use.span, format!("undefined name `{root}`"));
        if ["env", "ENV", "__ENV", "environ"].contains(&root) {
            let variable = name_use.path.get(1).map_or("NAME", String::as_str);
            return diagnostic.help(format!(
                "declare an input with `env: {variable}`; it is the only door for the environment"
            ));
        }
        if let Some(Shape::Fields(inputs)) = self.names.get("inputs")
            && inputs.contains_key(root)
        {
            return diagnostic.help(format!("did you mean `inputs.{root}`?"));
        }
        match nearest(root, self.names.keys().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic
                .note(format!("in scope here: {}", listed(self.names.keys().map(String::as_str), "and"))),
        }
    }
}

fn missing_field(owner: &str, name: &str, fields: &BTreeMap<String, Shape>, span: Span) -> Diagnostic {
    let message = match owner {
        "inputs" => format!("undefined input `{name}`"),
        "services" => format!("undefined service `{name}`"),
        _ => format!("`{owner}` has no `{name}`"),
    };
    let diagnostic = Diagnostic::error(codes::UNDEFINED_NAME, span, message);
    match nearest(name, fields.keys().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{owner}.{near}`?")),
        None if fields.is_empty() && owner == "inputs" => diagnostic.help(format!(
            "declare it under `inputs` of a plan; where fixture files are seeded alone, give `--set {name}=…`"
        )),
        None if fields.is_empty() => diagnostic,
        None if fields.len() <= 20 => {
            diagnostic.note(format!("`{owner}` has {}", listed(fields.keys().map(String::as_str), "and")))
        }
        None => diagnostic,
    }
}
