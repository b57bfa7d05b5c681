//! Who this server is and whether its database answers.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::routes::Routes;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::PoisonError;

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/api/health", health);
    routes.get("/api/v1/health", health);
}

async fn health(State(ground): State<Shared>) -> Result<Json<Value>, Failure> {
    let mut body = json!({
        "status": "ok",
        "service": "proving-ground",
        "instance": ground.instance,
        "database": null,
        "migrations": null,
    });
    if let Some(name) = ground.app_env.read().unwrap_or_else(PoisonError::into_inner).clone() {
        body["app_env"] = Value::from(name);
    }
    let Some(pool) = ground.database() else {
        return Ok(Json(body));
    };
    let sql = "select current_database()::text, (select max(version) from schema_migrations)";
    match pool.query_one(sql, &[]).await {
        Ok(row) => {
            body["database"] = Value::from(row.get::<_, String>(0));
            body["migrations"] = Value::from(row.get::<_, Option<i32>>(1));
            Ok(Json(body))
        }
        Err(_) => {
            body["status"] = Value::from("degraded");
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, body))
        }
    }
}
