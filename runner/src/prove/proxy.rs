//! A reverse proxy on loopback that does harm: what `runner prove` puts between the load and the target.
//!
//! Requests reach the target unless an [`Act`] says otherwise, answers come back as they are unless it says otherwise.
//! HTTP/1.1 towards the load, whatever the target speaks on the other side.

use crate::client::plain_client;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use planc::graph::Tls;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What becomes of one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// It goes through.
    Pass,
    /// Its answer comes later by this much.
    Late(Duration),
    /// It never reaches the target and gets this status, with an empty body.
    Answer(u16),
    /// The target answers, and another body arrives.
    OtherBody,
    /// Its connection is reset before an answer.
    Reset,
}

/// Decides what becomes of a request, by method and path.
pub(crate) type Decide = Arc<dyn Fn(&str, &str) -> Act + Send + Sync>;

/// A proxy at work; gone when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of loopback in front of `upstream`, a base URL.
    pub(crate) fn start(upstream: &str, tls: &Tls, decide: Decide) -> Result<Proxy, String> {
        let told = |error: io::Error| format!("cannot start the proxy: {error}");
        let client = plain_client(tls)?
            .build()
            .map_err(|error| format!("cannot set up HTTP: {}", seeders::chain(&error)))?;
        let upstream = Arc::new(Upstream { client, base: upstream.trim_end_matches('/').to_owned() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).map_err(told)?;
        let address = listener.local_addr().map_err(told)?;
        let (stop, stopped) = oneshot::channel();
        let work = async move {
            tokio::select! {
                _ = stopped => {}
                () = accept(listener, upstream, decide) => {}
            }
        };
        let thread = std::thread::Builder::new().name("prove-proxy".into());
        let thread = thread.spawn(move || runtime.block_on(work)).map_err(told)?;
        Ok(Proxy { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL to talk to in place of the target's; `path` is what the target's own has after its host.
    pub(crate) fn base(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Upstream {
    client: reqwest::Client,
    /// Scheme, host and port.
    base: String,
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>, decide: Decide) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        let (upstream, decide) = (Arc::clone(&upstream), Arc::clone(&decide));
        tokio::spawn(async move {
            let service =
                service_fn(move |request| answer(Arc::clone(&upstream), Arc::clone(&decide), request));
            // Whoever hangs up, hangs up: what the load saw of it is in its own records.
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            drop(served.await);
        });
    }
}

async fn answer(
    upstream: Arc<Upstream>,
    decide: Decide,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let act = decide(request.method().as_str(), request.uri().path());
    match act {
        Act::Answer(status) => {
            // The whole request is taken in, so that the connection stays good.
            drop(request.into_body().collect().await);
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return Ok(response);
        }
        Act::Reset => return Err(io::Error::other("reset on purpose")),
        Act::Pass | Act::Late(_) | Act::OtherBody => {}
    }
    if let Act::Late(by) = act {
        tokio::time::sleep(by).await;
    }
    let mut response = upstream.pass(request).await?;
    // What has no body gets none: the answer to a HEAD, a 204.
    if act == Act::OtherBody && response.body().size_hint().exact() != Some(0) {
        *response.body_mut() = Full::from(OTHER_BODY);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(response)
}

/// JSON, so that whoever parses it gets as far as looking for what is not in it.
const OTHER_BODY: &str = "{\"fault\":\"another body\"}";

impl Upstream {
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", self.base);
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut call = self.client.request(parts.method, url).headers(without_hop_by_hop(&parts.headers));
        if !body.is_empty() {
            call = call.body(body);
        }
        let reply = call.send().await.map_err(io::Error::other)?;
        let status = reply.status();
        let headers = without_hop_by_hop(reply.headers());
        let body = reply.bytes().await.map_err(io::Error::other)?;
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Headers that are about the message, not about one connection (RFC 9110, 7.6.1). Length and host are set anew.
fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let mut out = headers.clone();
    for name in [CONNECTION, TRANSFER_ENCODING, HOST, CONTENT_LENGTH] {
        out.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "te", "trailer", "upgrade"] {
        out.remove(name);
    }
    out
}
