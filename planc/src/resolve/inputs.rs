//! Inputs: which value wins, whether it is of its type, what stays open.

use crate::Options;
use crate::ast::{self, Bytes, InputType, Quantity};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{Json, OpenInput};
use crate::near::{listed, nearest};
use crate::placeholder::placeholder;
use crate::resolved::{Input, InputValue};
use crate::source::Span;
use crate::units::{Fixed, PartsPerMillion, Rate, UnitError};
use std::collections::BTreeMap;
use std::time::Duration;

/// A value and where it comes from.
struct Found {
    text: String,
    span: Option<Span>,
    told_by: Option<String>,
}

/// The inputs of a profile. `--set` beats the environment, that beats the profile, that beats the default.
pub(super) fn resolve(
    plan: &ast::Plan,
    profile: &str,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Input> {
    unknown_names(plan, options, diagnostics);
    let written = plan.profiles.iter().find(|p| p.name.value == profile);
    let mut out = BTreeMap::new();
    for input in &plan.inputs {
        let found = find(input, written, options);
        let name = input.name.value.clone();
        let given = found.as_ref().map(|found| (found.span, found.told_by.clone()));
        let outside = outside(input, written);
        let value = value(input, found, options, diagnostics);
        let (value_span, told_by) = given.unwrap_or((None, None));
        let written = written.and_then(|p| p.values.iter().find(|(key, _)| key.value == name));
        let literal = written.map(|(_, raw)| raw).or(input.default.as_ref()).filter(|_| !input.test_only);
        let literal_secret = literal.filter(|_| input.kind == Some(InputType::Secret)).map(|raw| raw.span);
        let placeholder = placeholder_of(input, written.map(|(_, raw)| raw));
        out.insert(
            name,
            Input {
                span: input.name.span,
                kind: input.kind,
                value,
                value_span,
                outside,
                told_by,
                literal_secret,
                placeholder,
            },
        );
    }
    out
}

/// Who gives or may change the value when the plan is run. `--set` could change any: it is said where the run is started.
fn outside(input: &ast::Input, profile: Option<&ast::Profile>) -> Option<String> {
    let name = &input.name.value;
    let written = input.default.is_some()
        || profile.is_some_and(|profile| profile.values.iter().any(|(key, _)| key.value == *name));
    match &input.env {
        // Of one value there is no choice.
        Some(_) if written && !input.late && input.one_of.len() == 1 => None,
        Some(env) => Some(format!("`{}`", env.value)),
        None if input.late => Some("whoever starts the run".into()),
        None if !written => Some(format!("`--set {name}`")),
        None => None,
    }
}

/// The place of a written value that a run would refuse.
fn placeholder_of(input: &ast::Input, set: Option<&ast::Raw>) -> Option<(Span, &'static str)> {
    if !matches!(input.kind, Some(InputType::String | InputType::Secret)) {
        return None;
    }
    let raw = set.or(input.default.as_ref())?;
    let empty = input.kind == Some(InputType::Secret) && raw.text.trim().is_empty();
    let why = if empty { Some("it is empty") } else { placeholder(&raw.text) };
    why.map(|why| (raw.span, why))
}

fn unknown_names(plan: &ast::Plan, options: &Options, diagnostics: &mut Diagnostics) {
    let names = || plan.inputs.iter().map(|input| input.name.value.as_str());
    let mut unknown = |name: &str, span: Span, message: String| {
        if names().any(|known| known == name) {
            return;
        }
        let diagnostic = Diagnostic::error(codes::UNKNOWN_INPUT, span, message);
        diagnostics.push(match nearest(name, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if plan.inputs.is_empty() => diagnostic.help("it has no inputs: declare one under `inputs`"),
            None => diagnostic.help(format!("it has {}", listed(names(), "and"))),
        });
    };
    for (name, _) in &options.set {
        let span = plan.inputs_span.unwrap_or(plan.span);
        unknown(name, span, format!("`--set {name}=…` names no input of this plan"));
    }
    for profile in &plan.profiles {
        for (name, _) in &profile.values {
            unknown(&name.value, name.span, format!("the profile sets `{}`, which is no input", name.value));
        }
    }
}

fn find(input: &ast::Input, profile: Option<&ast::Profile>, options: &Options) -> Option<Found> {
    let name = &input.name.value;
    if let Some((_, text)) = options.set.iter().rev().find(|(key, _)| key == name) {
        let told_by = Some(format!("it comes from `--set {name}=…`"));
        return Some(Found { text: text.clone(), span: None, told_by });
    }
    if let Some(variable) = &input.env
        && let Some(text) = options.env.get(&variable.value)
    {
        let told_by = Some(format!("it comes from the environment variable `{}`", variable.value));
        return Some(Found { text: text.clone(), span: None, told_by });
    }
    let set = profile.and_then(|p| p.values.iter().find(|(key, _)| key.value == *name));
    let raw = set.map(|(_, raw)| raw).or(input.default.as_ref())?;
    Some(Found { text: raw.text.clone(), span: Some(raw.span), told_by: None })
}

fn value(
    input: &ast::Input,
    found: Option<Found>,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> InputValue {
    let Some(kind) = input.kind else { return InputValue::Broken };
    let name = &input.name.value;
    let secret = kind == InputType::Secret;
    if let Some(found) = &found
        && let Some(diagnostic) = misfit(input, kind, found)
    {
        diagnostics.push(diagnostic);
        return InputValue::Broken;
    }
    // Secrets and late inputs stay open in the graph, so that what is reviewed has no secret in it.
    if found.is_none() && options.require_inputs && !secret && !input.late {
        let message = format!("input `{name}` has no value");
        let help = match &input.env {
            Some(env) => format!("set the environment variable `{}`, or pass `--set {name}=…`", env.value),
            None => format!("pass `--set {name}=…`"),
        };
        diagnostics.push(Diagnostic::error(codes::MISSING_INPUT, input.name.span, message).help(help));
        return InputValue::Broken;
    }
    let missing = found.is_none();
    if secret || input.late || missing {
        // Only what is written in the plan may enter the graph: a value from the environment would be a leak.
        let default = found.filter(|found| found.span.is_some()).map(|found| found.text);
        let default = if secret { input.default.as_ref().map(|raw| raw.text.clone()) } else { default };
        let open = OpenInput { secret, env: input.env.as_ref().map(|env| env.value.clone()), default };
        return InputValue::Open { open, missing };
    }
    let text = found.map_or(String::new(), |found| found.text);
    InputValue::Closed(as_json(kind, &text))
}

/// What is wrong with a value, if anything is.
fn misfit(input: &ast::Input, kind: InputType, found: &Found) -> Option<Diagnostic> {
    let name = &input.name.value;
    let span = found.span.unwrap_or(input.name.span);
    let secret = kind == InputType::Secret;
    let finish = |diagnostic: Diagnostic| match &found.told_by {
        Some(told_by) => diagnostic.note(told_by.clone()),
        None => diagnostic,
    };
    if let Err(error) = read(kind, &found.text) {
        let message = format!("input `{name}`: {}", error.message);
        let bare = error.message.contains("needs a unit");
        let code = if bare { codes::MISSING_UNIT } else { codes::BAD_INPUT };
        let mut diagnostic = Diagnostic::error(code, span, message);
        if let Some(suggestion) = error.suggestion {
            diagnostic = diagnostic.help(format!("write `{suggestion}`"));
        }
        return Some(finish(diagnostic));
    }
    if !input.one_of.is_empty() && !input.one_of.iter().any(|raw| raw.text == found.text) {
        let shown = if secret { "•••" } else { found.text.as_str() };
        let allowed = crate::near::listed(input.one_of.iter().map(|raw| raw.text.as_str()), "or");
        let message = format!("input `{name}` cannot be `{shown}`");
        return Some(finish(
            Diagnostic::error(codes::BAD_INPUT, span, message).help(format!("it is one of {allowed}")),
        ));
    }
    None
}

fn read(kind: InputType, text: &str) -> Result<(), UnitError> {
    match kind {
        InputType::String | InputType::Secret => Ok(()),
        InputType::Url => read_url(text),
        InputType::Rate => Rate::read(text).map(|_| ()),
        InputType::Duration => Duration::read(text).map(|_| ()),
        InputType::Integer => i64::read(text).map(|_| ()),
        InputType::Number => Fixed::read(text).map(|_| ()),
        InputType::Boolean => bool::read(text).map(|_| ()),
        InputType::Share => PartsPerMillion::read(text).map(|_| ()),
        InputType::Size => Bytes::read(text).map(|_| ()),
    }
}

fn read_url(text: &str) -> Result<(), UnitError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(no_url());
    };
    let scheme_fine =
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !scheme_fine || rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace) {
        return Err(no_url());
    }
    Ok(())
}

/// The text is not repeated: what stands where a URL should be may be a password.
fn no_url() -> UnitError {
    UnitError {
        message: "this is not an absolute URL".into(),
        suggestion: Some("http://127.0.0.1:8080".into()),
    }
}

/// The value as expressions see it: numbers and booleans as such, everything with a unit as the text written.
fn as_json(kind: InputType, text: &str) -> Json {
    match kind {
        InputType::Integer => i64::read(text).map_or(Json::Null, Json::from),
        InputType::Number => {
            let shown = Fixed::read(text).map(|number| number.to_string()).unwrap_or_default();
            serde_json::from_str(&shown).unwrap_or(Json::Null)
        }
        InputType::Boolean => bool::read(text).map_or(Json::Null, Json::Bool),
        InputType::String | InputType::Secret => Json::String(text.to_string()),
        _ => Json::String(text.trim().to_string()),
    }
}
