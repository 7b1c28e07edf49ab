//! The limits on keys from outside. They bound the work of reading one before any of it is done, and are named in
//! the messages of [`KeyProblem`](super::KeyProblem).

/// The longest PEM text that is read, in bytes: about eight times that of a 4096-bit key.
pub(super) const MAX_PEM_BYTES: usize = 32 * 1024;

/// The shortest modulus that Box accepts, in bits.
pub(super) const MIN_BITS: u32 = 2048;
/// The longest modulus, in bits. Each doubling makes a signature about seven times as expensive.
pub(super) const MAX_BITS: u32 = 4096;

/// The maximum number of PBKDF2 rounds; a million took 0.4 to 0.9 s.
pub(super) const MAX_ROUNDS: u32 = 200_000;
/// The maximum memory of scrypt (N · r · 128 bytes), in MiB: twice OpenSSL's default.
pub(super) const MAX_SCRYPT_MIB: u64 = 32;
/// The maximum number of scrypt's passes over that memory.
pub(super) const MAX_SCRYPT_P: u64 = 2;
