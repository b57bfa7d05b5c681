//! The fleet: heartbeats, and reading what they left.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::input;
use crate::routes::Routes;
use crate::tokens::Bearer;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/v1/agents/{id}/heartbeat", heartbeat);
    routes.get("/api/v1/agents", list);
    routes.get("/api/v1/agents/{id}", one);
}

/// What an agent may tell of itself; what it leaves out stays.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Heartbeat {
    version: Option<String>,
    hostname: Option<String>,
    os: Option<String>,
    architecture: Option<String>,
}

async fn heartbeat(
    bearer: Bearer,
    State(ground): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Failure> {
    bearer.require("agents.heartbeat")?;
    let beat = if body.is_empty() { Heartbeat::default() } else { read(&body)? };
    let Heartbeat { version, hostname, os, architecture } = &beat;
    let pool = ground.pool()?;
    let update = "update agents set last_heartbeat_at = now(), heartbeat_count = heartbeat_count + 1, status = 'Online',
                      version = coalesce($2, version), hostname = coalesce($3, hostname),
                      os = coalesce($4, os), architecture = coalesce($5, architecture)
                  where id = $1 and status <> 'Retired'";
    if pool.execute(update, &[&id, version, hostname, os, architecture]).await? == 0 {
        let retired = pool.query_opt("select 1 from agents where id = $1", &[&id]).await?.is_some();
        return Err(if retired { Failure::error(StatusCode::GONE, "agent is retired") } else { unknown() });
    }
    Ok(Json(json!({ "id": id, "status": "Online", "next_heartbeat_seconds": 30 })))
}

/// An agent's body is 400 whatever is wrong with it.
fn read(body: &[u8]) -> Result<Heartbeat, Failure> {
    serde_json::from_slice(body).map_err(|e| Failure::error(StatusCode::BAD_REQUEST, e.to_string()))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<i64>,
    after: Option<String>,
}

async fn list(
    bearer: Bearer,
    State(ground): State<Shared>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    bearer.require("agents.read")?;
    let limit = input::page_limit(page.limit)?;
    let sql =
        "select id, to_jsonb(agents) from agents where ($1::text is null or id > $1) order by id limit $2";
    let rows = ground.pool()?.query(sql, &[&page.after, &limit]).await?;
    let full = rows.len() as i64 == limit;
    let next: Option<String> = rows.last().filter(|_| full).map(|row| row.get(0));
    let agents: Vec<Value> = rows.iter().map(|row| row.get(1)).collect();
    Ok(Json(json!({ "agents": agents, "next": next })))
}

async fn one(
    bearer: Bearer,
    State(ground): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    bearer.require("agents.read")?;
    let sql = "select to_jsonb(agents) from agents where id = $1";
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(unknown)?;
    Ok(Json(row.get(0)))
}

fn unknown() -> Failure {
    Failure::error(StatusCode::NOT_FOUND, "no such agent")
}
