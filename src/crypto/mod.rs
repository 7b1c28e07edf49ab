//! Storage is untrusted: what stands in it is either sealed, so that nobody reads it, or
//! authenticated, so that nobody changes it.
//!
//! A [`Vault`] does both, for one [`AadContext`] in the store at a time: what was sealed or authenticated
//! for one table, row, column and row version is refused at every other. The keys come from one
//! [`KeySet`]; a [`KeyWrapper`] is the seam behind which a key service may stand instead.

mod aead;
mod digest;
mod envelope;
mod error;
pub mod file;
mod hmac;
mod key_set;
mod keypair;
mod mac_keys;
mod notary;
mod place;
mod session_keys;
mod vault;
mod wrap;

pub use digest::{sha256, sha256_hex};
pub use error::CryptoError;
pub use hmac::is_hmac_sha256;
pub use key_set::{KeyKind, KeySet, KeySetError, KeyState, KeyStatus};
pub use keypair::new_rsa_key;
pub use notary::{AuditSigner, Signature};
pub use place::AadContext;
pub use session_keys::{ClaimedSession, SessionKeys};
pub use vault::{PepperedHash, RowMac, Vault};
pub use wrap::{KeyWrapper, LocalKeyWrapper, WrappedKey};
