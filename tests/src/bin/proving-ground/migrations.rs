//! The schema, and bringing a database up to it.

use tokio_postgres::{Client, Error};

/// Keeps two servers that start together from migrating together.
const LOCK: i64 = 0x70_6c_61_6e_63;

/// Version, name, statements. Numbers have gaps: they are those of the systems this schema is modelled on.
const MIGRATIONS: [(i32, &str, &str); 11] = [
    (1, "certctl", include_str!("migrations/01_certctl.sql")),
    (20, "chat", include_str!("migrations/20_chat.sql")),
    (30, "tokens", include_str!("migrations/30_tokens.sql")),
    (40, "jobs", include_str!("migrations/40_jobs.sql")),
    (47, "audit_log_chain_serialization", include_str!("migrations/47_audit_log_chain_serialization.sql")),
    (48, "inbound_source_systems", include_str!("migrations/48_inbound_source_systems.sql")),
    (50, "acme", include_str!("migrations/50_acme.sql")),
    (60, "audit_log_chain_head", include_str!("migrations/60_audit_log_chain_head.sql")),
    (61, "inbound", include_str!("migrations/61_inbound.sql")),
    (70, "tracks", include_str!("migrations/70_tracks.sql")),
    (80, "casino", include_str!("migrations/80_casino.sql")),
];

/// Applies what is missing, each in a transaction of its own.
pub(crate) async fn apply(client: &mut Client) -> Result<(), Error> {
    // Held by the session: it ends with the connection, also when a migration fails.
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    client
        .batch_execute(
            "set client_min_messages = warning;
             create table if not exists schema_migrations (
                 version    int primary key,
                 name       text not null,
                 applied_at timestamptz not null default now()
             )",
        )
        .await?;
    let applied: Vec<i32> = client
        .query("select version from schema_migrations", &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    for (version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version)) {
        let transaction = client.transaction().await?;
        transaction.batch_execute(sql).await?;
        let record = "insert into schema_migrations (version, name) values ($1, $2)";
        transaction.execute(record, &[version, name]).await?;
        transaction.commit().await?;
    }
    client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
    Ok(())
}
