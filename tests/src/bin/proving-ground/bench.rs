//! Endpoints that cost as little as a server can make them cost, and a few that behave on request.

use crate::failure::Failure;
use crate::input;
use crate::routes::Routes;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const MEBIBYTE: usize = 1 << 20;
static FILLER: [u8; MEBIBYTE] = [b'x'; MEBIBYTE];
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const MOST_DELAY_MS: u64 = 600_000;

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/static", async || filler(100));
    routes.get("/static/{n}", sized);
    routes.post("/items/{id}", async |_: Path<String>, _: Bytes| filler(100));
    routes.post("/echo", echo);
    routes.get("/status/{code}", status);
    routes.get("/delay/{ms}", delay);
    routes.get("/redirect", redirect);
}

/// Bytes that are never copied or counted anew.
fn filler(n: usize) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], Bytes::from_static(FILLER.get(..n).unwrap_or(&FILLER))).into_response()
}

async fn sized(Path(n): Path<usize>) -> Result<Response, Failure> {
    if n > MEBIBYTE {
        return Err(Failure::error(StatusCode::BAD_REQUEST, "at most 1048576 bytes"));
    }
    Ok(filler(n))
}

async fn echo(body: Bytes) -> Result<Json<Value>, Failure> {
    input::json(&body).map(Json)
}

async fn status(Path(code): Path<u16>) -> Response {
    match StatusCode::from_u16(code) {
        // HTTP forbids a body here, and a 1xx is not an answer.
        Ok(status @ (StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)) => {
            status.into_response()
        }
        Ok(status) if (200..600).contains(&code) => (status, Json(json!({ "status": code }))).into_response(),
        _ => Failure::error(StatusCode::BAD_REQUEST, "a status is 200 to 599").into_response(),
    }
}

async fn delay(Path(ms): Path<u64>) -> Result<Json<Value>, Failure> {
    if ms > MOST_DELAY_MS {
        return Err(Failure::error(StatusCode::BAD_REQUEST, "at most 600000 ms"));
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(Json(json!({ "delayed_ms": ms })))
}

#[derive(Deserialize)]
struct Redirect {
    to: String,
}

async fn redirect(Query(Redirect { to }): Query<Redirect>) -> Result<Response, Failure> {
    let location =
        HeaderValue::try_from(to).map_err(|_| Failure::error(StatusCode::BAD_REQUEST, "not a URL"))?;
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}
