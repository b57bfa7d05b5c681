//! ACME (RFC 8555) and its renewal information (RFC 9773): here what needs no account.

pub(crate) mod jws;
mod orders;

use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::routes::Routes;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::Instant;

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/acme/profile/{profile}/directory", directory);
    routes.head("/acme/profile/{profile}/new-nonce", async |State(it): State<Shared>| {
        nonce(&it, StatusCode::OK)
    });
    routes.get("/acme/profile/{profile}/new-nonce", async |State(it): State<Shared>| {
        nonce(&it, StatusCode::NO_CONTENT)
    });
    routes.get("/acme/profile/{profile}/renewal-info/{cert_id}", renewal_info);
    orders::routes(routes);
}

/// The URLs are on the host that the client asked for.
async fn directory(
    State(ground): State<Shared>,
    Path(profile): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Json<Value> {
    let url = |name: &str| url_of(&ground, &uri, &headers, &format!("/acme/profile/{profile}/{name}"));
    let terms = url_of(&ground, &uri, &headers, "/terms");
    Json(json!({
        "newNonce": url("new-nonce"),
        "newAccount": url("new-account"),
        "newOrder": url("new-order"),
        "revokeCert": url("revoke-cert"),
        "keyChange": url("key-change"),
        "renewalInfo": url("renewal-info"),
        "meta": { "termsOfService": terms, "externalAccountRequired": false },
    }))
}

fn nonce(ground: &Ground, status: StatusCode) -> impl IntoResponse + use<> {
    (status, [("replay-nonce", ground.acme.nonce()), ("cache-control", "no-store".to_owned())])
}

/// An absolute URL as the client would write it.
fn url_of(ground: &Ground, uri: &Uri, headers: &HeaderMap, path: &str) -> String {
    let scheme = if ground.secure { "https" } else { "http" };
    format!("{scheme}://{}{path}", jws::host(uri, headers))
}

/// The last third of a certificate's life, for the first quarter of that third.
async fn renewal_info(
    State(ground): State<Shared>,
    Path((_, id)): Path<(String, String)>,
) -> Result<impl IntoResponse, Failure> {
    if let Some(bucket) = &ground.renewal_info {
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        taken.map_err(|time| {
            let limited = if ground.faults.certctl().limit_shape {
                Failure::error(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded")
            } else {
                let what = "renewal-info is limited";
                problem(StatusCode::TOO_MANY_REQUESTS, "rateLimited", "Too many requests", what)
            };
            limited.retry_after(time)
        })?;
    }
    let sql = r#"
        select to_char(opens at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               to_char((opens + life / 12) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from (select expires_at - not_before as life, expires_at - (expires_at - not_before) / 3 as opens
              from managed_certificates where id = $1) as certificate"#;
    let unknown = || {
        problem(
            StatusCode::NOT_FOUND,
            "malformed",
            "Unknown certificate",
            "no certificate has this identifier",
        )
    };
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(unknown)?;
    let (start, end): (String, String) = (row.get(0), row.get(1));
    Ok(([(header::RETRY_AFTER, "21600")], Json(json!({ "suggestedWindow": { "start": start, "end": end } }))))
}

/// RFC 8555, 6.7.
fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Failure {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    Failure::new(status, json!({ "type": kind, "title": title, "detail": detail, "status": status.as_u16() }))
}
