//! Generators that take a value from elsewhere: another fixture, a list of records.

use super::{Cell, How};
use crate::hash;
use crate::rows::RowSource;
use planc::graph::Json;
use std::sync::Arc;

pub(super) fn other(
    source: Arc<RowSource>,
    fixture: &str,
    column: &str,
    random: bool,
) -> Result<How, String> {
    let index = source
        .columns()
        .iter()
        .position(|name| name == column)
        .ok_or_else(|| format!("fixture `{fixture}` has no column `{column}`"))?;
    if source.rows() == 0 {
        return Err(format!("fixture `{fixture}` has no rows to refer to"));
    }
    Ok(How::Other(source, index, random))
}

pub(super) fn value(
    source: &RowSource,
    column: usize,
    random: bool,
    key: u64,
    n: u64,
) -> Result<Cell, String> {
    let rows = source.rows();
    let row = if random {
        hash::below(hash::draw(key, n, 0), u128::from(rows)) as u64 + 1
    } else {
        (n - 1) % rows + 1
    };
    source.cell(row, column).map_err(|e| e.to_string())
}

pub(super) fn drawn(values: &[Json], key: u64, n: u64) -> Result<Cell, String> {
    if values.is_empty() {
        return Err("what it draws is known only when the fixture is seeded".into());
    }
    let at = hash::below(hash::draw(key, n, 0), values.len() as u128) as usize;
    Ok(Cell::Json(values[at].clone()))
}

pub(super) fn record(values: &[Json], n: u64) -> Result<Cell, String> {
    values
        .get((n - 1) as usize)
        .map(|value| Cell::Json(value.clone()))
        .ok_or_else(|| format!("there are only {} records", values.len()))
}
