//! Issuing and revoking tokens, for whoever has the admin key.

use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::inbound::RESOURCES;
use crate::routes::Routes;
use crate::secrets::{digest, random};
use crate::tokens::SCOPES;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{StatusCode, request::Parts};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

const TEN_YEARS: i64 = 10 * 366 * 86_400;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/admin/tokens", issue);
    routes.delete("/api/admin/tokens/{id}", revoke);
    routes.get("/api/admin/source-systems/{name}", source_system);
}

/// Proof that the request carries the admin key.
struct Admin;

impl FromRequestParts<Shared> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ground: &Shared) -> Result<Self, Failure> {
        let given = parts.headers.get("x-admin-key").map(|value| value.as_bytes());
        let key = ground.admin_key.as_deref().map(str::as_bytes);
        let allowed = key.is_some() && key == given;
        allowed.then_some(Self).ok_or_else(|| Failure::error(StatusCode::FORBIDDEN, "forbidden"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    scopes: Vec<String>,
    source_system: Option<String>,
    #[serde(default)]
    inbound_resources: Vec<String>,
    #[serde(default)]
    mapping_override: bool,
    ttl_seconds: Option<i64>,
}

impl Order {
    fn check(&self) -> Result<(), Failure> {
        let unknown = self.scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str()));
        let stranger = self.inbound_resources.iter().find(|it| !RESOURCES.contains(&it.as_str()));
        let problem = if self.name.is_empty() {
            "name must not be empty".to_owned()
        } else if self.scopes.is_empty() {
            "scopes must not be empty".to_owned()
        } else if let Some(unknown) = unknown {
            format!("unknown scope: {unknown}")
        } else if let Some(stranger) = stranger {
            format!("unknown inbound resource: {stranger}")
        } else if self.ttl_seconds.is_some_and(|ttl| !(1..=TEN_YEARS).contains(&ttl)) {
            format!("ttl_seconds must be 1 to {TEN_YEARS}")
        } else {
            return Ok(());
        };
        Err(unprocessable(problem))
    }
}

/// The only time that the token itself is told.
async fn issue(_: Admin, State(ground): State<Shared>, body: Bytes) -> Result<impl IntoResponse, Failure> {
    let order: Order = serde_json::from_slice(&body).map_err(|e| unprocessable(e.to_string()))?;
    order.check()?;
    let pool = ground.pool()?;
    if let Some(system) = &order.source_system
        && !is_listed(&ground, system).await?
    {
        return Err(unprocessable(format!("source system not on the allowlist: {system}")));
    }
    let (id, token) = (Uuid::new_v4(), random());
    let sql =
        "insert into api_tokens (id, token_hash, name, scopes, source_system, inbound_resources, mapping_override, expires_at)
               values ($1, $2, $3, $4, $5, $6, $7, now() + $8::bigint * interval '1 second')";
    let hash = digest(&ground.token_pepper, &token);
    let Order { name, scopes, source_system, inbound_resources, mapping_override, ttl_seconds } = &order;
    pool.execute(
        sql,
        &[&id, &hash, name, scopes, source_system, inbound_resources, mapping_override, ttl_seconds],
    )
    .await?;
    let answer = json!({ "id": id, "token": token, "scopes": scopes, "expires_in": ttl_seconds });
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn revoke(
    _: Admin,
    State(ground): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let unknown = || Failure::error(StatusCode::NOT_FOUND, "no such token");
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    let gone = ground.pool()?.execute("delete from api_tokens where id = $1", &[&id]).await?;
    ground.tokens.clear();
    if gone == 0 { Err(unknown()) } else { Ok(StatusCode::NO_CONTENT) }
}

async fn source_system(
    _: Admin,
    State(ground): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Failure> {
    if !is_listed(&ground, &name).await? {
        return Err(Failure::error(StatusCode::NOT_FOUND, "no such source system"));
    }
    Ok(Json(json!({ "source_system": name })))
}

pub(crate) async fn is_listed(ground: &Ground, name: &String) -> Result<bool, Failure> {
    let sql = "select 1 from inbound_source_systems_allowlist where source_system = $1";
    Ok(ground.pool()?.query_opt(sql, &[name]).await?.is_some())
}

fn unprocessable(problem: String) -> Failure {
    Failure::error(StatusCode::UNPROCESSABLE_ENTITY, problem)
}
