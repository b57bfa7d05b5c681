//! Where rows drifted: a fixture's rows are spread over buckets by a hash of their identity, and the ledger keeps a part
//! of the fingerprint for each. Only rows of buckets that are not as recorded are staged and compared.
//!
//! The server and this program compute a row's bucket by the same hash, which is the server's own.

use crate::copy::{self, Kind};
use crate::error::SeedError;
use crate::fingerprint::{self, Fingerprint, Way};
use crate::generators::Cell;
use crate::hash::column_key;
use crate::names::{ident, same};
use crate::rows::RowSource;
use crate::schema::LiveTable;
use crate::stage::{self, KEY_CHUNK, Lane};
use tokio_postgres::{Client, Row};

/// Rows in a bucket, about, until there are [`MOST`] buckets.
const ROWS: u64 = 4;
/// 128 KiB in the ledger.
const MOST: u64 = 1 << 14;

/// How rows are spread.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// Columns of the identity that are hashed.
    lanes: Vec<Lane>,
    /// A power of two.
    count: usize,
}

impl Spread {
    /// By the columns of the identity whose values are the same bytes here and there; `None` without any.
    pub(crate) fn of(source: &RowSource, live: &LiveTable, identity: &[String]) -> Option<Spread> {
        let same_bytes = |lane: &Lane| {
            let Some(column) = live.column(&lane.name) else { return false };
            let exact = column.case_matters && !column.domain;
            match lane.kind {
                Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Uuid => !column.domain,
                // Not `character`, which is padded.
                Kind::Text(_) => {
                    exact && (column.type_name == "text" || column.type_name.starts_with("character varying"))
                }
                _ => false,
            }
        };
        let lanes: Vec<Lane> =
            stage::lanes(source, live, identity).ok()?.into_iter().filter(same_bytes).collect();
        let count = source.rows().div_ceil(ROWS).clamp(1, MOST).next_power_of_two() as usize;
        (!lanes.is_empty()).then_some(Spread { lanes, count })
    }

    /// The bucket of row `alias`, as SQL.
    fn sql(&self, alias: &str) -> String {
        let hash = self.lanes.iter().fold("0".to_string(), |seed, lane| {
            let column = format!("{alias}.{}", ident(&lane.name));
            match lane.kind {
                Kind::Text(_) => format!("hashtextextended({column}::text COLLATE \"C\", {seed})"),
                Kind::Uuid => format!("uuid_hash_extended({column}, {seed})"),
                _ => format!("hashint8extended({column}::bigint, {seed})"),
            }
        });
        format!("coalesce(({hash} & {})::int, 0)", self.count - 1)
    }

    /// The same for a row that was made here.
    fn bucket(&self, cells: &[Cell], scratch: &mut Vec<u8>) -> Result<usize, String> {
        let mut hash = 0;
        for lane in &self.lanes {
            scratch.clear();
            copy::binary(&lane.kind, &cells[lane.index], scratch)?;
            let Some(value) = scratch.get(4..).filter(|_| scratch[..4] != [0xff; 4]) else { return Ok(0) };
            hash = match lane.kind {
                Kind::Text(_) | Kind::Uuid => hash_bytes(value, hash),
                _ => hash_integer(integer(value), hash),
            };
        }
        Ok(hash as usize & (self.count - 1))
    }

    /// Whether this server hashes as this program does and has texts in UTF-8.
    async fn is_shared(&self, client: &Client) -> Result<bool, SeedError> {
        let text = "identität 0123456789 of a row";
        let sql = format!(
            "SELECT current_setting('server_encoding') = 'UTF8' AND hashtextextended('{text}' COLLATE \"C\", 7) = {} \
                AND hashint8extended(-77, 7) = {}",
            hash_bytes(text.as_bytes(), 7) as i64,
            hash_integer(-77, 7) as i64,
        );
        Ok(client.query_typed_one(&sql, &[]).await?.get(0))
    }
}

/// The parts of a fingerprint, one a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    spread: Spread,
    rows: i64,
    sums: Vec<i64>,
}

impl Parts {
    fn none(spread: &Spread) -> Parts {
        Parts { spread: spread.clone(), rows: 0, sums: vec![0; spread.count] }
    }

    /// Over the whole table.
    pub(crate) async fn whole(
        client: &Client,
        live: &LiveTable,
        spread: &Spread,
        columns: &[String],
    ) -> Result<Parts, SeedError> {
        let mut parts = Parts::none(spread);
        let sql = grouped(spread, columns, &format!("{} t", live.quoted()));
        parts.add(&client.query_typed_one(&sql, &[]).await?);
        Ok(parts)
    }

    /// Over the rows of the fixture alone.
    pub(crate) async fn ours(
        client: &Client,
        live: &LiveTable,
        identity: &[Lane],
        spread: &Spread,
        columns: &[String],
        source: &RowSource,
    ) -> Result<Parts, SeedError> {
        let mut parts = Parts::none(spread);
        let sql = grouped(spread, columns, &fingerprint::ours_from(live, identity));
        for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
            let to = (from + KEY_CHUNK - 1).min(source.rows());
            let arrays = stage::arrays(source, identity, from..=to)?;
            parts.add(&client.query_one(&sql, &stage::params(&arrays)).await?);
        }
        Ok(parts)
    }

    fn add(&mut self, row: &Row) {
        self.rows += row.get::<_, i64>(0);
        let (buckets, sums): (Vec<i32>, Vec<i64>) = (row.get(1), row.get(2));
        for (bucket, sum) in buckets.iter().zip(sums) {
            if let Some(before) = self.sums.get_mut(*bucket as usize) {
                *before ^= sum;
            }
        }
    }

    /// The fingerprint that they are the parts of.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_parts(self.rows, self.sums.iter().fold(0, |all, sum| all ^ sum))
    }

    /// As they stand in the ledger: what they are parts of and how rows are spread, then the parts.
    pub(crate) fn written(&self, fingerprint: &str) -> Vec<u8> {
        let sums = self.sums.iter().flat_map(|sum| sum.to_be_bytes());
        heading(&self.spread, fingerprint).into_iter().chain(sums).collect()
    }

    /// Read back; `None` when they are not of this fingerprint, or rows were spread otherwise.
    fn read(spread: &Spread, fingerprint: &str, written: &[u8]) -> Option<Parts> {
        let (head, sums) = written.split_at_checked(8)?;
        let whole = head == heading(spread, fingerprint) && sums.len() == spread.count * 8;
        let sum = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).ok();
        let sums: Vec<i64> = whole.then(|| sums.chunks_exact(8).filter_map(sum).collect())?;
        let parts = Parts { spread: spread.clone(), rows: fingerprint::rows_of(fingerprint)?, sums };
        (parts.fingerprint().to_string() == fingerprint).then_some(parts)
    }
}

/// Ties parts to the fingerprint and the spread that they belong to.
fn heading(spread: &Spread, fingerprint: &str) -> [u8; 8] {
    column_key(0, fingerprint, &spread.sql("t")).to_be_bytes()
}

fn grouped(spread: &Spread, columns: &[String], from: &str) -> String {
    format!(
        "SELECT coalesce(sum(c), 0)::bigint, coalesce(array_agg(b), '{{}}'), coalesce(array_agg(x), '{{}}') \
         FROM (SELECT {} AS b, count(*) AS c, bit_xor({}) AS x FROM {from} GROUP BY 1) g",
        spread.sql("t"),
        fingerprint::row_hash(Way::Xor, columns),
    )
}

/// Rows that may have drifted: those of buckets that are not as recorded.
pub(crate) struct Suspects {
    recorded: Parts,
    differs: Vec<bool>,
    /// Rows in the whole table; `None` when rows of others are among them.
    there: Option<i64>,
    /// Nothing drifted.
    none: bool,
}

impl Suspects {
    /// `None` when the ledger has no parts of this fingerprint.
    pub(crate) async fn find(
        client: &Client,
        live: &LiveTable,
        identity: &[String],
        columns: &[String],
        source: &RowSource,
        (fingerprint, written, whole): (&str, &[u8], bool),
    ) -> Result<Option<Suspects>, SeedError> {
        let best = Way::best(client, live, columns, identity).await?;
        let spread = Spread::of(source, live, identity).filter(|_| best == Way::Xor);
        let Some(spread) = spread else { return Ok(None) };
        let Some(recorded) = Parts::read(&spread, fingerprint, written) else { return Ok(None) };
        if recorded.rows != source.rows() as i64 || !spread.is_shared(client).await? {
            return Ok(None);
        }
        let mut parts = None;
        if whole {
            let all = Parts::whole(client, live, &spread, columns).await?;
            parts = (all.rows <= recorded.rows).then_some(all);
        }
        let there = parts.as_ref().map(|parts| parts.rows);
        let parts = match parts {
            Some(parts) => parts,
            None => {
                let lanes = stage::lanes(source, live, identity)?;
                Parts::ours(client, live, &lanes, &spread, columns, source).await?
            }
        };
        let differs: Vec<bool> = recorded.sums.iter().zip(&parts.sums).map(|(a, b)| a != b).collect();
        let none = parts.rows == recorded.rows && !differs.contains(&true);
        Ok(Some(Suspects { recorded, differs, there, none }))
    }

    /// Whether the rows are as recorded: `Some(true)` when they are the whole table, `None` when they are not.
    pub(crate) fn same(&self) -> Option<bool> {
        self.none.then_some(self.there.is_some())
    }

    /// Whether it is worth while to stage these alone.
    pub(crate) fn are_few(&self) -> bool {
        self.differs.iter().filter(|differs| **differs).count() * 2 <= self.differs.len()
    }

    /// Their numbers. A row that cannot be made is one of them, so that making it tells why.
    pub(crate) fn rows<'a>(&'a self, source: &'a RowSource) -> impl Iterator<Item = u64> + Send + 'a {
        let spread = &self.recorded.spread;
        let order = source.order_for(&spread.lanes.iter().map(|lane| lane.index).collect::<Vec<_>>());
        let (mut cells, mut scratch) = (Vec::new(), Vec::new());
        (1..=source.rows()).filter(move |n| {
            if source.make(*n, &order, &mut cells).is_err() {
                return true;
            }
            spread.bucket(&cells, &mut scratch).map_or(true, |bucket| self.differs[bucket])
        })
    }

    /// Whether the staged rows, which these are, are in the table as they were recorded by now.
    pub(crate) async fn are_mended(
        &self,
        client: &Client,
        live: &LiveTable,
        identity: &[String],
        columns: &[String],
        staged: &str,
    ) -> Result<bool, SeedError> {
        let from = format!("{} t JOIN {staged} s ON {}", live.quoted(), same("t", "s", identity));
        let mut parts = Parts::none(&self.recorded.spread);
        parts.add(&client.query_typed_one(&grouped(&parts.spread, columns, &from), &[]).await?);
        let mut sums = self.recorded.sums.iter().zip(&parts.sums).zip(&self.differs);
        Ok(sums.all(|((recorded, now), differs)| !differs || recorded == now))
    }

    /// What was recorded, as it stands in the ledger.
    pub(crate) fn written(&self, fingerprint: &str) -> Vec<u8> {
        self.recorded.written(fingerprint)
    }

    /// Whether nothing but the fixture's rows is in the table once so many were made.
    pub(crate) fn are_alone(&self, inserted: u64) -> bool {
        self.there.is_some_and(|there| there + inserted as i64 == self.recorded.rows)
    }
}

/// An integer of two, four or eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

/// State of Bob Jenkins' hash lookup3, begun as Postgres begins it (`src/common/hashfn.c`).
struct Lookup3([u32; 3]);

impl Lookup3 {
    fn new(length: usize, seed: u64) -> Lookup3 {
        let start = 0x9e37_79b9u32.wrapping_add(length as u32).wrapping_add(3_923_095);
        let mut state = Lookup3([start; 3]);
        if seed != 0 {
            state.add(0, (seed >> 32) as u32);
            state.add(1, seed as u32);
            state.mix();
        }
        state
    }

    fn add(&mut self, at: usize, value: u32) {
        self.0[at] = self.0[at].wrapping_add(value);
    }

    fn mix(&mut self) {
        for (round, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
            let (one, two, three) = (round % 3, (round + 1) % 3, (round + 2) % 3);
            self.0[one] = self.0[one].wrapping_sub(self.0[three]) ^ self.0[three].rotate_left(turn);
            self.add(three, self.0[two]);
        }
    }

    fn end(mut self) -> u64 {
        for (round, turn) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
            let (one, other) = ((round + 2) % 3, (round + 1) % 3);
            self.0[one] = (self.0[one] ^ self.0[other]).wrapping_sub(self.0[other].rotate_left(turn));
        }
        u64::from(self.0[1]) << 32 | u64::from(self.0[2])
    }
}

/// `hashtextextended(… COLLATE "C", seed)` and `uuid_hash_extended(…, seed)` of a server whose integers are little-endian.
fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = Lookup3::new(bytes.len(), seed);
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        for (at, word) in block.chunks_exact(4).enumerate() {
            state.add(at, word.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)));
        }
        state.mix();
    }
    for (at, byte) in blocks.remainder().iter().enumerate() {
        // The lowest byte of the third word is left to the length.
        let shift = 8 * (if at < 8 { at % 4 } else { at - 7 });
        state.add(at / 4, u32::from(*byte) << shift);
    }
    state.end()
}

/// `hashint8extended(…, seed)`, which is that of smaller integers of the same value.
fn hash_integer(value: i64, seed: u64) -> u64 {
    let high = (value >> 32) as u32;
    let mut state = Lookup3::new(4, seed);
    state.add(0, value as u32 ^ if value < 0 { !high } else { high });
    state.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Postgres 15 on x86-64 answers; `tests/all/drift.rs` asks the server at hand.
    #[test]
    fn hashes_are_those_of_the_server() {
        for (text, seed, hash) in [
            ("", 0, -6939563903564495251),
            ("a", 0, 3591986179850072241),
            ("abc", 9, 434545019942361185),
            ("abcdefgh", 0, -8882191227074733005),
            ("abcdefghi", 0, -3278210106038014113),
            ("abcdefghijk", 1, 8196382510784792041),
            ("abcdefghijkl", 0, -7556637188122330412),
            ("mc-loadtest-00050", 0, -2386970824038146207),
            ("mc-loadtest-00050", 4294967299, -5059549624835933193),
            ("identität 0123456789 of a row", 7, -368962763767655893),
        ] {
            assert_eq!(hash_bytes(text.as_bytes(), seed) as i64, hash, "{text} {seed}");
        }
        for (value, seed, hash) in [
            (0, 0, 4154612158245552303),
            (1, 0, -3670598878359251130),
            (-1, 0, -1888257769727981238),
            (77, 12345678901, 1327021041925419313),
            (-9223372036854775807, 3, 2873767343842119473),
            (5000000000, 0, -5263616605311196344),
        ] {
            assert_eq!(hash_integer(value, seed) as i64, hash, "{value} {seed}");
        }
    }

    #[test]
    fn integers_of_any_size_keep_their_sign() {
        assert_eq!(integer(&(-2i16).to_be_bytes()), -2);
        assert_eq!(integer(&300i32.to_be_bytes()), 300);
        assert_eq!(integer(&i64::MIN.to_be_bytes()), i64::MIN);
    }
}
