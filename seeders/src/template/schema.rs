//! What a database is beside its rows, as one hash: a template of another schema is another template.

use super::{TemplateError, hex, other};
use crate::error::chain;
use tokio_postgres::Client;

/// Tables in which tools note the migrations that ran.
const MIGRATIONS: &[&str] = &[
    "schema_migrations",
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "refinery_schema_history",
    "seaql_migrations",
    "flyway_schema_history",
    "databasechangelog",
    "goose_db_version",
    "alembic_version",
    "django_migrations",
    "knex_migrations",
    "_prisma_migrations",
    "ar_internal_metadata",
];

/// What a database has beside rows, as a hash: extensions, tables, columns, indexes, constraints, triggers, functions, types,
/// and what migration tools noted. The ledger is left out.
///
/// # Errors
/// The database cannot be read.
pub async fn schema_of(client: &Client) -> Result<String, TemplateError> {
    let failed = |error: tokio_postgres::Error| other(chain(&error));
    let own = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'planc')";
    let sql = format!(
        "SELECT md5(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"), '')) FROM ( \
         SELECT 'extension ' || extname || ' ' || extversion AS line FROM pg_extension \
         UNION ALL SELECT concat_ws(' ', 'column', c.oid::regclass::text, c.relkind, a.attname, \
                format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)) \
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {own} \
         UNION ALL SELECT 'view ' || c.oid::regclass::text || pg_get_viewdef(c.oid) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {own} \
         UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {own} \
         UNION ALL SELECT concat_ws(' ', 'constraint', k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid)) \
            FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {own} \
         UNION ALL SELECT pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {own} \
         UNION ALL SELECT 'function ' || p.oid::regprocedure::text || md5(coalesce(p.prosrc, '')) FROM pg_proc p \
            JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own} \
         UNION ALL SELECT concat_ws(' ', 'enum', e.enumtypid::regtype::text, e.enumsortorder, e.enumlabel) FROM pg_enum e \
            JOIN pg_type y ON y.oid = e.enumtypid JOIN pg_namespace n ON n.oid = y.typnamespace WHERE {own} \
         ) lines"
    );
    let mut found: Vec<String> =
        vec![client.query_one(&sql, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?];
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relname = ANY($1) AND {own} ORDER BY 1"
    );
    for row in client.query(&sql, &[&MIGRATIONS]).await.map_err(failed)? {
        let table: String = row.try_get(0).map_err(failed)?;
        let sql =
            format!("SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {table} t");
        found.push(client.query_one(&sql, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?);
    }
    let parts: Vec<&[u8]> = found.iter().map(|part| part.as_bytes()).collect();
    Ok(hex(&parts))
}
