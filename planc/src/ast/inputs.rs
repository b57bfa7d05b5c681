//! Inputs.

use super::Word;
use crate::source::{Span, Spanned};
use std::collections::BTreeSet;

/// Type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputType {
    String,
    Url,
    Secret,
    Rate,
    Duration,
    Integer,
    Number,
    Boolean,
    Share,
    Size,
}

/// A scalar as written, before its type is known to hold.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// One entry of `inputs:`.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) kind: Option<InputType>,
    pub(crate) default: Option<Raw>,
    pub(crate) env: Option<Word>,
    pub(crate) late: bool,
    pub(crate) test_only: bool,
    pub(crate) one_of: Vec<Raw>,
}

impl Input {
    /// Inputs that nobody declared: fixture files alone have no place for it.
    pub(crate) fn given<'a>(
        names: impl Iterator<Item = &'a String>,
        secrets: &BTreeSet<String>,
        span: Span,
    ) -> Vec<Input> {
        let names: BTreeSet<&String> = names.collect();
        let kind = |name: &str| if secrets.contains(name) { InputType::Secret } else { InputType::String };
        let input = |name: &String| Input {
            name: Spanned::new(name.clone(), span),
            kind: Some(kind(name)),
            default: None,
            env: None,
            late: false,
            test_only: false,
            one_of: Vec::new(),
        };
        names.into_iter().map(input).collect()
    }
}
