//! Children by parent: how many each has, and whose child a row is, without reading anything back.
//!
//! The number of children of parent k is a draw keyed by (seed, fixture, k). Rows are counted through the parents in
//! order, so a row's parent is found from sums kept for every 64 parents: memory grows by 8 bytes for each 64 of them.

use crate::draw;
use crate::graph::{Children, Each, ExecutionGraph};

/// Parents whose numbers of children are summed up once.
const BLOCK: u64 = 64;

/// The most parents whose numbers of children are drawn; where all have the same number there is no limit.
pub const MAX_DRAWN_PARENTS: u64 = 50_000_000;

/// Whose children the rows of one fixture are.
#[derive(Debug, Clone)]
pub struct Relation {
    key: u64,
    each: Each,
    /// Of [`Each::Weighted`], the sum of all weights.
    weights: u64,
    parents: u64,
    /// Children before each block of parents; none where all have the same number.
    before: Vec<u64>,
    rows: u64,
}

impl Relation {
    /// The relation of the fixture whose own name is `fixture` to so many parents. `None` when there are more than
    /// [`MAX_DRAWN_PARENTS`] to draw for, or more children than can be counted.
    pub fn new(seed: u64, fixture: &str, children: &Children, parents: u64) -> Option<Relation> {
        let each = children.each.clone();
        let weights = match &each {
            Each::Weighted(branches) => branches.iter().map(|branch| u64::from(branch.weight)).sum(),
            _ => 0,
        };
        // No column has such a name by chance.
        let key = draw::column_key(seed, fixture, "planc children");
        let mut relation = Relation { key, each, weights, parents, before: Vec::new(), rows: 0 };
        if let Each::Fixed(each) = relation.each {
            relation.rows = parents.checked_mul(u64::from(each))?;
            return Some(relation);
        }
        if parents > MAX_DRAWN_PARENTS {
            return None;
        }
        for parent in 1..=parents {
            if (parent - 1) % BLOCK == 0 {
                relation.before.push(relation.rows);
            }
            relation.rows = relation.rows.checked_add(relation.children(parent))?;
        }
        Some(relation)
    }

    /// Number of rows: all children of all parents.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of children of a parent's row, from 1.
    pub fn children(&self, parent: u64) -> u64 {
        let drawn = |span: u64| draw::below(draw::draw(self.key, parent, 0), u128::from(span)) as u64;
        match &self.each {
            Each::Fixed(each) => u64::from(*each),
            Each::Between { from, to } => u64::from(*from) + drawn(u64::from(to.saturating_sub(*from)) + 1),
            Each::Weighted(branches) => {
                let mut point = drawn(self.weights);
                for branch in branches {
                    match point.checked_sub(u64::from(branch.weight)) {
                        Some(left) => point = left,
                        None => return u64::from(branch.children),
                    }
                }
                0
            }
        }
    }

    /// The parent's row of row `n`, and which of its children the row is; both from 1. `None` beyond the last row.
    pub fn place(&self, n: u64) -> Option<(u64, u64)> {
        if n == 0 || n > self.rows {
            return None;
        }
        if let Each::Fixed(each) = self.each {
            let each = u64::from(each);
            return Some(((n - 1) / each + 1, (n - 1) % each + 1));
        }
        let block = self.before.partition_point(|before| *before < n) - 1;
        let mut left = n - self.before[block];
        let mut parent = block as u64 * BLOCK + 1;
        while parent <= self.parents {
            let children = self.children(parent);
            if left <= children {
                return Some((parent, left));
            }
            left -= children;
            parent += 1;
        }
        None
    }
}

/// Gives a graph another seed, and the rows of its relations the numbers that follow from it.
pub fn reseed(graph: &mut ExecutionGraph, seed: u64) {
    graph.seed = seed;
    // Parents come first.
    for at in 0..graph.fixtures.len() {
        let Some(children) = graph.fixtures[at].children.clone() else { continue };
        let parents = graph.fixture(&children.of).map_or(0, |parents| parents.rows);
        let fixture = &mut graph.fixtures[at];
        if let Some(relation) = Relation::new(seed, &fixture.fixture, &children, parents) {
            fixture.rows = relation.rows();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::WeightedCount;

    fn relation(each: Each, parents: u64) -> Relation {
        let children = Children { of: "users".into(), each };
        Relation::new(42, "posts", &children, parents).expect("it can be counted")
    }

    fn weighted(branches: &[(u32, u32)]) -> Each {
        let branch = |(children, weight): &(u32, u32)| WeightedCount { children: *children, weight: *weight };
        Each::Weighted(branches.iter().map(branch).collect())
    }

    #[test]
    fn every_row_has_one_place_and_every_place_one_row() {
        let kinds = [
            Each::Fixed(3),
            Each::Between { from: 0, to: 4 },
            Each::Between { from: 2, to: 2 },
            weighted(&[(0, 70), (10, 30)]),
            weighted(&[(0, 1), (1, 0), (500, 1)]),
        ];
        for each in kinds {
            for parents in [1, 63, 64, 65, 1_000] {
                let relation = relation(each.clone(), parents);
                let mut n = 0;
                for parent in 1..=parents {
                    for child in 1..=relation.children(parent) {
                        n += 1;
                        assert_eq!(relation.place(n), Some((parent, child)), "{each:?} of {parents}");
                    }
                }
                assert_eq!(relation.rows(), n, "{each:?} of {parents}");
                assert_eq!((relation.place(0), relation.place(n + 1)), (None, None));
            }
        }
    }

    #[test]
    fn the_numbers_are_spread_as_asked() {
        let between = relation(Each::Between { from: 1, to: 5 }, 10_000);
        let mut seen = [0; 6];
        (1..=10_000).for_each(|parent| seen[between.children(parent) as usize] += 1);
        assert_eq!(seen[0], 0);
        assert!(seen[1..].iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
        let some = relation(weighted(&[(0, 70), (10, 30)]), 10_000);
        let childless = (1..=10_000).filter(|parent| some.children(*parent) == 0).count();
        assert!((6_800..7_200).contains(&childless), "{childless}");
    }

    #[test]
    fn more_parents_change_no_child_of_those_before() {
        let each = Each::Between { from: 0, to: 9 };
        let (few, many) = (relation(each.clone(), 500), relation(each, 50_000));
        (1..=few.rows()).for_each(|n| assert_eq!(few.place(n), many.place(n)));
    }

    #[test]
    fn what_cannot_be_counted_is_none() {
        let of = |each, parents| {
            Relation::new(1, "x", &Children { of: "y".into(), each }, parents).map(|relation| relation.rows())
        };
        assert_eq!(of(Each::Fixed(u32::MAX), u64::MAX), None);
        assert_eq!(of(Each::Between { from: 0, to: 1 }, MAX_DRAWN_PARENTS + 1), None);
        assert_eq!(of(Each::Fixed(2), MAX_DRAWN_PARENTS + 1), Some(2 * (MAX_DRAWN_PARENTS + 1)));
        assert_eq!(of(Each::Fixed(0), 10), Some(0));
    }
}
