//! Rows on their way to the server: COPY streams, and lists of identities as array parameters.

use crate::copy::{self, BINARY_HEADER, BINARY_TRAILER, Kind};
use crate::error::SeedError;
use crate::generators::Cell;
use crate::misfit::{Misfit, MisfitKind};
use crate::names::{self, array_element, ident};
use crate::progress::{Meter, Progress};
use crate::rows::RowSource;
use crate::schema::LiveTable;
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use std::pin::pin;
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// Name of the row-number column of temporary tables; no sane table has a column of that name.
pub(crate) const NUMBER: &str = "planc row number";
/// Rows in one COPY statement: the queue of after-row triggers of a larger one costs more than the statement saves.
const STATEMENT_ROWS: u64 = 100_000;
/// Bytes gathered before they are handed to the connection.
const CHUNK: usize = 128 << 10;
/// Rows whose identities go in one array parameter.
pub(crate) const KEY_CHUNK: u64 = 50_000;

/// One column on its way.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The lanes of some columns of a source, with the live table's types.
pub(crate) fn lanes(source: &RowSource, live: &LiveTable, names: &[String]) -> Result<Vec<Lane>, SeedError> {
    let lane = |name: &String| {
        let index = source.columns().iter().position(|column| column == name);
        match (index, live.column(name)) {
            (Some(index), Some(column)) => Ok(Lane { index, name: name.clone(), kind: column.kind.clone() }),
            _ => Err(SeedError::conflict(format!("column `{name}` is not in fixture and table alike"))),
        }
    };
    names.iter().map(lane).collect()
}

/// Where a COPY goes.
pub(crate) struct Target<'a> {
    /// Quoted table.
    pub(crate) table: &'a str,
    /// With the row number as first column.
    pub(crate) numbered: bool,
    /// The fixture's name in the plan, for messages.
    pub(crate) fixture: &'a str,
}

/// Copies rows; returns how many.
pub(crate) async fn copy_rows(
    client: &Client,
    target: &Target<'_>,
    source: &RowSource,
    lanes: &[Lane],
    rows: &mut dyn Iterator<Item = u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, SeedError> {
    let binary = lanes.iter().all(|lane| lane.kind.is_binary());
    let mut names: Vec<&str> = lanes.iter().map(|lane| lane.name.as_str()).collect();
    if target.numbered {
        names.insert(0, NUMBER);
    }
    let format = if binary { "binary" } else { "text" };
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT {format})", target.table, names::list("", &names));
    let mut encoder = Encoder::new(target, source, lanes, binary)?;
    let mut rows = rows.peekable();
    let meter = Meter::new(target.fixture, source.rows(), 0);
    let mut done = 0;
    while rows.peek().is_some() {
        let sink = client.copy_in::<_, Bytes>(&sql).await?;
        let mut sink = pin!(sink);
        encoder.start();
        for n in rows.by_ref().take(STATEMENT_ROWS as usize) {
            encoder.row(n)?;
            done += 1;
            if encoder.buffer.len() >= CHUNK {
                sink.send(encoder.take()).await?;
                progress(meter.at(done));
            }
        }
        encoder.end();
        sink.send(encoder.take()).await?;
        sink.finish().await?;
    }
    progress(meter.at(done));
    Ok(done)
}

/// Turns rows into a COPY stream.
pub(crate) struct Encoder<'a> {
    target: &'a Target<'a>,
    source: &'a RowSource,
    lanes: &'a [Lane],
    /// Bytes of columns that are the same in every row.
    constants: Vec<Option<Vec<u8>>>,
    order: Vec<usize>,
    binary: bool,
    cells: Vec<Cell>,
    scratch: Vec<u8>,
    pub(crate) buffer: Vec<u8>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(
        target: &'a Target<'a>,
        source: &'a RowSource,
        lanes: &'a [Lane],
        binary: bool,
    ) -> Result<Self, SeedError> {
        let varies = |index: &usize| source.constant(*index).is_none();
        let wanted: Vec<usize> = lanes.iter().map(|lane| lane.index).filter(varies).collect();
        let mut encoder = Encoder {
            target,
            source,
            lanes,
            constants: Vec::new(),
            order: source.order_for(&wanted),
            binary,
            cells: Vec::new(),
            scratch: Vec::new(),
            buffer: Vec::with_capacity(CHUNK + 4096),
        };
        for lane in lanes {
            let constant = match source.constant(lane.index) {
                Some(cell) => Some(encoder.encoded(lane, cell, 1)?),
                None => None,
            };
            encoder.constants.push(constant);
        }
        Ok(encoder)
    }

    fn encoded(&mut self, lane: &Lane, cell: &Cell, n: u64) -> Result<Vec<u8>, SeedError> {
        let mut out = Vec::new();
        field(lane, cell, self.binary, &mut out, &mut self.scratch)
            .map_err(|message| misfit(self.target.fixture, lane, n, &message))?;
        Ok(out)
    }

    pub(crate) fn start(&mut self) {
        if self.binary {
            self.buffer.extend_from_slice(BINARY_HEADER);
        }
    }

    pub(crate) fn end(&mut self) {
        if self.binary {
            self.buffer.extend_from_slice(BINARY_TRAILER);
        }
    }

    pub(crate) fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + 4096)))
    }

    pub(crate) fn row(&mut self, n: u64) -> Result<(), SeedError> {
        self.source.make(n, &self.order, &mut self.cells)?;
        if self.binary {
            let count = self.lanes.len() as i16 + i16::from(self.target.numbered);
            self.buffer.extend_from_slice(&count.to_be_bytes());
            if self.target.numbered {
                self.buffer.extend_from_slice(&8i32.to_be_bytes());
                self.buffer.extend_from_slice(&n.to_be_bytes());
            }
        } else if self.target.numbered {
            self.buffer.extend_from_slice(n.to_string().as_bytes());
        }
        for (at, (lane, constant)) in self.lanes.iter().zip(&self.constants).enumerate() {
            if !self.binary && (at > 0 || self.target.numbered) {
                self.buffer.push(b'\t');
            }
            match constant {
                Some(bytes) => self.buffer.extend_from_slice(bytes),
                None => {
                    field(lane, &self.cells[lane.index], self.binary, &mut self.buffer, &mut self.scratch)
                        .map_err(|message| misfit(self.target.fixture, lane, n, &message))?
                }
            }
        }
        if !self.binary {
            self.buffer.push(b'\n');
        }
        Ok(())
    }
}

/// One field; in text format values of types that we know are checked all the same.
fn field(
    lane: &Lane,
    cell: &Cell,
    binary: bool,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), String> {
    if binary {
        return copy::binary(&lane.kind, cell, out);
    }
    if lane.kind.is_binary() {
        scratch.clear();
        copy::binary(&lane.kind, cell, scratch)?;
    }
    copy::copy_text(&lane.kind, cell, out);
    Ok(())
}

fn misfit(fixture: &str, lane: &Lane, n: u64, message: &str) -> SeedError {
    let misfit = Misfit::error(MisfitKind::ColumnMisfit, lane.name.as_str(), format!("row {n}: {message}"));
    SeedError::misfits(vec![Misfit { fixture: fixture.into(), ..misfit }])
}

/// A parameter in text form, whatever type the server infers for it.
#[derive(Debug)]
pub(crate) struct TextParam(pub(crate) Option<String>);

impl ToSql for TextParam {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// `unnest($1::text[]::"type"[] …) AS alias("a", "b")`: rows of a list of arrays. `types` are SQL type names.
pub(crate) fn unnest(types: &[&str], alias: &str, names: &[String]) -> String {
    let params: Vec<String> =
        types.iter().enumerate().map(|(at, name)| format!("${}::{name}[]", at + 1)).collect();
    format!("unnest({}) AS {alias}({})", params.join(", "), names::list("", names))
}

/// Array literals of some columns over some rows, one for each lane.
pub(crate) fn arrays(
    source: &RowSource,
    lanes: &[Lane],
    rows: impl Iterator<Item = u64>,
) -> Result<Vec<TextParam>, SeedError> {
    let wanted: Vec<usize> = lanes.iter().map(|lane| lane.index).collect();
    let order = source.order_for(&wanted);
    let mut texts = vec![String::from("{"); lanes.len()];
    let mut cells = Vec::new();
    for n in rows {
        source.make(n, &order, &mut cells)?;
        for (text, lane) in texts.iter_mut().zip(lanes) {
            if text.len() > 1 {
                text.push(',');
            }
            array_element(text, copy::text(&lane.kind, &cells[lane.index]).as_deref());
        }
    }
    Ok(texts.into_iter().map(|text| TextParam(Some(text + "}"))).collect())
}

/// The parameters as tokio-postgres wants them.
pub(crate) fn params(arrays: &[TextParam]) -> Vec<&(dyn ToSql + Sync)> {
    arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect()
}

/// Makes a temporary table like some columns of another, row number first, dropped at the end of the transaction.
pub(crate) async fn temporary(
    client: &Client,
    name: &str,
    like: &str,
    columns: &[String],
) -> Result<String, SeedError> {
    let quoted = format!("pg_temp.{}", ident(name));
    client
        .batch_execute(&format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT 0::bigint AS {}, {} FROM {like} WITH NO DATA",
            ident(name),
            ident(NUMBER),
            names::list("", columns),
        ))
        .await?;
    Ok(quoted)
}
