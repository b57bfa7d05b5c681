//! The plan compiler.
pub mod diagnostic;
pub mod eval;
pub mod expr;
pub mod graph;
pub mod source;
pub mod units;
pub mod yaml;

mod ast;
mod codes;
mod executors;
mod near;
mod parse;
/// Where texts come from.
pub trait Files {
    /// Reads a file.
    fn read(&self, path: &str) -> Result<String, String>;
}
/// A page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// code
    pub code: &'static str,
    /// name
    pub name: &'static str,
    /// text
    pub text: &'static str,
}
