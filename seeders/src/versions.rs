//! Rows that nobody has touched. Every row version bears the number of the transaction that wrote it, and a transaction
//! that has ended writes no more. So when the ledger knows the numbers of all that wrote a table, and the table holds as
//! many rows of these as it did and no others, they are the very rows of then, and their fingerprint need not be taken.
//!
//! Whatever else could bring other values under the same numbers is part of what is compared: another server, another
//! table, other files, other columns. Numbers come again after 2^32 transactions: from there on nothing is proven.

use crate::error::SeedError;
use crate::fingerprint::Way;
use crate::ledger::Entry;
use crate::schema::{self, LiveTable};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

/// Writers of one table that are written down.
const MOST: i64 = 16;

/// Writes down who wrote the rows of a table; `None` where that proves nothing. To be called before the fingerprint is
/// taken: rows that change between the two have other writers then.
pub(crate) async fn written(
    client: &Client,
    live: &LiveTable,
    columns: &[String],
) -> Result<Option<Written>, SeedError> {
    // A deferred trigger may write when the transaction ends, and a view's rows are those of other tables.
    if live.relkind != "r" || !live.triggers.is_empty() {
        return Ok(None);
    }
    let table = live.quoted();
    let writers = format!(
        "(SELECT array_agg(x) FROM (SELECT t.xmin::text::bigint AS x FROM {table} t GROUP BY t.xmin LIMIT {}) g)",
        MOST + 1
    );
    client.batch_execute("SAVEPOINT planc_versions").await?;
    let answer = ask(client, &table, columns, &writers).await;
    // Servers before Postgres 13, and those that tell nobody who they are.
    if answer.as_ref().is_err_and(|error| error.as_db_error().is_some()) {
        client
            .batch_execute("ROLLBACK TO SAVEPOINT planc_versions; RELEASE SAVEPOINT planc_versions")
            .await?;
        return Ok(None);
    }
    let row = answer?;
    client.batch_execute("RELEASE SAVEPOINT planc_versions").await?;
    let Some(row) = row else { return Ok(None) };
    let writers = row.get::<_, Option<Vec<i64>>>(2).unwrap_or_default();
    let known = row.get::<_, bool>(0) && !writers.is_empty() && writers.len() as i64 <= MOST;
    let numbers: Vec<String> = writers.iter().map(i64::to_string).collect();
    Ok(known.then(|| Written { numbers: numbers.join(","), ground: row.get(1) }))
}

/// Who wrote the rows of a table, and what these numbers are worth anything for.
pub(crate) struct Written {
    numbers: String,
    ground: String,
}

impl Written {
    /// As it stands in the ledger, beside the fingerprint of the rows.
    pub(crate) fn shown(&self, fingerprint: &str) -> String {
        format!("{fingerprint} {} {}", self.numbers, self.ground)
    }
}

/// Which of the row versions that the ledger recorded the table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// All, and nothing else.
    All,
    /// Most, and no more rows than recorded.
    Most,
    /// Few, or rows of others are among them.
    Few,
    /// The ledger has no versions, as after rows were mended.
    Unknown,
}

/// Holds the row versions in the table against those that the ledger recorded.
pub(crate) async fn hold(
    client: &Client,
    table: &str,
    columns: &[String],
    entry: &Entry,
    rows: u64,
) -> Result<Held, SeedError> {
    if Way::of(&entry.fingerprint) != Way::Xor || !entry.whole_table {
        return Ok(Held::Few);
    }
    let Some((fingerprint, rest)) = entry.versions.as_deref().and_then(|text| text.split_once(' ')) else {
        return Ok(Held::Unknown);
    };
    let Some((numbers, ground)) = rest.split_once(' ') else { return Ok(Held::Unknown) };
    let numeric = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    if fingerprint != entry.fingerprint || !numeric {
        return Ok(Held::Unknown);
    }
    let table = schema::quoted_name(table);
    let counts = format!(
        "(SELECT ARRAY[count(*) FILTER (WHERE t.xmin = ANY('{{{numbers}}}'::xid[])), count(*)] FROM {table} t)"
    );
    let Some(row) = ask(client, &table, columns, &counts).await? else { return Ok(Held::Few) };
    let counts: Vec<i64> = row.get(2);
    let (rows, valid) = (rows as i64, row.get::<_, bool>(0) && row.get::<_, String>(1) == ground);
    Ok(match counts[..] {
        [ours, all] if valid && [ours, all] == [rows; 2] => Held::All,
        [ours, all] if valid && ours * 2 > rows && all <= rows => Held::Most,
        _ => Held::Few,
    })
}

/// Whether numbers are still unique, the ground that they stand on, and something about the table's rows; `None` for a
/// table that is gone or has others beneath it.
async fn ask(
    client: &Client,
    table: &str,
    columns: &[String],
    what: &str,
) -> Result<Option<Row>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint < 4294967296, \
            concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), c.oid, c.relkind, c.relhassubclass, \
                c.relfilenode, (SELECT string_agg(concat_ws(':', attname, attnum, atttypid, atttypmod, attcollation), \
                    ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attname = ANY($2))), \
            {what} FROM pg_class c WHERE c.oid = to_regclass($1) AND NOT c.relhassubclass"
    );
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&table, Type::TEXT), (&columns, Type::TEXT_ARRAY)];
    client.query_typed_opt(&sql, &params).await
}
