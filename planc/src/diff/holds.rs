//! What stages wait for before the next one begins.

use super::change::Change;
use super::codes;
use crate::graph::{Bound, Demand, Flat, HoldUntil, MetricRef, Until};
use crate::source::Span;

/// A hold that is left out, or that what was not flat before can now pass, lets the load climb on over what it breaks.
pub(super) fn compare(old: &Demand, new: &Demand, subject: &str, span: Option<Span>, out: &mut Vec<Change>) {
    let numbers = (1..).take_while(|number| old.piece(*number).is_some() || new.piece(*number).is_some());
    for number in numbers {
        let hold = |demand: &Demand| demand.piece(number).and_then(|(_, hold)| hold.cloned());
        let change = match (hold(old), hold(new)) {
            (None, None) => continue,
            (Some(_), None) => Change::weaker(
                codes::LOAD_REDUCED,
                subject.to_string(),
                format!("stage {number} no longer waits until it has settled"),
            )
            .note("the next stage begins whether or not the target has absorbed this one"),
            (None, Some(_)) => {
                Change::stronger(subject.to_string(), format!("stage {number} waits until it has settled"))
            }
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) => {
                let dropped = watched(&old).iter().any(|number| !watched(&new).contains(number));
                let message = format!("stage {number} holds {new} instead of {old}");
                match dropped || eased(&old, &new) {
                    true => Change::weaker(codes::LOAD_REDUCED, subject.to_string(), message),
                    false => Change::neutral(subject.to_string(), message),
                }
            }
        };
        out.push(change.at(span));
    }
}

fn watched(hold: &HoldUntil) -> Vec<&MetricRef> {
    hold.numbers().iter().map(|flat| &flat.number).collect()
}

/// Whether what was not flat before can be flat now.
fn eased(old: &HoldUntil, new: &HoldUntil) -> bool {
    match (&old.until, &new.until) {
        (
            Until::Flat { numbers: o, window: o_window, tolerance: o_tolerance },
            Until::Flat { numbers: n, window, tolerance },
        ) => {
            let floor =
                |flat: &Flat| n.iter().find(|other| other.number == flat.number).map(|flat| flat.floor);
            let raised = |flat: &Flat| floor(flat).is_some_and(|floor| higher(floor, flat.floor));
            window < o_window || tolerance > o_tolerance || o.iter().any(raised)
        }
        _ => new.within < old.within,
    }
}

fn higher(new: Bound, old: Bound) -> bool {
    match (new, old) {
        (Bound::Duration(new), Bound::Duration(old)) => new > old,
        (Bound::Share(new), Bound::Share(old)) => new > old,
        (Bound::Number(new), Bound::Number(old)) => new > old,
        _ => false,
    }
}
