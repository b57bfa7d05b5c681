//! Inbound documents: what an ERP pushes, mapped by its mapping document, stored once and audited.

use crate::admin::is_listed;
use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::mapping::Mapped;
use crate::routes::Routes;
use crate::tokens::Bearer;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

/// Every resource that can be pushed.
pub(crate) const RESOURCES: [&str; 5] = ["sales_orders", "items", "customers", "vendors", "purchase_orders"];

/// The canonical model that answers speak of.
const MODEL: [(&str, &str); 1] = [("x-canonical-model", "v1")];
/// The longest body that is read.
const BODY_CAP: usize = 256 << 10;

pub(crate) fn routes(routes: &mut Routes) {
    for resource in RESOURCES {
        let push = async move |bearer, ground, body| push(resource, bearer, ground, body).await;
        routes.post(&format!("/api/v1/inbound/{resource}"), push);
    }
}

/// Whether pushes of a source system can be taken at all; a server that could not has no use.
///
/// # Errors
/// What is missing, for whoever starts the server.
pub(crate) async fn require(ground: &Ground, system: &String) -> Result<(), String> {
    if !ground.mappings.contains_key(system) {
        return Err(format!("no mapping document for SOURCE_SYSTEM {system}"));
    }
    match is_listed(ground, system).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("SOURCE_SYSTEM {system} is not in inbound_source_systems_allowlist")),
        Err(_) => Err("the allow-list of source systems cannot be read".to_owned()),
    }
}

/// What every resource's body has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    external_id: String,
    external_version: i64,
    source_payload: Value,
    /// Understood, so that it can be refused by name.
    mapping_overrides: Option<Value>,
}

async fn push(
    resource: &'static str,
    bearer: Bearer,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<impl IntoResponse, Failure> {
    bearer.require("inbound.write")?;
    let system = bearer.source_for(resource)?;
    let envelope = read(&body)?;
    let mapping = ground.mappings.get(system).ok_or_else(|| {
        let told = format!("no mapping document for {system}");
        refused(StatusCode::SERVICE_UNAVAILABLE, "no_mapping", &told)
    })?;
    let Mapped { key, canonical } = mapping
        .apply(resource, &envelope.source_payload)
        .map_err(|why| refused(StatusCode::UNPROCESSABLE_ENTITY, "mapping_failed", &why))?;
    let Envelope { external_id, external_version, source_payload, .. } = &envelope;
    let sql = "select outcome, id, current from inbound_push($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let fork = ground.faults.spec().is_some_and(|spec| spec.chain_fork);
    let row = ground
        .pool()?
        .query_one(
            sql,
            &[
                &resource,
                &system,
                external_id,
                &key,
                external_version,
                &canonical,
                source_payload,
                &bearer.name(),
                &fork,
            ],
        )
        .await?;
    let (outcome, id, current): (&str, Option<i64>, Option<i64>) = (row.get(0), row.get(1), row.get(2));
    let status = match outcome {
        "created" => StatusCode::CREATED,
        "updated" | "unchanged" => StatusCode::OK,
        kind => {
            let kind =
                if ground.faults.spec().is_some_and(|spec| spec.conflict_kind) { "conflict" } else { kind };
            let told = json!({ "error_kind": kind, "external_id": external_id, "current_version": current });
            return Ok((StatusCode::CONFLICT, MODEL, Json(told)));
        }
    };
    let told = json!({ "id": id, "external_id": external_id, "status": outcome, "version": current });
    Ok((status, MODEL, Json(told)))
}

fn read(body: &[u8]) -> Result<Envelope, Failure> {
    if body.len() > BODY_CAP {
        let told = format!("a body has at most {BODY_CAP} bytes");
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &told));
    }
    let wrong = |told: &str| refused(StatusCode::UNPROCESSABLE_ENTITY, "validation", told);
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    if envelope.mapping_overrides.is_some() {
        let told = "mapping_overrides are not taken";
        return Err(refused(StatusCode::FORBIDDEN, "mapping_overrides_refused", told));
    }
    if envelope.external_id.is_empty() || envelope.external_id.len() > 200 {
        return Err(wrong("external_id must be 1 to 200 bytes"));
    }
    if envelope.external_version < 1 {
        return Err(wrong("external_version must be 1 or more"));
    }
    Ok(envelope)
}

/// As the inbound endpoints say it: a kind for programs, a sentence for people.
fn refused(status: StatusCode, kind: &str, told: &str) -> Failure {
    Failure::new(status, json!({ "error_kind": kind, "error": told }))
}
