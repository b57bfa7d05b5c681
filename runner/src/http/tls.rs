//! The TLS configuration of all connections of a run: resuming sessions where connections are kept, as browsers do,
//! and shaking hands in full where the plan asks for new ones.

use planc::graph::{Protocol, Tls};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// How connections are secured.
#[derive(Debug, Clone)]
pub(crate) struct Secured {
    /// Sessions are resumed.
    resumed: Arc<ClientConfig>,
    /// Every handshake is a full one.
    full: Arc<ClientConfig>,
}

impl Secured {
    /// The configuration of the plan's `tls`, or what is wrong with its files.
    pub(crate) fn new(tls: &Tls, protocol: Protocol) -> Result<Secured, String> {
        let resumed = configuration(tls, protocol)?;
        let mut full = resumed.clone();
        full.resumption = Resumption::disabled();
        Ok(Secured { resumed: Arc::new(resumed), full: Arc::new(full) })
    }

    /// For connections that are `kept`, or for those of which each is to be a new one.
    pub(crate) fn of(&self, kept: bool) -> Arc<ClientConfig> {
        if kept { self.resumed.clone() } else { self.full.clone() }
    }
}

fn configuration(tls: &Tls, protocol: Protocol) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    };
    let mut config = match (&tls.client_cert, &tls.client_key) {
        (Some(chain), Some(key)) => {
            let key_file = key;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|e| format!("cannot read `{key_file}`: {e}"))?;
            builder
                .with_client_auth_cert(certificates(chain)?, key)
                .map_err(|e| format!("client certificate `{chain}`: {e}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| format!("certificate in `{file}`: {e}"))?;
            }
        }
        // A root of the system's that rustls does not take only matters to servers that need it.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(roots)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let all = all.map_err(|e| format!("cannot read `{file}`: {e}"))?;
    if all.is_empty() { Err(format!("no certificate in `{file}`")) } else { Ok(all) }
}

/// `verify: false`: any certificate, though the handshake's signatures must still be right.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
