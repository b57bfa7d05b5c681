//! What the server refuses is told for what it is, on a real server.

use crate::build::*;
use crate::harness::*;
use seeders::cluster::{Cluster, ClusterOptions, DataDir};
use seeders::{ErrorKind, SeedError};
use std::os::unix::fs::MetadataExt;

fn says(error: &SeedError, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind, kind, "{error}");
    words.iter().for_each(|words| assert!(error.to_string().contains(words), "`{words}` is not in\n{error}"));
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_is_not_waited_for_for_ever() {
    let (owner, url) = database().await;
    owner.batch_execute(AGENTS).await.unwrap();
    let mut client = connect(&url).await;
    client.batch_execute("SET lock_timeout = '200ms'").await.unwrap();
    owner.batch_execute("BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let error = seed_with(&mut client, &agents(5).alone(), &options()).await.unwrap_err();
    says(&error, ErrorKind::Locked, &["another session holds a lock", "lock timeout", "pg_stat_activity"]);
    owner.batch_execute("COMMIT").await.unwrap();
    assert_eq!(seed(&mut client, &agents(5).alone()).await.inserted, 5);
}

#[tokio::test]
async fn another_seeder_is_waited_for_whatever_the_lock_timeout() {
    let (owner, url) = database().await;
    owner.batch_execute(AGENTS).await.unwrap();
    let mut client = connect(&url).await;
    client.batch_execute("SET lock_timeout = '50ms'").await.unwrap();
    let graph = agents(20_000).alone();
    let mut first = connect(&url).await;
    let (a, b) = tokio::join!(seed(&mut first, &graph), seed(&mut client, &graph));
    assert_eq!(a.inserted + b.inserted, 20_000);
}

#[tokio::test]
async fn a_session_that_may_only_read() {
    let mut client = with(AGENTS).await;
    client.batch_execute("SET default_transaction_read_only = on").await.unwrap();
    let error = seed_with(&mut client, &agents(5).alone(), &options()).await.unwrap_err();
    assert!(error.to_string().contains("sessions of this database are read-only"), "{error}");
    // As where the server is switched over in the middle.
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    client
        .batch_execute(
            "CREATE FUNCTION switch() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN SET TRANSACTION READ ONLY; CREATE TABLE x (); RETURN NEW; END'; \
             CREATE TRIGGER switch BEFORE INSERT ON agents FOR EACH ROW EXECUTE FUNCTION switch()",
        )
        .await
        .unwrap();
    let error = seed_with(&mut client, &agents(5).alone(), &options()).await.unwrap_err();
    says(&error, ErrorKind::ReadOnly, &["read-only transaction", "primary"]);
}

#[tokio::test]
async fn a_standby_is_told_before_anything_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::Kept(folder.path().join("pg"));
    let start = |data: DataDir| {
        let settings = std::collections::BTreeMap::from([("wal_level".into(), "replica".into())]);
        let options = ClusterOptions { data, settings, ..ClusterOptions::default() };
        tokio::task::spawn_blocking(|| Cluster::start(options).unwrap_or_else(|error| panic!("{error}")))
    };
    let primary = start(data.clone()).await.unwrap();
    let url = primary.url("postgres");
    connect(&url).await.batch_execute(AGENTS).await.unwrap();
    drop(primary);
    // With this file a server starts as a standby; it has all of its log and waits for more.
    let signal = folder.path().join("pg/data/standby.signal");
    std::fs::write(&signal, "").unwrap();
    let standby = start(data).await.unwrap();
    let mut client = connect(&standby.url("postgres")).await;
    assert!(client.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get::<_, bool>(0));
    let error = seed_with(&mut client, &agents(5).alone(), &options()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Misfit(_)), "{error}");
    for words in ["the database is a standby: it takes no writes", "give the URL of the primary"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A file system of a few megabytes, gone with the value. Only root may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m,mode=0777", "planc-test"]).arg(folder.path());
        let done = mount.stderr(std::process::Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then_some(Small(folder))
    }

    fn grow(&self) {
        let mut mount = std::process::Command::new("mount");
        let done = mount.args(["-o", "remount,size=64m"]).arg(self.0.path()).status().unwrap();
        assert!(done.success(), "a file system that can be mounted can be made larger");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_disk_that_really_is_full() {
    let Some(small) = Small::mount() else {
        println!("not root: the state that a full disk has is tried by `a_full_disk` alone");
        return;
    };
    let start = || Cluster::start(ClusterOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let cluster = tokio::task::spawn_blocking(start).await.unwrap();
    let owner = std::fs::metadata(cluster.socket_dir()).unwrap();
    let space = small.0.path().join("space");
    std::fs::create_dir(&space).unwrap();
    std::os::unix::fs::chown(&space, Some(owner.uid()), Some(owner.gid())).unwrap();
    let mut client = connect(&cluster.url("postgres")).await;
    client.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", space.display())).await.unwrap();
    client.batch_execute(&format!("{AGENTS} TABLESPACE small")).await.unwrap();
    let error = seed_with(&mut client, &agents(60_000).alone(), &options()).await.unwrap_err();
    says(&error, ErrorKind::DiskFull, &["the database server's disk is full", "No space left on device"]);
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
    // What was rolled back keeps its space until VACUUM, which would need some itself: more is found, as the error says.
    small.grow();
    assert_eq!(seed(&mut client, &agents(500).alone()).await.inserted, 500);
}

#[tokio::test]
async fn a_full_disk() {
    let mut client = with(AGENTS).await;
    // Raised by the table itself: what the server says of a disk that really is full has the same state.
    client
        .batch_execute(
            "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RAISE EXCEPTION ''could not extend file'' USING ERRCODE = ''53100''; END'; \
             CREATE TRIGGER disk BEFORE INSERT ON agents FOR EACH ROW WHEN (NEW.id > 'ag-00300') EXECUTE FUNCTION full()",
        )
        .await
        .unwrap();
    let error = seed_with(&mut client, &agents(500).alone(), &options()).await.unwrap_err();
    says(
        &error,
        ErrorKind::DiskFull,
        &["the database server's disk is full", "nothing of this fixture was kept"],
    );
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
    client.batch_execute("DROP TRIGGER disk ON agents").await.unwrap();
    assert_eq!(seed(&mut client, &agents(500).alone()).await.inserted, 500);
}

#[tokio::test]
async fn more_than_a_session_may_write_aside() {
    let mut client = with(AGENTS).await;
    seed(&mut client, &agents(30_000).alone()).await;
    client.batch_execute("SET temp_file_limit = '64kB'; SET work_mem = '64kB'; SET enable_hashjoin = off; SET enable_nestloop = off").await.unwrap();
    client.batch_execute("UPDATE agents SET status = 'x'").await.unwrap();
    let error = seed_with(&mut client, &agents(30_000).alone(), &options()).await.unwrap_err();
    says(&error, ErrorKind::DiskFull, &["temp_file_limit", "no more space"]);
}

#[tokio::test]
async fn a_privilege_that_is_taken_away_in_the_middle() {
    let (owner, url) = database().await;
    owner
        .batch_execute(&format!(
            "{AGENTS}; CREATE TABLE log (id text); CREATE ROLE seeder LOGIN PASSWORD 'x'; GRANT ALL ON agents TO seeder; \
             CREATE SCHEMA planc AUTHORIZATION seeder; \
             CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END'; \
             CREATE TRIGGER log AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION log()"
        ))
        .await
        .unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let mut seeder = connect(&format!("postgresql://seeder:x@{rest}")).await;
    let error = seed_with(&mut seeder, &agents(5).alone(), &options()).await.unwrap_err();
    says(&error, ErrorKind::Privilege, &["permission denied for table log", "grant the role"]);
    assert_eq!(number(&owner, "SELECT count(*) FROM agents").await, 0);
}
