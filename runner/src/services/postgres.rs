//! A private Postgres as a service, from the machine's own binaries.

use super::ServiceError;
use seeders::cluster::{Cluster, ClusterError, ClusterOptions, DataDir, kept_path};
use std::collections::BTreeMap;

/// A running server with its database.
pub struct Server {
    cluster: Cluster,
    url: String,
}

impl Server {
    /// Starts a server on a temporary data folder, or one kept under a name, and makes the database unless it is there.
    pub async fn start(
        database: &str,
        keep: Option<&str>,
        settings: &BTreeMap<String, String>,
    ) -> Result<Server, ServiceError> {
        let data = match keep {
            Some(name) => DataDir::Kept(kept_path(name)?),
            None => DataDir::Temporary,
        };
        let options = ClusterOptions { data, settings: settings.clone(), bin: None };
        // initdb and the wait for the server block for up to a second.
        let started = tokio::task::spawn_blocking(move || Cluster::start(options)).await;
        let cluster =
            started.map_err(|e| ServiceError::new(format!("starting Postgres broke off: {e}")))??;
        cluster.create_database(database).await?;
        let url = cluster.url(database);
        Ok(Server { cluster, url })
    }

    /// URL of its database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Folder of its socket.
    pub fn socket(&self) -> String {
        self.cluster.socket_dir().display().to_string()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.cluster.stop();
    }
}

impl From<ClusterError> for ServiceError {
    fn from(error: ClusterError) -> Self {
        ServiceError { message: error.message, help: error.help }
    }
}
