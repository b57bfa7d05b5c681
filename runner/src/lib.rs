//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
pub mod checks;
pub mod client;
pub mod database;
pub mod environment;
pub mod evidence;
pub mod exit;
pub mod expect;
pub mod guards;
mod http;
pub mod inputs;
pub mod judge;
pub mod listen;
pub mod load;
pub mod mask;
pub mod orchestrate;
mod pace;
pub mod phases;
pub mod report;
pub mod seeding;
pub mod services;
#[cfg(test)]
mod testing;
pub mod tokens;
pub mod values;
pub mod world;
