//! `runner test`: unit tests of plans.

use super::arguments::TestFormat;
use super::{Stop, print, today};
use crate::exit::Exit;
use crate::unit_tests;
use crate::world::World;
use std::path::PathBuf;

pub(super) fn test(paths: &[PathBuf], format: TestFormat, world: &World) -> Result<Exit, Stop> {
    let found = unit_tests::find(paths).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    let files: Vec<_> = found.iter().map(|path| unit_tests::run(path, today(world))).collect();
    print(&match format {
        TestFormat::Terminal => unit_tests::tell(&files),
        TestFormat::Junit => unit_tests::junit(&files),
    })?;
    Ok(unit_tests::exit(&files))
}
