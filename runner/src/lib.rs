//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
pub mod evidence;
pub mod expect;
pub mod load;
