//! A vault behind a key service, which may fail or return unusable keys.

use super::*;

/// A key service with scripted answers.
#[derive(Debug)]
struct Scripted {
    key_ref: String,
    wrapped: Vec<u8>,
    data_key: Result<usize, CryptoError>,
}

#[async_trait]
impl KeyWrapper for Scripted {
    fn active(&self) -> &str {
        &self.key_ref
    }

    async fn wrap(&self, _: &[u8], _: &SecretBytes) -> Result<WrappedKey, CryptoError> {
        Ok(WrappedKey { key_ref: self.key_ref.clone(), bytes: self.wrapped.clone() })
    }

    async fn unwrap(&self, _: &str, _: &[u8], _: &[u8]) -> Result<SecretBytes, CryptoError> {
        self.data_key.clone().map(|length| SecretBytes::new(vec![0; length]))
    }
}

fn behind(service: Scripted) -> Vault {
    let keys = changed(&generated(), |document| document["encryption"] = json!([]));
    Vault::new(&keys, Arc::new(service), Arc::new(SystemEntropy)).unwrap()
}

#[tokio::test]
async fn a_key_service_that_answers_what_cannot_be_stored_is_an_error() {
    let long = "a".repeat(256);
    for (key_ref, wrapped) in [("", 1), ("a b", 1), (&*long, 1), ("a", 65_536)] {
        let service = Scripted { key_ref: key_ref.to_owned(), wrapped: vec![0; wrapped], data_key: Ok(32) };
        let sealed = behind(service).seal(&PLACE, &secret("plain")).await;
        assert!(matches!(sealed, Err(CryptoError::Wrapper(_))), "{key_ref}");
    }
}

#[tokio::test]
async fn what_a_key_service_unwraps_is_a_data_key_or_refused() {
    let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for length in [0, 16, 31, 32, 33] {
        let service = Scripted { key_ref: arn.to_owned(), wrapped: vec![0; 65_535], data_key: Ok(length) };
        let vault = behind(service);
        let sealed = vault.seal(&PLACE, &secret("plain")).await.unwrap();
        assert_eq!(vault.open(&PLACE, &sealed).await, Err(CryptoError::Refused), "{length}");
    }
    let away = CryptoError::Wrapper("away".to_owned());
    let service = Scripted { key_ref: arn.to_owned(), wrapped: vec![0; 9], data_key: Err(away.clone()) };
    let vault = behind(service);
    let sealed = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    assert_eq!(vault.open(&PLACE, &sealed).await, Err(away));
}
