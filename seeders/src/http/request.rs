//! The requests of one row.

use super::PreparedRequest;
use super::secrets::Told;
use crate::body::{body_bytes, encode};
use crate::error::{ErrorKind, SeedError};
use crate::rows::{RowScope, RowSource};
use planc::eval;
use planc::expr::Scope;
use planc::graph::{Json, Request};
use std::collections::BTreeMap;

/// Fills in a request for row `n`. What the service told of the account is in scope beside its columns.
pub(super) fn prepare(
    source: &RowSource,
    request: &Request,
    n: u64,
    told: Option<&Told>,
) -> Result<PreparedRequest, SeedError> {
    let mut cells = Vec::new();
    source.fill(n, &mut cells)?;
    let scope = AccountScope { row: RowScope::new(source, n, &cells, 0), told };
    build(request, &scope).map_err(|why| SeedError::new(ErrorKind::Row, format!("row {n}: {why}")))
}

struct AccountScope<'a> {
    row: RowScope<'a>,
    told: Option<&'a Told>,
}

impl Scope for AccountScope<'_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        match (path, self.told.and_then(|told| told.get(path.first()?))) {
            ([_], Some(value)) => Some(value.clone()),
            _ => self.row.get(path),
        }
    }

    fn random(&self) -> u64 {
        self.row.random()
    }

    fn now_micros(&self) -> i64 {
        self.row.now_micros()
    }
}

fn build(request: &Request, scope: &dyn Scope) -> Result<PreparedRequest, String> {
    let text = |template| eval::render(template, scope).map_err(|e| e.0);
    let mut url = text(&request.url)?;
    for (at, (name, value)) in request.query.iter().enumerate() {
        let mark = if at == 0 && !url.contains('?') { '?' } else { '&' };
        url.push(mark);
        url.push_str(&format!("{}={}", encode(name), encode(&text(value)?)));
    }
    let mut headers = BTreeMap::new();
    let body = match &request.body {
        None => Vec::new(),
        Some(body) => {
            let (kind, bytes) = body_bytes(body, scope)?;
            headers.insert("content-type".to_string(), kind.into_owned());
            bytes
        }
    };
    for (name, value) in &request.headers {
        headers.insert(name.clone(), text(value)?);
    }
    Ok(PreparedRequest { method: request.method.clone(), url, headers, body, timeout: request.timeout })
}
