//! Credentials: taken from their input or asked for, then probed before they are needed.

use crate::checks::{Prober, Seen, compare_reply};
use crate::client::{WebError, fill};
use crate::evidence::NodeOutcome;
use crate::expect::PreparedPath;
use crate::mask::Masker;
use planc::eval;
use planc::graph::{Json, Probe, Template, Token, TokenSource};
use planc::placeholder::placeholder;

/// A token that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The token itself.
    pub token: String,
    /// Value of its header.
    pub header_value: String,
}

/// Gets a token and verifies it. Its value is masked from here on.
pub async fn obtain(
    token: &Token,
    prober: &Prober<'_>,
    masker: &mut Masker,
) -> Result<(Ready, String), Seen> {
    let mut scoped = prober.clone();
    scoped.values = prober.values.with("scopes", token.scopes.clone());
    let value = match &token.source {
        TokenSource::Given(template) => {
            eval::render(template, &scoped.values).map_err(|e| Seen::new(NodeOutcome::Failed, e.0))?
        }
        TokenSource::Issued { request, take, .. } => {
            let web = scoped.web.ok_or_else(|| Seen::new(NodeOutcome::Failed, "the plan has no `target`"))?;
            let filled = fill(request, scoped.base, &scoped.values);
            let filled = filled.map_err(|why| Seen::new(NodeOutcome::Failed, why))?;
            let reply = web.send(&filled).await.map_err(|error| match error {
                WebError::Unreachable(why) => Seen::new(NodeOutcome::Unreachable, why),
                other => Seen::new(NodeOutcome::Failed, other.to_string()),
            })?;
            let seen = compare_reply(&reply, &[], &scoped.values);
            if seen.outcome != NodeOutcome::Passed {
                return Err(seen);
            }
            take_from(&reply.body, take)?
        }
    };
    if value.trim().is_empty() {
        return Err(Seen::new(NodeOutcome::Absent, "the token is empty"));
    }
    if let Some(why) = placeholder(&value) {
        return Err(Seen::new(NodeOutcome::Different, why));
    }
    masker.add(&value);
    scoped.values.set("token", value.as_str());
    let header_value = eval::render(&token.header_value, &scoped.values);
    let header_value = header_value.map_err(|e| Seen::new(NodeOutcome::Failed, e.0))?;
    let ready = Ready { token: value, header_value };
    let told = verify(token, &ready, &scoped).await?;
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
