//! Benchmarks run by hand, side by side with a peer in one run: `cargo run --release -p tests --bin bench`.

mod accounts;
mod kill;
mod load;
mod process;
mod recorder;
mod seed;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures runner and the seeders beside their peers.
#[derive(Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  cargo build --release --workspace --bins\n  target/release/bench load\n  \
                  target/release/bench load bare open --rates 10000 --contenders runner,wrk,bare --rounds 3\n  \
                  target/release/bench recorder\n  target/release/bench seed --parts cold,again\n  \
                  target/release/bench accounts --kill --rows 2000"
)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Subcommand)]
enum What {
    /// Generating load: requests a second, CPU, memory, lateness and reported times beside wrk, oha, hey, ab and k6.
    Load(load::Arguments),
    /// The contender `bare` of `load`, alone.
    #[command(hide = true)]
    BareLoop(load::bare::Arguments),
    /// Peak heap of the recorder: a minute of simulated samples beside an hour of them.
    Recorder,
    /// Seeding Postgres, beside the SQL of a team and beside psql's `\copy`.
    Seed(seed::Arguments),
    /// kill -9 at random moments of a large seed: all rows or none, and seeding again completes.
    Kill(kill::Arguments),
    /// Accounts over HTTP against a service that limits registration.
    Accounts {
        /// Accounts to make.
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// Registrations a minute that the service takes.
        #[arg(long, default_value_t = 600)]
        per_minute: u32,
        /// Kill the seeding half-way, once with `exists` and once with a `probe`, and let another go on.
        #[arg(long)]
        kill: bool,
    },
}

fn main() -> ExitCode {
    let measured = match Arguments::parse().what {
        What::Load(arguments) => load::measure(&arguments),
        What::BareLoop(arguments) => load::bare::measure(&arguments),
        What::Recorder => recorder::measure(),
        What::Seed(arguments) => seed::measure(&arguments),
        What::Kill(arguments) => kill::measure(&arguments),
        What::Accounts { rows, per_minute, kill } => accounts::measure(rows, per_minute, kill),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_read() {
        Arguments::command().debug_assert();
        let read = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.what);
        let all = "bench load bare many --rates 500 --contenders runner,wrk-lua,k6 --users 100 --tls";
        assert!(matches!(read(all), Ok(What::Load(_))));
        assert!(matches!(read("bench load"), Ok(What::Load(_))));
        assert!(read("bench load closed").is_err());
        assert!(read("bench load --contenders vegeta").is_err());
        assert!(matches!(read("bench accounts --kill"), Ok(What::Accounts { kill: true, .. })));
        assert!(read("bench --rounds 5").is_err());
    }

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
