//! Identifiers: the broker's own immutable ids, the names that people choose, and Box's ids.
//!
//! Each is a type of its own that can only be parsed from valid text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entropy::{Entropy, random_base62};

/// The error for a value of the wrong form; the message describes the right one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) &'static str);

/// The number of random characters after an id's prefix: 119 bits.
const ID_LENGTH: usize = 20;

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The prefix of every id of this kind.
            pub const PREFIX: &'static str = $prefix;

            /// Returns a new random id.
            #[must_use]
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(format!("{}{}", $prefix, random_base62(entropy, ID_LENGTH)).into())
            }

            /// Reads an id.
            ///
            /// # Errors
            /// [`InvalidValue`] if the prefix is not this kind's, or the rest is not 1 to 40 letters and digits.
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                match text.strip_prefix($prefix) {
                    Some(rest)
                        if !rest.is_empty()
                            && rest.len() <= 40
                            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
                    {
                        Ok(Self(text.into()))
                    }
                    _ => Err(InvalidValue(concat!("an id of this kind is `", $prefix, "` and letters and digits"))),
                }
            }
        }

        text_type!($name);
    };
}

prefixed_id!(
    /// A tenant's immutable id.
    TenantId, "ten_"
);
prefixed_id!(
    /// A Box app's immutable id.
    AppId, "app_"
);
prefixed_id!(
    /// A caller's immutable id.
    CallerId, "cal_"
);
prefixed_id!(
    /// An API key's immutable id; without its prefix it is the key's public part.
    KeyId, "key_"
);
prefixed_id!(
    /// The id of a trust, which lets tokens of an OIDC issuer authenticate as a caller.
    TrustId, "tru_"
);
prefixed_id!(
    /// The id of a keypair that the broker generated.
    KeypairId, "kpr_"
);
prefixed_id!(
    /// The id of one chain of audit records.
    WriterId, "wri_"
);
prefixed_id!(
    /// The id of one minted token's row.
    TokenId, "tok_"
);
prefixed_id!(
    /// A browser session's immutable id; without its prefix it is the session's public part.
    SessionId, "ses_"
);

impl SessionId {
    /// Returns the placeholder for several sessions in one audit record.
    #[must_use]
    pub fn several() -> Self {
        Self("ses_several".into())
    }

    /// Returns the id with this public part, as it is in a session's text.
    ///
    /// # Errors
    /// [`InvalidValue`] if the part is not base62.
    pub fn from_public_part(part: &str) -> Result<Self, InvalidValue> {
        Self::parse(&format!("{}{part}", Self::PREFIX))
    }

    /// Returns the part of the id that is in the session's text.
    #[must_use]
    pub fn public_part(&self) -> &str {
        self.0.strip_prefix(Self::PREFIX).unwrap_or(&self.0)
    }
}

impl TrustId {
    /// Returns the id of a trust from the settings, which has no row: the first 40 digits of a hash in hex.
    #[must_use]
    pub fn from_hash(digits: &str) -> Self {
        let digits = digits.bytes().filter(u8::is_ascii_alphanumeric).take(40).map(char::from);
        Self(format!("{}{}", Self::PREFIX, digits.collect::<String>()).into())
    }
}

impl KeyId {
    /// Returns the id with this public part, as it is in an API key.
    ///
    /// # Errors
    /// [`InvalidValue`] if the part is not base62.
    pub fn from_public_part(part: &str) -> Result<Self, InvalidValue> {
        Self::parse(&format!("{}{part}", Self::PREFIX))
    }

    /// Returns the part of the id that is in the API key.
    #[must_use]
    pub fn public_part(&self) -> &str {
        self.0.strip_prefix(Self::PREFIX).unwrap_or(&self.0)
    }
}

/// The chosen name of a tenant, app or caller: `^[a-z0-9](-?[a-z0-9])*$`, at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is empty, longer than 63 characters, or holds anything but lower-case letters, digits
    /// and single hyphens between them.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = !text.is_empty()
            && text.len() <= 63
            && text.split('-').all(|part| !part.is_empty() && part.bytes().all(letter));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue(
                "a name is 1 to 63 lower-case letters and digits, with single hyphens between them",
            ))
        }
    }
}

text_type!(Name);

/// Box's id of a user, an enterprise, a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoxId(Arc<str>);

impl BoxId {
    /// Reads a Box id.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not 1 to 20 decimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        if (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue("a Box id is 1 to 20 decimal digits, as a string"))
        }
    }
}

text_type!(BoxId);

/// A Box app's client ID, as the developer console shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Reads a client ID.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is empty, longer than 128 bytes, or holds anything but letters, digits, `-` and `_`.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=128).contains(&text.len()) && text.bytes().all(letter) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue("a client ID is 1 to 128 letters, digits, `-` and `_`"))
        }
    }
}

text_type!(ClientId);

/// The number of one state of a tenant's or app's credentials. Each change takes the next number of a single
/// sequence, and no number is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_name_is_lower_case_with_single_hyphens() {
        for good in ["a", "9", "acme", "acme-emea-2", &"a".repeat(63)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a--b", "Acme", "a.b", "..", "a/b", "a\0", "ä", "ten_1", &long] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_parsed_only_as_its_own_kind() {
        let id = TenantId::generate(&SystemEntropy);
        assert_eq!(TenantId::parse(id.as_str()), Ok(id.clone()));
        assert!(AppId::parse(id.as_str()).is_err());
        assert!(TenantId::parse("ten_").is_err() && TenantId::parse("ten_a-b").is_err());
    }

    #[test]
    fn a_box_id_is_1_to_20_digits() {
        assert!(BoxId::parse("12345").is_ok());
        for bad in ["", "-1", "1.0", "12a", "123456789012345678901", "١"] {
            assert!(BoxId::parse(bad).is_err(), "{bad}");
        }
    }
}
