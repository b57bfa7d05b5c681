//! Generators that draw: weighted choices, numbers, UUIDs, hexadecimal.

use super::{Cell, How};
use crate::hash;
use planc::graph::{Json, WeightedValue};

pub(super) fn weighted(branches: &[WeightedValue]) -> Result<How, String> {
    let mut sum = 0u64;
    let mut cumulated = Vec::with_capacity(branches.len());
    for branch in branches.iter().filter(|branch| branch.weight > 0) {
        sum += u64::from(branch.weight);
        cumulated.push((sum, Cell::Json(branch.value.clone())));
    }
    if cumulated.is_empty() {
        return Err("a weighted choice needs a weight above 0".into());
    }
    Ok(How::Weighted(cumulated))
}

pub(super) fn choose(branches: &[(u64, Cell)], draw: u64) -> &Cell {
    let total = branches.last().map_or(0, |(sum, _)| *sum);
    let point = hash::below(draw, u128::from(total)) as u64;
    let at = branches.partition_point(|(sum, _)| *sum <= point);
    branches.get(at).map_or(&Cell::NULL, |(_, cell)| cell)
}

pub(super) fn integer(from: i64, to: i64) -> Result<How, String> {
    if from > to {
        return Err(format!("the range {from}..={to} is empty"));
    }
    Ok(How::Integer(from, (i128::from(to) - i128::from(from) + 1) as u128))
}

pub(super) fn whole(from: i64, span: u128, draw: u64) -> Cell {
    Cell::Json(Json::from((i128::from(from) + hash::below(draw, span) as i128) as i64))
}

pub(super) fn decimal(from: i64, to: i64) -> Result<How, String> {
    if from > to {
        return Err("the range of decimals is empty".into());
    }
    Ok(How::Decimal(from, (i128::from(to) - i128::from(from) + 1) as u128))
}

pub(super) fn fixed(from: i64, span: u128, draw: u64) -> Cell {
    Cell::Fixed((i128::from(from) + hash::below(draw, span) as i128) as i64)
}
