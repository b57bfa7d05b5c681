//! Columns marked `unique: true`, asked of the table itself: as in SQL, no value twice, null aside.

use crate::error::{ErrorKind, SeedError};
use crate::names::ident;
use crate::postgres::Job;
use crate::schema;
use tokio_postgres::Client;

/// Values that are named.
const NAMED: i64 = 3;

/// Fails when a value of such a column is in the table twice, whoever made it. A column with a unique index of its own
/// is not asked about: its values are different already.
pub(crate) async fn check(client: &Client, job: &Job<'_>) -> Result<(), SeedError> {
    let mut marked = job.table.columns.iter().filter(|(_, column)| column.unique).peekable();
    if marked.peek().is_none() {
        return Ok(());
    }
    let Some(live) = schema::load(client, &job.table.table).await? else {
        return Ok(());
    };
    for (name, _) in marked {
        let indexed = live.uniques.iter().any(|unique| unique.plain() && unique.columns == [name.as_str()]);
        let Some(column) = live.column(name).filter(|_| !indexed) else { continue };
        let value = format!("t.{}{}", ident(name), if column.comparable { "" } else { "::text" });
        let sql = format!(
            "SELECT min(left({value}::text, 60)), count(*) FROM {} t WHERE {value} IS NOT NULL \
             GROUP BY {value} HAVING count(*) > 1 ORDER BY 1 LIMIT {NAMED}",
            live.quoted(),
        );
        let rows = client.query(&sql, &[]).await?;
        if rows.is_empty() {
            continue;
        }
        let twice: Vec<String> = rows
            .iter()
            .map(|row| format!("`{}` in {} rows", row.get::<_, String>(0), row.get::<_, i64>(1)))
            .collect();
        return Err(SeedError::new(
            ErrorKind::Verify,
            format!("column `{name}` of `{}` is marked unique and is not: {}", live.name, twice.join(", ")),
        )
        .help("weave the row's number in, such as `{{ n }}`, delete the rows that are not the fixture's, or leave `unique` out"));
    }
    Ok(())
}
