//! A P-256 key that a number decides.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::sec1::ToSec1Point;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Signature,
};
use sha2::{Digest, Sha256};

/// A key pair. It signs test accounts and test certificates: whoever knows the seed knows it.
pub(crate) struct Key {
    private: [u8; 32],
    public: [u8; 65],
    jwk: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    /// The key of a number.
    pub(crate) fn seeded(seed: u64) -> Result<Key, String> {
        // Not every 32 bytes are a key, though nearly all are.
        let found = (0u8..=255).find_map(|turn| {
            let digest = Sha256::new().chain_update(b"planc key").chain_update(seed.to_be_bytes());
            let private: [u8; 32] = digest.chain_update([turn]).finalize().into();
            Some((private, p256::SecretKey::from_slice(&private).ok()?.public_key()))
        });
        let (private, point) = found.ok_or("no key comes of this seed")?;
        let point = point.to_sec1_point(false);
        let public: [u8; 65] = point.as_bytes().try_into().map_err(|_| "a point of another length")?;
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &private,
            &public,
            &random,
        );
        let pair = pair.map_err(|e| format!("a key of its own: {e}"))?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(&public[1..33]), URL_SAFE_NO_PAD.encode(&public[33..]));
        // The order of RFC 7638, so that its hash is the key's thumbprint.
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Key { private, public, jwk, pair, random })
    }

    /// The public point, uncompressed.
    pub(crate) fn public(&self) -> &[u8; 65] {
        &self.public
    }

    /// The public key as JSON.
    pub(crate) fn jwk(&self) -> &str {
        &self.jwk
    }

    /// r and s side by side, as JWS wants them.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Signature, String> {
        self.pair.sign(&self.random, message).map_err(|_| "the system gives no random numbers".to_owned())
    }

    /// r and s in DER, as certificates want them.
    pub(crate) fn sign_der(&self, message: &[u8]) -> Result<Signature, String> {
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &self.private,
            &self.public,
            &self.random,
        );
        let signed = pair.map_err(|e| e.to_string())?.sign(&self.random, message);
        signed.map_err(|_| "the system gives no random numbers".to_owned())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_key() {
        let jwk = |seed| Key::seeded(seed).expect("a key").jwk().to_owned();
        assert_eq!(jwk(1), jwk(1));
        assert_ne!(jwk(1), jwk(2));
        assert!(!format!("{:?}", Key::seeded(1).expect("a key")).contains("private"));
    }
}
