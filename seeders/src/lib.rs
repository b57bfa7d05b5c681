#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! The crate reads nothing but the [`planc::graph::ExecutionGraph`]. Its layers, each using only those
//! before it:
//!
//! - [`hash`] and [`rows`] are pure: row n of a fixture is a function of (seed, fixture, n, base time), so a
//!   scenario can draw row 7 without asking the database, and a fixture can grow without changing what it had.
//! - `copy` turns values into the bytes of Postgres types, or says why they are not one.
//! - [`schema`] reads the live tables and [`inspect`] tells every misfit before anything is written.
//! - `samples` takes from other tables what rows draw.
//! - `ledger` remembers in the database what was seeded; [`postgres`] seeds, mends, verifies and resets by it.
//! - `sql` runs a team's own scripts under the same ledger.
//! - `body` makes the bytes of a request, for whoever measures nothing.
//! - [`http`] makes accounts that only the service can make.
//! - [`fixtures`] reads fixture files for programs that are no runner, and [`apply`] seeds them in order.
//! - [`template`] keeps a seeded database and clones it.
//! - [`cluster`] starts private Postgres servers from the machine's own binaries (services and tests).
//!
//! Clock, seed, connection and secrets come in as arguments. Only [`cluster`] looks at the environment (where the
//! binaries and the cache folder are), only [`fixtures`] reads files, and only [`SeedOptions::now`] asks for the time.

mod apply;
mod body;
mod buckets;
pub mod check;
pub mod cluster;
mod copy;
mod drift;
mod error;
mod fingerprint;
pub mod fixtures;
mod foreign;
mod foreign_keys;
mod fresh;
mod generators;
pub mod hash;
pub mod http;
mod indexes;
mod inspect;
mod ledger;
mod merge;
mod misfit;
mod names;
mod options;
pub mod postgres;
pub mod private;
mod progress;
mod receipt;
mod reset;
mod retry;
pub mod rows;
mod samples;
pub mod schema;
mod script;
mod sql;
mod stage;
pub mod template;
mod unique;
mod versions;

pub use apply::{apply, apply_with};
pub use body::body_bytes;
pub use drift::{ColumnDrift, DRIFT_ROWS, Drift, DriftedRow, RowDrift};
pub use error::{ErrorKind, SeedError, chain};
pub use fixtures::{FixtureError, FixtureOptions, Fixtures};
pub use foreign::foreign_rows;
pub use http::{
    Answer, BoxFuture, HttpSender, PreparedRequest, Secrets, SendError, account_secrets, seed_http,
};
pub use inspect::{inspect, review};
pub use ledger::content_hash;
pub use misfit::{Misfit, MisfitKind, Place};
pub use options::{Mode, SeedOptions};
pub use postgres::seed;
pub use progress::Progress;
pub use receipt::{Action, Receipt};
pub use retry::{Connect, seed_over};
pub use rows::{GENERATOR_VERSION, Inputs, RowError, RowSource};
pub use samples::with_samples;
