//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
pub mod evidence;
pub mod expect;
mod http;
pub mod load;
mod pace;
mod record;
