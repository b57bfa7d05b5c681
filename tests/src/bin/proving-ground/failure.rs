//! Answers that are not successes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// A status and a JSON body.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    header: Option<(&'static str, String)>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, retry_after: None, header: None }
    }

    /// As the certificate manager says it.
    pub(crate) fn error(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, json!({ "error": message.into() }))
    }

    /// As the chat backend says it.
    pub(crate) fn detail(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, json!({ "detail": message.into() }))
    }

    /// Sends one more header.
    pub(crate) fn header(self, name: &'static str, value: String) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// Says when to come back, in whole seconds: rounded up, or the client would be too early.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = self.body.get("type").is_some();
        let mut response = (self.status, Json(self.body)).into_response();
        if problem {
            let value = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        if let Some((name, value)) = self.header
            && let Ok(value) = value.parse()
        {
            response.headers_mut().insert(name, value);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<tokio_postgres::Error> for Failure {
    /// A statement that Postgres refused is our fault; anything else means that there is no Postgres to ask.
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => {
                eprintln!("proving-ground: {refusal}");
                Self::error(StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            None => Self::error(StatusCode::SERVICE_UNAVAILABLE, "database unavailable"),
        }
    }
}
