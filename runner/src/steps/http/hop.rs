//! A request put together from its parts, and the redirects that it leads to.

use crate::body::{self, BodyPlan};
use crate::http::connection::Answer;
use crate::http::error::{Code, Failure};
use crate::http::origin::Origin;
use crate::http::payload::Payload;
use crate::prepare::{HttpOp, ScenarioProgram, UrlPlan};
use crate::vu::Vu;
use ::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Bytes;
use planc::eval::EvalError;
use reqwest::Url;
use std::future::Future;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request on its way: the step's own, or a redirect's.
pub(in crate::steps) struct Hop {
    pub(in crate::steps) origin: Rc<Origin>,
    pub(super) method: Method,
    /// Path and query.
    pub(in crate::steps) uri: Uri,
    pub(in crate::steps) headers: HeaderMap,
    pub(super) payload: Payload,
    /// From when the timeout counts.
    pub(in crate::steps) begun: Instant,
}

impl Hop {
    /// As HTTP/2 sends it.
    pub(super) fn to_http2(&self) -> Request<Payload> {
        let scheme = if self.origin.secure { "https" } else { "http" };
        let mut request = Request::new(self.payload.clone());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        let mut parts = self.uri.clone().into_parts();
        parts.scheme = scheme.parse().ok();
        parts.authority = self.origin.authority.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        *request.version_mut() = Version::HTTP_2;
        request
    }

    /// The path and query as a request's first line has them.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }
}

/// The request. The inner error is a request that must not or cannot be sent.
pub(in crate::steps) async fn render(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
) -> Result<Result<Hop, Failure>, EvalError> {
    let begun = Instant::now();
    let key = match &op.body {
        BodyPlan::Jws(jws) => Some(vu.key(jws.key, scenario)?),
        _ => None,
    };
    let mut buffer = std::mem::take(&mut vu.buffer);
    let mut desk = std::mem::take(&mut vu.desk);
    let scope = vu.scope(scenario);
    let mut rendered = |text: &crate::text::Text| -> Result<Bytes, EvalError> {
        buffer.clear();
        text.render(&scope, &mut buffer)?;
        Ok(Bytes::copy_from_slice(buffer.as_bytes()))
    };
    let (url, absolute) = match &op.url {
        UrlPlan::Fixed(uri) => (Some(uri.clone()), None),
        UrlPlan::Path(text) => (uri(rendered(text)?)?, None),
        UrlPlan::Any(text) => {
            let bytes = rendered(text)?;
            let whole = String::from_utf8_lossy(&bytes).into_owned();
            if whole.starts_with('/') {
                (uri(Bytes::from(format!("{}{whole}", vu.worker.program.prefix)))?, None)
            } else {
                (None, Some(whole))
            }
        }
    };
    let mut headers = op.headers.clone();
    for (name, text, secret) in &op.slotted {
        let value = HeaderValue::from_maybe_shared(rendered(text)?);
        let mut value =
            value.map_err(|_| EvalError(format!("header `{name}` has characters no header carries")))?;
        value.set_sensitive(*secret);
        headers.insert(name.clone(), value);
    }
    if let Some(traced) = &vu.traced {
        headers.insert(TRACEPARENT, traced.header());
    }
    let payload = match &op.body {
        BodyPlan::Fixed(payload) => payload.clone(),
        BodyPlan::Text(text) => Payload::bytes(rendered(text)?),
        BodyPlan::Parts(parts) => body::render_parts(parts, &scope, &mut buffer)?,
        BodyPlan::Jws(jws) => {
            let key = key.as_ref().expect("taken above");
            let whole = match (&url, &absolute) {
                (Some(uri), _) => vu.worker.program.known_as.url(uri),
                (None, whole) => whole.clone().unwrap_or_default(),
            };
            jws.render(key, &whole, &scope, &mut desk, &mut buffer)?;
            Payload::bytes(Bytes::copy_from_slice(buffer.as_bytes()))
        }
    };
    (vu.buffer, vu.desk) = (buffer, desk);
    let place = match (url, absolute) {
        (Some(uri), _) => {
            let target = vu.worker.target.clone();
            in_time(begun, op, allowed_target(vu, target)).await.map(|origin| (origin, uri))
        }
        (None, Some(whole)) => in_time(begun, op, elsewhere(vu, &whole)).await,
        (None, None) => Err(Failure::new(Code::Other, "the path is not one that a request can carry")),
    };
    Ok(place.map(|(origin, uri)| Hop { origin, method: op.method.clone(), uri, headers, payload, begun }))
}

fn uri(bytes: Bytes) -> Result<Option<Uri>, EvalError> {
    let shown = bytes.clone();
    Uri::from_maybe_shared(bytes)
        .map(Some)
        .map_err(|_| EvalError(format!("`{}` is not a path", String::from_utf8_lossy(&shown))))
}

async fn allowed_target(vu: &Vu, target: Rc<Origin>) -> Result<Rc<Origin>, Failure> {
    if vu.worker.target_allowed { Ok(target) } else { vu.worker.origin(Origin::clone(&target)).await }
}

async fn elsewhere(vu: &Vu, url: &str) -> Result<(Rc<Origin>, Uri), Failure> {
    let (origin, path) = Origin::split(url).map_err(|why| Failure::new(Code::Other, why))?;
    let origin = vu.worker.origin(origin).await?;
    let uri = path.parse().map_err(|_| Failure::new(Code::Other, format!("`{path}` is not a path")))?;
    Ok((origin, uri))
}

/// Where a redirect leads.
pub(super) fn redirect(answer: &Answer) -> Option<String> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    Some(answer.fields.get(LOCATION)?.to_str().ok()?.to_owned())
}

/// The request that a redirect asks for.
pub(super) async fn follow(
    vu: &mut Vu,
    op: &HttpOp,
    hop: Hop,
    to: &str,
    status: u16,
) -> Result<Hop, Failure> {
    let Hop { origin, method, uri: at, mut headers, mut payload, .. } = hop;
    let begun = Instant::now();
    let whole = resolved(&origin, &at, to)?;
    let (target, uri) = in_time(begun, op, elsewhere(vu, &whole)).await?;
    let as_get = status == 303 || (matches!(status, 301 | 302) && method == Method::POST);
    let method = if as_get && method != Method::HEAD { Method::GET } else { method };
    if as_get {
        payload = Payload::default();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
    }
    if !target.same(&origin) {
        // What identifies us to one host is not another's to see. The jar keeps its cookies apart by itself.
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            headers.remove(name);
        }
        headers.retain_insensitive();
    }
    Ok(Hop { origin: target, method, uri, headers, payload, begun })
}

/// Where a `location` leads, by RFC 3986.
fn resolved(origin: &Origin, at: &Uri, to: &str) -> Result<String, Failure> {
    let base = origin.url(at);
    let no_url = |e: &dyn std::fmt::Display| {
        Failure::new(Code::Malformed, format!("a redirect to `{to}`, which is not a URL: {e}"))
    };
    let mut url = Url::parse(&base).and_then(|base| base.join(to)).map_err(|e| no_url(&e))?;
    url.set_fragment(None);
    Ok(url.into())
}

/// Looking a name up takes of the request's time.
async fn in_time<T>(
    begun: Instant,
    op: &HttpOp,
    wanted: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let deadline = tokio::time::Instant::from_std(begun + op.timeout);
    tokio::time::timeout_at(deadline, wanted).await.unwrap_or_else(|_| {
        Err(Failure::new(Code::Dns, format!("the name was not resolved within {:?}", op.timeout)))
    })
}

/// Removing what is marked as sensitive.
trait Retain {
    fn retain_insensitive(&mut self);
}

impl Retain for HeaderMap {
    fn retain_insensitive(&mut self) {
        let secret: Vec<_> = self.iter().filter(|(_, v)| v.is_sensitive()).map(|(k, _)| k.clone()).collect();
        for name in secret {
            self.remove(name);
        }
    }
}

pub(in crate::steps) fn add_cookies(vu: &Vu, hop: &mut Hop) {
    let Some(cookies) = vu.jar.header(&hop.origin.host, hop.uri.path(), hop.origin.secure, unix_now()) else {
        return;
    };
    let own = hop.headers.get(COOKIE).and_then(|own| own.to_str().ok());
    let all = own.map_or(cookies.clone(), |own| format!("{own}; {cookies}"));
    if let Ok(value) = HeaderValue::from_str(&all) {
        hop.headers.insert(COOKIE, value);
    }
}

pub(in crate::steps) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
