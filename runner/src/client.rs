//! HTTP for everything but the load: every request, redirects included, stays within `allow_hosts`.

use crate::values::Values;
use planc::eval;
use planc::graph::{Request, Tls};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Bytes of an answer that are read at most.
const BODY_LIMIT: usize = 16 << 20;
/// Shorter than servers keep a connection, so that no request meets one that is being closed.
const IDLE: Duration = Duration::from_secs(2);

/// A client bound to hosts that may be spoken to.
#[derive(Debug, Clone)]
pub struct Web {
    /// Made when it is first needed: a service may write the CA that it is made with.
    client: Arc<OnceLock<reqwest::Client>>,
    tls: Tls,
    allow_hosts: Vec<String>,
    timeout: Duration,
    /// The name to verify in place of a URL's host.
    server_name: Option<String>,
    /// It makes accounts.
    accounts: bool,
}

/// A request with all slots filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// Method.
    pub method: String,
    /// Absolute URL, query included.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// Its own timeout.
    pub timeout: Option<Duration>,
    /// Redirects followed at most.
    pub redirects: u32,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most 16 MiB.
    pub body: Vec<u8>,
    /// Time from being sent to the last byte.
    pub elapsed: Duration,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebError {
    /// The host is not in `allow_hosts`; nothing was sent there.
    Forbidden(String),
    /// No answer to a request that may have arrived.
    Unreachable(String),
    /// Nobody takes connections there: the request never left.
    Unconnected(String),
    /// The request cannot be made.
    Malformed(String),
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebError::Forbidden(host) => write!(f, "host `{host}` is not in `allow_hosts`"),
            WebError::Unreachable(why) | WebError::Unconnected(why) | WebError::Malformed(why) => {
                f.write_str(why)
            }
        }
    }
}

impl Web {
    /// A client with the target's TLS settings. No system proxy, a fresh connection each time, so that a
    /// check sees a worker that died and not the one it spoke to before.
    pub fn new(tls: &Tls, allow_hosts: &[String], timeout: Duration) -> Result<Web, String> {
        let web = Web::late(tls, allow_hosts, timeout);
        // Without files there is nothing to be wrong, and the system's roots are read by whoever asks for something.
        if tls.ca.is_some() || tls.client_cert.is_some() {
            web.client()?;
        }
        Ok(web)
    }

    /// The same, its files read only when the first request is sent.
    pub fn late(tls: &Tls, allow_hosts: &[String], timeout: Duration) -> Web {
        let server_name = tls.server_name.clone();
        Web {
            client: Arc::default(),
            tls: tls.clone(),
            allow_hosts: allow_hosts.to_vec(),
            timeout,
            server_name,
            accounts: false,
        }
    }

    /// The same for making accounts: connections are kept, since there are many requests, and cookies are not, since
    /// each is somebody else's.
    pub fn for_accounts(&self) -> Web {
        Web { client: Arc::default(), accounts: true, ..self.clone() }
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = plain_client(&self.tls)?;
        let builder = match self.accounts {
            true => builder.pool_idle_timeout(IDLE),
            false => builder.pool_max_idle_per_host(0).cookie_store(true),
        };
        let client = builder.build().map_err(|e| format!("cannot set up HTTP: {}", seeders::chain(&e)))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The same client with more hosts allowed: those of services that this run started.
    pub fn allowing(&self, host: &str) -> Web {
        let mut out = self.clone();
        out.allow_hosts.push(host.to_owned());
        out
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: &Filled) -> Result<Reply, WebError> {
        let mut url = Url::parse(&request.url)
            .map_err(|e| WebError::Malformed(format!("`{}` is not a URL: {e}", request.url)))?;
        let mut method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| WebError::Malformed(format!("`{}` is not a method", request.method)))?;
        let mut headers = header_map(&request.headers)?;
        let mut body = request.body.clone();
        let start = Instant::now();
        let limit = request.timeout.unwrap_or(self.timeout);
        let mut redirects = 0;
        loop {
            self.check_host(&url)?;
            let left = limit.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            let client = self.client().map_err(WebError::Unreachable)?;
            let mut call = client.request(method.clone(), url.clone()).timeout(left);
            call = call.headers(headers.clone());
            if let Some(body) = &body {
                call = call.body(body.clone());
            }
            let answer = call.send().await.map_err(|e| unreachable(&url, &e, limit))?;
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|to| url.join(to).ok());
            let status = answer.status().as_u16();
            match next {
                Some(next)
                    if matches!(status, 301 | 302 | 303 | 307 | 308) && redirects < request.redirects =>
                {
                    redirects += 1;
                    if status < 307 && method != Method::GET && method != Method::HEAD {
                        method = Method::GET;
                        body = None;
                        headers.remove("content-type");
                    }
                    if (next.host_str(), next.port()) != (url.host_str(), url.port()) {
                        headers.remove("authorization");
                        headers.remove("cookie");
                    }
                    url = next;
                }
                _ => return read(answer, start, &url, limit).await,
            }
        }
    }

    fn check_host(&self, url: &Url) -> Result<(), WebError> {
        let host = url.host_str().unwrap_or("");
        // The load's own connections can verify another name, this client cannot: better no check than one that
        // verified the wrong name.
        if let Some(name) = self.server_name.as_ref().filter(|name| url.scheme() == "https" && *name != host)
        {
            return Err(WebError::Malformed(format!(
                "`tls.server_name: {name}` is not supported outside the load: checks, tokens and fixtures verify the \
                 URL's host `{host}`; use a host name that resolves to the target and stands in its certificate"
            )));
        }
        if host_allowed(&self.allow_hosts, host, url.port_or_known_default()) {
            Ok(())
        } else {
            Err(WebError::Forbidden(host.to_owned()))
        }
    }
}

/// A client with the target's TLS settings, that follows no redirect and asks no system proxy.
pub(crate) fn plain_client(tls: &Tls) -> Result<reqwest::ClientBuilder, String> {
    install_crypto();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(!tls.verify);
    let read = |path: &String| std::fs::read(path).map_err(|e| format!("cannot read `{path}`: {e}"));
    if let Some(ca) = &tls.ca {
        let certificates = reqwest::Certificate::from_pem_bundle(&read(ca)?)
            .map_err(|e| format!("`{ca}` holds no usable certificate: {e}"))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(cert) = &tls.client_cert {
        let mut pem = read(cert)?;
        if let Some(key) = &tls.client_key {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        let identity = reqwest::Identity::from_pem(&pem)
            .map_err(|e| format!("`{cert}` holds no usable client certificate and key: {e}"))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// Fills in a request's slots. A path is appended to `base`.
pub fn fill(request: &Request, base: Option<&str>, values: &Values) -> Result<Filled, String> {
    let text = |template| eval::render(template, values).map_err(|e| e.0);
    let mut url = text(&request.url)?;
    if url.starts_with('/') {
        let base = base.ok_or_else(|| format!("`{url}` is a path and the plan has no `target`"))?;
        url = format!("{}{url}", base.trim_end_matches('/'));
    }
    for (i, (name, value)) in request.query.iter().enumerate() {
        url.push(if i == 0 && !url.contains('?') { '?' } else { '&' });
        url.push_str(&format!("{}={}", encode(name), encode(&text(value)?)));
    }
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        headers.push((name.clone(), text(value)?));
    }
    let body = match &request.body {
        None => None,
        Some(body) => {
            let (content_type, bytes) = seeders::body_bytes(body, values)?;
            if !request.headers.contains_key("content-type") {
                headers.push(("content-type".into(), content_type.into_owned()));
            }
            Some(bytes)
        }
    };
    let (method, timeout, redirects) = (request.method.clone(), request.timeout, request.redirects);
    Ok(Filled { method, url, headers, body, timeout, redirects })
}

/// Whether a host falls under one of the patterns: a name, a name with port, or `*.` and a suffix.
pub fn host_allowed(patterns: &[String], host: &str, port: Option<u16>) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    patterns.iter().any(|pattern| {
        let pattern = pattern.trim().to_ascii_lowercase();
        let (name, wanted) = match pattern.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
                (name.to_owned(), digits.parse::<u16>().ok())
            }
            _ => (pattern.clone(), None),
        };
        let name = name.trim_matches(['[', ']']);
        let named = match name.strip_prefix("*.") {
            Some(suffix) => {
                host.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            None => name == host,
        };
        named && wanted.is_none_or(|wanted| port == Some(wanted))
    })
}

/// Host and port of a URL.
pub fn host_of(url: &str) -> Option<(String, Option<u16>)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()))
}

/// Installs the process's one TLS provider; later calls change nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn read(
    mut answer: reqwest::Response,
    start: Instant,
    url: &Url,
    limit: Duration,
) -> Result<Reply, WebError> {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| unreachable(url, &e, limit))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            body.truncate(BODY_LIMIT);
            break;
        }
    }
    Ok(Reply { status, headers, body, elapsed: start.elapsed() })
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, WebError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| WebError::Malformed(format!("`{name}` is not a header name")))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| WebError::Malformed(format!("the value of header `{name}` cannot be sent")))?;
        map.append(name, value);
    }
    Ok(map)
}

fn unreachable(url: &Url, error: &reqwest::Error, limit: Duration) -> WebError {
    let place = match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => url.to_string(),
    };
    if error.is_timeout() {
        return WebError::Unreachable(format!(
            "{place} did not answer within {}",
            planc::units::show_duration(limit)
        ));
    }
    // The innermost source says what happened; the outer ones repeat the URL.
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let why = format!("{place}: {innermost}");
    if error.is_connect() { WebError::Unconnected(why) } else { WebError::Unreachable(why) }
}

fn encode(text: &str) -> String {
    crate::mask::percent_encoded(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let patterns: Vec<String> =
            ["127.0.0.1", "*.staging.example.com", "LOCALHOST:8443", "::1"].map(String::from).into();
        for (host, port, allowed) in [
            ("127.0.0.1", 80, true),
            ("a.staging.example.com", 443, true),
            ("a.b.staging.example.com", 443, true),
            ("staging.example.com", 443, false),
            ("evilstaging.example.com", 443, false),
            ("a.staging.example.com.evil.test", 443, false),
            ("localhost", 8443, true),
            ("localhost", 80, false),
            ("[::1]", 80, true),
            ("127.0.0.11", 80, false),
            ("", 80, false),
        ] {
            assert_eq!(host_allowed(&patterns, host, Some(port)), allowed, "{host}:{port}");
        }
    }
}
