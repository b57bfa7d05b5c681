//! The baseline: figures of an earlier run that a reader compares with, and that decide nothing.

use super::Resolver;
use super::conditions::read_bound;
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Baseline, Bound};

impl Resolver<'_> {
    pub(super) fn baseline(&mut self) -> Vec<Baseline> {
        let plan = self.plan;
        let mut out: Vec<Baseline> =
            plan.report.baseline.iter().filter_map(|one| self.reference_figure(one)).collect();
        out.sort_by_key(|one| one.number.to_string());
        out
    }

    fn reference_figure(&mut self, written: &ast::Baseline) -> Option<Baseline> {
        let (number, kind) = self.metric_ref(written.number.as_ref()?)?;
        let range = written.range.as_ref()?;
        let text = match range.parsed.value.as_literal() {
            Some(literal) => literal.to_string(),
            None => self.known_text(range, "a range")?,
        };
        let (low, high) = text.split_once("..").unwrap_or((&text, &text));
        let mut bound = |part: &str| match read_bound(part.trim(), number.aggregate, kind) {
            Ok((bound, _)) => Some(bound),
            Err(problem) => {
                self.diagnostics.push(problem.diagnostic(range.span));
                None
            }
        };
        let (low, high) = (bound(low)?, bound(high)?);
        if above(low, high) {
            let message = format!("`{}` is a range of nothing", text.trim());
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, range.span, message);
            self.diagnostics.push(diagnostic.help("write the smaller figure first, such as `80ms..150ms`"));
            return None;
        }
        Some(Baseline { number, low, high })
    }
}

fn above(low: Bound, high: Bound) -> bool {
    match (low, high) {
        (Bound::Duration(low), Bound::Duration(high)) => low > high,
        (Bound::Share(low), Bound::Share(high)) => low > high,
        (Bound::Number(low), Bound::Number(high)) => low > high,
        _ => false,
    }
}
