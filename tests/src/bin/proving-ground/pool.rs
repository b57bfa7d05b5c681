//! A few connections to Postgres, each with its statements prepared.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, NoTls, Row, Statement};

/// The values of `$1, $2, …`.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Connections are opened when they are first needed, and the one used last is used next.
pub(crate) struct Pool {
    config: Config,
    permits: Semaphore,
    size: usize,
    /// Statements that wait for a connection.
    waiting: AtomicU64,
    idle: Mutex<Vec<Arc<Connection>>>,
}

struct Connection {
    client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

/// A connection for one statement, given back when dropped, also when the request it was for is gone.
struct Lease<'a> {
    pool: &'a Pool,
    connection: Arc<Connection>,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Pool {
    pub(crate) fn new(url: &str, size: usize) -> Result<Self, Error> {
        let mut config = Config::from_str(url)?;
        if config.get_application_name().is_none() {
            config.application_name("proving-ground");
        }
        Ok(Self {
            config,
            permits: Semaphore::new(size),
            size,
            waiting: AtomicU64::new(0),
            idle: Mutex::default(),
        })
    }

    /// Connections at most, in use, and statements that wait for one.
    pub(crate) fn usage(&self) -> [u64; 3] {
        let free = self.permits.available_permits();
        [self.size as u64, self.size.saturating_sub(free) as u64, self.waiting.load(Relaxed)]
    }

    /// A connection outside the pool.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        // Its error reaches whoever waits for an answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    pub(crate) async fn query(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let statement = lease.connection.prepare(sql).await?;
        lease.connection.client.query(&statement, parameters).await
    }

    pub(crate) async fn query_opt(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        let lease = self.lease().await?;
        let statement = lease.connection.prepare(sql).await?;
        lease.connection.client.query_opt(&statement, parameters).await
    }

    pub(crate) async fn query_one(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Row, Error> {
        let lease = self.lease().await?;
        let statement = lease.connection.prepare(sql).await?;
        lease.connection.client.query_one(&statement, parameters).await
    }

    /// How many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, parameters: Parameters<'_>) -> Result<u64, Error> {
        let lease = self.lease().await?;
        let statement = lease.connection.prepare(sql).await?;
        lease.connection.client.execute(&statement, parameters).await
    }

    async fn lease(&self) -> Result<Lease<'_>, Error> {
        // Fails only when the semaphore is closed, which it never is.
        let permit = match self.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = Waiting::in_line(&self.waiting);
                self.permits.acquire().await.ok()
            }
        };
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => Arc::new(Connection { client: self.connect().await?, prepared: Mutex::default() }),
        };
        Ok(Lease { pool: self, connection, _permit: permit })
    }

    /// The connection used last that is still one.
    fn take_idle(&self) -> Option<Arc<Connection>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.client.is_closed())
    }
}

impl Connection {
    async fn prepare(&self, sql: &'static str) -> Result<Statement, Error> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, statement.clone());
        Ok(statement)
    }
}

/// One statement in the line for a connection, for as long as the value lives.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn in_line(line: &'a AtomicU64) -> Self {
        line.fetch_add(1, Relaxed);
        Waiting(line)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let connection = Arc::clone(&self.connection);
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
