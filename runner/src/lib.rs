//! Applies an execution graph: guards, services, fixtures, preflight, load, verdict.
mod coordinator;
mod drive;
pub mod evidence;
pub mod expect;
mod health;
mod http;
pub mod load;
mod pace;
mod prepare;
mod record;
mod rehearse;
mod rows;
mod shared;
mod steps;
mod text;
mod vu;
mod worker;
