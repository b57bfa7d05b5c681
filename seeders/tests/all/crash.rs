//! kill -9 in the middle of a seeding leaves nothing, and the next one completes.

use crate::build::*;
use crate::harness::*;
use planc::graph::ExecutionGraph;
use seeders::{Action, Inputs, Progress};
use std::time::{Duration, Instant};

fn large() -> ExecutionGraph {
    agents(200_000).alone()
}

/// Rows of those that are killed at random moments.
const MANY: u64 = 100_000;

/// The child of the test below: seeds, and tells how far it got.
#[tokio::test]
async fn child_seeds() {
    let (Ok(url), Ok(told)) = (std::env::var("PLANC_TEST_SEED_URL"), std::env::var("PLANC_TEST_SEED_TOLD"))
    else {
        return;
    };
    let mut client = connect(&url).await;
    let graph = match std::env::var("PLANC_TEST_SEED_ROWS") {
        Ok(rows) => agents(rows.parse().unwrap()).alone(),
        Err(_) => large(),
    };
    let mut progress = |progress: Progress| {
        if progress.done > 60_000 {
            std::fs::write(&told, progress.done.to_string()).unwrap();
        }
    };
    let _ = seeders::seed(&mut client, &graph, &graph.fixtures[0], &Inputs::new(), &options(), &mut progress)
        .await;
}

#[tokio::test]
async fn killed_midway_leaves_nothing() {
    let (mut client, url) = database().await;
    client.batch_execute(AGENTS).await.unwrap();
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_seeds", "--exact"])
        .env("PLANC_TEST_SEED_URL", &url)
        .env("PLANC_TEST_SEED_TOLD", told.path())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(told.path()).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the child seeds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let killed = Instant::now();
    while number(&client, others).await > 0 {
        assert!(killed.elapsed() < Duration::from_secs(5), "the server noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("session gone {:?} after kill -9", killed.elapsed());
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
    let receipt = seed(&mut client, &large()).await;
    assert_eq!((receipt.action, receipt.inserted), (Action::Inserted, 200_000));
}

/// Starts the child above on so many rows.
fn child(url: &str, told: &std::path::Path, rows: u64) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_seeds", "--exact"])
        .env("PLANC_TEST_SEED_URL", url)
        .env("PLANC_TEST_SEED_TOLD", told)
        .env("PLANC_TEST_SEED_ROWS", rows.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn killed_at_any_moment_it_is_all_or_nothing() {
    let (mut client, url) = database().await;
    client.batch_execute(AGENTS).await.unwrap();
    let told = tempfile::NamedTempFile::new().unwrap();
    let started = Instant::now();
    assert!(child(&url, told.path(), MANY).wait().unwrap().success());
    let whole = started.elapsed();
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, MANY as i64);
    let seed = u64::from(std::process::id());
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for round in 0..5 {
        client.batch_execute("TRUNCATE agents; DROP SCHEMA IF EXISTS planc CASCADE").await.unwrap();
        let moment = whole * (seeders::hash::mix(seed ^ round) % 1_000) as u32 / 1_000;
        let mut child = child(&url, told.path(), MANY);
        // Nothing is waited for: the moment itself is what is tried.
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while number(&client, others).await > 0 {
            assert!(Instant::now() < deadline, "the server noticed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let rows = number(&client, "SELECT count(*) FROM agents").await;
        let ledger = text(&client, "SELECT to_regclass('planc.ledger') IS NOT NULL").await;
        println!("killed after {moment:?} of {whole:?} (seed {seed}): {rows} rows");
        assert!(
            (rows == 0 && ledger == "(f)") || (rows == MANY as i64 && ledger == "(t)"),
            "{rows} rows, ledger {ledger}, killed after {moment:?}"
        );
    }
    let receipt = seed_with(&mut client, &agents(MANY).alone(), &options()).await.unwrap();
    assert!(matches!(receipt.action, Action::Inserted | Action::NothingToDo), "{receipt:?}");
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, MANY as i64);
}
