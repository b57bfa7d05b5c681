//! A private cluster, its tables, and the two ways of filling them.

use planc::graph::ExecutionGraph;
use seeders::cluster::{Cluster, ClusterOptions};
use seeders::{Action, Inputs, Receipt, SeedOptions};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, NoTls};

const SCHEMA: &str = include_str!("../../proving-ground/migrations/01_certctl.sql");
const FIXTURES: [(&str, &str); 2] = [
    ("certificates.yaml", include_str!("../../../../../fixtures/certificates.yaml")),
    ("agents.yaml", include_str!("../../../../../fixtures/agents.yaml")),
];

/// What document 001 seeds by hand: as many columns, and values of the same shape.
pub(super) const CERTIFICATES: &str = concat!(
    "INSERT INTO managed_certificates (id, name, common_name, sans, serial_number, fingerprint_sha256, status, \
        environment, issuer_id, owner_id, team_id, renewal_policy_id, profile_id, key_algorithm, key_size, \
        not_before, expires_at, metadata) ",
    "SELECT 'mc-loadtest-' || lpad(n::text, 5, '0'), 'loadtest-bulk-' || lpad(n::text, 5, '0'), \
        'bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test', \
        ARRAY['bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test', \
              'www.bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test'], \
        lpad(n::text, 8, '0') || '-loadtest', md5(n::text) || md5((-n)::text), 'Active', \
        CASE WHEN n % 10 < 6 THEN 'production' WHEN n % 10 < 9 THEN 'staging' ELSE 'development' END, \
        'iss-local', 'o-alice', 't-platform', 'rp-standard', 'prof-default', \
        CASE WHEN n % 10 < 7 THEN 'ECDSA' ELSE 'RSA' END, CASE WHEN n % 10 < 7 THEN 256 ELSE 2048 END, \
        now() - interval '1 day' - random() * interval '59 days', now() + random() * interval '30 days', \
        jsonb_build_object('source', 'loadtest', 'batch', n / 1000) ",
    "FROM generate_series(1, 10000) n ON CONFLICT (name) DO NOTHING; ANALYZE managed_certificates"
);

/// The fleet of document 001.
pub(super) const AGENTS: &str = "INSERT INTO agents (id, name, hostname, status, os, architecture, version, \
        ip_address, team_id, labels, last_heartbeat_at) \
    SELECT 'ag-loadtest-' || lpad(n::text, 5, '0'), 'loadtest-agent-' || lpad(n::text, 5, '0'), \
        'loadtest-' || lpad(n::text, 5, '0') || '.fleet.example.test', 'Online', \
        CASE WHEN n % 10 < 8 THEN 'linux' WHEN n % 10 < 9 THEN 'windows' ELSE 'darwin' END, \
        CASE WHEN n % 4 < 3 THEN 'amd64' ELSE 'arm64' END, '2.1.0', \
        '10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256, 't-platform', \
        jsonb_build_object('source', 'loadtest', 'ring', n % 4), now() - (n % 60) * interval '1 second' \
    FROM generate_series(1, 5000) n ON CONFLICT (id) DO NOTHING; ANALYZE agents";

/// What a certificate of the fixture is in every column that does not move: rows that differ are set right. Draws cannot
/// be told in SQL, so the columns of draws are left out, which is to the advantage of this contender.
macro_rules! told {
    () => {
        "SELECT 'mc-loadtest-' || lpad(n::text, 5, '0') AS id, 'loadtest-bulk-' || lpad(n::text, 5, '0') AS name, \
            'bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test' AS common_name, \
            ARRAY['bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test', \
                  'www.bulk-' || lpad(n::text, 5, '0') || '.loadtest.example.test'] AS sans, \
            lpad(n::text, 8, '0') || '-loadtest' AS serial_number, 'Active' AS status, 'iss-local' AS issuer_id, \
            'o-alice' AS owner_id, 't-platform' AS team_id, 'rp-standard' AS renewal_policy_id, \
            'prof-default' AS profile_id, \
            jsonb_build_object('source', 'loadtest', 'batch', n / 1000) AS metadata \
         FROM generate_series(1, 10000) n"
    };
}

/// Finds the rows that differ and mends them, by a join.
pub(super) const MEND: &str = concat!(
    "UPDATE managed_certificates t SET name = s.name, common_name = s.common_name, sans = s.sans, \
        serial_number = s.serial_number, status = s.status, issuer_id = s.issuer_id, owner_id = s.owner_id, \
        team_id = s.team_id, renewal_policy_id = s.renewal_policy_id, profile_id = s.profile_id, \
        metadata = s.metadata FROM (",
    told!(),
    ") s WHERE t.id = s.id AND (t.name, t.common_name, t.sans, t.serial_number, t.status, t.issuer_id, t.owner_id, \
        t.team_id, t.renewal_policy_id, t.profile_id, t.metadata) IS DISTINCT FROM (s.name, s.common_name, s.sans, \
        s.serial_number, s.status, s.issuer_id, s.owner_id, s.team_id, s.renewal_policy_id, s.profile_id, \
        s.metadata)"
);

/// The same as an upsert, which makes rows that are missing too.
pub(super) const UPSERT: &str = concat!(
    "INSERT INTO managed_certificates AS t (id, name, common_name, sans, serial_number, status, issuer_id, owner_id, \
        team_id, renewal_policy_id, profile_id, metadata, not_before, expires_at) SELECT s.*, now(), now() FROM (",
    told!(),
    ") s ON CONFLICT (id) DO UPDATE SET name = excluded.name, common_name = excluded.common_name, \
        sans = excluded.sans, serial_number = excluded.serial_number, status = excluded.status, \
        issuer_id = excluded.issuer_id, owner_id = excluded.owner_id, team_id = excluded.team_id, \
        renewal_policy_id = excluded.renewal_policy_id, profile_id = excluded.profile_id, \
        metadata = excluded.metadata \
     WHERE (t.name, t.common_name, t.sans, t.serial_number, t.status, t.issuer_id, t.owner_id, t.team_id, \
        t.renewal_policy_id, t.profile_id, t.metadata) IS DISTINCT FROM (excluded.name, excluded.common_name, \
        excluded.sans, excluded.serial_number, excluded.status, excluded.issuer_id, excluded.owner_id, \
        excluded.team_id, excluded.renewal_policy_id, excluded.profile_id, excluded.metadata)"
);

/// Milliseconds that something took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) wall: f64,
    pub(crate) server: f64,
    pub(crate) client: f64,
}

/// The cluster, one session, and the fixtures compiled.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) client: Client,
    /// Process of the session's server side.
    backend: i32,
    base: i64,
    plain: Vec<ExecutionGraph>,
    skipping: Vec<ExecutionGraph>,
}

/// One file's text under any path.
struct Text(String);

impl planc::Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// A fixture as it ships, changed before it is compiled.
pub(super) fn compile(index: usize, change: impl Fn(&str) -> String) -> Result<ExecutionGraph, String> {
    let (name, text) = FIXTURES[index];
    let compiled = planc::compile_fixture(&Text(change(text)), name, &planc::Options::default());
    let told =
        || format!("{name}: {:?}", compiled.diagnostics.iter().map(|d| &d.message).collect::<Vec<_>>());
    compiled.graph.clone().ok_or_else(told)
}

/// The fixture with foreign-key triggers skipped.
pub(super) fn skipping(text: &str) -> String {
    text.replace("on_conflict:", "skip_foreign_key_triggers: true\non_conflict:")
}

impl Ground {
    pub(super) async fn new() -> Result<Ground, String> {
        // What a server that must not lose anything runs with; autovacuum would come when it likes.
        let settings = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("wal_level", "replica"),
            ("max_wal_size", "8GB"),
            ("shared_buffers", "512MB"),
            ("autovacuum", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let options = ClusterOptions { settings, ..ClusterOptions::default() };
        let cluster = Cluster::start(options).map_err(|e| e.to_string())?;
        cluster.create_database("bench_test").await.map_err(|e| e.to_string())?;
        let client = connect(&cluster.url("bench_test")).await?;
        client.batch_execute(SCHEMA).await.map_err(|e| e.to_string())?;
        let backend =
            client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(|e| e.to_string())?.get(0);
        let base = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let plain = (0..2).map(|index| compile(index, str::to_owned)).collect::<Result<_, _>>()?;
        let skipping = (0..2).map(|index| compile(index, skipping)).collect::<Result<_, _>>()?;
        Ok(Ground { cluster, client, backend, base: base.as_micros() as i64, plain, skipping })
    }

    /// The server in one line.
    pub(super) async fn told(&self) -> Result<String, String> {
        let sql = "SELECT 'Postgres ' || current_setting('server_version') || ': ' || string_agg(name || ' ' || \
                current_setting(name), ', ' ORDER BY name) FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', \
                'synchronous_commit', 'wal_level', 'shared_buffers', 'max_wal_size', 'autovacuum')";
        Ok(self.client.query_one(sql, &[]).await.map_err(|e| e.to_string())?.get(0))
    }

    pub(super) async fn run(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(|e| seeders::chain(&e))
    }

    /// Neither rows nor a ledger, and nothing left to write.
    pub(super) async fn empty(&self) -> Result<(), String> {
        self.run("TRUNCATE managed_certificates, agents; DROP SCHEMA IF EXISTS planc CASCADE; CHECKPOINT")
            .await
    }

    /// Scripts in a transaction each.
    pub(super) async fn script(&self, scripts: &[&str]) -> Result<Spent, String> {
        let clock = Clock::start(self.backend)?;
        for script in scripts {
            self.run(&format!("BEGIN; {script}; COMMIT")).await?;
        }
        clock.stop()
    }

    /// The script over rows that are there.
    pub(super) async fn insert_again(&self) -> Result<Spent, String> {
        self.script(&[CERTIFICATES, AGENTS]).await
    }

    /// Both fixtures.
    pub(super) async fn seed(&mut self, skipping: bool, trust: bool) -> Result<Spent, String> {
        let graphs = if skipping { self.skipping.clone() } else { self.plain.clone() };
        let clock = Clock::start(self.backend)?;
        for graph in &graphs {
            let receipt = self.seed_graph(graph, trust).await?;
            if skipping && !receipt.notes.iter().any(|note| note.contains("without their triggers")) {
                return Err(format!("the triggers were to be skipped: {:?}", receipt.notes));
            }
        }
        clock.stop()
    }

    /// The certificates alone.
    pub(super) async fn seed_certificates(&mut self) -> Result<Spent, String> {
        let graph = self.plain[0].clone();
        let clock = Clock::start(self.backend)?;
        self.seed_graph(&graph, false).await?;
        clock.stop()
    }

    pub(super) async fn seed_graph(
        &mut self,
        graph: &ExecutionGraph,
        trust: bool,
    ) -> Result<Receipt, String> {
        let options = SeedOptions {
            trust_ledger: trust,
            keep_stale: true,
            base_micros: self.base,
            who: "bench".into(),
            program: "bench".into(),
            ..SeedOptions::default()
        };
        let (fixture, inputs) = (&graph.fixtures[0], Inputs::new());
        let seeding = seeders::seed(&mut self.client, graph, fixture, &inputs, &options, &mut |_| {}).await;
        let receipt = seeding.map_err(|e| format!("{}: {}", fixture.name, e.message))?;
        match receipt.action {
            Action::Drift => Err(format!("{}: {:?}", fixture.name, receipt.notes)),
            _ => Ok(receipt),
        }
    }

    pub(super) async fn expect_rows(&self, certificates: i64, agents: i64) -> Result<(), String> {
        let sql = "SELECT (SELECT count(*) FROM managed_certificates), (SELECT count(*) FROM agents)";
        let row = self.client.query_one(sql, &[]).await.map_err(|e| e.to_string())?;
        let seen: (i64, i64) = (row.get(0), row.get(1));
        if seen == (certificates, agents) { Ok(()) } else { Err(format!("{seen:?} rows are there")) }
    }

    /// Every row is written anew with other values in columns that no fixture has, as a load would.
    pub(super) async fn touch(&self) -> Result<(), String> {
        self.run("UPDATE managed_certificates SET last_renewed_at = now()").await?;
        self.run("UPDATE agents SET heartbeat_count = heartbeat_count + 1").await?;
        self.run("VACUUM managed_certificates").await?;
        self.run("VACUUM agents").await?;
        self.run("CHECKPOINT").await
    }

    /// Every hundredth certificate is spoiled.
    pub(super) async fn spoil(&self) -> Result<(), String> {
        self.run(
            "UPDATE managed_certificates SET status = 'Expired' \
             WHERE id IN (SELECT 'mc-loadtest-' || lpad(n::text, 5, '0') FROM generate_series(50, 10000, 100) n)",
        )
        .await?;
        self.run("VACUUM managed_certificates").await?;
        self.run("CHECKPOINT").await
    }

    pub(super) async fn expect_mended(&self) -> Result<(), String> {
        let sql = "SELECT count(*) FROM managed_certificates WHERE status = 'Active'";
        let good: i64 = self.client.query_one(sql, &[]).await.map_err(|e| e.to_string())?.get(0);
        if good == 10_000 { Ok(()) } else { Err(format!("{good} certificates are as they should be")) }
    }

    /// Starts the clock of this session.
    pub(super) fn clock(&self) -> Result<Clock, String> {
        Clock::start(self.backend)
    }
}

pub(super) async fn connect(url: &str) -> Result<Client, String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

/// What has been spent since it was started.
pub(super) struct Clock {
    backend: i32,
    wall: Instant,
    server: f64,
    client: f64,
}

impl Clock {
    fn start(backend: i32) -> Result<Clock, String> {
        let (server, client) = (on_cpu(backend)?, on_cpu_here()?);
        Ok(Clock { backend, wall: Instant::now(), server, client })
    }

    pub(super) fn stop(self) -> Result<Spent, String> {
        let wall = self.wall.elapsed().as_secs_f64() * 1e3;
        let (server, client) = (on_cpu(self.backend)? - self.server, on_cpu_here()? - self.client);
        Ok(Spent { wall, server, client })
    }
}

/// Milliseconds that a process of one thread was on a CPU.
fn on_cpu(pid: i32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/schedstat");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let nanos = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    Ok(nanos.ok_or_else(|| format!("{path}: {text}"))? / 1e6)
}

/// Milliseconds of CPU of this process, user and system.
fn on_cpu_here() -> Result<f64, String> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|e| e.to_string())?;
    let milliseconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 * 1e3 + t.tv_usec() as f64 / 1e3;
    Ok(milliseconds(usage.user_time()) + milliseconds(usage.system_time()))
}
