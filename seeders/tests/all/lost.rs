//! Connections that are lost in the middle of a seeding: done anew where nothing was committed, and never half.

use crate::build::*;
use crate::harness::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planc::graph::{Columns, ExecutionGraph, Fixture, FixtureKind, Script, SqlFixture};
use seeders::cluster::{Cluster, ClusterOptions, DataDir};
use seeders::{Action, BoxFuture, ErrorKind, Inputs, Mode, Progress, Receipt, SeedError, SeedOptions};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Client, NoTls};

const ROWS: u64 = 40_000;

fn many() -> ExecutionGraph {
    agents(ROWS).alone()
}

async fn try_connect(url: &str) -> Result<Client, SeedError> {
    let refused = |error: tokio_postgres::Error| SeedError {
        kind: ErrorKind::Connection,
        message: seeders::chain(&error),
        help: None,
    };
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(refused)?;
    tokio::spawn(connection);
    Ok(client)
}

/// Seeds over connections to what `url` says at the time; `halfway` is called once, in the middle of the rows.
async fn seed_over(
    url: &(dyn Fn() -> String + Send + Sync),
    graph: &ExecutionGraph,
    options: &SeedOptions,
    halfway: &(dyn Fn(i32) + Send + Sync),
) -> (Result<Receipt, SeedError>, u32) {
    let (pid, connections, called) = (AtomicI32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    let connect = || -> BoxFuture<'_, Result<Client, SeedError>> {
        Box::pin(async {
            connections.fetch_add(1, SeqCst);
            let client = try_connect(&url()).await?;
            let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
            pid.store(row.get(0), SeqCst);
            Ok(client)
        })
    };
    let mut progress = |progress: Progress| {
        if progress.done > 10_000 && !called.swap(true, SeqCst) {
            halfway(pid.load(SeqCst));
        }
    };
    let fixture = graph.fixtures.last().unwrap();
    let done = seeders::seed_over(&connect, graph, fixture, &Inputs::new(), options, &mut progress).await;
    (done, connections.load(SeqCst))
}

async fn cluster_of_its_own(data: DataDir) -> Cluster {
    let options = ClusterOptions { data, ..ClusterOptions::default() };
    tokio::task::spawn_blocking(|| Cluster::start(options).unwrap_or_else(|error| panic!("{error}")))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_session_that_is_ended_is_opened_anew() {
    let (client, url) = database().await;
    client.batch_execute(AGENTS).await.unwrap();
    let end = |pid| kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let (done, connections) = seed_over(&|| url.clone(), &many(), &options(), &end).await;
    let receipt = done.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((receipt.action, receipt.inserted, connections), (Action::Inserted, ROWS, 2));
    let said = "the connection was lost once; nothing had been committed, and it was done anew";
    assert!(receipt.notes.iter().any(|note| note == said), "{:?}", receipt.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, ROWS as i64);
}

#[tokio::test]
async fn a_server_that_crashes_and_recovers_is_waited_for() {
    let cluster = cluster_of_its_own(DataDir::Temporary).await;
    cluster.create_database("crash").await.unwrap();
    let url = cluster.url("crash");
    connect(&url).await.batch_execute(AGENTS).await.unwrap();
    // One backend that dies of SIGKILL takes all others with it: the server recovers from its log.
    let crash = |pid| kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let (done, connections) = seed_over(&|| url.clone(), &many(), &options(), &crash).await;
    let receipt = done.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((receipt.action, receipt.inserted), (Action::Inserted, ROWS));
    assert!(connections >= 2, "{connections}");
    let client = connect(&url).await;
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, ROWS as i64);
    assert_eq!(number(&client, "SELECT count(*) FROM planc.ledger").await, 1);
}

#[tokio::test]
async fn a_server_that_is_stopped_and_started_again_is_seeded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::Kept(folder.path().join("pg"));
    let cluster = Mutex::new(Some(cluster_of_its_own(data.clone()).await));
    let url = Mutex::new(cluster.lock().unwrap().as_ref().unwrap().url("postgres"));
    let here = || url.lock().unwrap().clone();
    connect(&here()).await.batch_execute(AGENTS).await.unwrap();
    let stopped = AtomicBool::new(false);
    let stop = |_| {
        let pid = cluster.lock().unwrap().as_ref().unwrap().pid();
        kill(Pid::from_raw(pid as i32), Signal::SIGINT).unwrap();
        stopped.store(true, SeqCst);
    };
    // Whoever asks for the address after the stop starts it again first.
    let address = || {
        if stopped.swap(false, SeqCst) {
            let again = std::thread::scope(|scope| {
                let start = || {
                    drop(cluster.lock().unwrap().take());
                    let options = ClusterOptions { data: data.clone(), ..ClusterOptions::default() };
                    Cluster::start(options).unwrap_or_else(|error| panic!("{error}"))
                };
                scope.spawn(start).join().unwrap()
            });
            *url.lock().unwrap() = again.url("postgres");
            *cluster.lock().unwrap() = Some(again);
        }
        here()
    };
    let (done, connections) = seed_over(&address, &many(), &options(), &stop).await;
    let receipt = done.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((receipt.action, receipt.inserted, connections), (Action::Inserted, ROWS, 2));
    assert_eq!(number(&connect(&here()).await, "SELECT count(*) FROM agents").await, ROWS as i64);
}

#[tokio::test]
async fn a_server_that_never_comes_back_is_told_and_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::Kept(folder.path().join("pg"));
    let cluster = cluster_of_its_own(data.clone()).await;
    let url = cluster.url("postgres");
    connect(&url).await.batch_execute(AGENTS).await.unwrap();
    let pid = Pid::from_raw(cluster.pid() as i32);
    let (done, connections) =
        seed_over(&|| url.clone(), &many(), &options(), &|_| kill(pid, Signal::SIGINT).unwrap()).await;
    let error = done.unwrap_err();
    assert_eq!((&error.kind, connections), (&ErrorKind::Lost, 4), "{error}");
    assert!(error.message.contains("fixture `agents`") && error.message.contains("and then:"), "{error}");
    assert!(error.help.as_ref().unwrap().contains("server's log"), "{error}");
    drop(cluster);
    let cluster = cluster_of_its_own(data).await;
    let mut client = connect(&cluster.url("postgres")).await;
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
    assert_eq!(seed(&mut client, &many()).await.inserted, ROWS);
}

/// Where a wire to the server is cut, the first time that a COMMIT comes along it.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// The server never sees the COMMIT.
    Before,
    /// The server has answered, and nobody hears it.
    After,
}

/// A wire to the server that is cut at the first COMMIT; its address.
async fn wire(to: SocketAddr, cut: Cut) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let whole = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            tokio::spawn(pass(near, far, cut, Arc::clone(&whole)));
        }
    });
    address
}

async fn pass(mut near: TcpStream, mut far: TcpStream, cut: Cut, whole: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let commits = asked[..length].windows(7).any(|part| part == b"COMMIT\0");
                if commits && !whole.swap(true, SeqCst) {
                    if cut == Cut::After {
                        far.write_all(&asked[..length]).await.unwrap();
                        assert!(far.read(&mut answered).await.unwrap() > 0, "the server answers");
                    }
                    return;
                }
                if far.write_all(&asked[..length]).await.is_err() { return }
            }
            read = far.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if near.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}

/// Seeds or resets over a wire that is cut at COMMIT.
async fn cut_at_commit(url: &str, graph: &ExecutionGraph, cut: Cut, mode: Mode) -> Receipt {
    let (head, rest) = url.split_once("@127.0.0.1:").unwrap();
    let (port, path) = rest.split_once('/').unwrap();
    let port = port.parse().unwrap();
    let wire = wire(SocketAddr::from(([127, 0, 0, 1], port)), cut).await;
    let url = format!("{head}@{wire}/{path}");
    let options = SeedOptions { mode, ..options() };
    let (done, connections) = seed_over(&|| url.clone(), graph, &options, &|_| {}).await;
    assert_eq!(connections, 2);
    done.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_done_again() {
    let (client, url) = database().await;
    client.batch_execute(AGENTS).await.unwrap();
    let written = "SELECT count(DISTINCT xmin::text) FROM agents";
    let receipt = cut_at_commit(&url, &agents(500).alone(), Cut::After, Mode::Apply).await;
    assert_eq!((receipt.action, receipt.inserted), (Action::Inserted, 500));
    let said = "the connection was lost once, during COMMIT: the ledger shows that it was done";
    assert!(receipt.notes.iter().any(|note| note == said), "{:?}", receipt.notes);
    assert_eq!(
        (number(&client, "SELECT count(*) FROM agents").await, number(&client, written).await),
        (500, 1)
    );
    let receipt = cut_at_commit(&url, &agents(500).alone(), Cut::After, Mode::Reset).await;
    assert_eq!((receipt.action, receipt.deleted), (Action::Reset, 500));
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_done_anew() {
    let (client, url) = database().await;
    client.batch_execute(AGENTS).await.unwrap();
    let receipt = cut_at_commit(&url, &agents(500).alone(), Cut::Before, Mode::Apply).await;
    assert_eq!((receipt.action, receipt.inserted), (Action::Inserted, 500));
    let said = "the connection was lost once; nothing had been committed, and it was done anew";
    assert!(receipt.notes.iter().any(|note| note == said), "{:?}", receipt.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 500);
}

/// One script.
fn script(text: &str) -> ExecutionGraph {
    let scripts = vec![Script { file: "seed/notes.sql".into(), text: text.into() }];
    let kind = FixtureKind::Sql(SqlFixture { scripts, reset: None, declared: None, columns: Columns::new() });
    let mut graph = many();
    graph.fixtures =
        vec![Fixture { name: "notes".into(), fixture: "notes".into(), kind, ..graph.fixtures.remove(0) }];
    graph
}

#[tokio::test]
async fn a_script_whose_session_is_ended_is_done_anew() {
    let (client, url) = database().await;
    // A sequence counts on when its transaction does not.
    client.batch_execute("CREATE TABLE notes (what text); CREATE SEQUENCE tries").await.unwrap();
    let graph = script(
        "INSERT INTO notes VALUES ('once');\n\
         SELECT pg_terminate_backend(pg_backend_pid()) FROM nextval('tries') AS try WHERE try = 1;",
    );
    let (done, connections) = seed_over(&|| url.clone(), &graph, &options(), &|_| {}).await;
    let receipt = done.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((receipt.action, connections), (Action::Inserted, 2));
    let said = "the connection was lost once; nothing had been committed, and it was done anew";
    assert!(receipt.notes.iter().any(|note| note == said), "{:?}", receipt.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn a_script_whose_commit_was_not_heard_is_not_run_again() {
    let (client, url) = database().await;
    client.batch_execute("CREATE TABLE notes (what text)").await.unwrap();
    let graph = script("INSERT INTO notes VALUES ('once')");
    let receipt = cut_at_commit(&url, &graph, Cut::After, Mode::Apply).await;
    let said = "the connection was lost once, during COMMIT: the ledger shows that it was done";
    assert!(receipt.notes.iter().any(|note| note == said), "{:?}", receipt.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM notes").await, 1);
}
