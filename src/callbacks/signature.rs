//! The signatures of requests, as [Standard Webhooks] has them: HMAC with SHA-256 over
//! `ID.TIMESTAMP.BODY`, so that a server knows who has sent what, and when.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::random;

/// A secret that the service and a server of an application share.
#[derive(Debug)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    pub fn generate() -> Self {
        Self(random::secret().to_vec().into())
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// As the application gets it: `whsec_` and its bytes in Base64.
    pub fn text(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.bytes()))
    }

    /// `v1,` and the signature in Base64.
    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.bytes());
        let signature = mac
            .expect("HMAC takes keys of every length")
            .chain_update(id)
            .chain_update(".")
            .chain_update(timestamp)
            .chain_update(".")
            .chain_update(body)
            .finalize();
        format!("v1,{}", BASE64_STANDARD.encode(signature.into_bytes()))
    }
}

impl From<SecretSlice<u8>> for SigningSecret {
    fn from(bytes: SecretSlice<u8>) -> Self {
        Self(bytes)
    }
}

/// The signatures of a request with each of the secrets. The server needs to know one of them.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp: &str, body: &[u8]) -> String {
    let signatures = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp, body));
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;

    use super::*;

    #[test]
    fn another_library_makes_the_same_signature() {
        let secrets = [SigningSecret::generate(), SigningSecret::generate()];
        let (id, timestamp, body) = ("41-42", 1_800_000_000, br#"{"entries":[]}"#);
        let signatures = secrets.each_ref().map(|secret| {
            let verifier = Webhook::new(&secret.text()).unwrap();
            verifier.sign(id, timestamp, body).unwrap()
        });
        let signed = sign(&secrets, id, &timestamp.to_string(), body);
        assert_eq!(signed, signatures.join(" "));
        assert_ne!(signatures[0], signatures[1]);
    }
}
