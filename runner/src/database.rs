//! Reading from the plan's database: one statement in a read-only transaction, and facts about the server.

mod bind;

use crate::values::Values;
use bind::bind;
use planc::graph::{Json, Template};
use planc::units::show_duration;
use seeders::chain;
use std::time::Duration;
use tokio_postgres::config::Host;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Row};

/// What the runner's connections say that they are (`application_name`), unless the URL says it.
pub const PROGRAM: &str = "planc runner";
/// Time that a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time by which an answer may be later than the limit that the server was told.
const GRACE: Duration = Duration::from_secs(1);

/// What a statement gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Number of rows.
    pub rows: u64,
    /// First column of the first row; `None` without a row.
    pub value: Option<Json>,
}

/// A value bound as text: the server reads it as whatever type stands there.
#[derive(Debug)]
struct AsText(String);

impl ToSql for AsText {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Connects; the error says what is wrong without the password.
pub async fn connect(url: &str) -> Result<Client, String> {
    let mut config: Config = url.parse().map_err(|e| format!("the database URL cannot be read: {e}"))?;
    if config.get_application_name().is_none() {
        config.application_name(PROGRAM);
    }
    let place = place(&config);
    let connecting = tokio::time::timeout(CONNECT_LIMIT, config.connect(NoTls));
    let (client, connection) = match connecting.await {
        Err(_) => return Err(format!("the database at {place} did not answer within 5s")),
        Ok(Err(error)) => {
            return Err(format!("the database at {place} cannot be reached: {}", chain(&error)));
        }
        Ok(Ok(connected)) => connected,
    };
    tokio::spawn(async move {
        // An error here reaches whoever uses the client next.
        let _ = connection.await;
    });
    Ok(client)
}

/// What to do about a database that could not be reached, by what was said of it.
pub fn help(url: &str, said: &str) -> String {
    let name = name_in_url(url).unwrap_or_default();
    if said.contains("does not exist") && said.contains(&format!("database \"{name}\"")) {
        return format!("make it and its tables (`createdb {name}`), or give the URL of one that is there");
    }
    if said.contains("authentication") || said.contains("password") {
        return "check the user and the password in the URL".into();
    }
    let host =
        hosts_in_url(url).first().map_or(String::new(), |(host, port)| format!(" -h {host} -p {port}"));
    format!("is the server running, and is the URL right? `pg_isready{host}` asks it")
}

/// Name of the database in a URL.
pub fn name_in_url(url: &str) -> Option<String> {
    let config: Config = url.parse().ok()?;
    config.get_dbname().or(config.get_user()).map(str::to_owned)
}

/// Hosts (or socket folders) in a URL with their ports.
pub fn hosts_in_url(url: &str) -> Vec<(String, u16)> {
    let Ok(config) = url.parse::<Config>() else { return Vec::new() };
    let port = |i: usize| config.get_ports().get(i).or(config.get_ports().first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate();
    hosts.map(|(i, host)| (host_text(host), port(i))).collect()
}

/// Password in a URL, to be masked.
pub fn password_in_url(url: &str) -> Option<String> {
    let config: Config = url.parse().ok()?;
    config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
}

/// Connects and runs a statement as [`query`] does, for so long at most; the server is told to give up as well.
pub async fn query_within(
    url: &str,
    statement: &Template,
    values: &Values,
    limit: Duration,
) -> Result<Answer, String> {
    let asked = async {
        let client = connect(url).await?;
        client.batch_execute(&timeout_setting(limit)).await.map_err(|error| chain(&error))?;
        query(client, statement, values).await
    };
    // The server's own limit comes first where it keeps it.
    match tokio::time::timeout(limit + GRACE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", show_duration(limit))),
    }
}

/// The rows of a statement as lines of JSON, `most` of them, as [`query_within`] asks.
pub async fn rows_within(
    url: &str,
    statement: &Template,
    values: &Values,
    limit: Duration,
    most: usize,
) -> Result<String, String> {
    let (text, parameters) = bind(statement, values)?;
    let asked = async {
        let failed = |error: tokio_postgres::Error| chain(&error);
        let mut client = connect(url).await?;
        client.batch_execute(&timeout_setting(limit)).await.map_err(failed)?;
        let transaction = client.build_transaction().read_only(true).start().await.map_err(failed)?;
        // Only the server can write every type as text.
        let text = text.trim().trim_end_matches(';');
        let text = format!("select row_to_json(q)::text from ({text}) q limit {}", most + 1);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
        let rows = transaction.query(&text, &parameters).await.map_err(failed)?;
        let mut lines: Vec<String> = Vec::new();
        for row in rows.iter().take(most) {
            lines.push(row.try_get(0).map_err(failed)?);
        }
        match rows.len() {
            0 => lines.push("no row".into()),
            n if n > most => lines.push(format!("… more than {most} rows")),
            _ => {}
        }
        Ok(lines.join("\n"))
    };
    match tokio::time::timeout(limit + GRACE, asked).await {
        Ok(rows) => rows,
        Err(_) => Err(format!("no answer within {}", show_duration(limit))),
    }
}

/// What a server does with a statement that takes too long.
fn timeout_setting(limit: Duration) -> String {
    format!("set statement_timeout = {}", limit.as_millis().max(1))
}

/// Whether the database takes a statement: it is read and planned there, and not run.
pub async fn prepare(url: &str, statement: &Template, values: &Values) -> Result<(), String> {
    let (text, _) = bind(statement, values)?;
    let client = connect(url).await?;
    let failed = |error: tokio_postgres::Error| chain(&error);
    match tokio::time::timeout(CONNECT_LIMIT, client.prepare(&text)).await {
        Ok(prepared) => prepared.map(drop).map_err(failed),
        Err(_) => Err(format!("no answer within {}", show_duration(CONNECT_LIMIT))),
    }
}

/// Runs a statement in a read-only transaction; slots are bound, never spliced.
pub async fn query(mut client: Client, statement: &Template, values: &Values) -> Result<Answer, String> {
    let (text, parameters) = bind(statement, values)?;
    let failed = |error: tokio_postgres::Error| chain(&error);
    let transaction = client.build_transaction().read_only(true).start().await.map_err(failed)?;
    let prepared = transaction.prepare(&text).await.map_err(failed)?;
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
    let readable = prepared.columns().first().is_none_or(|column| is_plain(column.type_()));
    if readable {
        let rows = transaction.query(&prepared, &parameters).await.map_err(failed)?;
        let value = rows.first().filter(|row| !row.is_empty()).map(plain_value);
        return Ok(Answer { rows: rows.len() as u64, value });
    }
    // Only the server can write a type that is unknown here as text.
    let column = prepared.columns()[0].name().replace('"', "\"\"");
    let number = *prepared.columns()[0].type_() == Type::NUMERIC;
    let text = format!("select q.\"{column}\"::text from ({}) q", text.trim().trim_end_matches(';'));
    let rows = transaction.query(&text, &parameters).await.map_err(failed)?;
    let value = rows.first().map(|row| match row.try_get::<_, Option<String>>(0) {
        Ok(Some(text)) if number => serde_json::from_str(&text).unwrap_or(Json::from(text)),
        Ok(Some(text)) => Json::from(text),
        _ => Json::Null,
    });
    Ok(Answer { rows: rows.len() as u64, value })
}

/// `current_database()`.
pub async fn name(client: &Client) -> Result<String, String> {
    let row = client.query_one("select current_database()::text", &[]).await.map_err(|e| chain(&e))?;
    row.try_get(0).map_err(|e| chain(&e))
}

/// Connections that an ordinary role can still open.
pub async fn free_connections(client: &Client) -> Result<i64, String> {
    let text = "select current_setting('max_connections')::int8 \
                - current_setting('superuser_reserved_connections')::int8 \
                - (select count(*) from pg_stat_activity where backend_type = 'client backend')";
    let row = client.query_one(text, &[]).await.map_err(|e| chain(&e))?;
    // Our own connection is about to close.
    row.try_get::<_, i64>(0).map(|free| free + 1).map_err(|e| chain(&e))
}

/// Connections of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `max_connections`.
    pub max: u64,
    /// Kept back from this role.
    pub reserved: u64,
    /// Open to other databases of the server. Those to this one may be the service's own, so they are not counted.
    pub elsewhere: u64,
}

/// What a server takes and what others have of it.
pub async fn capacity(client: &Client) -> Result<Capacity, String> {
    let text = "select current_setting('max_connections')::int8, \
                case when current_setting('is_superuser') = 'on' then 0 \
                    else current_setting('superuser_reserved_connections')::int8 \
                        + coalesce(current_setting('reserved_connections', true)::int8, 0) end, \
                (select count(*) from pg_stat_activity where datname <> current_database() \
                    and coalesce(backend_type, 'client backend') = 'client backend')";
    let row = client.query_one(text, &[]).await.map_err(|e| chain(&e))?;
    let number = |at| row.try_get::<_, i64>(at).map(|n| n.max(0) as u64).map_err(|e| chain(&e));
    Ok(Capacity { max: number(0)?, reserved: number(1)?, elsewhere: number(2)? })
}

/// `server_version` of the database.
pub async fn version(client: &Client) -> Option<String> {
    let row = client.query_one("select current_setting('server_version')", &[]).await.ok()?;
    row.try_get(0).ok()
}

/// The role of the connection, when nothing is forbidden to it.
pub async fn superuser(client: &Client) -> Option<String> {
    let sql = "select current_user::text where current_setting('is_superuser') = 'on'";
    client.query_opt(sql, &[]).await.ok()??.try_get(0).ok()
}

/// Whether a text falls under a pattern in which `*` stands for any run of characters.
pub fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn is_plain(kind: &Type) -> bool {
    matches!(
        *kind,
        Type::BOOL
            | Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::JSON
            | Type::JSONB
    )
}

fn plain_value(row: &Row) -> Json {
    fn get<'r, T: tokio_postgres::types::FromSql<'r> + Into<Json>>(row: &'r Row) -> Json {
        row.try_get::<_, Option<T>>(0).ok().flatten().map_or(Json::Null, Into::into)
    }
    match *row.columns()[0].type_() {
        Type::BOOL => get::<bool>(row),
        Type::INT2 => get::<i16>(row),
        Type::INT4 => get::<i32>(row),
        Type::INT8 => get::<i64>(row),
        Type::FLOAT4 => get::<f32>(row),
        Type::FLOAT8 => get::<f64>(row),
        Type::JSON | Type::JSONB => get::<Json>(row),
        _ => get::<String>(row),
    }
}

fn place(config: &Config) -> String {
    let host = config.get_hosts().first().map_or_else(|| "localhost".into(), host_text);
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}")
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, holds) in [
            ("*_test", "fleet_test", true),
            ("*_test", "_test", true),
            ("*_test", "fleet_test2", false),
            ("fleet", "fleet", true),
            ("fleet", "fleets", false),
            ("load*_*test", "load_a_test", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(like(pattern, text), holds, "{pattern} {text}");
        }
    }

    #[test]
    fn what_to_do_about_a_database_that_is_away() {
        let url = "postgres://u:pw@h:5433/shop_test";
        let missing = help(url, "cannot be reached: database \"shop_test\" does not exist");
        assert!(missing.contains("`createdb shop_test`"), "{missing}");
        assert!(help(url, "password authentication failed for user \"u\"").contains("user and the password"));
        assert!(help(url, "Connection refused").contains("`pg_isready -h h -p 5433`"));
    }

    #[test]
    fn urls() {
        assert_eq!(name_in_url("postgres://u:pw@h/db").as_deref(), Some("db"));
        assert_eq!(name_in_url("host=/tmp user=u").as_deref(), Some("u"));
        assert_eq!(password_in_url("postgres://u:p%40w@h/db").as_deref(), Some("p@w"));
        assert_eq!(name_in_url("not a url"), None);
    }
}
