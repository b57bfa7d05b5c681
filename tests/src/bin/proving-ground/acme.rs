//! The part of ACME (RFC 8555) and of its renewal information (RFC 9773) that needs no account.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::routes::Routes;
use crate::secrets::random;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::Instant;

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/acme/profile/{profile}/directory", directory);
    routes.head("/acme/profile/{profile}/new-nonce", async || nonce(StatusCode::OK));
    routes.get("/acme/profile/{profile}/new-nonce", async || nonce(StatusCode::NO_CONTENT));
    routes.get("/acme/profile/{profile}/renewal-info/{cert_id}", renewal_info);
}

/// The URLs are on the host that the client asked for.
async fn directory(Path(profile): Path<String>, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 says it in the URI.
    let host = named.or_else(|| uri.authority().map(|it| it.as_str())).unwrap_or("localhost");
    let url = |name: &str| format!("http://{host}/acme/profile/{profile}/{name}");
    Json(json!({
        "newNonce": url("new-nonce"),
        "newAccount": url("new-account"),
        "newOrder": url("new-order"),
        "revokeCert": url("revoke-cert"),
        "keyChange": url("key-change"),
        "renewalInfo": url("renewal-info"),
        "meta": { "termsOfService": format!("http://{host}/terms"), "externalAccountRequired": false },
    }))
}

fn nonce(status: StatusCode) -> impl IntoResponse {
    (status, [("replay-nonce", random()), ("cache-control", "no-store".to_owned())])
}

/// The last third of a certificate's life, for the first quarter of that third.
async fn renewal_info(
    State(ground): State<Shared>,
    Path((_, id)): Path<(String, String)>,
) -> Result<impl IntoResponse, Failure> {
    if let Some(bucket) = &ground.renewal_info {
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        taken.map_err(|time| {
            problem(
                StatusCode::TOO_MANY_REQUESTS,
                "rateLimited",
                "Too many requests",
                "renewal-info is limited",
            )
            .retry_after(time)
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
