//! The music platform: uploads in chunks, streams in segments, search, a shop.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::input;
use crate::routes::Routes;
use crate::tokens::Bearer;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Four seconds at 256 kbit/s.
const SEGMENT: usize = 128 << 10;
const SEGMENT_SECONDS: i32 = 4;
static SOUND: [u8; SEGMENT] = [0x47; SEGMENT];
const QUALITIES: [(&str, u32); 3] = [("128k", 128_000), ("256k", 256_000), ("320k", 320_000)];
const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const MPEG_TS: HeaderValue = HeaderValue::from_static("video/mp2t");
/// How long a track is believed to be there: players ask for the next segment of the same one.
const BELIEVED: Duration = Duration::from_secs(3);
/// Beyond this all are forgotten, not searched for what is old.
const KNOWN: usize = 10_000;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/v1/tracks/upload/initiate", initiate);
    routes.post("/api/v1/tracks/upload/chunk", chunk);
    routes.get("/api/v1/tracks/{id}/hls/master.m3u8", master);
    routes.get("/api/v1/tracks/{id}/hls/{quality}/playlist.m3u8", playlist);
    routes.get("/api/v1/tracks/{id}/hls/{quality}/{segment}", segment);
    routes.get("/api/v1/search", search);
    routes.get("/api/v1/tracks", list);
    routes.get("/api/v1/tracks/{id}", one);
    routes.get("/api/v1/marketplace/products", products);
    routes.post("/api/v1/marketplace/orders", order);
}

/// Lengths of the public tracks that were asked for in the last seconds.
#[derive(Default)]
pub(crate) struct TrackCache(Mutex<HashMap<Uuid, (i32, Instant)>>);

impl TrackCache {
    fn get(&self, id: Uuid) -> Option<i32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).filter(|(_, since)| since.elapsed() < BELIEVED).map(|(seconds, _)| *seconds)
    }

    fn put(&self, id: Uuid, seconds: i32) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(id, (seconds, Instant::now()));
    }
}

#[derive(Deserialize)]
struct Initiate {
    filename: String,
    total_chunks: i32,
    total_size: i64,
}

async fn initiate(
    bearer: Bearer,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Failure> {
    bearer.require("tracks.upload")?;
    let Initiate { filename, total_chunks, total_size } = input::json(&body)?;
    if !(1..=10_000).contains(&total_chunks) || total_size < 1 || filename.is_empty() {
        return Err(Failure::error(
            StatusCode::BAD_REQUEST,
            "total_chunks, total_size and filename must be sane",
        ));
    }
    let id = Uuid::new_v4();
    let insert = "insert into track_uploads (id, filename, total_chunks, total_size, owner)
                  values ($1, $2, $3, $4, $5)";
    let owner = bearer.name();
    ground.pool()?.execute(insert, &[&id, &filename, &total_chunks, &total_size, &owner]).await?;
    let data = json!({ "upload_id": id, "chunk_size": total_size / i64::from(total_chunks) });
    Ok((StatusCode::CREATED, Json(json!({ "data": data }))))
}

/// A chunk of an upload that nobody has begun is refused, whatever is in it.
async fn chunk(
    bearer: Bearer,
    State(ground): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Failure> {
    bearer.require("tracks.upload")?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let unknown = || Failure::error(StatusCode::NOT_FOUND, "no such upload");
    let id: Uuid = header("x-upload-id").and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
    let number: i32 = header("x-chunk-number")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Failure::error(StatusCode::BAD_REQUEST, "X-Chunk-Number must be a number"))?;
    if body.is_empty() {
        return Err(Failure::error(StatusCode::BAD_REQUEST, "an empty chunk"));
    }
    let size = i32::try_from(body.len()).unwrap_or(i32::MAX);
    let pool = ground.pool()?;
    let insert = "insert into track_chunks (upload_id, number, size)
                  select id, $2, $3 from track_uploads where id = $1 and $2 between 1 and total_chunks
                  on conflict (upload_id, number) do update set size = excluded.size";
    if pool.execute(insert, &[&id, &number, &size]).await? == 1 {
        return Ok(Json(json!({ "data": { "upload_id": id, "chunk": number, "received": size } })));
    }
    let begun = pool.query_opt("select 1 from track_uploads where id = $1", &[&id]).await?;
    Err(match begun {
        Some(_) => Failure::error(StatusCode::BAD_REQUEST, "no such chunk in this upload"),
        None => unknown(),
    })
}

/// The length of a public track.
async fn seconds(ground: &Shared, id: &str) -> Result<i32, Failure> {
    let id: Uuid = id.parse().map_err(|_| no_track())?;
    if let Some(seconds) = ground.tracks.get(id) {
        return Ok(seconds);
    }
    let sql = "select seconds from tracks where id = $1 and public";
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(no_track)?;
    let seconds = row.get(0);
    ground.tracks.put(id, seconds);
    Ok(seconds)
}

async fn master(State(ground): State<Shared>, Path(id): Path<String>) -> Result<Response, Failure> {
    seconds(&ground, &id).await?;
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:3\n");
    for (name, bandwidth) in QUALITIES {
        text.push_str(&format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n{name}/playlist.m3u8\n"));
    }
    Ok(([(header::CONTENT_TYPE, PLAYLIST)], text).into_response())
}

async fn playlist(
    State(ground): State<Shared>,
    Path((id, quality)): Path<(String, String)>,
) -> Result<Response, Failure> {
    known_quality(&quality)?;
    let segments = segments(seconds(&ground, &id).await?);
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n");
    for number in 0..segments {
        text.push_str(&format!("#EXTINF:{SEGMENT_SECONDS}.0,\nsegment-{number}.ts\n"));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    Ok(([(header::CONTENT_TYPE, PLAYLIST)], text).into_response())
}

/// Bytes that are never copied or counted anew.
async fn segment(
    State(ground): State<Shared>,
    Path((id, quality, name)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    known_quality(&quality)?;
    let segments = segments(seconds(&ground, &id).await?);
    let number = name.strip_prefix("segment-").and_then(|name| name.strip_suffix(".ts"));
    let number: Option<i32> = number.and_then(|number| number.parse().ok());
    number
        .filter(|number| (0..segments).contains(number))
        .ok_or_else(|| Failure::error(StatusCode::NOT_FOUND, "no such segment"))?;
    Ok(([(header::CONTENT_TYPE, MPEG_TS)], Bytes::from_static(&SOUND)).into_response())
}

fn segments(seconds: i32) -> i32 {
    (seconds + SEGMENT_SECONDS - 1) / SEGMENT_SECONDS
}

fn known_quality(quality: &str) -> Result<(), Failure> {
    match QUALITIES.iter().any(|(name, _)| *name == quality) {
        true => Ok(()),
        false => Err(Failure::error(StatusCode::NOT_FOUND, "no such quality")),
    }
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

const FOUND: &str = "select jsonb_build_object('id', id, 'title', title, 'artist', artist, 'genre', genre, 'seconds', seconds)
                     from tracks where public and genre = $1 order by created_at desc limit 20";

async fn search(
    bearer: Bearer,
    State(ground): State<Shared>,
    Query(Search { q }): Query<Search>,
) -> Result<Json<Value>, Failure> {
    bearer.require("tracks.read")?;
    let rows = ground.pool()?.query(FOUND, &[&q]).await?;
    let tracks: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "query": q, "tracks": tracks })))
}

#[derive(Deserialize)]
struct Page {
    page: Option<i64>,
    limit: Option<i64>,
}

async fn list(
    bearer: Bearer,
    State(ground): State<Shared>,
    Query(Page { page, limit }): Query<Page>,
) -> Result<Json<Value>, Failure> {
    bearer.require("tracks.read")?;
    let (page, limit) = (page.unwrap_or(1).clamp(1, 10_000), input::page_limit(limit)?);
    let sql = "select jsonb_build_object('id', id, 'title', title, 'artist', artist, 'genre', genre, 'seconds', seconds)
               from tracks where public order by created_at desc limit $1 offset $2";
    let rows = ground.pool()?.query(sql, &[&limit, &((page - 1) * limit)]).await?;
    let tracks: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "page": page, "limit": limit, "tracks": tracks })))
}

async fn one(
    bearer: Bearer,
    State(ground): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    bearer.require("tracks.read")?;
    let id: Uuid = id.parse().map_err(|_| no_track())?;
    let sql = "select to_jsonb(t) from tracks t where id = $1 and public";
    let row = ground.pool()?.query_opt(sql, &[&id]).await?.ok_or_else(no_track)?;
    Ok(Json(row.get(0)))
}

async fn products(
    bearer: Bearer,
    State(ground): State<Shared>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    bearer.require("orders.write")?;
    let limit = input::page_limit(page.limit)?;
    let sql = "select to_jsonb(p) from products p order by created_at desc limit $1";
    let rows = ground.pool()?.query(sql, &[&limit]).await?;
    let products: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "products": products })))
}

#[derive(Deserialize)]
struct Order {
    product_id: Uuid,
    quantity: i32,
}

/// A product that there is not is a mistake of the client's: 400, after all that a real order goes through.
async fn order(
    bearer: Bearer,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Failure> {
    bearer.require("orders.write")?;
    let Order { product_id, quantity } = input::json(&body)?;
    if quantity < 1 {
        return Err(Failure::error(StatusCode::BAD_REQUEST, "quantity must be at least 1"));
    }
    let id = Uuid::new_v4();
    let insert = "insert into orders (id, product_id, quantity, buyer)
                  select $1, id, $3, $4 from products where id = $2";
    match ground.pool()?.execute(insert, &[&id, &product_id, &quantity, &bearer.name()]).await? {
        0 => Err(Failure::error(StatusCode::BAD_REQUEST, "unknown product")),
        _ => Ok((StatusCode::CREATED, Json(json!({ "id": id, "status": "pending" })))),
    }
}

fn no_track() -> Failure {
    Failure::error(StatusCode::NOT_FOUND, "no such track")
}
