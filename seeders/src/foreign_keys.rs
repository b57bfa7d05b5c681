//! Foreign keys verified by one query a key, in place of a trigger a row.
//!
//! `session_replication_role = replica` keeps every ordinary trigger of the session still, so it is set for the COPY
//! alone, and only where the table has no trigger but those of foreign keys: an audit trail would be silenced too. The
//! queries lock the parents as the triggers do (`FOR KEY SHARE`), so that none goes before the rows that need it are
//! committed. They read what was stored, defaults included.

use crate::error::SeedError;
use crate::names::ident;
use crate::schema::{ForeignKey, LiveTable};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Where a COPY with the triggers skipped begins, and where to go back to.
const BEFORE: &str = "planc_foreign_keys";

/// Lets the session skip the triggers of foreign keys until [`unskip`]; the answer is why not, and then nothing changed.
pub(crate) async fn skip(client: &Client, live: &LiveTable) -> Result<Option<String>, SeedError> {
    if let Some(why) = obstacle(client, live).await? {
        return Ok(Some(why));
    }
    client.batch_execute(&format!("SAVEPOINT {BEFORE}")).await?;
    match client.batch_execute("SET LOCAL session_replication_role = replica").await {
        Ok(()) => Ok(None),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            back(client).await?;
            Ok(Some(
                "the role may not: GRANT SET ON PARAMETER session_replication_role, from Postgres 15 on"
                    .into(),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the skipping and verifies every key. The answer is why the rows cannot stay; they are gone then.
pub(crate) async fn unskip(client: &Client, live: &LiveTable) -> Result<Option<String>, SeedError> {
    client.batch_execute("SET LOCAL session_replication_role = origin").await?;
    for key in &live.parents {
        let why = match client.query_opt(&missing(key), &[]).await {
            Ok(None) => continue,
            Ok(Some(row)) => {
                let values: Vec<String> = row.get(0);
                format!("{} has no row `{}` for the key `{}`", key.parent, values.join(", "), key.name)
            }
            // A row that the role may not lock, a comparison that needs a collation: the triggers know how.
            Err(error) if error.as_db_error().is_some() && !error.is_closed() => {
                format!("the key `{}` could not be verified: {}", key.name, crate::error::chain(&error))
            }
            Err(error) => return Err(error.into()),
        };
        back(client).await?;
        return Ok(Some(why));
    }
    client.batch_execute(&format!("RELEASE SAVEPOINT {BEFORE}")).await?;
    Ok(None)
}

async fn back(client: &Client) -> Result<(), SeedError> {
    Ok(client.batch_execute(&format!("ROLLBACK TO SAVEPOINT {BEFORE}; RELEASE SAVEPOINT {BEFORE}")).await?)
}

/// What forbids the skipping: triggers that it would silence and keys that a query would not judge as their triggers do.
async fn obstacle(client: &Client, live: &LiveTable) -> Result<Option<String>, SeedError> {
    let row = client
        .query_one(
            "WITH tree AS (SELECT $1::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)), \
                  keys AS (SELECT * FROM pg_constraint WHERE conrelid = $1 AND contype = 'f') \
             SELECT ARRAY(SELECT DISTINCT t.tgname::text FROM pg_trigger t JOIN tree ON tree.oid = t.tgrelid \
                          WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1), \
                    ARRAY(SELECT DISTINCT k.conname::text FROM pg_trigger t JOIN tree ON tree.oid = t.tgrelid \
                          JOIN pg_constraint k ON k.oid = t.tgconstraint WHERE t.tgisinternal AND k.contype <> 'f' ORDER BY 1), \
                    ARRAY(SELECT conname::text FROM keys WHERE confmatchtype = 'f' AND cardinality(conkey) > 1 ORDER BY 1), \
                    ARRAY(SELECT DISTINCT confrelid::regclass::text FROM keys WHERE NOT has_any_column_privilege(confrelid, 'SELECT') \
                          OR NOT has_any_column_privilege(confrelid, 'UPDATE') OR row_security_active(confrelid) ORDER BY 1)",
            &[&live.oid],
        )
        .await?;
    let found = |at: usize| Some(row.get::<_, Vec<String>>(at)).filter(|names| !names.is_empty());
    Ok(if let Some(triggers) = found(0) {
        Some(format!("the trigger {} would not run", quoted(&triggers)))
    } else if let Some(constraints) = found(1) {
        Some(format!("the deferrable constraint {} would not be checked", quoted(&constraints)))
    } else if let Some(full) = found(2) {
        Some(format!("the key {} is MATCH FULL over several columns", quoted(&full)))
    } else {
        found(3).map(|parents| format!("the role may not read and lock all rows of {}", parents.join(", ")))
    })
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The first value of a key that has no parent; all others' parents are locked. NULL in any column needs none.
fn missing(key: &ForeignKey) -> String {
    let each = |joint: &str, shape: &dyn Fn(usize) -> String| {
        (0..key.child_columns.len()).map(shape).collect::<Vec<_>>().join(joint)
    };
    let child = |at: usize| format!("c.{}", ident(&key.child_columns[at]));
    let parent = |at: usize| format!("p.{}", ident(&key.parent_columns[at]));
    format!(
        "WITH k AS MATERIALIZED (SELECT DISTINCT {} FROM {} c WHERE {}), \
              p AS MATERIALIZED (SELECT {} FROM {} p JOIN k ON {} FOR KEY SHARE OF p) \
         SELECT ARRAY[{}] FROM k WHERE NOT EXISTS (SELECT 1 FROM p WHERE {}) LIMIT 1",
        each(", ", &|at| format!("{} AS k{at}", child(at))),
        key.child,
        each(" AND ", &|at| format!("{} IS NOT NULL", child(at))),
        each(", ", &|at| format!("{} AS p{at}", parent(at))),
        key.parent,
        each(" AND ", &|at| format!("{} = k.k{at}", parent(at))),
        each(", ", &|at| format!("k.k{at}::text")),
        each(" AND ", &|at| format!("p.p{at} = k.k{at}")),
    )
}
