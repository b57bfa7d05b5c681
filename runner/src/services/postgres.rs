//! A private Postgres as a service, from the machine's own binaries.

use super::ServiceError;
use crate::database;
use seeders::cluster::{Cluster, ClusterOptions, DataDir};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A running server with its database.
pub struct Server {
    cluster: Cluster,
    url: String,
    host: String,
}

impl Server {
    /// Starts a server on a temporary or kept data folder and creates the database if it is not there.
    pub async fn start(
        database: &str,
        kept: Option<PathBuf>,
        settings: &BTreeMap<String, String>,
    ) -> Result<Server, ServiceError> {
        let data = kept.map_or(DataDir::Temporary, DataDir::Kept);
        let options = ClusterOptions { data, settings: settings.clone(), bin: None };
        // initdb and the wait for the server block for up to a second.
        let started = tokio::task::spawn_blocking(move || Cluster::start(options)).await;
        let cluster = match started {
            Ok(Ok(cluster)) => cluster,
            Ok(Err(error)) => return Err(ServiceError::new(error.to_string())),
            Err(error) => return Err(ServiceError::new(format!("starting Postgres broke off: {error}"))),
        };
        create_database(&cluster.url("postgres"), database).await?;
        let (url, host) = (cluster.url(database), cluster.socket_dir().display().to_string());
        Ok(Server { cluster, url, host })
    }

    /// URL of its database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Folder of its socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Stops it.
    pub fn stop(self) {
        self.cluster.stop();
    }
}

async fn create_database(url: &str, database: &str) -> Result<(), ServiceError> {
    let client = database::connect(url).await.map_err(ServiceError::new)?;
    let failed = |error: tokio_postgres::Error| ServiceError::new(crate::client::chain(&error));
    let known = client.query_opt("select 1 from pg_database where datname = $1", &[&database]).await;
    if known.map_err(failed)?.is_none() {
        let quoted = database.replace('"', "\"\"");
        client.batch_execute(&format!("create database \"{quoted}\"")).await.map_err(failed)?;
    }
    Ok(())
}
