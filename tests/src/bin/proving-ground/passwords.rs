//! Hashing passwords and checking them, off the threads that serve.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Argon2id at the configured cost.
pub(crate) struct Passwords(Argon2<'static>);

impl Passwords {
    /// # Errors
    /// When no hash can have that cost.
    pub(crate) fn new(memory_kib: u32) -> Result<Self, String> {
        let params = Params::new(memory_kib, 1, 1, None).map_err(|e| format!("AUTH_COST: {e}"))?;
        Ok(Self(Argon2::new(Algorithm::Argon2id, Version::V0x13, params)))
    }

    /// The PHC string to store, or `None` when hashing fails.
    pub(crate) async fn hash(&self, password: String) -> Option<String> {
        let argon = self.0.clone();
        let hashing = move || argon.hash_password(password.as_bytes()).ok().map(|hash| hash.to_string());
        tokio::task::spawn_blocking(hashing).await.ok().flatten()
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long to say no, so that
    /// time does not tell which accounts exist.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> bool {
        let Some(stored) = stored else {
            self.hash(password).await;
            return false;
        };
        let argon = self.0.clone();
        let checking = move || argon.verify_password(password.as_bytes(), stored.as_str()).is_ok();
        tokio::task::spawn_blocking(checking).await.unwrap_or(false)
    }
}
