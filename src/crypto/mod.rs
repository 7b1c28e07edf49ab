//! Storage is untrusted: what stands in it is either sealed, so that nobody reads it, or
//! authenticated, so that nobody changes it.
//!
//! A [`Vault`] does both, for one [`AadContext`] in the store at a time: what was sealed or authenticated
//! for one table, row, column and row version is refused at every other. The keys come from one
//! [`KeySet`]; a [`KeyWrapper`] is the seam behind which a key service may stand instead.

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
