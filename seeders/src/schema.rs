//! The live tables: columns with their types, unique indexes, foreign keys, CHECKs, triggers, privileges.

mod triggers;

use crate::copy::Kind;
use crate::error::SeedError;
use crate::names::qualified;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
pub(crate) use triggers::Trigger;

/// A table as the database has it.
#[derive(Debug, Clone)]
pub struct LiveTable {
    pub(crate) oid: u32,
    /// Schema that it was found in.
    pub schema: String,
    /// Its name.
    pub name: String,
    pub(crate) relkind: String,
    /// Columns in the table's order.
    pub columns: Vec<LiveColumn>,
    pub(crate) uniques: Vec<Unique>,
    /// Foreign keys from this table to others.
    pub(crate) parents: Vec<ForeignKey>,
    /// Foreign keys from others to this table.
    pub(crate) children: Vec<ForeignKey>,
    pub(crate) checks: Vec<CheckConstraint>,
    pub(crate) triggers: Vec<Trigger>,
    /// Of `SELECT`, `INSERT`, `UPDATE`, `DELETE` those that the role lacks.
    pub(crate) lacking: Vec<String>,
}

/// A column as the database has it.
#[derive(Debug, Clone)]
pub struct LiveColumn {
    /// Its name.
    pub name: String,
    /// Its type as SQL writes it: `character varying(40)`.
    pub type_name: String,
    pub(crate) kind: Kind,
    pub(crate) not_null: bool,
    /// Filled in by the database when not supplied.
    pub(crate) has_default: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(crate) always_identity: bool,
    /// `GENERATED ALWAYS AS (…) STORED`.
    pub(crate) generated: bool,
    /// Whether values of the type can be compared with `IS DISTINCT FROM`.
    pub(crate) comparable: bool,
    /// Of a domain, which may have constraints of its own.
    pub(crate) domain: bool,
    /// Text whose upper and lower case are not the same to the database.
    pub(crate) case_matters: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Unique {
    pub(crate) name: String,
    /// Its columns; expressions are left out.
    pub(crate) columns: Vec<String>,
    /// Its parts as SQL: columns and expressions.
    pub(crate) parts: Vec<String>,
    /// The rows that it is over, when not all.
    pub(crate) predicate: Option<String>,
    /// Why no row can be known by it, if so.
    pub(crate) unusable: Option<String>,
}

impl Unique {
    /// Over all rows and plain columns, always: usable to know a row by.
    pub(crate) fn plain(&self) -> bool {
        self.unusable.is_none()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    /// Quoted name of the table that refers.
    pub(crate) child: String,
    pub(crate) child_oid: u32,
    pub(crate) child_columns: Vec<String>,
    /// Quoted name of the table that is referred to.
    pub(crate) parent: String,
    pub(crate) parent_oid: u32,
    pub(crate) parent_columns: Vec<String>,
    /// `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
    pub(crate) on_delete: String,
}

#[derive(Debug, Clone)]
pub(crate) struct CheckConstraint {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) expression: String,
}

impl LiveTable {
    /// Quoted and with its schema.
    pub(crate) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    pub(crate) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Triggers that may fill in columns which an INSERT leaves out.
    pub(crate) fn fillers(&self) -> Vec<&str> {
        self.triggers.iter().filter(|t| t.before_insert).map(|t| t.shown.as_str()).collect()
    }

    /// The index that makes `identity` unique, over all rows and on exactly these columns.
    pub(crate) fn identity_index(&self, identity: &[String]) -> Option<&Unique> {
        let wanted: BTreeSet<&String> = identity.iter().collect();
        self.uniques.iter().find(|u| u.plain() && u.columns.iter().collect::<BTreeSet<_>>() == wanted)
    }
}

/// `schema.table` or `table`, quoted.
pub(crate) fn quoted_name(table: &str) -> String {
    match table.split_once('.') {
        Some((schema, table)) => qualified(schema, table),
        None => crate::names::ident(table),
    }
}

/// Reads a table; `None` when there is none of that name.
pub(crate) async fn load(client: &Client, table: &str) -> Result<Option<LiveTable>, SeedError> {
    let row = client
        .query_typed_opt(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, array_remove(ARRAY[ \
                CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END, \
                CASE WHEN NOT has_any_column_privilege(c.oid, 'INSERT') THEN 'INSERT' END, \
                CASE WHEN NOT has_any_column_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END, \
                CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END], NULL) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)",
            &[(&quoted_name(table), Type::TEXT)],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let oid: u32 = row.get(0);
    // Asked together: what takes time is to wait for answers. In this order, so that of several errors the first is told
    // and not those that it led to; `columns` asks once more after its answer.
    let ((parents, children, checks), uniques, triggers, columns) = tokio::try_join!(
        biased;
        constraints(client, oid),
        uniques(client, oid),
        triggers::load(client, oid),
        columns(client, oid)
    )?;
    Ok(Some(LiveTable {
        oid,
        schema: row.get(1),
        name: row.get(2),
        relkind: row.get(3),
        lacking: row.get(4),
        columns,
        uniques,
        parents,
        children,
        checks,
        triggers,
    }))
}

/// A table of which no more than its columns' names is asked.
pub(crate) struct Named {
    pub(crate) oid: u32,
    /// Quoted and with its schema.
    pub(crate) quoted: String,
    pub(crate) columns: Vec<String>,
}

/// The tables of some names, in one question.
pub(crate) async fn named(client: &Client, tables: &[&str]) -> Result<Vec<Option<Named>>, SeedError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = tables.iter().map(|table| quoted_name(table)).collect();
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, ARRAY(SELECT attname::text FROM pg_attribute \
                    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) \
               FROM unnest($1) WITH ORDINALITY u(name, at) LEFT JOIN pg_class c ON c.oid = to_regclass(u.name) \
               LEFT JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY at";
    let rows = client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await?;
    let table = |row: &tokio_postgres::Row| {
        let quoted = qualified(row.get(1), row.get(2));
        Named { oid: row.get(0), quoted, columns: row.get(3) }
    };
    Ok(rows.iter().map(|row| row.get::<_, Option<u32>>(0).map(|_| table(row))).collect())
}

/// Tables whose name is near, to propose one.
pub(crate) async fn table_names(client: &Client) -> Result<Vec<String>, SeedError> {
    let rows = client
        .query(
            "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE n.nspname || '.' || c.relname END \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'planc')",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn columns(client: &Client, oid: u32) -> Result<Vec<LiveColumn>, SeedError> {
    let rows = client
        .query_typed(
            "SELECT attname::text, attnotnull, atthasdef, attidentity::text, attgenerated::text, atttypid, atttypmod, \
                    format_type(atttypid, atttypmod), \
                    coalesce((SELECT collisdeterministic FROM pg_collation WHERE oid = attcollation), true) \
             FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[(&oid, Type::OID)],
        )
        .await?;
    let types = Types::load(client, rows.iter().map(|row| row.get::<_, u32>(5)).collect()).await?;
    let column = |row: &tokio_postgres::Row| {
        let (type_oid, typmod): (u32, i32) = (row.get(5), row.get(6));
        let (identity, generated): (String, String) = (row.get(3), row.get(4));
        let domain = types.0.get(&type_oid);
        LiveColumn {
            name: row.get(0),
            type_name: row.get(7),
            kind: types.kind(type_oid, typmod),
            not_null: row.get::<_, bool>(1) || domain.is_some_and(|d| d.not_null),
            has_default: row.get::<_, bool>(2)
                || !identity.is_empty()
                || domain.is_some_and(|d| d.has_default),
            always_identity: identity == "a",
            generated: !generated.is_empty(),
            comparable: types.comparable(type_oid),
            domain: domain.is_some_and(|found| found.typtype == "d"),
            case_matters: row.get::<_, bool>(8) && !types.is_citext(type_oid),
        }
    };
    Ok(rows.iter().map(column).collect())
}

struct PgType {
    name: String,
    typtype: String,
    base: u32,
    typmod: i32,
    element: u32,
    is_array: bool,
    not_null: bool,
    has_default: bool,
    labels: Vec<String>,
}

/// The types of a table's columns, with the types those are made of.
struct Types(BTreeMap<u32, PgType>);

impl Types {
    async fn load(client: &Client, mut wanted: Vec<u32>) -> Result<Types, SeedError> {
        let mut types = BTreeMap::new();
        while !wanted.is_empty() {
            let rows = client
                .query_typed(
                    "SELECT t.oid, t.typname::text, t.typtype::text, t.typbasetype, t.typtypmod, t.typelem, \
                            t.typcategory = 'A' AND t.typlen = -1, t.typnotnull, t.typdefault IS NOT NULL, \
                            ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) \
                     FROM pg_type t WHERE t.oid = ANY($1)",
                    &[(&wanted, Type::OID_ARRAY)],
                )
                .await?;
            wanted.clear();
            for row in rows {
                let found = PgType {
                    name: row.get(1),
                    typtype: row.get(2),
                    base: row.get(3),
                    typmod: row.get(4),
                    element: row.get(5),
                    is_array: row.get(6),
                    not_null: row.get(7),
                    has_default: row.get(8),
                    labels: row.get(9),
                };
                wanted.extend([found.base, found.element].into_iter().filter(|oid| *oid != 0));
                types.insert(row.get::<_, u32>(0), found);
            }
            wanted.retain(|oid| !types.contains_key(oid));
            wanted.sort_unstable();
            wanted.dedup();
        }
        Ok(Types(types))
    }

    fn kind(&self, oid: u32, typmod: i32) -> Kind {
        let Some(found) = self.0.get(&oid) else {
            return Kind::Other;
        };
        match found.typtype.as_str() {
            "d" => return self.kind(found.base, found.typmod),
            "e" => return Kind::Enum(found.labels.clone()),
            "b" => {}
            _ => return Kind::Other,
        }
        if found.is_array && found.element != 0 {
            return Kind::Array(Box::new(self.kind(found.element, typmod)), found.element);
        }
        let limit = (typmod >= 4).then_some(typmod - 4);
        match found.name.as_str() {
            "bool" => Kind::Bool,
            "int2" => Kind::Int2,
            "int4" => Kind::Int4,
            "int8" => Kind::Int8,
            "float4" => Kind::Float4,
            "float8" => Kind::Float8,
            // The scale has 11 bits and a sign.
            "numeric" => Kind::Numeric(limit.map(|l| ((l >> 16) & 0xffff, ((l & 0x7ff) ^ 1024) - 1024))),
            "text" | "citext" => Kind::Text(None),
            "varchar" | "bpchar" => Kind::Text(limit.map(|l| l as usize)),
            "name" => Kind::Text(Some(63)),
            "uuid" => Kind::Uuid,
            "date" => Kind::Date,
            "timestamp" => Kind::Timestamp,
            "timestamptz" => Kind::Timestamptz,
            "json" => Kind::Json,
            "jsonb" => Kind::Jsonb,
            "bytea" => Kind::Bytea,
            "inet" => Kind::Inet,
            "cidr" => Kind::Cidr,
            _ => Kind::Other,
        }
    }

    fn is_citext(&self, oid: u32) -> bool {
        match self.0.get(&oid) {
            Some(found) if found.typtype == "d" => self.is_citext(found.base),
            Some(found) => found.name == "citext",
            None => false,
        }
    }

    fn comparable(&self, oid: u32) -> bool {
        const WITHOUT: [&str; 9] =
            ["json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"];
        match self.0.get(&oid) {
            Some(found) if found.typtype == "d" => self.comparable(found.base),
            Some(found) if found.is_array && found.element != 0 => self.comparable(found.element),
            Some(found) => !WITHOUT.contains(&found.name.as_str()),
            None => false,
        }
    }
}

async fn uniques(client: &Client, oid: u32) -> Result<Vec<Unique>, SeedError> {
    let rows = client
        .query_typed(
            "SELECT c.relname::text, i.indimmediate, i.indisvalid, pg_get_expr(i.indpred, i.indrelid), \
                    ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, at) \
                          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                          WHERE k.at <= i.indnkeyatts ORDER BY k.at), \
                    ARRAY(SELECT pg_get_indexdef(i.indexrelid, at, false) FROM generate_series(1, i.indnkeyatts) at) \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = $1 AND i.indisunique ORDER BY NOT i.indisprimary, c.relname",
            &[(&oid, Type::OID)],
        )
        .await?;
    let unique = |row: &tokio_postgres::Row| {
        let (immediate, valid): (bool, bool) = (row.get(1), row.get(2));
        let predicate: Option<String> = row.get(3);
        let (columns, parts): (Vec<String>, Vec<String>) = (row.get(4), row.get(5));
        let unusable = match &predicate {
            _ if !valid => Some("not valid: building it failed".into()),
            _ if !immediate => Some("deferrable".into()),
            Some(predicate) => Some(format!("partial (WHERE {predicate})")),
            None if columns.len() < parts.len() => Some("over an expression".into()),
            None => None,
        };
        Unique { name: row.get(0), columns, parts, predicate, unusable }
    };
    Ok(rows.iter().map(unique).collect())
}

type Constraints = (Vec<ForeignKey>, Vec<ForeignKey>, Vec<CheckConstraint>);

async fn constraints(client: &Client, oid: u32) -> Result<Constraints, SeedError> {
    let rows = client
        .query_typed(
            "SELECT k.conname::text, k.contype::text, k.conrelid, k.conrelid::regclass::text, k.confrelid, \
                    CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text ELSE '' END, \
                    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, at) JOIN pg_attribute a \
                          ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.at), \
                    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, at) JOIN pg_attribute a \
                          ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.at), \
                    k.confdeltype::text, coalesce(pg_get_expr(k.conbin, k.conrelid), '') \
             FROM pg_constraint k WHERE (k.conrelid = $1 AND k.contype IN ('c', 'f')) OR (k.confrelid = $1 AND k.contype = 'f') \
             ORDER BY k.conname",
            &[(&oid, Type::OID)],
        )
        .await?;
    let (mut parents, mut children, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if row.get::<_, String>(1) == "c" {
            checks.push(CheckConstraint { name: row.get(0), columns: row.get(6), expression: row.get(9) });
            continue;
        }
        let key = ForeignKey {
            name: row.get(0),
            child_oid: row.get(2),
            child: row.get(3),
            parent_oid: row.get(4),
            parent: row.get(5),
            child_columns: row.get(6),
            parent_columns: row.get(7),
            on_delete: row.get(8),
        };
        if key.child_oid == oid {
            parents.push(key.clone());
        }
        if key.parent_oid == oid {
            children.push(key);
        }
    }
    Ok((parents, children, checks))
}
