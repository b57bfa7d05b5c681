//! TLS with a private CA: a folder that holds it, and handshakes beside the accepting of more connections.

use crate::faults::Faults;
use crate::ground::Shared;
use crate::socket::Stream;
use crate::x509::{Authority, Name, pem};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{HandshakeKind, ServerConfig, crypto};

/// A client that begins a handshake and does not go on is let go after so long.
const PATIENCE: Duration = Duration::from_secs(30);
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

/// The authority of a folder: made there when there is none, the same for all that are started on it.
pub(crate) fn authority(folder: &Path) -> Result<Authority, String> {
    let failed = |what: &str, e: io::Error| format!("--tls {}: {what}: {e}", folder.display());
    if !folder.join(CERTIFICATE).exists() {
        let made = Authority::new()?;
        // Both files or none, whoever else is starting: a folder that has something in it is not replaced.
        let draft = folder.with_extension(format!("{}.new", std::process::id()));
        fs::create_dir_all(&draft).map_err(|e| failed("cannot make it", e))?;
        fs::write(draft.join(KEY), &made.secret).map_err(|e| failed(KEY, e))?;
        fs::write(draft.join(CERTIFICATE), pem(&made.root)).map_err(|e| failed(CERTIFICATE, e))?;
        let moved = fs::rename(&draft, folder);
        if moved.is_err() {
            let _ = fs::remove_dir_all(&draft);
        }
        if let (Err(e), false) = (moved, folder.join(CERTIFICATE).exists()) {
            return Err(failed("cannot make it", e));
        }
    }
    let secret = fs::read(folder.join(KEY)).map_err(|e| failed(KEY, e))?;
    let text = fs::read_to_string(folder.join(CERTIFICATE)).map_err(|e| failed(CERTIFICATE, e))?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let root =
        STANDARD.decode(body).map_err(|e| format!("--tls {}: {CERTIFICATE}: {e}", folder.display()))?;
    Authority::of(secret, root)
}

fn acceptor(authority: &Authority) -> Result<TlsAcceptor, String> {
    let names = [Name::Address(Ipv4Addr::LOCALHOST), Name::Dns("localhost")];
    let (secret, certificate) = authority.server(&names)?;
    let chain = [certificate, authority.root.clone()].map(CertificateDer::from).to_vec();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(secret));
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|e| format!("TLS: {e}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connections whose handshake is done.
pub(crate) struct Handshakes(mpsc::Receiver<(Stream, SocketAddr)>);

impl Handshakes {
    /// Accepts from `listener`, for ever.
    pub(crate) fn begin(listener: TcpListener, ground: Shared) -> Result<Self, String> {
        let acceptor = acceptor(&ground.authority)?;
        let (done, handshakes) = mpsc::channel(1024);
        tokio::spawn(async move {
            loop {
                let Ok((stream, address)) = listener.accept().await else {
                    // Out of descriptors, or a client that left while it was queued: neither ends the server.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let (acceptor, done, ground) = (acceptor.clone(), done.clone(), Arc::clone(&ground));
                tokio::spawn(async move {
                    tokio::time::sleep(delay(&ground.faults)).await;
                    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else {
                        return;
                    };
                    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                    ground.stats.shook_hands(resumed);
                    let _ = done.send((Stream::Tls(Box::new(stream)), address)).await;
                });
            }
        });
        Ok(Handshakes(handshakes))
    }

    pub(crate) async fn next(&mut self) -> (Stream, SocketAddr) {
        match self.0.recv().await {
            Some(connection) => connection,
            // The sender lives as long as the runtime.
            None => std::future::pending().await,
        }
    }
}

fn delay(faults: &Faults) -> Duration {
    Duration::from_millis(faults.certctl().handshake_ms)
}
