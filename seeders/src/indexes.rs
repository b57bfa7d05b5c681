//! Indexes dropped before many rows come, and made again after them.

use crate::error::SeedError;
use crate::names::ident;
use crate::schema::LiveTable;
use tokio_postgres::Client;

/// Fewer rows than this are not worth it.
pub(crate) const WORTH_ROWS: u64 = 100_000;

/// An index that is gone, and all that it takes to have it back.
pub(crate) struct Index {
    /// Quoted, with its schema.
    name: String,
    definition: String,
    comment: Option<String>,
    /// Empty where it is the database's own.
    tablespace: String,
}

/// Whether the role may drop the table's indexes.
pub(crate) async fn owned(client: &Client, live: &LiveTable) -> Result<bool, SeedError> {
    let sql = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = $1";
    Ok(client.query_one(sql, &[&live.oid]).await?.get(0))
}

/// Drops the indexes that do no more than find rows: not those that keep values unique, that a constraint, a cluster
/// order or a replica identity needs, that belong to a partitioned table, or that carry what a definition does not tell.
/// The table is locked against readers until the transaction ends.
pub(crate) async fn drop(client: &Client, live: &LiveTable) -> Result<Vec<Index>, SeedError> {
    let rows = client
        .query(
            "SELECT format('%I.%I', n.nspname, c.relname), pg_get_indexdef(c.oid), obj_description(c.oid, 'pg_class'), \
                    coalesce(s.spcname::text, '') \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             WHERE i.indrelid = $1 AND c.relkind = 'i' AND NOT c.relispartition AND i.indisvalid AND i.indisready \
                AND NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisclustered AND NOT i.indisreplident \
                AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid) \
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) \
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                    AND d.deptype NOT IN ('a', 'n')) \
                AND NOT EXISTS (SELECT FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = c.oid) \
                AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND coalesce(a.attstattarget, -1) >= 0) \
             ORDER BY c.relname",
            &[&live.oid],
        )
        .await?;
    let index = |row: &tokio_postgres::Row| Index {
        name: row.get(0),
        definition: row.get(1),
        comment: row.get(2),
        tablespace: row.get(3),
    };
    let indexes: Vec<Index> = rows.iter().map(index).collect();
    if !indexes.is_empty() {
        let names: Vec<&str> = indexes.iter().map(|index| index.name.as_str()).collect();
        client.batch_execute(&format!("DROP INDEX {}", names.join(", "))).await?;
    }
    Ok(indexes)
}

/// Makes the indexes again, as they were.
pub(crate) async fn make(client: &Client, indexes: &[Index]) -> Result<(), SeedError> {
    for index in indexes {
        let tablespace = match index.tablespace.as_str() {
            "" => "''".into(),
            name => ident(name),
        };
        let mut sql = format!("SET LOCAL default_tablespace = {tablespace}; {}", index.definition);
        if let Some(comment) = &index.comment {
            // With E a backslash is one whatever the session's settings are.
            let text = comment.replace('\\', "\\\\").replace('\'', "''");
            sql.push_str(&format!("; COMMENT ON INDEX {} IS E'{text}'", index.name));
        }
        client.batch_execute(&sql).await?;
    }
    Ok(())
}
