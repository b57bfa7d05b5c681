//! Seeders against a real private Postgres, one cluster for the whole binary and one database a test.
//! Needs the Postgres server programs; without them the tests fail and say what to install.

mod accounts;
mod after;
mod buckets;
mod build;
mod clusters;
mod crash;
mod drift;
mod generators;
mod harness;
mod import;
mod inspection;
mod ledger;
mod library;
mod lost;
mod misfits;
mod policies;
mod refused;
mod relations;
mod rerun;
mod reset;
mod review;
mod rows;
mod samples;
mod scripts;
mod shortcuts;
mod templates;
mod types;
mod untouched;
