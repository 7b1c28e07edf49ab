//! Cryptography for the untrusted store: its content is either sealed, so that nobody can read it, or authenticated,
//! so that nobody can change it unnoticed.
//!
//! A [`Vault`] does both, bound to an [`AadContext`]: content sealed or authenticated for one table, row, column and
//! row version is refused in every other place. The keys come from one [`KeySet`]; a key service can take its place
//! behind a [`KeyWrapper`]. This module stores nothing and knows nothing of tenants or callers.

mod aad_context;
mod aead;
mod audit_signer;
mod digest;
mod envelope;
mod error;
mod hmac;
pub mod key_file;
mod key_set;
mod key_wrapper;
mod keypair;
mod mac_keys;
mod session_signer;
mod vault;

pub use aad_context::AadContext;
pub use audit_signer::{AuditSigner, Signature};
pub use digest::{sha256, sha256_hex};
pub use error::CryptoError;
pub use hmac::verify_hmac_sha256;
pub use key_set::{KeyKind, KeySet, KeySetError, KeyState, KeyStatus};
pub use key_wrapper::{KeyWrapper, LocalKeyWrapper, WrappedKey};
pub use keypair::generate_rsa_key;
pub use session_signer::{ClaimedSession, SessionSigner};
pub use vault::{PepperedHash, RowMac, Vault};
