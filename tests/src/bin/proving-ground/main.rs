//! `proving-ground`: the reference target server that the load tests of this project run against.
//!
//! One process plays several systems on a real Postgres: a certificate manager (`/api/v1`, `/acme`), a chat
//! backend (`/api/auth`, `/api/sessions`, `/api/chat`), a warehouse that an ERP pushes into (`/api/v1/inbound`), a
//! casino (`/api/casino`), a music platform (`/api/v1/tracks`, `/api/v1/marketplace`) and their token administration
//! (`/api/admin`). Beside them stand bench endpoints that need no database, and switches under `/_` that break the
//! server on purpose.

mod accounts;
mod acme;
mod admin;
mod agents;
mod arguments;
mod bench;
mod bucket;
mod casino;
mod certificates;
mod chat;
mod control;
mod der;
mod dice;
mod failure;
mod faults;
mod ground;
mod health;
mod inbound;
mod input;
mod live;
mod mapping;
mod migrations;
mod passwords;
mod pool;
mod process;
mod routes;
mod secrets;
mod settlement;
mod socket;
mod stall;
mod start;
mod stats;
mod telemetry;
mod times;
mod tls;
mod tokens;
mod traces;
mod tracks;
mod window;
mod x509;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match start::run(arguments::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("proving-ground: {problem}");
            ExitCode::FAILURE
        }
    }
}
