//! Whole numbers made of the row's number: `{{ n // 1000 }}`, `{{ n % 60 }}`. What does not stay a whole number from 0
//! up goes the long way, which knows signs, decimals and how to complain.

use crate::rows::RowScope;
use planc::eval;
use planc::expr::{BinaryOp, Expr};
use planc::graph::Json;

/// Arithmetic on the row's number.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    short: Step,
    /// The same as it was written.
    long: Expr,
}

#[derive(Debug, Clone)]
enum Step {
    Number,
    Const(u64),
    Op(BinaryOp, Box<(Step, Step)>),
}

impl Whole {
    /// `None` when the expression is something else.
    pub(crate) fn new(expr: &Expr) -> Option<Whole> {
        Some(Whole { short: step(expr)?, long: expr.clone() })
    }

    /// The value of a row.
    pub(crate) fn json(&self, scope: &RowScope<'_>) -> Result<Json, String> {
        match self.short.value(scope.number()) {
            Some(value) => Ok(Json::from(value)),
            None => eval::eval(&self.long, scope).map_err(|e| e.0),
        }
    }
}

fn step(expr: &Expr) -> Option<Step> {
    use BinaryOp::{Add, FloorDiv, Mul, Rem, Sub};
    match expr {
        Expr::Path(path) if path.len() == 1 && path[0] == "n" => Some(Step::Number),
        Expr::Const(value) => value.as_u64().map(Step::Const),
        Expr::Binary(op @ (Add | Sub | Mul | FloorDiv | Rem), left, right) => {
            Some(Step::Op(*op, Box::new((step(left)?, step(right)?))))
        }
        _ => None,
    }
}

impl Step {
    fn value(&self, n: u64) -> Option<u64> {
        match self {
            Step::Number => Some(n),
            Step::Const(value) => Some(*value),
            Step::Op(op, sides) => {
                let (left, right) = (sides.0.value(n)?, sides.1.value(n)?);
                let value = match op {
                    BinaryOp::Add => left.checked_add(right),
                    BinaryOp::Sub => left.checked_sub(right),
                    BinaryOp::Mul => left.checked_mul(right),
                    BinaryOp::FloorDiv => left.checked_div(right),
                    BinaryOp::Rem => left.checked_rem(right),
                    _ => None,
                };
                // Beyond, whole numbers may be something else to others.
                value.filter(|value| *value <= i64::MAX as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::expr::Scope;

    struct Row(u64);

    impl Scope for Row {
        fn get(&self, path: &[String]) -> Option<Json> {
            (path == ["n"]).then(|| Json::from(self.0))
        }

        fn random(&self) -> u64 {
            0
        }

        fn now_micros(&self) -> i64 {
            0
        }
    }

    /// Whatever the short way gives, the long one gives too.
    #[test]
    fn both_ways_agree() {
        let number = || Expr::Path(vec!["n".into()]);
        let constant = |value: u64| Expr::Const(Json::from(value));
        let binary = |op, left, right| Expr::Binary(op, Box::new(left), Box::new(right));
        let ops = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::FloorDiv, BinaryOp::Rem];
        let mut taken = 0;
        for first in ops {
            for second in ops {
                for (a, b) in
                    [(0, 7), (256, 256), (1_000, 3), (u64::MAX, 2), (i64::MAX as u64, i64::MAX as u64)]
                {
                    let expr = binary(second, binary(first, number(), constant(a)), constant(b));
                    let whole = Whole::new(&expr).expect("arithmetic on n");
                    for n in [1, 2, 999, 65_537, 10_000_000_000] {
                        let Some(value) = whole.short.value(n) else { continue };
                        taken += 1;
                        assert_eq!(eval::eval(&expr, &Row(n)), Ok(Json::from(value)), "{expr:?} of {n}");
                    }
                }
            }
        }
        assert!(taken > 200, "{taken}");
        let other = binary(BinaryOp::Add, number(), Expr::Path(vec!["m".into()]));
        assert!(Whole::new(&other).is_none());
    }
}
