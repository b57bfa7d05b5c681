//! Reading what clients send.

use crate::failure::Failure;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// A JSON body, whatever its content type says: 400 when it is not JSON, 422 when it is not what was asked for.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        Failure::error(status, error.to_string())
    })
}

/// As [`json`], as the chat backend answers: always 422.
pub(crate) fn chat_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| unprocessable(error.to_string()))
}

/// The chat backend's word for input that it does not take.
pub(crate) fn unprocessable(message: impl Into<String>) -> Failure {
    Failure::detail(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// How many rows a list shows: 50 unless asked, 500 at most.
pub(crate) fn page_limit(asked: Option<i64>) -> Result<i64, Failure> {
    match asked.unwrap_or(50) {
        limit @ 1..=500 => Ok(limit),
        _ => Err(Failure::error(StatusCode::UNPROCESSABLE_ENTITY, "limit must be 1 to 500")),
    }
}
