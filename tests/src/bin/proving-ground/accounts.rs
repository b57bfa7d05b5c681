//! Accounts of the chat backend: registering, logging in and out.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::input;
use crate::routes::Routes;
use crate::secrets::{digest, random};
use crate::socket::Peer;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::Instant;
use uuid::Uuid;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/auth/register", register);
    routes.post("/api/auth/login-json", login);
    routes.post("/api/auth/logout", logout);
    routes.get("/api/auth/me", me);
}

/// Whose session cookie a request carries.
pub(crate) struct SignedIn {
    pub(crate) user_id: Uuid,
    username: String,
    email: String,
    token_hash: String,
    csrf_matches: bool,
}

impl SignedIn {
    /// Refuses a request that another site could have made the browser send.
    pub(crate) fn require_csrf(&self) -> Result<(), Failure> {
        let refused = || Failure::detail(StatusCode::FORBIDDEN, "csrf token missing or wrong");
        self.csrf_matches.then_some(()).ok_or_else(refused)
    }
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ground: &Shared) -> Result<Self, Failure> {
        let stranger = || Failure::detail(StatusCode::UNAUTHORIZED, "not authenticated");
        let token_hash = digest("", session_cookie(&parts.headers).ok_or_else(stranger)?);
        let sql = "select u.id, u.username, u.email, s.csrf_token
                   from auth_sessions s join users u on u.id = s.user_id
                   where s.token_hash = $1 and s.expires_at > now()";
        let row = ground.pool()?.query_opt(sql, &[&token_hash]).await?.ok_or_else(stranger)?;
        let csrf: &str = row.get(3);
        let csrf_matches =
            parts.headers.get("x-csrf-token").is_some_and(|given| given.as_bytes() == csrf.as_bytes());
        Ok(Self { user_id: row.get(0), username: row.get(1), email: row.get(2), token_hash, csrf_matches })
    }
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix("session="))
}

#[derive(Deserialize)]
struct Registration {
    username: String,
    email: String,
    password: String,
}

impl Registration {
    fn check(&self) -> Result<(), Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let address =
            self.email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        let problem = if !(3..=64).contains(&self.username.len()) || !self.username.chars().all(plain) {
            "username must be 3 to 64 letters, digits, `_`, `.` or `-`"
        } else if !address || self.email.len() > 254 {
            "email is not an address"
        } else if !(8..=128).contains(&self.password.len()) {
            "password must be 8 to 128 bytes"
        } else {
            return Ok(());
        };
        Err(input::unprocessable(problem))
    }
}

async fn register(
    ConnectInfo(peer): ConnectInfo<Peer>,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<impl IntoResponse, Failure> {
    if let Some(window) = &ground.registrations {
        let entered =
            window.lock().unwrap_or_else(PoisonError::into_inner).enter(peer.address.ip(), Instant::now());
        entered.map_err(|time| {
            Failure::detail(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded").retry_after(time)
        })?;
    }
    let account: Registration = input::chat_json(&body)?;
    account.check()?;
    let pool = ground.pool()?;
    let taken = "select username = $1 from users where username = $1 or email = $2 order by 1 desc limit 1";
    if let Some(row) = pool.query_opt(taken, &[&account.username, &account.email]).await? {
        return Err(registered(if row.get(0) { "username" } else { "email" }));
    }
    let failed = || Failure::detail(StatusCode::INTERNAL_SERVER_ERROR, "hashing failed");
    let hash = ground.passwords.hash(account.password).await.ok_or_else(failed)?;
    let id = Uuid::new_v4();
    let insert = "insert into users (id, username, email, password_hash) values ($1, $2, $3, $4) on conflict do nothing";
    if pool.execute(insert, &[&id, &account.username, &account.email, &hash]).await? == 0 {
        // Someone else was faster while the password was hashed.
        return Err(registered("username"));
    }
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "username": account.username }))))
}

fn registered(what: &str) -> Failure {
    Failure::detail(StatusCode::BAD_REQUEST, format!("{what} already registered"))
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

async fn login(State(ground): State<Shared>, body: Bytes) -> Result<impl IntoResponse, Failure> {
    let Login { username, password } = input::chat_json(&body)?;
    let pool = ground.pool()?;
    let user =
        pool.query_opt("select id, password_hash from users where username = $1", &[&username]).await?;
    let stored = user.as_ref().map(|row| row.get(1));
    let verified = ground.passwords.verify(password, stored).await;
    let refused = || Failure::detail(StatusCode::UNAUTHORIZED, "invalid credentials");
    let id: Uuid = user.filter(|_| verified).ok_or_else(refused)?.get(0);
    let (session, csrf) = (random(), random());
    let sql = "insert into auth_sessions (token_hash, user_id, csrf_token, expires_at)
               values ($1, $2, $3, now() + interval '1 day')";
    pool.execute(sql, &[&digest("", &session), &id, &csrf]).await?;
    let cookie = format!("session={session}; HttpOnly; Path=/; SameSite=Lax");
    let mut answer = json!({ "csrf_token": csrf, "user": { "id": id, "username": username } });
    if ground.faults.spec().is_some_and(|spec| spec.csrf_missing) {
        answer.as_object_mut().map(|answer| answer.remove("csrf_token"));
    }
    Ok(([(header::SET_COOKIE, cookie)], Json(answer)))
}

async fn logout(user: SignedIn, State(ground): State<Shared>) -> Result<impl IntoResponse, Failure> {
    ground.pool()?.execute("delete from auth_sessions where token_hash = $1", &[&user.token_hash]).await?;
    let expired = "session=; HttpOnly; Path=/; SameSite=Lax; Max-Age=0";
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, expired)]))
}

async fn me(user: SignedIn) -> Json<Value> {
    Json(json!({ "id": user.user_id, "username": user.username, "email": user.email }))
}
