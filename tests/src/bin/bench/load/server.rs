//! The target on core 1, and what it knows of those who loaded it.

use super::Mode;
use crate::process;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

/// A `proving-ground` of one thread, without a database.
pub(super) struct Server {
    /// Where it listens.
    pub(super) url: String,
    /// The CA of its certificate, when it speaks TLS.
    pub(super) ca: Option<PathBuf>,
    child: Child,
}

/// What the server counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Truth {
    /// Requests answered.
    pub(super) requests: f64,
    /// Its own time from a request's head to the answer.
    pub(super) p50_ms: Option<f64>,
    /// The same.
    pub(super) p99_ms: Option<f64>,
    /// Connections accepted.
    pub(super) connections: f64,
    /// From the first to the last of them.
    pub(super) connected_within_ms: f64,
    /// From the second to the last, for those who rehearse over the first.
    pub(super) after_first_within_ms: f64,
}

impl Server {
    /// Starts it, over TLS when there is a folder for its certificate.
    pub(super) fn start(bin: &Path, tls: Option<&Path>) -> Result<Server, String> {
        let path = bin.join("proving-ground");
        let mut command = Command::new(&path);
        command.args(["--no-database", "--port", "0", "--workers", "1"]).stdout(Stdio::piped());
        if let Some(folder) = tls {
            command.arg("--tls").arg(folder);
        }
        process::pin(&mut command, 1);
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", path.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        let url = line.trim().rsplit(' ').next().unwrap_or("").to_owned();
        Ok(Server { url, ca: tls.map(|folder| folder.join("ca.pem")), child })
    }

    /// Begins to count from nothing.
    pub(super) fn forget(&self) -> Result<(), String> {
        self.ask("DELETE", "/_stats").map(drop)
    }

    /// What it counted since.
    pub(super) fn truth(&self, mode: Mode) -> Result<Truth, String> {
        let answer = self.ask("GET", "/_times")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let told: Value = serde_json::from_str(body).map_err(|e| format!("/_times: {e}: {answer}"))?;
        Ok(Truth::of(&told, mode))
    }

    /// A request over a connection of its own.
    fn ask(&self, method: &str, path: &str) -> Result<String, String> {
        let address = self.url.rsplit('/').next().unwrap_or_default();
        let tcp = TcpStream::connect(address).map_err(|e| format!("{address}: {e}"))?;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let asked = match &self.ca {
            None => exchange(tcp, &request, &mut answer),
            Some(ca) => exchange(StreamOwned::new(trusting(ca)?, tcp), &request, &mut answer),
        };
        asked.map_err(|e| format!("{method} {path}: {e}"))?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Truth {
    /// Of the route that the mode asks for.
    fn of(told: &Value, mode: Mode) -> Truth {
        let route = match mode {
            Mode::Bare | Mode::Start => "GET /static",
            Mode::Full => "POST /items/{id}",
            Mode::Open | Mode::Many => "GET /delay/{ms}",
        };
        let (times, connections) = (&told["routes"][route], &told["connections"]);
        let ms = |of: &Value| of.as_f64().map(|us| us / 1e3);
        Truth {
            requests: times["count"].as_f64().unwrap_or(0.0),
            p50_ms: ms(&times["p50_us"]),
            p99_ms: ms(&times["p99_us"]),
            connections: connections["accepted"].as_f64().unwrap_or(0.0),
            connected_within_ms: ms(&connections["within_us"]).unwrap_or(0.0),
            after_first_within_ms: ms(&connections["after_first_within_us"]).unwrap_or(0.0),
        }
    }
}

fn exchange(mut stream: impl Read + Write, request: &str, answer: &mut String) -> std::io::Result<()> {
    stream.write_all(request.as_bytes())?;
    match stream.read_to_string(answer) {
        // A server may close TLS without saying so.
        Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Err(e),
        _ => Ok(()),
    }
}

fn trusting(ca: &Path) -> Result<ClientConnection, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", ca.display());
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).map_err(|e| failed(&e))?;
    roots.add(certificate).map_err(|e| failed(&e))?;
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").map_err(|e| failed(&e))?;
    ClientConnection::new(Arc::new(config), name).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_truth_is_that_of_the_route() {
        let told = json!({
            "connections": { "accepted": 50, "within_us": 1500, "after_first_within_us": 500 },
            "routes": { "GET /delay/{ms}": { "count": 200, "p50_us": 20500, "p99_us": 21000 } },
        });
        let truth = Truth::of(&told, Mode::Open);
        assert_eq!((truth.requests, truth.p50_ms, truth.p99_ms), (200.0, Some(20.5), Some(21.0)));
        assert_eq!((truth.connections, truth.connected_within_ms), (50.0, 1.5));
        assert_eq!(truth.after_first_within_ms, 0.5);
        assert_eq!(Truth::of(&told, Mode::Bare).p50_ms, None);
    }
}
