//! Private clusters: stopping, sweeping, keeping, refusing.

use crate::harness::connect;
use seeders::cluster::{Cluster, ClusterOptions, DataDir};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn kept(path: &std::path::Path) -> ClusterOptions {
    ClusterOptions { data: DataDir::Kept(path.to_path_buf()), ..ClusterOptions::default() }
}

/// Whether the server lives; one that waits for init to reap it does not.
fn running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(head, tail)| head.ends_with("(postgres") && !tail.starts_with(" Z"))
}

#[tokio::test]
async fn kept_data_survives_and_is_locked() {
    let folder = tempfile::Builder::new().prefix("planc-kept-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let path = folder.path().join("quickstart");
    let mut first = Cluster::start(kept(&path)).unwrap();
    assert!(first.create_database("fleet").await.unwrap());
    assert!(!first.create_database("fleet").await.unwrap());
    let client = connect(&first.url("fleet")).await;
    client.batch_execute("CREATE TABLE t AS SELECT 7 AS x").await.unwrap();
    let error = Cluster::start(kept(&path)).unwrap_err();
    assert!(error.message.contains("is in use by another run"), "{error}");
    let pid = first.pid();
    drop(client);
    first.stop();
    assert!(!running(pid));
    drop(first);
    // What a kill -9 of everything leaves: the pid file of a process that is gone.
    std::fs::write(path.join("data/postmaster.pid"), "999999\n/nowhere\n0\n0\n\n127.0.0.1\n\nready\n")
        .unwrap();
    let settings = BTreeMap::from([("max_connections".to_string(), "17".to_string())]);
    let second = Cluster::start(ClusterOptions { settings, ..kept(&path) }).unwrap();
    let client = connect(&second.url("fleet")).await;
    assert_eq!(client.query_one("SELECT x FROM t", &[]).await.unwrap().get::<_, i32>(0), 7);
    assert_eq!(client.query_one("SHOW max_connections", &[]).await.unwrap().get::<_, String>(0), "17");
    drop(second);
    std::fs::write(path.join("data/PG_VERSION"), "11\n").unwrap();
    let error = Cluster::start(kept(&path)).unwrap_err();
    assert!(
        error.message.contains("was made by Postgres 11") && error.message.contains("quickstart"),
        "{error}"
    );
}

#[tokio::test]
async fn tcp_wants_the_password() {
    let cluster = tokio::task::spawn_blocking(crate::harness::cluster).await.unwrap();
    let bare = format!("postgresql://postgres@127.0.0.1:{}/postgres", cluster.port());
    assert!(tokio_postgres::connect(&bare, tokio_postgres::NoTls).await.is_err());
    assert!(cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port())).exists());
    assert!(running(cluster.pid()));
}

/// The child of the next test: starts a cluster, says where, and waits to be killed.
#[test]
fn child_starts_a_cluster() {
    let Some(told) = std::env::var_os("PLANC_TEST_CLUSTER_CHILD") else { return };
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    std::fs::write(&told, format!("{}\n{}", cluster.pid(), cluster.folder().display())).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_process_takes_its_server_along_and_the_next_start_sweeps() {
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["clusters::child_starts_a_cluster", "--exact"])
        .env("PLANC_TEST_CLUSTER_CHILD", told.path())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let (pid, folder) = loop {
        let text = std::fs::read_to_string(told.path()).unwrap();
        if let Some((pid, folder)) = text.split_once('\n') {
            break (pid.parse().unwrap(), std::path::PathBuf::from(folder));
        }
        assert!(Instant::now() < deadline, "the child starts a cluster");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(running(pid) && folder.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    while running(pid) {
        assert!(killed.elapsed() < Duration::from_secs(5), "the server outlived its parent");
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("server gone {:?} after kill -9", killed.elapsed());
    let next = Cluster::start(ClusterOptions::default()).unwrap();
    let started = Instant::now();
    while folder.exists() {
        // It may have others to sweep first.
        assert!(started.elapsed() < Duration::from_secs(300), "the next start sweeps");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(next);
}

#[test]
fn missing_binaries_say_what_to_install() {
    let options = ClusterOptions { bin: Some("/nowhere".into()), ..ClusterOptions::default() };
    assert!(Cluster::start(options).unwrap_err().message.contains("`/nowhere` does not hold"));
    assert!(seeders::cluster::kept_path("../x").is_err());
    assert!(seeders::cluster::kept_path("quickstart").unwrap().ends_with("kept/quickstart"));
}
