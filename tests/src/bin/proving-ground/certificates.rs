//! Certificates: reading them, and renewing many at once.

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
use uuid::Uuid;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/v1/certificates/bulk-renew", bulk_renew);
    routes.get("/api/v1/certificates", list);
    routes.get("/api/v1/certificates/{id}", one);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkRenewal {
    criteria: Criteria,
    #[serde(default = "fifty")]
    limit: i64,
    #[serde(default)]
    dry_run: bool,
}

/// Which certificates; all that are given must hold. A misspelt one must not widen the match.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Criteria {
    name_prefix: Option<String>,
    status: Option<String>,
    team_id: Option<String>,
    expires_within_days: Option<i32>,
}

const fn fifty() -> i64 {
    50
}

impl BulkRenewal {
    fn check(&self) -> Result<(), Failure> {
        let Criteria { name_prefix, status, team_id, expires_within_days } = &self.criteria;
        let empty =
            name_prefix.is_none() && status.is_none() && team_id.is_none() && expires_within_days.is_none();
        let problem = if empty {
            "criteria must not be empty"
        } else if !(1..=10_000).contains(&self.limit) {
            "limit must be 1 to 10000"
        } else if expires_within_days.is_some_and(|days| !(0..=36_500).contains(&days)) {
            "expires_within_days must be 0 to 36500"
        } else {
            return Ok(());
        };
        Err(Failure::error(StatusCode::UNPROCESSABLE_ENTITY, problem))
    }
}

/// One statement, so that what is counted is what was queued. The limit is spent on certificates that are not
/// queued yet, soonest to expire first: calling again goes on where the last call ended. Two calls at the same
/// time may choose the same ones; the unique index lets the first have them, and the second skips them.
const ENQUEUE: &str = "
    with matched as materialized (
        select c.id, c.expires_at, j.id is not null as queued
        from managed_certificates c
        left join renewal_jobs j on j.certificate_id = c.id and j.status = 'Queued'
        where ($1::text is null or starts_with(c.name, $1))
          and ($2::text is null or c.status = $2)
          and ($3::text is null or c.team_id = $3)
          and ($4::int is null or c.expires_at <= now() + make_interval(days => $4))
    ), chosen as materialized (
        select id from matched where not queued order by expires_at, id limit $5
    ), enqueued as (
        insert into renewal_jobs (certificate_id, batch, requested_by)
        select id, $6, $7 from chosen where not $8
        on conflict (certificate_id) where status = 'Queued' do nothing
        returning 1
    ), audited as (
        insert into audit_log (actor, action, details)
        select $7, 'certificates.bulk_renew', jsonb_build_object('batch', $6::uuid, 'enqueued', (select count(*) from enqueued))
        where not $8
    )
    select (select count(*) from matched),
           (select count(*) from enqueued),
           (select count(*) from matched where queued)
               + case when $8 then 0 else (select count(*) from chosen) - (select count(*) from enqueued) end";

async fn bulk_renew(
    bearer: Bearer,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Failure> {
    bearer.require("certificates.renew")?;
    let order: BulkRenewal = input::json(&body)?;
    order.check()?;
    let batch = Uuid::new_v4();
    let most = ground.faults.certctl().renew_at_most;
    let limit = if most > 0 { order.limit.min(most) } else { order.limit };
    let Criteria { name_prefix, status, team_id, expires_within_days } = &order.criteria;
    let row = ground
        .pool()?
        .query_one(
            ENQUEUE,
            &[
                name_prefix,
                status,
                team_id,
                expires_within_days,
                &limit,
                &batch,
                &bearer.name(),
                &order.dry_run,
            ],
        )
        .await?;
    let [matched, enqueued, skipped] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
    let answer = json!({
        "total_matched": matched,
        "total_enqueued": enqueued,
        "total_skipped": skipped,
        "errors": [],
        "job_batch": (!order.dry_run).then_some(batch),
    });
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

#[derive(Deserialize)]
struct Page {
    status: Option<String>,
    limit: Option<i64>,
}

async fn list(
    bearer: Bearer,
    State(ground): State<Shared>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    bearer.require("certificates.read")?;
    let limit = input::page_limit(page.limit)?;
    let sql = "select to_jsonb(c) from managed_certificates c
               where ($1::text is null or status = $1) order by expires_at, id limit $2";
    let rows = ground.pool()?.query(sql, &[&page.status, &limit]).await?;
    let certificates: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "certificates": certificates })))
}

async fn one(
    bearer: Bearer,
    State(ground): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    bearer.require("certificates.read")?;
    let sql = "select to_jsonb(c) from managed_certificates c where id = $1";
    let unknown = || Failure::error(StatusCode::NOT_FOUND, "no such certificate");
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(unknown)?;
    Ok(Json(row.get(0)))
}
