//! Template databases: a seeded database is kept once and cloned for each run or test (`CREATE DATABASE … TEMPLATE`), which
//! takes milliseconds where seeding takes seconds.
//!
//! - Every database that is made here is marked by a comment ([`MARK`]), and nothing without the mark is ever dropped. A
//!   database that somebody else made is handed over by giving it that comment.
//! - It is made under a passing name, marked, and renamed: whatever kills the process, what has its own name is whole.
//! - Whoever makes, clones or drops databases of one name waits for others who do, by an advisory lock in the database
//!   `postgres` of the server.
//! - A template takes no connections, so that it can be cloned at any time.
//!
//! Grants and settings of a database itself (`GRANT … ON DATABASE`, `ALTER DATABASE … SET`) are not part of a clone; all
//! that is inside it is.

mod schema;

pub use schema::schema_of;

use crate::error::{self, chain};
use crate::fixtures::Fixtures;
use crate::ledger::content_hash;
use crate::names::ident;
use crate::rows::{GENERATOR_VERSION, Inputs};
use planc::graph::ExecutionGraph;
use sha2::{Digest, Sha256};
use std::fmt;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// A comment on a database that begins so allows it to be dropped.
pub const MARK: &str = "planc may drop this";

/// Longest name of a database beside which `_planc_` and a key still fit into the 63 bytes of a name.
const LONGEST: usize = 63 - 7 - 16;

/// Why there is no template or clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateErrorKind {
    /// Other sessions are connected to the database.
    Busy(Vec<Session>),
    /// The database was not made here and was not handed over.
    NotOurs,
    /// The role may not make databases.
    Privilege,
    /// Anything else.
    Other,
}

/// Why there is no template or clone; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What kind of failure.
    pub kind: TemplateErrorKind,
    /// What failed: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error::told(f, &self.message, self.help.as_deref())
    }
}

impl std::error::Error for TemplateError {}

/// Somebody who is connected to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Process of the server that serves it.
    pub pid: i32,
    /// What it says that it is (`application_name`); may be empty.
    pub program: String,
    /// Its role.
    pub role: String,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = if self.program.is_empty() { "a program without a name" } else { &self.program };
        write!(f, "{program} as {} (process {})", self.role, self.pid)
    }
}

/// A template database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name, `<database>_planc_<key>`.
    pub name: String,
    /// What its maker noted of the schema in it.
    pub schema: String,
}

/// A kept database that holds the tables of `schema` (SQL text) and the rows of the fixtures; made when it is not there.
/// `url` is that of a database which need not exist: its name is what clones are like, its server is where they are made.
/// Another text or other fixtures are another template.
///
/// # Errors
/// The server cannot be reached, the role may not make databases, the schema or the fixtures fail.
pub async fn ensure(url: &str, schema: &str, fixtures: &Fixtures) -> Result<Template, TemplateError> {
    let mut server = Server::of(url).await?;
    let hash = hex(&[schema.as_bytes(), key(fixtures.graph(), fixtures.inputs()).as_bytes()]);
    if let Some(template) = server.template(&hash).await? {
        return Ok(template);
    }
    let passing = server.make(None, "a template that is being filled").await?;
    let filled = fill(&server, &passing, schema, fixtures).await;
    let named = match filled {
        Ok(()) => server.name_template(&passing, &hash, "").await,
        Err(error) => Err(error),
    };
    if named.is_err() {
        // Marked as ours, so what is left of it is swept later where it cannot be dropped now.
        let _ = server.drop_database(&passing).await;
    }
    named
}

async fn fill(
    server: &Server,
    database: &str,
    schema: &str,
    fixtures: &Fixtures,
) -> Result<(), TemplateError> {
    let (mut client, talking) = server.connect(database).await?;
    let done = async {
        client
            .batch_execute(schema)
            .await
            .map_err(|error| other(format!("the schema: {}", chain(&error))))?;
        crate::apply(&mut client, fixtures).await.map(drop).map_err(|error| TemplateError {
            kind: TemplateErrorKind::Other,
            message: error.to_string(),
            help: None,
        })
    };
    let done = done.await;
    drop(client);
    let _ = talking.await;
    done
}

/// Makes the database that `url` names as a copy of the template. One that is there is replaced if it was made here.
///
/// # Errors
/// The database is there and was not made here, or others are connected to it.
pub async fn clone_to(url: &str, template: &Template) -> Result<(), TemplateError> {
    let mut server = Server::of(url).await?;
    server.replace(Some(template), false).await
}

/// Drops the database that `url` names, if it was made here. False when it is not there.
///
/// # Errors
/// It was not made here, or others are connected to it.
pub async fn drop_clone(url: &str) -> Result<bool, TemplateError> {
    let server = Server::of(url).await?;
    let name = server.database.clone();
    match server.facts(&name).await? {
        None => Ok(false),
        Some(facts) => {
            server.ours(&name, &facts)?;
            server.drop_database(&name).await.map(|()| true)
        }
    }
}

/// Identity of what fixtures make: of their definitions, the seed and the version of the generators. No secret's value is in it.
pub fn key(graph: &ExecutionGraph, inputs: &Inputs) -> String {
    let mut parts = vec![GENERATOR_VERSION.to_string(), graph.seed.to_string()];
    parts.extend(graph.fixtures.iter().map(|fixture| content_hash(graph, fixture, inputs)));
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    hex(&parts)
}

/// The first 16 hexadecimal characters of a hash over parts, each with its length.
fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of a database from outside.
#[derive(Debug, Clone)]
struct Facts {
    comment: String,
    template: bool,
}

/// The server of a database, seen from its database `postgres`, with the right to make and drop databases of that name.
#[derive(Debug)]
pub struct Server {
    config: Config,
    database: String,
    client: Client,
}

impl Server {
    /// Connects to the server of `url`, and waits for others who make or drop databases of the same name.
    ///
    /// # Errors
    /// The URL cannot be read, names no database, or the server cannot be reached.
    pub async fn of(url: &str) -> Result<Server, TemplateError> {
        let config: Config =
            url.parse().map_err(|error| other(format!("the database URL cannot be read: {error}")))?;
        let Some(database) = config.get_dbname().or(config.get_user()).map(str::to_owned) else {
            return Err(other("the database URL names no database"));
        };
        if database.len() > LONGEST {
            return Err(other(format!(
                "`{database}` is too long a name: a template's own needs {LONGEST} bytes at most"
            )));
        }
        let client = match connect(&config, "postgres").await {
            Ok((client, _)) => client,
            // A server without `postgres` has this one, unless somebody went far out of their way.
            Err(_) => connect(&config, "template1").await?.0,
        };
        let lock = crate::hash::column_key(0, "planc template", &database) as i64;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&lock])
            .await
            .map_err(|error| other(chain(&error)))?;
        Ok(Server { config, database, client })
    }

    /// The kept template with this key.
    ///
    /// # Errors
    /// The server cannot be asked; a database has the name and was not made here.
    pub async fn template(&self, key: &str) -> Result<Option<Template>, TemplateError> {
        let name = self.name_of(key);
        let Some(facts) = self.facts(&name).await? else { return Ok(None) };
        self.ours(&name, &facts)?;
        let schema = facts.comment.rsplit_once("; schema ").map_or("", |(_, schema)| schema);
        Ok(facts.template.then(|| Template { schema: schema.to_owned(), name }))
    }

    /// Puts a copy of the template, or an empty database, in the place of the database of the URL. `own` says that the whole
    /// server is the caller's, so that no mark is needed.
    ///
    /// # Errors
    /// The database was not made here, or others are connected to it; it is as it was then.
    pub async fn replace(&mut self, template: Option<&Template>, own: bool) -> Result<(), TemplateError> {
        let name = self.database.clone();
        let there = self.facts(&name).await?;
        if let Some(facts) = there.as_ref().filter(|_| !own) {
            self.ours(&name, facts)?;
        }
        let what =
            template.map_or("empty at first".to_owned(), |template| format!("clone of {}", template.name));
        let passing = self.make(template.map(|template| template.name.as_str()), &what).await?;
        let done = match there {
            Some(_) => self.drop_database(&name).await,
            None => Ok(()),
        };
        let done = match done {
            Ok(()) => self.rename(&passing, &name).await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            let _ = self.drop_database(&passing).await;
        }
        done
    }

    /// Keeps a copy of the database of the URL as the template with this key, in the place of an earlier one.
    ///
    /// # Errors
    /// Others are connected to the database: they are named. Or the role may not make databases.
    pub async fn keep(&mut self, key: &str, schema: &str) -> Result<Template, TemplateError> {
        let name = self.database.clone();
        let passing = self.make(Some(&name), "a template that is being made").await?;
        let kept = self.name_template(&passing, key, schema).await;
        if kept.is_err() {
            let _ = self.drop_database(&passing).await;
        }
        kept
    }

    /// Drops the templates of this database and what killed processes left of them, but for the one with this key. Their names.
    ///
    /// # Errors
    /// The server cannot be asked, or one of them cannot be dropped.
    pub async fn prune(&mut self, but: Option<&str>) -> Result<Vec<String>, TemplateError> {
        let kept = but.map(|key| self.name_of(key));
        let sql = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) \
            AND starts_with(coalesce(shobj_description(oid, 'pg_database'), ''), $2) ORDER BY 1";
        let stem = format!("{}_planc_", self.database);
        let rows = self.client.query(sql, &[&stem, &MARK]).await.map_err(|error| other(chain(&error)))?;
        let mut dropped = Vec::new();
        for row in rows {
            let name: String = row.try_get(0).map_err(|error| other(chain(&error)))?;
            if kept.as_ref() != Some(&name) {
                self.drop_database(&name).await?;
                dropped.push(name);
            }
        }
        Ok(dropped)
    }

    /// Whether the database of the URL is there, and whether it may be dropped.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn is_there(&self) -> Result<Option<bool>, TemplateError> {
        Ok(self.facts(&self.database).await?.map(|facts| facts.comment.starts_with(MARK)))
    }

    /// Who is connected to the database of the URL.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn sessions(&self) -> Result<Vec<Session>, TemplateError> {
        self.sessions_of(&self.database).await
    }

    async fn sessions_of(&self, database: &str) -> Result<Vec<Session>, TemplateError> {
        let sql = "SELECT pid, coalesce(application_name, ''), coalesce(usename, '')::text FROM pg_stat_activity \
            WHERE datname = $1 AND coalesce(backend_type, 'client backend') = 'client backend' ORDER BY pid";
        let rows = self.client.query(sql, &[&database]).await.map_err(|error| other(chain(&error)))?;
        Ok(rows
            .iter()
            .map(|row| Session { pid: row.get(0), program: row.get(1), role: row.get(2) })
            .collect())
    }

    async fn facts(&self, database: &str) -> Result<Option<Facts>, TemplateError> {
        let sql = "SELECT coalesce(shobj_description(oid, 'pg_database'), ''), datistemplate FROM pg_database WHERE datname = $1";
        let row = self.client.query_opt(sql, &[&database]).await.map_err(|error| other(chain(&error)))?;
        Ok(row.map(|row| Facts { comment: row.get(0), template: row.get(1) }))
    }

    fn ours(&self, database: &str, facts: &Facts) -> Result<(), TemplateError> {
        if facts.comment.starts_with(MARK) {
            return Ok(());
        }
        Err(TemplateError {
            kind: TemplateErrorKind::NotOurs,
            message: format!("database `{database}` was not made from a template, so it is not replaced"),
            help: Some(format!(
                "drop it (it is made again), or hand it over with all that is in it: COMMENT ON DATABASE {} IS '{MARK}'",
                ident(database)
            )),
        })
    }

    /// Makes a marked database under a passing name.
    async fn make(&mut self, from: Option<&str>, what: &str) -> Result<String, TemplateError> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let passing = format!("{}_planc_new_{}", self.database, &random[..12]);
        let from_sql = from.map_or(String::new(), |from| format!(" TEMPLATE {}", ident(from)));
        let sql = format!("CREATE DATABASE {}{from_sql}", ident(&passing));
        if let Err(error) = self.client.batch_execute(&sql).await {
            return Err(self.refused(error, from.unwrap_or("template1")).await);
        }
        self.comment(&passing, what).await?;
        Ok(passing)
    }

    async fn comment(&self, database: &str, what: &str) -> Result<(), TemplateError> {
        let text = format!("{MARK}: {what}").replace('\'', "''");
        let sql = format!("COMMENT ON DATABASE {} IS '{text}'", ident(database));
        self.client.batch_execute(&sql).await.map_err(|error| other(chain(&error)))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), TemplateError> {
        let sql = format!("ALTER DATABASE {} RENAME TO {}", ident(from), ident(to));
        match self.client.batch_execute(&sql).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.refused(error, from).await),
        }
    }

    /// Closes a filled database to connections and gives it its template's name, in the place of an earlier one.
    async fn name_template(
        &mut self,
        passing: &str,
        key: &str,
        schema: &str,
    ) -> Result<Template, TemplateError> {
        let name = self.name_of(key);
        self.comment(passing, &format!("template of {}; schema {schema}", self.database)).await?;
        let sql = format!("ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false", ident(passing));
        self.client.batch_execute(&sql).await.map_err(|error| other(chain(&error)))?;
        if let Some(facts) = self.facts(&name).await? {
            self.ours(&name, &facts)?;
            self.drop_database(&name).await?;
        }
        self.rename(passing, &name).await?;
        Ok(Template { name, schema: schema.to_owned() })
    }

    /// Drops a database of which it is known that it may be dropped.
    async fn drop_database(&self, database: &str) -> Result<(), TemplateError> {
        if self.facts(database).await?.is_some_and(|facts| facts.template) {
            let sql = format!("ALTER DATABASE {} WITH IS_TEMPLATE false", ident(database));
            self.client.batch_execute(&sql).await.map_err(|error| other(chain(&error)))?;
        }
        match self.client.batch_execute(&format!("DROP DATABASE IF EXISTS {}", ident(database))).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.refused(error, database).await),
        }
    }

    async fn refused(&self, error: tokio_postgres::Error, database: &str) -> TemplateError {
        let said = chain(&error);
        match error.code() {
            Some(code) if *code == SqlState::OBJECT_IN_USE => {
                let sessions = self.sessions_of(database).await.unwrap_or_default();
                let names: Vec<String> = sessions.iter().map(Session::to_string).collect();
                let who = if names.is_empty() { "others".to_owned() } else { names.join(", ") };
                TemplateError {
                    kind: TemplateErrorKind::Busy(sessions),
                    message: format!("database `{database}` is in use by {who}"),
                    help: Some(
                        "close them: a database is copied or dropped only while nobody is connected to it"
                            .into(),
                    ),
                }
            }
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => TemplateError {
                kind: TemplateErrorKind::Privilege,
                message: said,
                help: Some("a role that makes databases needs it: ALTER ROLE … CREATEDB".into()),
            },
            _ => other(said),
        }
    }

    async fn connect(&self, database: &str) -> Result<(Client, tokio::task::JoinHandle<()>), TemplateError> {
        connect(&self.config, database).await
    }

    /// `<database>_planc_<key>`.
    fn name_of(&self, key: &str) -> String {
        format!("{}_planc_{key}", self.database)
    }
}

async fn connect(
    config: &Config,
    database: &str,
) -> Result<(Client, tokio::task::JoinHandle<()>), TemplateError> {
    let mut config = config.clone();
    config.dbname(database).application_name("planc template");
    let (client, connection) = config.connect(NoTls).await.map_err(|error| TemplateError {
        kind: TemplateErrorKind::Other,
        message: format!("the server's database `{database}` cannot be reached: {}", chain(&error)),
        help: None,
    })?;
    let talking = tokio::spawn(async move {
        // An error here reaches whoever uses the client next.
        let _ = connection.await;
    });
    Ok((client, talking))
}

fn other(message: impl Into<String>) -> TemplateError {
    TemplateError { kind: TemplateErrorKind::Other, message: message.into(), help: None }
}
