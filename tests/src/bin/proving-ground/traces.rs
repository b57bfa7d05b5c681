//! Which trace ids came in with `traceparent`, as a tracing backend would know them.

use axum::http::HeaderMap;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Ids kept; older ones are forgotten.
const KEPT: usize = 100_000;

/// The trace ids seen last, those alone whose sender records them.
#[derive(Default)]
pub(crate) struct Traces(Mutex<VecDeque<String>>);

impl Traces {
    pub(crate) fn see(&self, headers: &HeaderMap) {
        let Some(header) = headers.get("traceparent").and_then(|value| value.to_str().ok()) else { return };
        if let Some(id) = recorded(header) {
            let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if ids.len() == KEPT {
                ids.pop_front();
            }
            ids.push_back(id.to_owned());
        }
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The trace id of a `traceparent` of version 00 whose flags say that it is recorded.
fn recorded(header: &str) -> Option<&str> {
    let parts: Vec<&str> = header.split('-').collect();
    let [version, id, parent, flags] = parts.as_slice() else { return None };
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id_like = |part: &str, length| part.len() == length && hex(part) && part.bytes().any(|b| b != b'0');
    let well = *version == "00" && id_like(id, 32) && id_like(parent, 16) && flags.len() == 2;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (well && flags & 1 == 1).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::recorded;

    #[test]
    fn only_a_recorded_trace_of_the_known_version_counts() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(recorded(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        for other in [
            format!("00-{id}-00f067aa0ba902b7-00"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{id}-01"),
        ] {
            assert_eq!(recorded(&other), None, "{other}");
        }
    }
}
