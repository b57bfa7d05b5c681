//! The plan compiler.
pub mod diagnostic;
pub mod eval;
pub mod expr;
pub mod graph;
pub mod source;
pub mod units;
pub mod yaml;
