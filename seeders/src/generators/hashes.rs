//! Hashes: of each row's own text, and of a password, once for all rows.

use super::{Cell, Text};
use crate::hash;
use crate::rows::RowScope;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use planc::graph::{Json, PasswordScheme};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// SHA-256 of a rendered text, or its HMAC-SHA256 (RFC 2104) under a rendered key.
pub(super) fn digest(text: &Text, key: Option<&Text>, scope: &RowScope<'_>) -> Result<Cell, String> {
    let rendered = |text: &Text| {
        let mut out = String::new();
        text.render(scope, &mut out).map(|()| out)
    };
    let text = rendered(text)?;
    let Some(key) = key else {
        return Ok(Cell::Digest(Sha256::digest(text).into()));
    };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(rendered(key)?.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    Ok(Cell::Digest(mac.finalize().into_bytes().into()))
}

/// A password and how it is hashed.
#[derive(Debug)]
pub(crate) struct Password {
    text: Text,
    scheme: PasswordScheme,
    salt: [u8; 16],
    made: OnceLock<Result<Cell, String>>,
}

impl Password {
    /// The salt is drawn under the column's key: the same plan gives the same hash.
    pub(super) fn new(text: Text, scheme: PasswordScheme, key: u64) -> Self {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&hash::draw(key, 0, 0).to_be_bytes());
        salt[8..].copy_from_slice(&hash::draw(key, 0, 1).to_be_bytes());
        Password { text, scheme, salt, made: OnceLock::new() }
    }

    pub(super) fn hash(&self, scope: &RowScope<'_>) -> Result<&Cell, String> {
        let make = || {
            let mut password = String::new();
            self.text.render(scope, &mut password)?;
            remembered(&password, self.scheme, self.salt).map(|hash| Cell::Json(Json::String(hash)))
        };
        self.made.get_or_init(make).as_ref().map_err(String::clone)
    }
}

/// The hash of a password. It is slow by intent and the rows of a fixture are compiled several times in a run, so it is
/// remembered for the life of the program, by a digest: no password is kept.
fn remembered(password: &str, scheme: PasswordScheme, salt: [u8; 16]) -> Result<String, String> {
    static MADE: Mutex<BTreeMap<[u8; 32], Result<String, String>>> = Mutex::new(BTreeMap::new());
    let of = Sha256::new().chain_update(format!("{scheme:?}")).chain_update(salt).chain_update(password);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(of.finalize().into()).or_insert_with(|| hashed(password, scheme, salt)).clone()
}

fn hashed(password: &str, scheme: PasswordScheme, salt: [u8; 16]) -> Result<String, String> {
    match scheme {
        PasswordScheme::Bcrypt { cost } => bcrypt::non_truncating_hash_with_salt(password, cost, salt)
            .map(|parts| parts.to_string())
            .map_err(|error| match error {
                bcrypt::BcryptError::Truncation(length) => {
                    format!("bcrypt takes 72 bytes of a password, and this one has {}", length - 1)
                }
                other => format!("bcrypt: {other}"),
            }),
        PasswordScheme::Argon2id { memory, passes } => {
            let params =
                Params::new(memory, passes, 1, Some(32)).map_err(|error| format!("argon2id: {error}"))?;
            let mut out = [0; 32];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(password.as_bytes(), &salt, &mut out)
                .map_err(|error| format!("argon2id: {error}"))?;
            let (salt, out) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(out));
            Ok(format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${out}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers: bcrypt of crypt_blowfish's own tests (in its newer form), Argon2id of the reference's tests.
    #[test]
    fn known_hashes() {
        let bcrypt = PasswordScheme::Bcrypt { cost: 5 };
        // "CCCCCCCCCCCCCCCCCCCCC." in bcrypt's base64 are 16 times 0x10, 0x41, 0x04 in turn.
        let salt: [u8; 16] = std::array::from_fn(|at| [0x10, 0x41, 0x04][at % 3]);
        assert_eq!(
            hashed("U*U", bcrypt, salt).as_deref(),
            Ok("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
        );
        let told = hashed(&"x".repeat(73), bcrypt, salt).unwrap_err();
        assert_eq!(told, "bcrypt takes 72 bytes of a password, and this one has 73");
        let argon = PasswordScheme::Argon2id { memory: 65_536, passes: 2 };
        assert_eq!(
            hashed("password", argon, *b"somesaltsomesalt")
                .map(|hash| hash.starts_with("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$")),
            Ok(true)
        );
    }
}
