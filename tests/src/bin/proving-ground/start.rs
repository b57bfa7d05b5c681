//! Starting, announcing and stopping the server.

use crate::arguments::Arguments;
use crate::faults::{FaultSpec, Faults};
use crate::ground::Ground;
use crate::pool::Pool;
use crate::socket::{Listener, Peer};
use crate::{inbound, migrations, routes, tokens};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a stop waits for requests under way.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// One line that says what is missing or wrong.
pub(crate) fn run(arguments: Arguments) -> Result<(), String> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(arguments.workers))
        // Only password hashing blocks. A few threads make it a queue, as on a real server; tokio's 512 would
        // take the machine from everything else.
        .max_blocking_threads(usize::from(arguments.workers) * 2)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}"))?;
    let outcome = runtime.block_on(serve(arguments));
    // A hash or a hung request under way is not worth waiting for.
    runtime.shutdown_background();
    outcome
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let stop = stop_signal()?;
    let faults = Faults::new(initial_faults(arguments.fault.as_deref())?);
    let pool = open_pool(&arguments).await?;
    let ground = Arc::new(Ground::new(&arguments, pool, faults)?);
    if let Some(token) = &arguments.api_token {
        tokens::install_root(&ground, token).await.map_err(|e| format!("cannot store API_TOKEN: {e}"))?;
    }
    if let Some(system) = &arguments.source_system {
        inbound::require(&ground, system).await?;
    }
    let wanted = SocketAddr::new(arguments.bind, arguments.port);
    let listener = Listener::bind(wanted).map_err(|e| format!("cannot listen on {wanted}: {e}"))?;
    let listener = Listener::new(listener, &ground)?;
    announce(listener.address(), ground.secure);

    let service = routes::router(ground).into_make_service_with_connect_info::<Peer>();
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    tokio::select! {
        outcome = server => outcome.map_err(|e| format!("serving failed: {e}")),
        () = async { let _ = stopped.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// The one line that a caller may wait for. A closed stdout is no reason not to serve.
fn announce(address: SocketAddr, secure: bool) {
    let scheme = if secure { "https" } else { "http" };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "proving-ground listening on {scheme}://{address}");
    let _ = out.flush();
}

fn initial_faults(json: Option<&str>) -> Result<Option<FaultSpec>, String> {
    let Some(json) = json else { return Ok(None) };
    let spec: FaultSpec = serde_json::from_str(json).map_err(|e| format!("--fault: {e}"))?;
    spec.check().map_err(|e| format!("--fault: {e}"))?;
    Ok(Some(spec))
}

async fn open_pool(arguments: &Arguments) -> Result<Option<Pool>, String> {
    if arguments.no_database {
        return Ok(None);
    }
    let url = arguments.database_url.as_deref().ok_or("DATABASE_URL is not set (or give --no-database)")?;
    let pool =
        Pool::new(url, usize::from(arguments.pool)).map_err(|e| format!("DATABASE_URL: {}", chain(&e)))?;
    let mut client = pool.connect().await.map_err(|e| format!("cannot reach the database: {}", chain(&e)))?;
    migrations::apply(&mut client).await.map_err(|e| format!("migrations failed: {}", chain(&e)))?;
    Ok(Some(pool))
}

/// tokio-postgres tells the kind of an error and keeps the reason in its source.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let failed = |e| format!("cannot listen for signals: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ten thousand virtual users are ten thousand sockets; the usual soft limit is 1,024.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
