//! `hold_until:` of a stage: what must be flat before the next stage begins.

use super::Resolver;
use crate::ast::{self, Quantity};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Aggregate, Bound, Flat, HoldUntil, MetricKind, MetricRef, Until};
use crate::parse::unit_diagnostic;
use crate::source::Span;
use crate::units::{Fixed, PartsPerMillion, show_duration};
use std::time::Duration;

/// Over less, a line through the seconds is noise.
const SHORTEST_WINDOW: Duration = Duration::from_secs(5);

/// Share of the mean that a number may change by over the window.
const TOLERANCE: PartsPerMillion = PartsPerMillion(50_000);

impl Resolver<'_> {
    /// A hold with its defaults; `None` when it is wrong, which is reported by then. `asks` says that anything is asked
    /// of the target meanwhile.
    pub(super) fn hold(&mut self, hold: &ast::Hold, asks: bool) -> Option<HoldUntil> {
        let kept: Vec<(MetricRef, MetricKind)> =
            hold.stable.iter().filter_map(|written| self.metric_ref(written)).collect();
        let window = hold.window.as_ref().and_then(|window| self.typed(window));
        let within = hold.within.as_ref().and_then(|within| self.typed(within));
        let tolerance = self.typed_or(hold.tolerance.as_ref(), TOLERANCE);
        let floors = self.floors(hold, &kept)?;
        if hold.broken || kept.len() < hold.stable.len() {
            return None;
        }
        let (window, within) = (window?, within?);
        if !asks {
            self.error(
                codes::BAD_DEMAND,
                hold.span,
                "nothing is asked at this target, so nothing can settle",
            );
            return None;
        }
        let window_span = hold.window.as_ref().map_or(hold.span, ast::Typed::span);
        if window < SHORTEST_WINDOW {
            let message = format!("a window of {} is too short to tell a trend", show_duration(window));
            self.wrong(
                window_span,
                message,
                format!("write `window: {}` or more", show_duration(SHORTEST_WINDOW)),
            );
            return None;
        }
        if within < window {
            let span = hold.within.as_ref().map_or(hold.span, ast::Typed::span);
            let (within, window) = (show_duration(within), show_duration(window));
            let message = format!("nothing can be flat for {window} within {within}");
            self.wrong(span, message, format!("write `within: {window}` or more, better twice that"));
            return None;
        }
        let numbers =
            kept.into_iter().zip(floors).map(|((number, _), floor)| Flat { number, floor }).collect();
        Some(HoldUntil { until: Until::Flat { numbers, window, tolerance }, within })
    }

    /// The floor of each number, in their order.
    fn floors(&mut self, hold: &ast::Hold, kept: &[(MetricRef, MetricKind)]) -> Option<Vec<Bound>> {
        let mut floors: Vec<Bound> = kept.iter().map(|(number, kind)| usual_floor(number, *kind)).collect();
        let mut sound = true;
        for (metric, text) in &hold.floors {
            let of: Vec<usize> = (0..kept.len()).filter(|at| kept[*at].0.metric == metric.value).collect();
            let Some(first) = of.first() else {
                // What is wrong with a metric in `stable` was told there.
                if kept.len() == hold.stable.len() {
                    self.unknown("metric in `stable`", metric, kept.iter().map(|(n, _)| n.metric.as_str()));
                }
                sound = false;
                continue;
            };
            let Some(shown) = self.known_text(text, "a floor") else {
                sound = false;
                continue;
            };
            let read = match floors[*first] {
                Bound::Duration(_) => Duration::read(&shown).map(Bound::Duration),
                Bound::Share(_) => PartsPerMillion::read(&shown).map(Bound::Share),
                Bound::Number(_) => Fixed::read(&shown).map(Bound::Number),
            };
            match read {
                Ok(floor) => of.iter().for_each(|at| floors[*at] = floor),
                Err(error) => {
                    let diagnostic = unit_diagnostic(text.span, &shown, error, false);
                    let diagnostic = self.with_origin(diagnostic, text);
                    self.diagnostics.push(diagnostic);
                    sound = false;
                }
            }
        }
        sound.then_some(floors)
    }

    fn wrong(&mut self, span: Span, message: String, help: String) {
        self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, span, message).help(help));
    }
}

/// A change that nobody would call one: 5 ms, 0.1 %, 1.
fn usual_floor(number: &MetricRef, kind: MetricKind) -> Bound {
    match (kind, number.aggregate) {
        (_, Aggregate::Count) => Bound::Number(Fixed(1_000_000)),
        (MetricKind::TimeTrend, _) => Bound::Duration(Duration::from_millis(5)),
        (MetricKind::Rate, _) => Bound::Share(PartsPerMillion(1_000)),
        _ => Bound::Number(Fixed(1_000_000)),
    }
}
