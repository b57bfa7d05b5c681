//! The names that run-level templates see: inputs, services, `run_id`, and what a node adds.

use planc::expr::Scope;
use planc::graph::Json;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Dotted names and their values: `inputs.rate`, `services.pg.url`, `run_id`.
#[derive(Clone)]
pub struct Values {
    map: BTreeMap<String, Json>,
    clock: fn() -> i64,
    stream: Cell<u64>,
}

impl Values {
    /// No names yet. `seed` keys `random.*`; `clock` tells microseconds since 1970.
    pub fn new(seed: u64, clock: fn() -> i64) -> Self {
        Values { map: BTreeMap::new(), clock, stream: Cell::new(seed) }
    }

    /// Gives a name its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.map.insert(name.into(), value.into());
    }

    /// The same with one more name, for a template that sees `token`, `rows` or `port`.
    pub fn with(&self, name: &str, value: impl Into<Json>) -> Self {
        let mut out = self.clone();
        out.set(name, value);
        out
    }

    /// All names, as the load engine takes them.
    pub fn map(&self) -> &BTreeMap<String, Json> {
        &self.map
    }

    /// All names, to be filled by whoever captures more.
    pub fn replace(&mut self, map: BTreeMap<String, Json>) {
        self.map = map;
    }
}

impl Scope for Values {
    fn get(&self, path: &[String]) -> Option<Json> {
        // The longest known name wins, the rest is looked up inside its value.
        for split in (1..=path.len()).rev() {
            if let Some(value) = self.map.get(&path[..split].join(".")) {
                return path[split..].iter().try_fold(value, |value, key| value.get(key)).cloned();
            }
        }
        None
    }

    fn random(&self) -> u64 {
        let next = self.stream.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.stream.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn now_micros(&self) -> i64 {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_name_wins_and_the_rest_is_looked_up_inside() {
        let mut values = Values::new(1, || 0);
        values.set("services.pg.url", "postgres://x");
        values.set("inputs.user", json!({ "name": "ann" }));
        for (path, want) in [
            ("services.pg.url", Some(json!("postgres://x"))),
            ("inputs.user.name", Some(json!("ann"))),
            ("inputs.user.age", None),
            ("services.pg", None),
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(values.get(&path), want);
        }
    }
}
