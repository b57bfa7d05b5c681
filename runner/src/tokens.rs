//! Credentials: taken from their input, kept from an earlier run or asked for, then probed before they are needed.

pub mod kept;

use crate::checks::{Prober, Seen, compare_reply};
use crate::client::{WebError, fill};
use crate::evidence::NodeOutcome;
use crate::expect::PreparedPath;
use crate::mask::Masker;
use kept::{Found, Store};
use planc::eval;
use planc::graph::{Json, Probe, Request, Template, Token, TokenSource};
use planc::placeholder::placeholder;

/// A token that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The token itself.
    pub token: String,
    /// Value of its header.
    pub header_value: String,
}

/// A token of the plan, and where it is kept between runs.
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// What the plan says.
    pub token: &'a Token,
    /// Where those that are kept lie.
    pub store: &'a Store,
}

/// Gets a token and verifies it. Its value is masked from here on.
pub async fn obtain(
    wanted: &Wanted<'_>,
    prober: &Prober<'_>,
    masker: &mut Masker,
) -> Result<(Ready, String), Seen> {
    let Wanted { name, token, store } = wanted;
    let mut scoped = prober.clone();
    scoped.values = prober.values.with("scopes", token.scopes.clone());
    match &token.source {
        TokenSource::Given(template) => {
            let value = eval::render(template, &scoped.values)
                .map_err(|error| Seen::new(NodeOutcome::Failed, error.0))?;
            probed(token, value, &mut scoped, masker).await
        }
        TokenSource::Issued { request, take, keep: false, .. } => {
            let value = issue(request, take, &scoped).await?;
            probed(token, value, &mut scoped, masker).await
        }
        TokenSource::Issued { request, take, ttl, keep: true } => {
            let key = kept::key(prober.graph, prober.base, name, &token.source);
            let why = match store.find(&key, *ttl, kept::needed(prober.graph)) {
                Found::Nothing => None,
                Found::Unfit(why) => Some(why),
                Found::Kept(kept) => match probed(token, kept.token, &mut scoped, masker).await {
                    Ok((ready, told)) => {
                        return Ok((ready, format!("kept since {}, {told}", minute(kept.issued))));
                    }
                    // Whoever does not answer has not said that it is dead.
                    Err(seen) if seen.outcome == NodeOutcome::Unreachable => return Err(seen),
                    Err(seen) => Some(format!("the kept one is dead ({})", first_of(&seen.detail))),
                },
            };
            let value = issue(request, take, &scoped).await?;
            let (ready, told) = probed(token, value, &mut scoped, masker).await?;
            let told = why.map_or(format!("issued, {told}"), |why| format!("{why}: issued anew, {told}"));
            let kept = store.keep(&key, &ready.token);
            Ok((ready, kept.err().map_or(told.clone(), |why| format!("{told}; not kept: {why}"))))
        }
    }
}

/// What a dead token gets is wrong in every part, and the first says it.
fn first_of(detail: &str) -> &str {
    detail.split("; ").next().unwrap_or(detail)
}

/// `2026-11-21 19:30 UTC`.
fn minute(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

async fn issue(request: &Request, take: &str, prober: &Prober<'_>) -> Result<String, Seen> {
    let web = prober.web.ok_or_else(|| Seen::new(NodeOutcome::Failed, "the plan has no `target`"))?;
    let filled = fill(request, prober.base, &prober.values);
    let filled = filled.map_err(|why| Seen::new(NodeOutcome::Failed, why))?;
    let reply = web.send(&filled).await.map_err(|error| match error {
        WebError::Unreachable(why) | WebError::Unconnected(why) => Seen::new(NodeOutcome::Unreachable, why),
        other => Seen::new(NodeOutcome::Failed, other.to_string()),
    })?;
    let seen = compare_reply(&reply, &[], &prober.values);
    if seen.outcome != NodeOutcome::Passed {
        return Err(seen);
    }
    take_from(&reply.body, take)
}

/// Masks a token, puts it into its header and verifies it.
async fn probed(
    token: &Token,
    value: String,
    prober: &mut Prober<'_>,
    masker: &mut Masker,
) -> Result<(Ready, String), Seen> {
    if value.trim().is_empty() {
        return Err(Seen::new(NodeOutcome::Absent, "the token is empty"));
    }
    if let Some(why) = placeholder(&value) {
        return Err(Seen::new(NodeOutcome::Different, why));
    }
    masker.add(&value);
    prober.values.set("token", value.as_str());
    let header_value = eval::render(&token.header_value, &prober.values);
    let header_value = header_value.map_err(|e| Seen::new(NodeOutcome::Failed, e.0))?;
    let ready = Ready { token: value, header_value };
    let told = verify(token, &ready, prober).await?;
    Ok((ready, told))
}

async fn verify(token: &Token, ready: &Ready, prober: &Prober<'_>) -> Result<String, Seen> {
    let Some(check) = &token.verify else { return Ok("not verified: the plan has no `verify`".into()) };
    let mut check = check.clone();
    if let Probe::Http(request) = &mut check.probe {
        request.headers.insert(token.header.clone(), Template::literal(ready.header_value.clone()));
    }
    let seen = prober.evaluate(&check).await;
    if seen.outcome == NodeOutcome::Passed { Ok(seen.detail) } else { Err(seen) }
}

fn take_from(body: &[u8], path: &str) -> Result<String, Seen> {
    let body: Json = serde_json::from_slice(body)
        .map_err(|_| Seen::new(NodeOutcome::Different, "the answer is not JSON"))?;
    let path = PreparedPath::new(path).map_err(|why| Seen::new(NodeOutcome::Failed, why))?;
    match path.first(&body) {
        Some(value) => Ok(eval::to_text(value)),
        None => {
            Err(Seen::new(NodeOutcome::Absent, "the answer has nothing where `take` looks for the token"))
        }
    }
}
