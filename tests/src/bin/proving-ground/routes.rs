//! Every route, each counted and open to faults.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::socket::Peer;
use crate::stats::Counter;
use crate::{
    accounts, acme, admin, agents, bench, casino, certificates, chat, control, health, inbound, telemetry,
    tokens, tracks,
};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use std::sync::Arc;

/// The whole service.
pub(crate) fn router(ground: Shared) -> Router {
    let mut routes = Routes { router: Router::new(), ground };
    bench::routes(&mut routes);
    health::routes(&mut routes);
    telemetry::routes(&mut routes);
    tokens::routes(&mut routes);
    admin::routes(&mut routes);
    agents::routes(&mut routes);
    certificates::routes(&mut routes);
    acme::routes(&mut routes);
    accounts::routes(&mut routes);
    chat::routes(&mut routes);
    inbound::routes(&mut routes);
    casino::routes(&mut routes);
    tracks::routes(&mut routes);
    let not_found = from_fn_with_state(routes.observed("unmatched".to_owned()), observe);
    let not_allowed = from_fn_with_state(routes.observed("method not allowed".to_owned()), observe);
    routes
        .router
        .fallback((async || Failure::error(StatusCode::NOT_FOUND, "not found")).layer(not_found))
        .method_not_allowed_fallback(
            (async || Failure::error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"))
                .layer(not_allowed),
        )
        // Not observed: a switch must work, and not be counted, whatever it has switched on.
        .merge(control::router())
        .with_state(routes.ground)
}

/// Collects the routes of the parts.
pub(crate) struct Routes {
    router: Router<Shared>,
    ground: Shared,
}

impl Routes {
    pub(crate) fn get<T: 'static>(&mut self, path: &str, handler: impl Handler<T, Shared>) {
        self.add(Method::GET, MethodFilter::GET, path, handler);
    }

    pub(crate) fn head<T: 'static>(&mut self, path: &str, handler: impl Handler<T, Shared>) {
        self.add(Method::HEAD, MethodFilter::HEAD, path, handler);
    }

    pub(crate) fn post<T: 'static>(&mut self, path: &str, handler: impl Handler<T, Shared>) {
        self.add(Method::POST, MethodFilter::POST, path, handler);
    }

    pub(crate) fn delete<T: 'static>(&mut self, path: &str, handler: impl Handler<T, Shared>) {
        self.add(Method::DELETE, MethodFilter::DELETE, path, handler);
    }

    fn add<T: 'static>(
        &mut self,
        method: Method,
        filter: MethodFilter,
        path: &str,
        handler: impl Handler<T, Shared>,
    ) {
        let observed = self.observed(format!("{method} {path}"));
        let route = on(filter, handler).route_layer(from_fn_with_state(observed, observe));
        self.router = std::mem::take(&mut self.router).route(path, route);
    }

    fn observed(&self, label: String) -> Observed {
        Observed { counter: self.ground.stats.register(label), ground: Arc::clone(&self.ground) }
    }
}

/// What the middleware of one route knows.
#[derive(Clone)]
struct Observed {
    ground: Shared,
    counter: Arc<Counter>,
}

/// Counts a request and lets the faults have their way with it.
async fn observe(
    State(Observed { ground, counter }): State<Observed>,
    request: Request,
    next: Next,
) -> Response {
    let visit = ground.stats.enter(counter);
    if request.method() == Method::POST {
        ground.queue.put(ground.faults.queue_stalled());
    }
    ground.traces.see(request.headers());
    if ground.faults.idle() {
        let response = next.run(request).await;
        visit.answered(response.status());
        return response;
    }
    let peer = request.extensions().get::<ConnectInfo<Peer>>().cloned();
    match ground.faults.around(request, next).await {
        Some(response) => {
            visit.answered(response.status());
            response
        }
        None => {
            visit.reset();
            if let Some(ConnectInfo(peer)) = peer {
                peer.reset();
            }
            // Never arrives: writing it is what closes the connection.
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
