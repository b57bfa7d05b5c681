//! A certificate authority of our own: its root, certificates for servers, and those that ACME orders.

use crate::der::{self, Reader};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use std::net::Ipv4Addr;

const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P_256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[6, 3, 0x55, 0x1d, 19];
const EXTENSION_REQUEST: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// A test's clock may stand anywhere.
const VALID: [&[u8]; 2] = [b"200101000000Z", b"491231235959Z"];
const ISSUER: &str = "proving-ground CA";

/// A key that issues.
pub(crate) struct Authority {
    key: EcdsaKeyPair,
    /// PKCS#8 of the key.
    pub(crate) secret: Vec<u8>,
    /// DER of its own certificate.
    pub(crate) root: Vec<u8>,
    random: SystemRandom,
}

/// A name that a certificate is for.
pub(crate) enum Name<'n> {
    Dns(&'n str),
    Address(Ipv4Addr),
}

/// A request for a certificate, its signature checked.
pub(crate) struct Request<'r> {
    public: &'r [u8],
    /// Host names, in order.
    pub(crate) names: Vec<String>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Result<Self, String> {
        let random = SystemRandom::new();
        let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        let secret = secret.map_err(|e| e.to_string())?.as_ref().to_vec();
        let mut authority = Authority::of(secret, Vec::new())?;
        let public = public_key(authority.key.public_key().as_ref());
        authority.root = authority.certificate(ISSUER, &public, &[], true)?;
        Ok(authority)
    }

    /// The one with this key and certificate.
    pub(crate) fn of(secret: Vec<u8>, root: Vec<u8>) -> Result<Self, String> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &secret, &random);
        Ok(Authority { key: key.map_err(|e| format!("its key: {e}"))?, secret, root, random })
    }

    /// A key (PKCS#8) and certificate for a server.
    pub(crate) fn server(&self, names: &[Name<'_>]) -> Result<(Vec<u8>, Vec<u8>), String> {
        let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.random);
        let secret = secret.map_err(|e| e.to_string())?.as_ref().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &secret, &self.random);
        let public = public_key(key.map_err(|e| e.to_string())?.public_key().as_ref());
        let certificate = self.certificate("proving-ground", &public, names, false)?;
        Ok((secret, certificate))
    }

    /// What a request asks for, as PEM, our own certificate behind it.
    pub(crate) fn issue(&self, request: &Request<'_>) -> Result<String, String> {
        let names: Vec<Name<'_>> = request.names.iter().map(|name| Name::Dns(name)).collect();
        let common = request.names.first().map_or("", String::as_str);
        let certificate = self.certificate(common, request.public, &names, false)?;
        Ok(pem(&certificate) + &pem(&self.root))
    }

    fn certificate(
        &self,
        subject: &str,
        public: &[u8],
        names: &[Name<'_>],
        authority: bool,
    ) -> Result<Vec<u8>, String> {
        let mut serial = [0; 16];
        self.random.fill(&mut serial).map_err(|e| e.to_string())?;
        // Positive, and no zero in front.
        serial[0] = serial[0] & 0x3f | 0x40;
        let algorithm = der::write(der::SEQUENCE, &[ECDSA_WITH_SHA256]);
        let [from, to] = VALID.map(|time| der::write(der::UTC_TIME, &[time]));
        let extension = if authority {
            let flag = der::write(der::BOOLEAN, &[&[0xff]]);
            let content = der::write(der::OCTET_STRING, &[&der::write(der::SEQUENCE, &[&flag])]);
            der::write(der::SEQUENCE, &[BASIC_CONSTRAINTS, &flag, &content])
        } else {
            let names: Vec<Vec<u8>> = names.iter().map(Name::der).collect();
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let content = der::write(der::OCTET_STRING, &[&der::write(der::SEQUENCE, &names)]);
            der::write(der::SEQUENCE, &[SUBJECT_ALT_NAME, &content])
        };
        let body = der::write(
            der::SEQUENCE,
            &[
                &der::write(der::CONTEXT_0, &[&der::write(der::INTEGER, &[&[2]])]),
                &der::write(der::INTEGER, &[&serial]),
                &algorithm,
                &distinguished(ISSUER),
                &der::write(der::SEQUENCE, &[&from, &to]),
                &distinguished(subject),
                public,
                &der::write(der::CONTEXT_3, &[&der::write(der::SEQUENCE, &[&extension])]),
            ],
        );
        let signature = self.key.sign(&self.random, &body).map_err(|e| e.to_string())?;
        let signature = der::write(der::BIT_STRING, &[&[0], signature.as_ref()]);
        Ok(der::write(der::SEQUENCE, &[&body, &algorithm, &signature]))
    }
}

impl Name<'_> {
    fn der(&self) -> Vec<u8> {
        match self {
            Name::Dns(name) => der::write(DNS_NAME, &[name.as_bytes()]),
            Name::Address(address) => der::write(IP_ADDRESS, &[&address.octets()]),
        }
    }
}

impl<'r> Request<'r> {
    /// Reads a PKCS#10 request for host names that its own P-256 key signed.
    pub(crate) fn read(bytes: &'r [u8]) -> Option<Self> {
        let mut request = Reader::new(bytes).tagged(der::SEQUENCE)?.inside();
        let info = request.tagged(der::SEQUENCE)?;
        let algorithm = request.tagged(der::SEQUENCE)?;
        let signature = request.tagged(der::BIT_STRING)?.content.strip_prefix(&[0])?;
        let mut parts = info.inside();
        parts.tagged(der::INTEGER)?;
        parts.tagged(der::SEQUENCE)?;
        let public = parts.tagged(der::SEQUENCE)?;
        let attributes = parts.tagged(der::CONTEXT_0)?;
        let mut key = public.inside();
        let curve = key.tagged(der::SEQUENCE)?;
        let point = key.tagged(der::BIT_STRING)?.content.strip_prefix(&[0])?;
        if algorithm.content != ECDSA_WITH_SHA256 || curve.content != [EC_PUBLIC_KEY, P_256].concat() {
            return None;
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(info.whole, signature).ok()?;
        Some(Request { public: public.whole, names: requested(attributes.inside())? })
    }
}

/// The host names among a request's attributes.
fn requested(mut attributes: Reader<'_>) -> Option<Vec<String>> {
    while let Some(attribute) = attributes.tagged(der::SEQUENCE) {
        let mut parts = attribute.inside();
        if parts.value()?.whole != EXTENSION_REQUEST {
            continue;
        }
        let mut extensions = parts.tagged(der::SET)?.inside().tagged(der::SEQUENCE)?.inside();
        while let Some(extension) = extensions.tagged(der::SEQUENCE) {
            let mut parts = extension.inside();
            if parts.value()?.whole != SUBJECT_ALT_NAME {
                continue;
            }
            let mut names = parts.tagged(der::OCTET_STRING)?.inside().tagged(der::SEQUENCE)?.inside();
            let mut found = Vec::new();
            while let Some(name) = names.tagged(DNS_NAME) {
                found.push(std::str::from_utf8(name.content).ok()?.to_owned());
            }
            return Some(found);
        }
    }
    None
}

fn distinguished(name: &str) -> Vec<u8> {
    let text = der::write(der::UTF8_STRING, &[name.as_bytes()]);
    let pair = der::write(der::SEQUENCE, &[COMMON_NAME, &text]);
    der::write(der::SEQUENCE, &[&der::write(der::SET, &[&pair])])
}

fn public_key(point: &[u8]) -> Vec<u8> {
    let algorithm = der::write(der::SEQUENCE, &[EC_PUBLIC_KEY, P_256]);
    der::write(der::SEQUENCE, &[&algorithm, &der::write(der::BIT_STRING, &[&[0], point])])
}

/// A certificate as text.
pub(crate) fn pem(certificate: &[u8]) -> String {
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
