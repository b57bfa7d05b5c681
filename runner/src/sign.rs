//! Signing as ACME wants it: P-256 keys from the plan's seed, JWS (RFC 7515, ES256) and certificate signing requests.

mod csr;
mod key;

pub(crate) use csr::csr;
pub(crate) use key::Key;

use crate::text::{Encode, InScope, Names, Text, escape_json};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use planc::eval::EvalError;
use planc::graph::{Jws, JwsKey};

/// A signed body, ready to be rendered.
#[derive(Debug)]
pub(crate) struct JwsPlan {
    /// Whose key signs.
    pub(crate) key: JwsKey,
    nonce: Text,
    kid: Option<Text>,
    payload: Option<Text>,
}

/// Room for signing, reused from request to request.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    protected: String,
    payload: String,
    signed: String,
}

impl JwsPlan {
    pub(crate) fn new(jws: &Jws, names: &Names) -> Self {
        JwsPlan {
            key: jws.key,
            nonce: Text::new(&jws.nonce, Encode::JsonText, names),
            kid: jws.kid.as_ref().map(|kid| Text::new(kid, Encode::JsonText, names)),
            payload: jws.payload.as_ref().map(|payload| Text::json(payload, names)),
        }
    }

    /// The signed request to `url` as flattened JSON, in place of what is in `out`.
    pub(crate) fn render(
        &self,
        key: &Key,
        url: &str,
        scope: &InScope<'_>,
        desk: &mut Desk,
        out: &mut String,
    ) -> Result<(), EvalError> {
        let Desk { protected, payload, signed } = desk;
        protected.clear();
        protected.push_str(r#"{"alg":"ES256","#);
        match &self.kid {
            Some(kid) => {
                protected.push_str(r#""kid":""#);
                kid.render(scope, protected)?;
                protected.push('"');
            }
            None => {
                protected.push_str(r#""jwk":"#);
                protected.push_str(key.jwk());
            }
        }
        protected.push_str(r#","nonce":""#);
        self.nonce.render(scope, protected)?;
        protected.push_str(r#"","url":""#);
        escape_json(url, protected);
        protected.push_str("\"}");
        payload.clear();
        if let Some(text) = &self.payload {
            text.render(scope, payload)?;
        }
        signed.clear();
        URL_SAFE_NO_PAD.encode_string(protected.as_bytes(), signed);
        let dot = signed.len();
        signed.push('.');
        URL_SAFE_NO_PAD.encode_string(payload.as_bytes(), signed);
        let signature = key.sign(signed.as_bytes()).map_err(EvalError)?;
        out.clear();
        out.push_str(r#"{"protected":""#);
        out.push_str(&signed[..dot]);
        out.push_str(r#"","payload":""#);
        out.push_str(&signed[dot + 1..]);
        out.push_str(r#"","signature":""#);
        URL_SAFE_NO_PAD.encode_string(signature, out);
        out.push_str("\"}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Env;
    use planc::expr::{Expr, Segment, Template};
    use planc::graph::{Json, JsonTemplate};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn decoded(body: &Json, part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(body[part].as_str().expect("a text")).expect("base64url")
    }

    fn rendered(jws: &Jws, key: &Key, url: &str) -> Json {
        let values = BTreeMap::from([("kid".to_owned(), json!("https://a/\"1"))]);
        let names = Names { scenario: "s".into(), bound: Vec::new(), values: Arc::new(values) };
        let scope = InScope { names: &names, env: &Env { vu: 3, ..Env::default() }, response: None };
        let (mut desk, mut out) = (Desk::default(), "left over".to_owned());
        JwsPlan::new(jws, &names).render(key, url, &scope, &mut desk, &mut out).expect("rendered");
        serde_json::from_str(&out).expect("JSON")
    }

    fn slot(name: &str) -> Template {
        Template { segments: vec![Segment::Slot(Expr::Path(vec![name.into()]))] }
    }

    #[test]
    fn what_is_signed_verifies_with_the_key_that_it_names() {
        let key = Key::seeded(7).expect("a key");
        let payload = JsonTemplate::Map(BTreeMap::from([(
            "n".to_owned(),
            JsonTemplate::Value(Expr::Path(vec!["vu".into()])),
        )]));
        let jws = Jws { key: JwsKey::Vu, nonce: Template::literal("n0"), kid: None, payload: Some(payload) };
        let body = rendered(&jws, &key, "http://127.0.0.1/a?b=\"c\"");
        let protected: Json = serde_json::from_slice(&decoded(&body, "protected")).expect("JSON");
        assert_eq!(
            (&protected["alg"], &protected["nonce"], &protected["url"]),
            (&json!("ES256"), &json!("n0"), &json!("http://127.0.0.1/a?b=\"c\""))
        );
        assert_eq!((&protected["jwk"]["kty"], &protected["jwk"]["crv"]), (&json!("EC"), &json!("P-256")));
        assert_eq!(decoded(&body, "payload"), br#"{"n":3}"#);
        let point = [vec![4], decoded(&protected["jwk"], "x"), decoded(&protected["jwk"], "y")].concat();
        let signed = format!("{}.{}", body["protected"].as_str().unwrap(), body["payload"].as_str().unwrap());
        let holds = |public: &[u8], signed: &[u8]| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(signed, &decoded(&body, "signature"))
        };
        holds(&point, signed.as_bytes()).expect("the signature holds");
        assert!(holds(&point, format!("{signed}A").as_bytes()).is_err());
        let other = Key::seeded(8).expect("a key");
        assert!(holds(other.public(), signed.as_bytes()).is_err());
    }

    #[test]
    fn an_account_is_named_in_place_of_its_key_and_nothing_is_an_empty_payload() {
        let key = Key::seeded(7).expect("a key");
        let jws =
            Jws { key: JwsKey::Vu, nonce: Template::literal("n"), kid: Some(slot("kid")), payload: None };
        let body = rendered(&jws, &key, "http://a/");
        let protected: Json = serde_json::from_slice(&decoded(&body, "protected")).expect("JSON");
        assert_eq!(
            protected,
            json!({ "alg": "ES256", "kid": "https://a/\"1", "nonce": "n", "url": "http://a/" })
        );
        assert_eq!(body["payload"], "");
    }
}
