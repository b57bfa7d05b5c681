//! Conversations with a mock language model.

use crate::accounts::SignedIn;
use crate::failure::Failure;
use crate::ground::Shared;
use crate::input;
use crate::routes::Routes;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

const LONGEST_TITLE: usize = 200;
const LONGEST_MESSAGE: usize = 8000;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/sessions", open);
    routes.get("/api/sessions", list);
    routes.post("/api/chat", chat);
}

#[derive(Default, Deserialize)]
struct NewSession {
    title: Option<String>,
}

async fn open(
    user: SignedIn,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<impl IntoResponse, Failure> {
    user.require_csrf()?;
    let wanted: NewSession = if body.is_empty() { NewSession::default() } else { input::chat_json(&body)? };
    let title = wanted.title.unwrap_or_else(|| "New chat".to_owned());
    if title.len() > LONGEST_TITLE {
        return Err(input::unprocessable("title is too long"));
    }
    let id = Uuid::new_v4();
    let sql = "insert into chat_sessions (id, user_id, title) values ($1, $2, $3)";
    ground.pool()?.execute(sql, &[&id, &user.user_id, &title]).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "title": title }))))
}

async fn list(user: SignedIn, State(ground): State<Shared>) -> Result<Json<Value>, Failure> {
    let sql = "select jsonb_build_object('id', id, 'title', title, 'created_at', created_at)
               from chat_sessions where user_id = $1 order by created_at desc limit 20";
    let rows = ground.pool()?.query(sql, &[&user.user_id]).await?;
    let sessions: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "sessions": sessions })))
}

#[derive(Deserialize)]
struct Message {
    session_id: Uuid,
    message: String,
}

/// No connection to the database is held while the model thinks.
async fn chat(user: SignedIn, State(ground): State<Shared>, body: Bytes) -> Result<Json<Value>, Failure> {
    user.require_csrf()?;
    let Message { session_id, message } = input::chat_json(&body)?;
    if message.is_empty() || message.len() > LONGEST_MESSAGE {
        return Err(input::unprocessable("message must be 1 to 8000 bytes"));
    }
    let pool = ground.pool()?;
    let ask = "insert into chat_messages (id, session_id, role, content)
               select $1, id, 'user', $2 from chat_sessions where id = $3 and user_id = $4";
    if pool.execute(ask, &[&Uuid::new_v4(), &message, &session_id, &user.user_id]).await? == 0 {
        return Err(Failure::detail(StatusCode::NOT_FOUND, "no such session"));
    }
    tokio::time::sleep(ground.chat_latency).await;
    let reply = format!("You said: {message}");
    let message_id = Uuid::new_v4();
    let answer = "insert into chat_messages (id, session_id, role, content) values ($1, $2, 'assistant', $3)";
    pool.execute(answer, &[&message_id, &session_id, &reply]).await?;
    Ok(Json(json!({ "reply": reply, "session_id": session_id, "message_id": message_id })))
}
