//! Bearer tokens: who may call the certificate manager, and for what.

use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::routes::Routes;
use crate::secrets::digest;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::{StatusCode, header, request::Parts};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Every scope there is.
pub(crate) const SCOPES: [&str; 8] = [
    "agents.heartbeat",
    "agents.read",
    "certificates.read",
    "certificates.renew",
    "inbound.write",
    "orders.write",
    "tracks.read",
    "tracks.upload",
];

/// How long a token found in the database is believed without asking again.
const BELIEVED: Duration = Duration::from_secs(3);
/// Beyond this the cache is dropped, not searched for what is old.
const CACHED: usize = 10_000;

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/api/tokens/self", own);
}

/// What a token allows.
pub(crate) struct Token {
    name: String,
    scopes: Vec<String>,
    source_system: Option<String>,
    inbound_resources: Vec<String>,
    mapping_override: bool,
    expires: Option<Instant>,
}

/// The tokens seen in the last seconds, by their digest.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<String, (Arc<Token>, Instant)>>);

impl TokenCache {
    /// Forgets all, so that a revoked token is refused at once.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, hash: &str) -> Option<Arc<Token>> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash).filter(|(_, since)| since.elapsed() < BELIEVED).map(|(token, _)| Arc::clone(token))
    }

    fn put(&self, hash: String, token: &Arc<Token>) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(hash, (Arc::clone(token), Instant::now()));
    }
}

/// Stores `API_TOKEN`, with every scope.
pub(crate) async fn install_root(ground: &Ground, token: &str) -> Result<(), tokio_postgres::Error> {
    let Some(pool) = ground.database() else {
        return Ok(());
    };
    let sql = "insert into api_tokens (token_hash, name, scopes) values ($1, 'API_TOKEN', $2)
               on conflict (token_hash) do update set scopes = excluded.scopes, expires_at = null";
    pool.execute(sql, &[&digest(&ground.token_pepper, token), &SCOPES.as_slice()]).await.map(drop)
}

/// The token that a request carries.
pub(crate) struct Bearer(Arc<Token>);

impl Bearer {
    /// Refuses a token that was not given for this.
    pub(crate) fn require(&self, scope: &str) -> Result<(), Failure> {
        if self.0.scopes.iter().any(|it| it == scope) {
            return Ok(());
        }
        Err(Failure::new(StatusCode::FORBIDDEN, json!({ "error": "forbidden", "missing_scope": scope })))
    }

    /// The source system that may push this resource with the token.
    pub(crate) fn source_for(&self, resource: &str) -> Result<&str, Failure> {
        let forbidden = |told: &str| {
            Failure::new(StatusCode::FORBIDDEN, json!({ "error_kind": "resource_forbidden", "error": told }))
        };
        if !self.0.inbound_resources.iter().any(|it| it == resource) {
            return Err(forbidden(&format!("the token's inbound_resources lack {resource}")));
        }
        self.0.source_system.as_deref().ok_or_else(|| forbidden("the token has no source_system"))
    }

    /// Who asks.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }
}

impl FromRequestParts<Shared> for Bearer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ground: &Shared) -> Result<Self, Failure> {
        let unauthorized = || Failure::error(StatusCode::UNAUTHORIZED, "unauthorized");
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, secret) = value.and_then(|value| value.split_once(' ')).ok_or_else(unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthorized());
        }
        let hash = digest(&ground.token_pepper, secret.trim());
        let token = match ground.tokens.get(&hash) {
            Some(token) => token,
            None => {
                let token = Arc::new(find(ground, &hash).await?.ok_or_else(unauthorized)?);
                ground.tokens.put(hash, &token);
                token
            }
        };
        if token.expires.is_some_and(|expires| expires <= Instant::now()) {
            return Err(unauthorized());
        }
        Ok(Self(token))
    }
}

async fn find(ground: &Ground, hash: &String) -> Result<Option<Token>, Failure> {
    let sql = "select name, scopes, source_system, inbound_resources, mapping_override,
                      extract(epoch from expires_at - now())::float8
               from api_tokens where token_hash = $1";
    let row = ground.pool()?.query_opt(sql, &[hash]).await?;
    Ok(row.map(|row| Token {
        name: row.get(0),
        scopes: row.get(1),
        source_system: row.get(2),
        inbound_resources: row.get(3),
        mapping_override: row.get(4),
        expires: row.get::<_, Option<f64>>(5).and_then(expiry),
    }))
}

/// Past expiries are now; what is beyond all clocks is never.
fn expiry(seconds: f64) -> Option<Instant> {
    let left = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    Instant::now().checked_add(left)
}

async fn own(Bearer(token): Bearer) -> Json<Value> {
    let left = token.expires.map(|expires| expires.saturating_duration_since(Instant::now()).as_secs());
    Json(json!({
        "name": token.name,
        "scopes": token.scopes,
        "source_system": token.source_system,
        "inbound_resources": token.inbound_resources,
        "mapping_override": token.mapping_override,
        "expires_in": left,
    }))
}
