//! Certificate signing requests (PKCS#10, RFC 2986) for host names: the few DER structures that they are made of.

use super::Key;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
/// `[0]` of what the context says, constructed.
const CONTEXT_0: u8 = 0xa0;
/// `[2]` of a general name: a host name.
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// 1.2.840.10045.3.1.7
const P_256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.2.840.10045.4.3.2
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// 1.2.840.113549.1.9.14
const EXTENSION_REQUEST: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x06, 3, 0x55, 0x1d, 17];
/// X.520 allows a common name no more.
const MAX_COMMON_NAME: usize = 64;

/// A request for a certificate with these names, signed by its key; base64url of its DER, as ACME sends it.
pub(crate) fn csr(key: &Key, names: &[&str]) -> Result<String, String> {
    let info = info(key, names);
    let signature = key.sign_der(&info)?;
    let algorithm = der(SEQUENCE, &[ECDSA_WITH_SHA256]);
    let request = der(SEQUENCE, &[&info, &algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]);
    Ok(URL_SAFE_NO_PAD.encode(request))
}

fn info(key: &Key, names: &[&str]) -> Vec<u8> {
    let subject = match names.first().filter(|name| name.len() <= MAX_COMMON_NAME) {
        Some(name) => {
            let pair = der(SEQUENCE, &[COMMON_NAME, &der(UTF8_STRING, &[name.as_bytes()])]);
            der(SEQUENCE, &[&der(SET, &[&pair])])
        }
        None => der(SEQUENCE, &[]),
    };
    let algorithm = der(SEQUENCE, &[EC_PUBLIC_KEY, P_256]);
    let public = der(SEQUENCE, &[&algorithm, &der(BIT_STRING, &[&[0], key.public()])]);
    let all: Vec<Vec<u8>> = names.iter().map(|name| der(DNS_NAME, &[name.as_bytes()])).collect();
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let names = der(OCTET_STRING, &[&der(SEQUENCE, &all)]);
    let extensions = der(SEQUENCE, &[&der(SEQUENCE, &[SUBJECT_ALT_NAME, &names])]);
    let attribute = der(SEQUENCE, &[EXTENSION_REQUEST, &der(SET, &[&extensions])]);
    let version = der(INTEGER, &[&[0]]);
    der(SEQUENCE, &[&version, &subject, &public, &der(CONTEXT_0, &[&attribute])])
}

/// Tag, length and content.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
    }
    content.iter().for_each(|part| out.extend_from_slice(part));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(der(4, &[b"ab", b"c"]), b"\x04\x03abc");
        assert_eq!(der(4, &[&[7; 127]])[..2], [4, 127]);
        assert_eq!(der(4, &[&[7; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(der(4, &[&[7; 300]])[..4], [4, 0x82, 1, 44]);
    }

    // That others can read it is shown by the tests of proving-ground, which parses and verifies what arrives.
    #[test]
    fn the_request_is_signed_by_the_key_in_it() {
        let key = Key::seeded(3).expect("a key");
        let info = info(&key, &["a.example.test", "b.example.test"]);
        let signature = key.sign_der(&info).expect("signed");
        let public =
            ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, key.public());
        public.verify(&info, signature.as_ref()).expect("the signature holds");
        let text = String::from_utf8_lossy(&info).into_owned();
        assert_eq!(text.matches("a.example.test").count(), 2, "common and alternative name");
        assert_eq!(text.matches("b.example.test").count(), 1);
    }
}
