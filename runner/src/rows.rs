//! Which row an iteration draws, and the rows themselves.

use crate::evidence::Coverage;
use crate::text::{Row, key_of, mix};
use planc::graph::{DrawOrder, ExecutionGraph, FixtureKind};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows that a worker keeps ready, at most; beyond it they are made anew.
const KEPT: usize = 20_000;

/// A fixture as a function from row number to row.
pub(crate) trait Rows: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> u64;
    /// Row `n`, from 1; these columns of it, or all.
    fn row(&self, n: u64, columns: Option<&[String]>) -> Result<Row, String>;
}

impl Rows for seeders::RowSource {
    fn rows(&self) -> u64 {
        seeders::RowSource::rows(self)
    }

    fn row(&self, n: u64, columns: Option<&[String]>) -> Result<Row, String> {
        match columns {
            None => self.row(n).map_err(|e| e.to_string()),
            Some(columns) => columns
                .iter()
                .map(|column| Ok((column.clone(), self.value(n, column).map_err(|e| e.to_string())?)))
                .collect(),
        }
    }
}

/// Accounts, with what the service told once of each.
pub(crate) struct Accounts {
    source: seeders::RowSource,
    secrets: Arc<seeders::Secrets>,
    captured: Vec<String>,
}

impl Accounts {
    /// The accounts of a fixture of the graph.
    pub(crate) fn new(
        source: seeders::RowSource,
        secrets: Arc<seeders::Secrets>,
        graph: &ExecutionGraph,
        fixture: &str,
    ) -> Accounts {
        let captured = match graph.fixture(fixture).map(|fixture| &fixture.kind) {
            Some(FixtureKind::Http(http)) => http.capture.iter().map(|it| it.name.clone()).collect(),
            _ => Vec::new(),
        };
        Accounts { source, secrets, captured }
    }
}

impl Rows for Accounts {
    fn rows(&self) -> u64 {
        self.source.rows()
    }

    fn row(&self, n: u64, columns: Option<&[String]>) -> Result<Row, String> {
        let wanted = |name: &String| columns.is_none_or(|columns| columns.contains(name));
        let own: Option<Vec<String>> = columns
            .map(|columns| columns.iter().filter(|name| !self.captured.contains(name)).cloned().collect());
        let mut row = Rows::row(&self.source, n, own.as_deref())?;
        for name in self.captured.iter().filter(|name| wanted(name)) {
            let value = self.secrets.get(n, name);
            let value =
                value.ok_or_else(|| format!("`{name}` of row {n} is not kept here: seed the fixture"))?;
            row.insert(name.clone(), value.clone());
        }
        Ok(row)
    }
}

/// All fixtures that scenarios draw from, by name.
pub(crate) type RowSources = BTreeMap<String, Arc<dyn Rows>>;

/// A scenario's draw, the same for all workers.
pub(crate) struct DrawPlan {
    /// Name in scope.
    pub(crate) binding: String,
    /// Its number among the scenario's bound names.
    pub(crate) var: usize,
    /// Which row.
    pub(crate) order: DrawOrder,
    /// The rows.
    pub(crate) rows: Arc<dyn Rows>,
    /// Columns that the scenario reads; none means all.
    pub(crate) columns: Option<Vec<String>>,
    /// Key of its random orders.
    pub(crate) key: u64,
    /// Next row of `exclusive`, shared by all workers.
    pub(crate) cursor: AtomicU64,
}

/// A worker's side of a draw: rows kept ready, and how often each was drawn.
#[derive(Default)]
pub(crate) struct Drawn {
    kept: RefCell<HashMap<u64, Rc<Row>>>,
    hits: RefCell<Vec<u32>>,
}

/// What a draw gives.
pub(crate) enum Draw {
    /// A row.
    Row(Rc<Row>),
    /// `exclusive` has no more.
    RanOut,
    /// The row has no value.
    Failed(String),
}

impl DrawPlan {
    /// The row for iteration `k` of virtual user `vu`; none when `exclusive` has run out.
    fn number(&self, k: u64, vu: u32) -> Option<u64> {
        let rows = self.rows.rows().max(1);
        Some(match self.order {
            DrawOrder::RoundRobin => k % rows + 1,
            DrawOrder::Random => mix(self.key ^ mix(k)) % rows + 1,
            DrawOrder::Shuffle => permuted(mix(self.key ^ (k / rows)), k % rows, rows) + 1,
            DrawOrder::PerVu => (u64::from(vu) - 1) % rows + 1,
            DrawOrder::Exclusive => {
                let n = self.cursor.fetch_add(1, Ordering::Relaxed);
                if n >= rows {
                    return None;
                }
                n + 1
            }
        })
    }

    /// The row that a rehearsal uses.
    pub(crate) fn rehearsed(&self) -> Result<Row, String> {
        let exclusive = self.order == DrawOrder::Exclusive;
        self.rows.row(if exclusive { self.rows.rows() } else { 1 }, self.columns.as_deref())
    }

    /// Draws for an iteration.
    pub(crate) fn draw(&self, drawn: &Drawn, k: u64, vu: u32) -> Draw {
        let Some(n) = self.number(k, vu) else { return Draw::RanOut };
        {
            let mut hits = drawn.hits.borrow_mut();
            let at = (n - 1) as usize;
            if at >= hits.len() {
                hits.resize(self.rows.rows() as usize, 0);
            }
            hits[at] = hits[at].saturating_add(1);
        }
        if let Some(row) = drawn.kept.borrow().get(&n) {
            return Draw::Row(row.clone());
        }
        let row = match self.rows.row(n, self.columns.as_deref()) {
            Ok(row) => Rc::new(row),
            Err(why) => return Draw::Failed(why),
        };
        let mut kept = drawn.kept.borrow_mut();
        if kept.len() < KEPT {
            kept.insert(n, row.clone());
        }
        Draw::Row(row)
    }
}

impl Drawn {
    /// How often each row was drawn.
    pub(crate) fn take_hits(&self) -> Vec<u32> {
        self.hits.take()
    }
}

/// Coverage from the hits of all workers.
pub(crate) fn coverage(rows: u64, workers: &[Vec<u32>]) -> Coverage {
    let mut hits = vec![0u64; rows as usize];
    for worker in workers {
        for (sum, hit) in hits.iter_mut().zip(worker) {
            *sum += u64::from(*hit);
        }
    }
    let mut histogram: BTreeMap<u64, u64> = BTreeMap::new();
    for hit in &hits {
        *histogram.entry(*hit).or_default() += 1;
    }
    while histogram.len() > 64 {
        // The two most-hit classes become one under the larger number.
        let (top, n) = histogram.pop_last().expect("longer than 64");
        let (_, below) = histogram.pop_last().expect("longer than 63");
        histogram.insert(top, n + below);
    }
    Coverage {
        rows,
        distinct: hits.iter().filter(|hit| **hit > 0).count() as u64,
        most_hits: hits.iter().copied().max().unwrap_or(0),
        histogram,
    }
}

/// Key of a draw's random orders.
pub(crate) fn draw_key(seed: u64, scenario: &str, binding: &str) -> u64 {
    key_of(key_of(seed, scenario), binding)
}

/// Where a keyed permutation of `0..n` takes `x`: a Feistel network over the next even power of two,
/// walked until it falls inside.
fn permuted(key: u64, x: u64, n: u64) -> u64 {
    if n <= 1 {
        return 0;
    }
    let bits = 64 - (n - 1).leading_zeros();
    let half = bits.div_ceil(2);
    let mask = (1u64 << half) - 1;
    let mut x = x;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4u64 {
            let f = mix(key ^ (round << 56) ^ right) & mask;
            (left, right) = (right, left ^ f);
        }
        x = (left << half) | right;
        if x < n {
            return x;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// Rows `{ id: "r<n>" }`.
    pub(crate) struct Numbered(pub(crate) u64);

    impl Rows for Numbered {
        fn rows(&self) -> u64 {
            self.0
        }
        fn row(&self, n: u64, _: Option<&[String]>) -> Result<Row, String> {
            Ok(Row::from([("id".to_owned(), json!(format!("r{n}")))]))
        }
    }

    fn plan(order: DrawOrder, rows: u64) -> DrawPlan {
        DrawPlan {
            binding: "x".into(),
            var: 0,
            order,
            rows: Arc::new(Numbered(rows)),
            columns: None,
            key: draw_key(1, "s", "x"),
            cursor: AtomicU64::new(0),
        }
    }

    #[test]
    fn orders() {
        let round = plan(DrawOrder::RoundRobin, 3);
        let drawn: Vec<_> = (0..5).map(|k| round.number(k, 1).unwrap()).collect();
        assert_eq!(drawn, [1, 2, 3, 1, 2]);
        let own = plan(DrawOrder::PerVu, 3);
        assert_eq!((0..3).map(|k| own.number(k, 2).unwrap()).collect::<Vec<_>>(), [2, 2, 2]);
        let exclusive = plan(DrawOrder::Exclusive, 2);
        assert_eq!((0..3).map(|_| exclusive.number(9, 1)).collect::<Vec<_>>(), [Some(1), Some(2), None]);
        let random = plan(DrawOrder::Random, 10);
        let drawn: BTreeSet<_> = (0..200).map(|k| random.number(k, 1).unwrap()).collect();
        assert_eq!(drawn.len(), 10);
        assert!(drawn.iter().all(|n| (1..=10).contains(n)));
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_the_next_one_differs() {
        for rows in [1u64, 2, 3, 7, 64, 1_000] {
            let shuffle = plan(DrawOrder::Shuffle, rows);
            let epoch = |e: u64| -> Vec<u64> {
                (0..rows).map(|k| shuffle.number(e * rows + k, 1).unwrap()).collect()
            };
            let distinct: BTreeSet<_> = epoch(0).into_iter().collect();
            assert_eq!(distinct.len() as u64, rows);
            if rows > 60 {
                assert_ne!(epoch(0), epoch(1));
                assert_eq!(epoch(1), epoch(1));
            }
        }
    }

    #[test]
    fn coverage_counts_rows_by_hits() {
        let coverage = coverage(4, &[vec![1, 0, 2], vec![1, 0, 0, 0]]);
        assert_eq!((coverage.distinct, coverage.most_hits), (2, 2));
        assert_eq!(coverage.histogram, BTreeMap::from([(0, 2), (2, 2)]));
    }
}
