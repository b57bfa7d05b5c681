//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
pub mod checks;
pub mod client;
pub mod database;
pub mod evidence;
pub mod exit;
pub mod expect;
mod http;
pub mod judge;
pub mod load;
pub mod mask;
mod pace;
pub mod seeding;
pub mod services;
#[cfg(test)]
mod testing;
pub mod values;
