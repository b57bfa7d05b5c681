//! The switches under `/_`: faults, counters, traces, the environment's name. Never counted, never broken.

use crate::failure::Failure;
use crate::faults::FaultSpec;
use crate::ground::{Shared, app_env};
use crate::input;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::PoisonError;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/_faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/_faults/log", get(async |State(ground): State<Shared>| Json(ground.faults.log())))
        .route("/_traces", get(async |State(ground): State<Shared>| Json(ground.traces.ids())))
        .route("/_stats", get(stats).delete(clear_stats))
        .route("/_times", get(async |State(ground): State<Shared>| Json(ground.stats.times())))
        .route("/_app_env", patch(set_app_env))
}

/// `{}` when nothing is in force.
async fn faults(State(ground): State<Shared>) -> Json<Value> {
    Json(ground.faults.spec().map_or_else(|| json!({}), |spec| json!(spec)))
}

async fn set_faults(State(ground): State<Shared>, body: Bytes) -> Result<impl IntoResponse, Failure> {
    let spec: FaultSpec = input::json(&body)?;
    spec.check().map_err(|problem| Failure::error(StatusCode::UNPROCESSABLE_ENTITY, problem))?;
    ground.faults.set(Some(spec.clone()));
    Ok(Json(spec))
}

async fn clear_faults(State(ground): State<Shared>) -> StatusCode {
    ground.faults.set(None);
    StatusCode::NO_CONTENT
}

async fn stats(State(ground): State<Shared>) -> Json<Value> {
    Json(ground.stats.to_json())
}

async fn clear_stats(State(ground): State<Shared>) -> StatusCode {
    ground.stats.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppEnv {
    app_env: String,
}

async fn set_app_env(State(ground): State<Shared>, body: Bytes) -> Result<Json<Value>, Failure> {
    let AppEnv { app_env: name } = input::json(&body)?;
    *ground.app_env.write().unwrap_or_else(PoisonError::into_inner) = app_env(&name);
    Ok(Json(json!({ "app_env": name })))
}
