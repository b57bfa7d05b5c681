//! One private cluster for the test binary, one database a test.

use planc::graph::ExecutionGraph;
use seeders::cluster::{Cluster, ClusterOptions};
use seeders::{Inputs, Mode, Progress, Receipt, SeedError, SeedOptions};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{Client, NoTls};

/// Saturday 21 November 2026, 13:10:27 UTC.
pub(crate) const BASE: i64 = 1_795_266_627_000_000;

pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER
        .get_or_init(|| Cluster::start(ClusterOptions::default()).unwrap_or_else(|error| panic!("{error}")))
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.expect("the private cluster takes connections");
    tokio::spawn(connection);
    client
}

/// A fresh database and its URL.
pub(crate) async fn database() -> (Client, String) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
    cluster.create_database(&name).await.unwrap();
    let url = cluster.url(&name);
    (connect(&url).await, url)
}

/// A fresh database with some tables.
pub(crate) async fn with(sql: &str) -> Client {
    let (client, _) = database().await;
    client.batch_execute(sql).await.unwrap();
    client
}

pub(crate) fn options() -> SeedOptions {
    SeedOptions {
        base_micros: BASE,
        who: "test".into(),
        program: "seeders test".into(),
        ..SeedOptions::default()
    }
}

pub(crate) fn at(seconds: i64) -> SeedOptions {
    SeedOptions { base_micros: BASE + seconds * 1_000_000, ..options() }
}

pub(crate) fn mode(mode: Mode) -> SeedOptions {
    SeedOptions { mode, ..options() }
}

pub(crate) async fn seed_with(
    client: &mut Client,
    graph: &ExecutionGraph,
    options: &SeedOptions,
) -> Result<Receipt, SeedError> {
    let fixture = graph.fixtures.last().unwrap();
    seeders::seed(client, graph, fixture, &Inputs::new(), options, &mut |_: Progress| {}).await
}

pub(crate) async fn seed(client: &mut Client, graph: &ExecutionGraph) -> Receipt {
    seed_with(client, graph, &options()).await.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn text(client: &Client, sql: &str) -> String {
    let row = client
        .query_one(&format!("SELECT (SELECT string_agg(x::text, '; ') FROM ({sql}) x)"), &[])
        .await
        .unwrap();
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// inserted, updated, deleted, kept, rebased, unchanged
pub(crate) fn counts(receipt: &Receipt) -> [u64; 6] {
    [receipt.inserted, receipt.updated, receipt.deleted, receipt.kept, receipt.rebased, receipt.unchanged]
}
