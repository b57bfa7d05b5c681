//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
pub mod evidence;
pub mod exit;
pub mod judge;
pub mod load;
#[cfg(test)]
mod testing;
