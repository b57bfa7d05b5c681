//! Accounts, orders, and the certificates that come of them. Every host name is authorised already: what is measured
//! is the server, and not who answers its challenges.

use super::jws::{Signed, Signer, malformed, refused};
use super::{problem, url_of};
use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::routes::Routes;
use crate::x509::Request;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

/// Far enough away for any test.
const EXPIRES: &str = "2049-12-31T23:59:59Z";
const MOST_NAMES: usize = 100;

pub(super) fn routes(routes: &mut Routes) {
    routes.post("/acme/profile/{profile}/new-account", new_account);
    routes.post("/acme/profile/{profile}/new-order", new_order);
    routes.post("/acme/profile/{profile}/order/{id}", order);
    routes.post("/acme/profile/{profile}/order/{id}/finalize", finalize);
    routes.post("/acme/profile/{profile}/authorization/{id}/{at}", authorization);
    routes.post("/acme/profile/{profile}/certificate/{id}", certificate);
}

/// Where a client finds the things of a profile.
struct Place<'g> {
    ground: &'g Ground,
    uri: &'g Uri,
    headers: &'g HeaderMap,
    profile: &'g str,
}

impl Place<'_> {
    fn url(&self, path: &str) -> String {
        url_of(self.ground, self.uri, self.headers, &format!("/acme/profile/{}/{path}", self.profile))
    }
}

async fn new_account(
    State(ground): State<Shared>,
    Path(profile): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Failure> {
    let Signer::Key(key) = &signed.signer else {
        return Err(malformed(&ground, "a new account is signed by its own key"));
    };
    let point = key.point().ok_or_else(|| malformed(&ground, "no P-256 key"))?;
    let wanted = signed.json(&ground)?;
    let contact = wanted.get("contact").cloned().unwrap_or_else(|| json!([]));
    // An account that is there keeps what it has.
    let sql = "insert into acme_accounts (thumbprint, point, contact) values ($1, $2, $3)
               on conflict (thumbprint) do update set thumbprint = excluded.thumbprint
               returning id, contact, xmax = 0";
    let row = ground.pool()?.query_one(sql, &[&key.thumbprint(), &point.as_slice(), &contact]).await?;
    let (id, contact, new): (Uuid, Value, bool) = (row.get(0), row.get(1), row.get(2));
    ground.acme.remember(id, point);
    let place = Place { ground: &ground, uri: &uri, headers: &headers, profile: &profile };
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let body = json!({ "status": "valid", "contact": contact, "orders": place.url(&format!("account/{id}/orders")) });
    Ok(answer(&ground, status, Some(place.url(&format!("account/{id}"))), Json(body)))
}

async fn new_order(
    State(ground): State<Shared>,
    Path(profile): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Failure> {
    let account = signed.account(&ground)?;
    let wanted = signed.json(&ground)?;
    let identifiers = &wanted["identifiers"];
    names(identifiers).ok_or_else(|| malformed(&ground, "identifiers: 1 to 100 host names"))?;
    let sql = "insert into acme_orders (account_id, identifiers) values ($1, $2) returning id";
    let id: Uuid = ground.pool()?.query_one(sql, &[&account, identifiers]).await?.get(0);
    let place = Place { ground: &ground, uri: &uri, headers: &headers, profile: &profile };
    let body = told(&place, id, identifiers, "ready");
    Ok(answer(&ground, StatusCode::CREATED, Some(place.url(&format!("order/{id}"))), Json(body)))
}

async fn order(
    State(ground): State<Shared>,
    Path((profile, id)): Path<(String, Uuid)>,
    uri: Uri,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Failure> {
    let (identifiers, status) = owned(&ground, &signed, id).await?;
    let place = Place { ground: &ground, uri: &uri, headers: &headers, profile: &profile };
    Ok(answer(&ground, StatusCode::OK, None, Json(told(&place, id, &identifiers, &status))))
}

async fn authorization(
    State(ground): State<Shared>,
    Path((_, id, at)): Path<(String, Uuid, usize)>,
    signed: Signed,
) -> Result<Response, Failure> {
    let (identifiers, _) = owned(&ground, &signed, id).await?;
    let identifier = identifiers.get(at).ok_or_else(|| unknown(&ground))?;
    let body = json!({ "status": "valid", "expires": EXPIRES, "identifier": identifier, "challenges": [] });
    Ok(answer(&ground, StatusCode::OK, None, Json(body)))
}

async fn finalize(
    State(ground): State<Shared>,
    Path((profile, id)): Path<(String, Uuid)>,
    uri: Uri,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Failure> {
    let (identifiers, _) = owned(&ground, &signed, id).await?;
    let bad = |what: &str| refused(&ground, StatusCode::BAD_REQUEST, "badCSR", what);
    let wanted = signed.json(&ground)?;
    let bytes = wanted["csr"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let bytes = bytes.ok_or_else(|| bad("csr: base64url is needed"))?;
    let request = Request::read(&bytes).ok_or_else(|| bad("no PKCS#10 that its own P-256 key signed"))?;
    let mut asked = request.names.clone();
    let mut ordered = names(&identifiers).unwrap_or_default();
    asked.sort_unstable();
    ordered.sort_unstable();
    if asked != ordered {
        return Err(bad("its names are not those that were ordered"));
    }
    let failed = |why: String| problem(StatusCode::INTERNAL_SERVER_ERROR, "serverInternal", "Internal", &why);
    let chain = ground.authority.issue(&request).map_err(failed)?;
    let sql = "update acme_orders set status = 'valid', certificate = $2 where id = $1 and status = 'ready'";
    if ground.pool()?.execute(sql, &[&id, &chain]).await? == 0 {
        return Err(refused(&ground, StatusCode::FORBIDDEN, "orderNotReady", "it is finalised already"));
    }
    let place = Place { ground: &ground, uri: &uri, headers: &headers, profile: &profile };
    Ok(answer(&ground, StatusCode::OK, None, Json(told(&place, id, &identifiers, "valid"))))
}

async fn certificate(
    State(ground): State<Shared>,
    Path((_, id)): Path<(String, Uuid)>,
    signed: Signed,
) -> Result<Response, Failure> {
    owned(&ground, &signed, id).await?;
    let sql = "select certificate from acme_orders where id = $1 and status = 'valid'";
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(|| unknown(&ground))?;
    let chain: String = row.get(0);
    Ok(answer(
        &ground,
        StatusCode::OK,
        None,
        ([(header::CONTENT_TYPE, "application/pem-certificate-chain")], chain),
    ))
}

/// The identifiers and the status of an order, when it is the signer's.
async fn owned(ground: &Ground, signed: &Signed, id: Uuid) -> Result<(Value, String), Failure> {
    let account = signed.account(ground)?;
    let sql = "select identifiers, status from acme_orders where id = $1 and account_id = $2";
    let row = ground.pool()?.query_opt(sql, &[&id, &account]).await?.ok_or_else(|| unknown(ground))?;
    Ok((row.get(0), row.get(1)))
}

fn unknown(ground: &Ground) -> Failure {
    refused(ground, StatusCode::NOT_FOUND, "malformed", "there is no such thing of this account")
}

/// The host names of an order.
fn names(identifiers: &Value) -> Option<Vec<String>> {
    let all = identifiers.as_array().filter(|all| (1..=MOST_NAMES).contains(&all.len()))?;
    let name = |one: &Value| {
        let text = one["value"].as_str().filter(|text| !text.is_empty() && text.len() <= 253);
        text.filter(|_| one["type"] == "dns").map(str::to_owned)
    };
    all.iter().map(name).collect()
}

fn told(place: &Place<'_>, id: Uuid, identifiers: &Value, status: &str) -> Value {
    let count = identifiers.as_array().map_or(0, Vec::len);
    let authorizations: Vec<String> =
        (0..count).map(|at| place.url(&format!("authorization/{id}/{at}"))).collect();
    let mut body = json!({
        "status": status,
        "expires": EXPIRES,
        "identifiers": identifiers,
        "authorizations": authorizations,
        "finalize": place.url(&format!("order/{id}/finalize")),
    });
    if status == "valid" {
        body["certificate"] = place.url(&format!("certificate/{id}")).into();
    }
    body
}

fn answer(
    ground: &Ground,
    status: StatusCode,
    location: Option<String>,
    body: impl IntoResponse,
) -> Response {
    let mut response =
        (status, [("replay-nonce", ground.acme.nonce()), ("cache-control", "no-store".into())], body)
            .into_response();
    if let Some(location) = location.and_then(|url| url.parse().ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
