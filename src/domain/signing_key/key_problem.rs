//! The problems with a signing key from outside, each with its code and fix.

use super::limits::{MAX_BITS, MAX_PEM_BYTES, MAX_ROUNDS, MAX_SCRYPT_MIB, MAX_SCRYPT_P, MIN_BITS};

/// The command that converts a key to the form that Box itself uses.
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 des3 -in key.pem -out converted.pem";

/// A problem with a private key or its passphrase. It holds nothing of either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// The text is empty.
    #[error("the private key is empty")]
    Empty,
    /// The text is longer than that of any key.
    #[error("the private key's text is longer than {MAX_PEM_BYTES} bytes: no RSA key is")]
    TooLong,
    /// There is no `BEGIN` line.
    #[error("the private key is not PEM: it has no line `-----BEGIN … PRIVATE KEY-----`")]
    NotPem,
    /// The `BEGIN` line has no `END` line.
    #[error("the private key is cut off: the line `-----END {label}-----` is missing")]
    Truncated {
        /// The label of the `BEGIN` line.
        label: String,
    },
    /// The base64 or DER is invalid.
    #[error("the private key is damaged: what stands between its BEGIN and END lines cannot be read")]
    Damaged,
    /// It is a public key.
    #[error("this is a public key; the private key is needed")]
    PublicKey,
    /// It is a certificate or a certificate request.
    #[error("this is a certificate, which holds a public key; the private key is needed")]
    Certificate,
    /// It is PEM of another kind.
    #[error("a private key of the form `{label}` cannot be read")]
    OtherForm {
        /// The label of the `BEGIN` line.
        label: String,
    },
    /// It is a private key of another algorithm.
    #[error("this is a private key for {name}; Box needs an RSA key")]
    OtherAlgorithm {
        /// The algorithm's name, or its object identifier.
        name: String,
    },
    /// The encryption is not supported.
    #[error("the private key is encrypted with {name}, which is not supported")]
    UnsupportedScheme {
        /// The scheme's name, or its object identifier.
        name: String,
    },
    /// PBKDF2 with more rounds than the limit.
    #[error("the private key asks for {rounds} rounds of PBKDF2; at most {MAX_ROUNDS} are done")]
    TooManyRounds {
        /// The number that the key requires.
        rounds: u64,
    },
    /// scrypt with more memory or passes than the limit.
    #[error(
        "the private key asks for scrypt with N = {n}, r = {r}, p = {p}; \
         at most {MAX_SCRYPT_MIB} MiB (N · r · 128) and p = {MAX_SCRYPT_P} are spent"
    )]
    TooMuchMemory {
        /// The cost.
        n: u64,
        /// The block size.
        r: u64,
        /// The parallelisation.
        p: u64,
    },
    /// The key is encrypted and there is no passphrase.
    #[error("the private key is encrypted, but no passphrase came with it")]
    PassphraseMissing,
    /// The passphrase does not decrypt the key.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// The key is too short for Box.
    #[error("the RSA key has {bits} bits; Box takes keys of at least {MIN_BITS}")]
    TooSmall {
        /// The modulus' length.
        bits: u32,
    },
    /// The key is so long that its signatures are too expensive.
    #[error("the RSA key has {bits} bits; keys of at most {MAX_BITS} are taken")]
    TooLarge {
        /// The modulus' length.
        bits: u32,
    },
    /// The key has more than two primes.
    #[error("the RSA key has more than two primes, which is not supported")]
    ManyPrimes,
    /// The public exponent is even, too small or too large.
    #[error("the RSA key's public exponent is not an odd number from 3 to 2^33; usual is 65537")]
    Exponent,
    /// The components are not consistent.
    #[error("the RSA key's numbers do not belong together: it is damaged, or was put together wrongly")]
    Inconsistent,
}

impl KeyProblem {
    /// Returns the problem code in the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PassphraseMissing | Self::WrongPassphrase => "wrong_passphrase",
            Self::PublicKey | Self::Certificate => "public_key_given",
            Self::TooSmall { .. } => "key_too_small",
            Self::TooLarge { .. } => "key_too_large",
            Self::TooManyRounds { .. } | Self::TooMuchMemory { .. } => "kdf_too_costly",
            Self::Empty
            | Self::TooLong
            | Self::NotPem
            | Self::Truncated { .. }
            | Self::Damaged
            | Self::OtherForm { .. }
            | Self::OtherAlgorithm { .. }
            | Self::UnsupportedScheme { .. }
            | Self::ManyPrimes
            | Self::Exponent
            | Self::Inconsistent => "invalid_private_key",
        }
    }

    /// Returns the steps that solve the problem, in a sentence or two.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Empty | Self::NotPem | Self::TooLong => {
                "Give the whole PEM text of one key, from its BEGIN line to its END line, as it stands in \
                 Box's file under `privateKey`."
                    .to_owned()
            }
            Self::Truncated { .. } | Self::Damaged | Self::Inconsistent => {
                "Copy the whole PEM text again, from its BEGIN line to its END line; `openssl pkey -check \
                 -noout -in key.pem` tells whether the original is sound."
                    .to_owned()
            }
            Self::PublicKey | Self::Certificate => {
                "Give the file that was made together with it and begins `-----BEGIN … PRIVATE KEY-----`; \
                 the public key itself belongs into Box's developer console."
                    .to_owned()
            }
            Self::OtherForm { label } if label == "OPENSSH PRIVATE KEY" => {
                "Convert it in place: `ssh-keygen -p -m PEM -f key.pem`.".to_owned()
            }
            Self::OtherForm { .. } => format!("Convert it: `{CONVERT}`."),
            Self::UnsupportedScheme { .. } => format!(
                "Convert it: `{CONVERT}`. Where OpenSSL 3 says `unsupported`, add `-provider default \
                 -provider legacy`."
            ),
            Self::TooManyRounds { .. } | Self::TooMuchMemory { .. } => {
                format!("Encrypt it at a usual cost: `{CONVERT}`.")
            }
            Self::PassphraseMissing => {
                "Give the passphrase that the key was encrypted with: `passphrase` beside the private key."
                    .to_owned()
            }
            Self::WrongPassphrase => {
                "Give the passphrase that stands beside this very key; `openssl pkey -noout -in key.pem` asks \
                 for it and tells whether it fits."
                    .to_owned()
            }
            Self::OtherAlgorithm { .. }
            | Self::TooSmall { .. }
            | Self::TooLarge { .. }
            | Self::ManyPrimes
            | Self::Exponent => "Let Box make a keypair in the developer console (Configuration › Add and \
                 Manage Public Keys), or make one with `openssl genrsa -out key.pem 2048` and add its public \
                 key there."
                .to_owned(),
        }
    }
}
