//! The casino: players sign in, bet on dice, look at their wallet and at what they bet before.

use crate::failure::Failure;
use crate::ground::{Ground, Shared};
use crate::input;
use crate::routes::Routes;
use crate::secrets::{digest, random};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// What a new player has, in cents.
const WELCOME: i64 = 10_000_000;
/// What the house keeps of a fair payout, in hundredths.
const EDGE: i64 = 1;

pub(crate) fn routes(routes: &mut Routes) {
    routes.post("/api/casino/register", register);
    routes.post("/api/casino/signin", sign_in);
    routes.get("/api/casino/wallet", wallet);
    routes.post("/api/casino/dice/bets", bet);
    routes.get("/api/casino/bets", history);
}

/// Whose access token a request carries.
pub(crate) struct Player {
    pub(crate) id: Uuid,
}

impl FromRequestParts<Shared> for Player {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ground: &Shared) -> Result<Self, Failure> {
        Self::of(ground, bearer(&parts.headers)).await
    }
}

impl Player {
    /// The player of an access token.
    pub(crate) async fn of(ground: &Ground, token: Option<&str>) -> Result<Self, Failure> {
        let stranger = || Failure::error(StatusCode::UNAUTHORIZED, "sign in first");
        let token_hash = digest("", token.ok_or_else(stranger)?);
        let sql = "select player_id from casino_sessions where token_hash = $1 and expires_at > now()";
        let row = ground.pool()?.query_opt(sql, &[&token_hash]).await?.ok_or_else(stranger)?;
        Ok(Self { id: row.get(0) })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[derive(Deserialize)]
struct Registration {
    username: String,
    email: String,
    password: String,
}

impl Registration {
    fn check(&self) -> Result<(), Failure> {
        let problem = if !(3..=64).contains(&self.username.len()) {
            "username must be 3 to 64 bytes"
        } else if !self.email.contains('@') || self.email.len() > 254 {
            "email is not an address"
        } else if !(8..=128).contains(&self.password.len()) {
            "password must be 8 to 128 bytes"
        } else {
            return Ok(());
        };
        Err(Failure::error(StatusCode::UNPROCESSABLE_ENTITY, problem))
    }
}

async fn register(State(ground): State<Shared>, body: Bytes) -> Result<impl IntoResponse, Failure> {
    let Registration { username, email, password } = {
        let account: Registration = input::json(&body)?;
        account.check()?;
        account
    };
    let taken = || Failure::error(StatusCode::CONFLICT, "username or email already registered");
    let pool = ground.pool()?;
    let known = "select 1 from casino_players where username = $1 or email = $2";
    if pool.query_opt(known, &[&username, &email]).await?.is_some() {
        return Err(taken());
    }
    let failed = || Failure::error(StatusCode::INTERNAL_SERVER_ERROR, "hashing failed");
    let hash = ground.passwords.hash(password).await.ok_or_else(failed)?;
    let id = Uuid::new_v4();
    let sql = "with player as (
                   insert into casino_players (id, username, email, password_hash) values ($1, $2, $3, $4)
                   on conflict do nothing returning id
               ) insert into casino_wallets (player_id, balance) select id, $5 from player";
    match pool.execute(sql, &[&id, &username, &email, &hash, &WELCOME]).await? {
        // Someone else was faster while the password was hashed.
        0 => Err(taken()),
        _ => Ok((StatusCode::CREATED, Json(json!({ "id": id, "username": username, "balance": WELCOME })))),
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn sign_in(State(ground): State<Shared>, body: Bytes) -> Result<Json<Value>, Failure> {
    let Credentials { username, password } = input::json(&body)?;
    let pool = ground.pool()?;
    let known = "select id, password_hash from casino_players where username = $1";
    let player = pool.query_opt(known, &[&username]).await?;
    let stored = player.as_ref().map(|row| row.get(1));
    let verified = ground.passwords.verify(password, stored).await;
    let refused = || Failure::error(StatusCode::UNAUTHORIZED, "wrong username or password");
    let id: Uuid = player.filter(|_| verified).ok_or_else(refused)?.get(0);
    let token = random();
    let sql = "insert into casino_sessions (token_hash, player_id, expires_at)
               values ($1, $2, now() + interval '2 hours')";
    pool.execute(sql, &[&digest("", &token), &id]).await?;
    Ok(Json(json!({ "access_token": token, "player": { "id": id, "username": username } })))
}

async fn wallet(player: Player, State(ground): State<Shared>) -> Result<Json<Value>, Failure> {
    let sql = "select balance, bets from casino_wallets where player_id = $1";
    let row = ground.pool()?.query_one(sql, &[&player.id]).await?;
    Ok(Json(json!({ "balance": row.get::<_, i64>(0), "bets": row.get::<_, i64>(1), "currency": "EUR" })))
}

/// Wins when the roll of 0 to 99 is under `target`.
#[derive(Deserialize)]
struct Bet {
    amount: i64,
    target: i32,
}

impl Bet {
    fn check(&self) -> Result<(), Failure> {
        let problem = if !(1..=1_000_000).contains(&self.amount) {
            "amount must be 1 to 1000000 cents"
        } else if !(2..=98).contains(&self.target) {
            "target must be 2 to 98"
        } else {
            return Ok(());
        };
        Err(Failure::error(StatusCode::UNPROCESSABLE_ENTITY, problem))
    }

    /// What is paid out for a roll.
    fn payout(&self, roll: i32) -> i64 {
        match roll < self.target {
            true => self.amount * (100 - EDGE) / i64::from(self.target),
            false => 0,
        }
    }
}

async fn bet(
    player: Player,
    State(ground): State<Shared>,
    body: Bytes,
) -> Result<impl IntoResponse, Failure> {
    let bet: Bet = input::json(&body)?;
    bet.check()?;
    // The fairness proof of the system this is modelled on, during which no connection to the database is held.
    tokio::time::sleep(ground.dice_latency).await;
    let roll = (Uuid::new_v4().as_u128() % 100) as i32;
    let payout = bet.payout(roll);
    let sql = "with paid as (
                   update casino_wallets set balance = balance - $2, bets = bets + 1
                   where player_id = $1 and balance >= $2 returning balance
               ), placed as (
                   insert into casino_bets (player_id, amount, target, roll, payout)
                   select $1, $2, $3, $4, $5 from paid returning id
               ) select placed.id, paid.balance from placed, paid";
    let placed =
        [&player.id as &(dyn tokio_postgres::types::ToSql + Sync), &bet.amount, &bet.target, &roll, &payout];
    let broke = || Failure::error(StatusCode::CONFLICT, "the wallet does not hold so much");
    let row = ground.pool()?.query_opt(sql, &placed).await?.ok_or_else(broke)?;
    let (id, balance): (i64, i64) = (row.get(0), row.get(1));
    ground.settlement.enqueue(id);
    let answer = json!({
        "id": id, "roll": roll, "won": payout > 0, "payout": payout, "balance": balance, "status": "placed",
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<i64>,
}

async fn history(
    player: Player,
    State(ground): State<Shared>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let limit = input::page_limit(page.limit)?;
    let sql = "select jsonb_build_object('id', id, 'amount', amount, 'target', target, 'roll', roll,
                      'payout', payout, 'placed_at', placed_at, 'settled', settled_at is not null)
               from casino_bets where player_id = $1 order by id desc limit $2";
    let rows = ground.pool()?.query(sql, &[&player.id, &limit]).await?;
    let bets: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "bets": bets })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_keeps_a_hundredth() {
        let bet = Bet { amount: 100, target: 50 };
        assert_eq!(bet.payout(49), 198);
        assert_eq!(bet.payout(50), 0);
        let all: i64 = (0..100).map(|roll| bet.payout(roll)).sum();
        assert_eq!(all, 99 * bet.amount);
    }

    #[test]
    fn bets_out_of_bounds_are_refused() {
        for (amount, target) in [(0, 50), (-5, 50), (1_000_001, 50), (10, 1), (10, 99)] {
            assert!(Bet { amount, target }.check().is_err(), "{amount} {target}");
        }
        assert!(Bet { amount: 10, target: 50 }.check().is_ok());
    }
}
