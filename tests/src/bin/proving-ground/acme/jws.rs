//! Signed requests (RFC 8555, 6.2 to 6.5): whose they are, and that they are fresh and for this URL.

use super::{problem, url_of};
use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::secrets::random;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};
use uuid::Uuid;

/// Nonces that are remembered: the oldest is forgotten first.
const MOST_NONCES: usize = 200_000;
const BODY_LIMIT: usize = 64 << 10;

/// Nonces given out and not used, and the keys of accounts that have signed.
#[derive(Default)]
pub(crate) struct Register {
    nonces: Mutex<Nonces>,
    keys: RwLock<HashMap<Uuid, [u8; 65]>>,
}

#[derive(Default)]
struct Nonces {
    unused: HashSet<String>,
    order: VecDeque<String>,
}

impl Register {
    /// A new nonce.
    pub(crate) fn nonce(&self) -> String {
        let nonce = random();
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.unused.insert(nonce.clone());
        nonces.order.push_back(nonce.clone());
        while nonces.order.len() > MOST_NONCES {
            let oldest = nonces.order.pop_front().unwrap_or_default();
            nonces.unused.remove(&oldest);
        }
        nonce
    }

    fn use_up(&self, nonce: &str) -> bool {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).unused.remove(nonce)
    }

    pub(crate) fn remember(&self, account: Uuid, point: [u8; 65]) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(account, point);
    }

    fn key(&self, account: Uuid) -> Option<[u8; 65]> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&account).copied()
    }
}

/// Who signed.
pub(crate) enum Signer {
    /// An account that is known.
    Account(Uuid),
    /// A key that stands in the request itself.
    Key(PublicKey),
}

/// A P-256 key as a client writes it.
#[derive(Deserialize)]
pub(crate) struct PublicKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

/// A request whose signature, nonce and URL are right.
pub(crate) struct Signed {
    pub(crate) signer: Signer,
    /// Empty for a POST-as-GET.
    pub(crate) payload: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    nonce: String,
    url: String,
    kid: Option<String>,
    jwk: Option<PublicKey>,
}

impl PublicKey {
    /// The point, uncompressed.
    pub(crate) fn point(&self) -> Option<[u8; 65]> {
        let half = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 32);
        if self.kty != "EC" || self.crv != "P-256" {
            return None;
        }
        [vec![4], half(&self.x)?, half(&self.y)?].concat().try_into().ok()
    }

    /// RFC 7638.
    pub(crate) fn thumbprint(&self) -> String {
        let canonical =
            format!(r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#, self.crv, self.kty, self.x, self.y);
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }
}

impl FromRequest<Shared> for Signed {
    type Rejection = Failure;

    async fn from_request(request: Request, ground: &Shared) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        if parts.headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/jose+json") {
            let what = "the body is not application/jose+json";
            return Err(refused(ground, StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", what));
        }
        let body = axum::body::to_bytes(body, BODY_LIMIT).await;
        let body = body.map_err(|_| malformed(ground, "the body cannot be read"))?;
        let url = url_of(ground, &parts.uri, &parts.headers, parts.uri.path());
        check(ground, &body, &url).await
    }
}

async fn check(ground: &Ground, body: &[u8], url: &str) -> Result<Signed, Failure> {
    let faults = ground.faults.certctl();
    let flat: Flattened = serde_json::from_slice(body).map_err(|e| malformed(ground, &e.to_string()))?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(ground, "no base64url"));
    let protected: Protected = serde_json::from_slice(&decode(&flat.protected)?)
        .map_err(|e| malformed(ground, &format!("protected: {e}")))?;
    if protected.alg != "ES256" {
        return Err(refused(
            ground,
            StatusCode::BAD_REQUEST,
            "badSignatureAlgorithm",
            "ES256 is what we take",
        ));
    }
    let (signer, point) = match (protected.kid, protected.jwk) {
        (Some(kid), None) => {
            let (account, point) = account(ground, &kid).await?;
            (Signer::Account(account), point)
        }
        (None, Some(key)) => {
            let point = key.point().ok_or_else(|| {
                refused(ground, StatusCode::BAD_REQUEST, "badPublicKey", "this is no P-256 key")
            })?;
            (Signer::Key(key), point)
        }
        _ => return Err(malformed(ground, "either kid or jwk")),
    };
    let signed = format!("{}.{}", flat.protected, flat.payload);
    let signature = decode(&flat.signature)?;
    let holds = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature);
    if holds.is_err() && !faults.any_signature {
        return Err(malformed(ground, "the signature does not hold"));
    }
    if protected.url != url {
        let what = format!("signed for {}, sent to {url}", protected.url);
        return Err(refused(ground, StatusCode::UNAUTHORIZED, "unauthorized", &what));
    }
    if (!ground.acme.use_up(&protected.nonce) && !faults.any_nonce) || faults.no_nonce {
        let what = "the nonce was not given out, or is used";
        return Err(refused(ground, StatusCode::BAD_REQUEST, "badNonce", what));
    }
    Ok(Signed { signer, payload: decode(&flat.payload)? })
}

/// The account that a URL names, and its key.
async fn account(ground: &Ground, kid: &str) -> Result<(Uuid, [u8; 65]), Failure> {
    let unknown = || refused(ground, StatusCode::BAD_REQUEST, "accountDoesNotExist", "no such account");
    let id = kid.rsplit('/').next().and_then(|id| id.parse::<Uuid>().ok()).ok_or_else(unknown)?;
    if let Some(point) = ground.acme.key(id) {
        return Ok((id, point));
    }
    let sql = "select point from acme_accounts where id = $1";
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(unknown)?;
    let point: [u8; 65] = row.get::<_, Vec<u8>>(0).try_into().map_err(|_| unknown())?;
    ground.acme.remember(id, point);
    Ok((id, point))
}

impl Signed {
    /// The account that signed.
    pub(crate) fn account(&self, ground: &Ground) -> Result<Uuid, Failure> {
        match self.signer {
            Signer::Account(account) => Ok(account),
            Signer::Key(_) => Err(malformed(ground, "kid is needed here, not jwk")),
        }
    }

    /// What was sent.
    pub(crate) fn json(&self, ground: &Ground) -> Result<Value, Failure> {
        serde_json::from_slice(&self.payload).map_err(|e| malformed(ground, &format!("payload: {e}")))
    }
}

pub(crate) fn malformed(ground: &Ground, detail: &str) -> Failure {
    refused(ground, StatusCode::BAD_REQUEST, "malformed", detail)
}

/// Every refusal has a new nonce, so that the client can try again.
pub(crate) fn refused(ground: &Ground, status: StatusCode, kind: &str, detail: &str) -> Failure {
    problem(status, kind, detail, detail).header("replay-nonce", ground.acme.nonce())
}

/// The host that the client asked for.
pub(crate) fn host(uri: &axum::http::Uri, headers: &HeaderMap) -> String {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 says it in the URI.
    named.or_else(|| uri.authority().map(|it| it.as_str())).unwrap_or("localhost").to_owned()
}
