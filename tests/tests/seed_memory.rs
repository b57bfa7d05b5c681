//! Seeding many rows holds no more than seeding few. One test alone: its process counts every byte.

use planc::graph::ExecutionGraph;
use seeders::cluster::{Cluster, ClusterOptions};
use seeders::{Inputs, Mode, SeedOptions};
use tests::counting::Counting;
use tokio_postgres::{Client, NoTls};

#[global_allocator]
static HEAP: Counting = Counting::new();

const FIXTURE: &str = "fixture: meters
table: meters
rows: ROWS
identity: id
columns:
  id: \"m-{{ n | pad(7) }}\"
  kind: { weighted: { water: 1, heat: 3 } }
  level: \"{{ n % 10 }}\"
  at: { before_now: { from: 0s, to: 30d } }
";
const TABLE: &str = "DROP TABLE IF EXISTS meters; DROP SCHEMA IF EXISTS planc CASCADE; \
    CREATE TABLE meters (id text PRIMARY KEY, kind text NOT NULL, level int, at timestamptz)";

struct Text(String);

impl planc::Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

fn graph(rows: u64) -> ExecutionGraph {
    let text = Text(FIXTURE.replace("ROWS", &rows.to_string()));
    let compiled = planc::compile_fixture(&text, "meters.yaml", &planc::Options::default());
    compiled.graph.expect("a fixture without a mistake")
}

async fn seed(client: &mut Client, graph: &ExecutionGraph, mode: Mode) {
    let options = SeedOptions { mode, base_micros: 1_795_266_627_000_000, ..SeedOptions::default() };
    let (fixture, inputs) = (&graph.fixtures[0], Inputs::new());
    let done = seeders::seed(client, graph, fixture, &inputs, &options, &mut |_| {}).await;
    let receipt = done.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(receipt.inserted + receipt.unchanged, fixture.rows, "{receipt:?}");
}

#[test]
fn many_rows_take_no_more_memory_than_few() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    // One thread, so that nothing else allocates while bytes are counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    });
    let mut peaks = |rows: u64| {
        let graph = graph(rows);
        runtime.block_on(client.batch_execute(TABLE)).unwrap();
        // First the rows straight into the table, then nothing to do, then all of them staged and compared.
        [Mode::Apply, Mode::Apply, Mode::Verify]
            .map(|mode| HEAP.peak_of(|| runtime.block_on(seed(&mut client, &graph, mode))))
    };
    // What is made once for a process is made before.
    peaks(100);
    let (few, many) = (peaks(25_000), peaks(150_000));
    println!("peaks of 25,000 rows {few:?} and of 150,000 rows {many:?}");
    for (few, many) in few.into_iter().zip(many) {
        // How much of a message lies in a buffer hangs on how fast the server is.
        assert!(many < few + (1 << 20), "{few} bytes at the highest of 25,000 rows, {many} of 150,000");
    }
}
