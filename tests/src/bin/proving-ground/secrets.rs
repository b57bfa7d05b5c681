//! Random values that nobody can guess, and what is stored in place of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 244 random bits as 43 characters that need no quoting in a header, a cookie or a URL.
pub(crate) fn random() -> String {
    let halves = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()];
    URL_SAFE_NO_PAD.encode(halves.as_flattened())
}

/// `sha256(pepper || secret)` in lower-case hex.
pub(crate) fn digest(pepper: &str, secret: &str) -> String {
    let hash = Sha256::new().chain_update(pepper).chain_update(secret).finalize();
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_concatenation() {
        // printf pepperabc | sha256sum
        let expected = "fadf7b97406e1eaa259a82e26e6839e564c37c256876e060e17838c86b7275ef";
        assert_eq!(digest("pepper", "abc"), expected);
        assert_eq!(digest("pepper", "abc"), digest("", "pepperabc"));
        assert_ne!(random(), random());
    }
}
