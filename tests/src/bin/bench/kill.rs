//! kill -9 at random moments of a large seed through the real `runner seed`: each time all rows are there or none, the
//! server's side is gone within two seconds, and seeding again completes.

use seeders::cluster::{Cluster, ClusterOptions};
use seeders::hash::mix;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, NoTls};

/// How long the server may go on without its client.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// When it is given up on.
const GIVEN_UP: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Arguments {
    /// Moments, each with a seed that is killed and one that completes.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Rows of the fixture.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Makes the moments; the time of day when not given.
    #[arg(long)]
    seed: Option<u64>,
}

const TABLE: &str = "CREATE TABLE load (id text PRIMARY KEY, host text NOT NULL UNIQUE, status text NOT NULL, \
    kind text NOT NULL, size int NOT NULL, seen timestamptz NOT NULL)";

fn fixture(rows: u64) -> String {
    format!(
        "fixture: load\ntable: load\nrows: {rows}\nidentity: id\ncolumns:\n  id: \"load-{{{{ n | pad(8) }}}}\"\n  \
         host: \"h-{{{{ n }}}}.example.test\"\n  status: Active\n  kind: {{ weighted: {{ a: 80, b: 20 }} }}\n  \
         size: {{ integer: {{ from: 1, to: 1000 }} }}\n  seen: {{ before_now: \"{{{{ n % 60 }}}}s\" }}\n"
    )
}

/// What one round came to.
struct Round {
    moment: Duration,
    found: i64,
    gone: Duration,
    again: Duration,
}

pub fn measure(arguments: &Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let cluster = Cluster::start(ClusterOptions::default()).map_err(|e| e.to_string())?;
    runtime.block_on(cluster.create_database("kill_test")).map_err(|e| e.to_string())?;
    let url = cluster.url("kill_test");
    let client = runtime.block_on(connect(&url))?;
    runtime.block_on(client.batch_execute(TABLE)).map_err(|e| e.to_string())?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(folder.path().join("load.yaml"), fixture(arguments.rows)).map_err(|e| e.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let seed = arguments.seed.unwrap_or(now);
    let bench = Bench { client, runtime, url, folder: folder.path(), rows: arguments.rows as i64 };

    let whole = bench.seed_whole()?;
    println!("{} rows take {:.1} s; moments of --seed {seed}\n", arguments.rows, whole.as_secs_f64());
    println!("| round | killed after | of the whole | rows found | server gone after | seeded again in |");
    println!("|---|---|---|---|---|---|");
    let (mut slowest, mut none) = (Duration::ZERO, 0);
    for round in 0..arguments.rounds {
        let share = mix(seed ^ u64::from(round)) % 1_050;
        let done = bench.round(whole * share as u32 / 1_000)?;
        println!(
            "| {} | {:.2} s | {:.0} % | {} | {} ms | {:.1} s |",
            round + 1,
            done.moment.as_secs_f64(),
            share as f64 / 10.0,
            done.found,
            done.gone.as_millis(),
            done.again.as_secs_f64()
        );
        slowest = slowest.max(done.gone);
        none += u32::from(done.found == 0);
    }
    println!(
        "\n{none} times no row, {} times all; the server was gone after {} ms at the latest",
        arguments.rounds - none,
        slowest.as_millis()
    );
    match slowest <= GONE_WITHIN {
        true => Ok(()),
        false => Err(format!("the server's side lived on for {slowest:?}, more than {GONE_WITHIN:?}")),
    }
}

struct Bench<'a> {
    client: Client,
    runtime: tokio::runtime::Runtime,
    url: String,
    folder: &'a Path,
    rows: i64,
}

impl Bench<'_> {
    /// From an empty table: killed at a moment, looked at, seeded again.
    fn round(&self, moment: Duration) -> Result<Round, String> {
        self.execute("TRUNCATE load; DROP SCHEMA IF EXISTS planc CASCADE")?;
        let mut child = self.runner()?.spawn().map_err(|e| e.to_string())?;
        std::thread::sleep(moment);
        // One that has ended by itself is no error: then all rows are there.
        let _ = child.kill();
        let killed = Instant::now();
        child.wait().map_err(|e| e.to_string())?;
        let others =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'kill_test' AND pid <> pg_backend_pid()";
        while self.number(others)? > 0 {
            if killed.elapsed() > GIVEN_UP {
                return Err(format!("the server's side is still there {GIVEN_UP:?} after kill -9"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let gone = killed.elapsed();
        let found = self.number("SELECT count(*) FROM load")?;
        if found != 0 && found != self.rows {
            return Err(format!("{found} of {} rows after kill -9 at {moment:?}", self.rows));
        }
        Ok(Round { moment, found, gone, again: self.seed_whole()? })
    }

    /// Seeds to the end and looks that all is there.
    fn seed_whole(&self) -> Result<Duration, String> {
        let started = Instant::now();
        let output = self.runner()?.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("runner seed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let (rows, recorded) =
            (self.number("SELECT count(*) FROM load")?, self.number("SELECT rows FROM planc.ledger")?);
        match rows == self.rows && recorded == self.rows {
            true => Ok(started.elapsed()),
            false => Err(format!("{rows} rows and {recorded} in the ledger instead of {}", self.rows)),
        }
    }

    fn runner(&self) -> Result<Command, String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(own.with_file_name("runner"));
        command.args(["seed", "load.yaml", "--database-url", &self.url]).current_dir(self.folder);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command)
    }

    fn execute(&self, sql: &str) -> Result<(), String> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|e| seeders::chain(&e))
    }

    fn number(&self, sql: &str) -> Result<i64, String> {
        let row = self.runtime.block_on(self.client.query_one(sql, &[])).map_err(|e| seeders::chain(&e))?;
        row.try_get(0).map_err(|e| e.to_string())
    }
}

async fn connect(url: &str) -> Result<Client, String> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.map_err(|error| seeders::chain(&error))?;
    tokio::spawn(connection);
    Ok(client)
}
