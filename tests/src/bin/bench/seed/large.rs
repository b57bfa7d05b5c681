//! A million rows beside psql's `\copy`, and what the process of `runner seed` holds.

use super::Table;
use super::ground::{Clock, Ground, compile, skipping};
use crate::process;
use std::path::Path;
use std::process::Command;

/// A way of bringing many rows.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Contender {
    /// psql's `\copy` of a file.
    Copy,
    /// Ours.
    Seeders,
    /// Ours, with `skip_foreign_key_triggers`.
    Skip,
    /// Ours, with `rebuild_indexes`.
    Rebuild,
    /// Ours, with both.
    Both,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Copy => "psql \\copy of a file, ANALYZE",
            Contender::Seeders => "seeders",
            Contender::Skip => "seeders, skip_foreign_key_triggers",
            Contender::Rebuild => "seeders, rebuild_indexes",
            Contender::Both => "seeders, skip_foreign_key_triggers and rebuild_indexes",
        }
    }

    fn change(self, text: &str, rows: u64) -> String {
        let text = text.replace("rows: 10_000", &format!("rows: {rows}"));
        let text = match self {
            Contender::Skip | Contender::Both => skipping(&text),
            _ => text,
        };
        match self {
            Contender::Rebuild | Contender::Both => {
                text.replace("on_conflict:", "rebuild_indexes: true\non_conflict:")
            }
            _ => text,
        }
    }
}

/// `rows` certificates into an empty table, over one connection each.
pub(super) async fn million(
    ground: &mut Ground,
    rows: u64,
    rounds: usize,
    contenders: &[Contender],
) -> Result<(), String> {
    let names: Vec<&'static str> = contenders.iter().map(|contender| contender.name()).collect();
    let mut table = Table::new(&format!("{rows} certificates into an empty table"), &names);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("certificates.csv");
    let graphs = contenders.iter().map(|contender| compile(0, |text| contender.change(text, rows)));
    let graphs = graphs.collect::<Result<Vec<_>, _>>()?;
    let first = compile(0, |text| Contender::Seeders.change(text, rows))?;
    ground.empty().await?;
    ground.seed_graph(&first, false).await?;
    let columns = first.fixtures[0].columns().keys().cloned().collect::<Vec<_>>().join(", ");
    psql(ground, &format!("\\copy managed_certificates ({columns}) to '{}' csv", file.display()))?;
    for round in 0..rounds {
        for contender in table.order(round) {
            ground.empty().await?;
            let clock: Clock = ground.clock()?;
            match contenders[contender] {
                Contender::Copy => {
                    let copy =
                        format!("\\copy managed_certificates ({columns}) from '{}' csv", file.display());
                    psql(ground, &copy)?;
                    ground.run("ANALYZE managed_certificates").await?;
                }
                _ => drop(ground.seed_graph(&graphs[contender], false).await?),
            }
            table.add(contender, clock.stop()?);
            ground.expect_rows(rows as i64, 0).await?;
        }
    }
    table.print();
    ground.empty().await
}

/// Runs one psql command over TCP, as the role that owns the database.
fn psql(ground: &Ground, command: &str) -> Result<(), String> {
    let url = ground.cluster.url("bench_test");
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", command])
        .output()
        .map_err(|e| format!("psql cannot be run: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A narrow table, so that rows and not keys are what there is much of.
const METERS: &str = "CREATE TABLE meters (id bigint PRIMARY KEY, place text NOT NULL, kind text NOT NULL, \
    reading double precision NOT NULL, at timestamptz NOT NULL)";
const FIXTURE: &str = "fixture: meters
table: meters
identity: id
columns:
  id: \"{{ n }}\"
  place: \"hall-{{ n % 100 }}\"
  kind: { weighted: { water: 1, heat: 3 } }
  reading: { integer: { from: 0, to: 9999 } }
  at: { before_now: { from: 0s, to: 30d } }
";

/// Peak memory of `runner seed`, at 10,000 rows and at `most`, in a process each.
pub(super) async fn memory(ground: &Ground, most: u64) -> Result<(), String> {
    let programs = std::env::current_exe().map_err(|e| e.to_string())?;
    let runner = programs.parent().ok_or("no folder")?.join("runner");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    println!("peak memory of `runner seed`, five columns\n");
    println!("| rows | peak memory MiB | seconds |\n|---|---|---|");
    for rows in [10_000, most] {
        ground
            .run(&format!("DROP TABLE IF EXISTS meters; {METERS}; DROP SCHEMA IF EXISTS planc CASCADE"))
            .await?;
        let file = folder.path().join(format!("meters-{rows}.yaml"));
        let text = FIXTURE.replace("identity:", &format!("rows: {rows}\nidentity:"));
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        let (peak, seconds) = seed(&runner, &file, &ground.cluster.url("bench_test"), folder.path())?;
        println!("| {rows} | {:.1} | {seconds:.1} |", peak / 1024.0);
    }
    println!();
    ground.run("DROP TABLE meters").await
}

/// KiB at the highest, and seconds.
fn seed(runner: &Path, file: &Path, url: &str, folder: &Path) -> Result<(f64, f64), String> {
    let mut command = Command::new(runner);
    command.arg("seed").arg(file).args(["--database-url", url, "--out"]).arg(folder.join("out"));
    let spent = process::run(&mut command, 0)?.expect_success(&command)?.spent;
    Ok((spent.peak_kib as f64, spent.wall.as_secs_f64()))
}
