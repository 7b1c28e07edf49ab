//! Names for things: the broker's own immutable ids, the names that people choose, and Box's numbers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entropy::{Entropy, base62};

/// Why a text is not the id or name that it should be; the message says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) &'static str);

/// How many random characters follow an id's prefix: 119 bits.
const ID_LENGTH: usize = 20;

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
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

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that no other thing has or will have.
            #[must_use]
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(format!("{}{}", $prefix, base62(entropy, ID_LENGTH)).into())
            }

            /// Reads an id.
            ///
            /// # Errors
            /// Where the prefix is another kind's, or what follows is not base62.
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

own_id!(
    /// A tenant's immutable id.
    TenantId, "ten_"
);
own_id!(
    /// A Box app's immutable id.
    AppId, "app_"
);
own_id!(
    /// A caller's immutable id.
    CallerId, "cal_"
);
own_id!(
    /// An API key's immutable id; without its prefix it is the key's public part.
    KeyId, "key_"
);
own_id!(
    /// The id of a trust: which tokens of an OIDC issuer open a caller.
    TrustId, "tru_"
);
own_id!(
    /// The id of a keypair that was made here.
    KeypairId, "kpr_"
);
own_id!(
    /// The id of one chain of audit records.
    WriterId, "wri_"
);
own_id!(
    /// The id of one minted token's row.
    TokenId, "tok_"
);
own_id!(
    /// A browser session's immutable id; without its prefix it is the session's public part.
    SessionId, "ses_"
);

impl SessionId {
    /// What stands for several sessions where a record tells of them together.
    #[must_use]
    pub fn several() -> Self {
        Self("ses_several".into())
    }

    /// The id whose public part stands in a session's text.
    ///
    /// # Errors
    /// Where the part is not base62.
    pub fn from_public_part(part: &str) -> Result<Self, InvalidValue> {
        Self::parse(&format!("{}{part}", Self::PREFIX))
    }

    /// The part that stands in the session's text itself.
    #[must_use]
    pub fn public_part(&self) -> &str {
        self.0.strip_prefix(Self::PREFIX).unwrap_or(&self.0)
    }
}

impl TrustId {
    /// The id of what has no row to keep a random one in: made of a hash in hex, at most 40 digits of it.
    #[must_use]
    pub fn of_hash(digits: &str) -> Self {
        let digits = digits.bytes().filter(u8::is_ascii_alphanumeric).take(40).map(char::from);
        Self(format!("{}{}", Self::PREFIX, digits.collect::<String>()).into())
    }
}

impl KeyId {
    /// The id whose public part stands in an API key.
    ///
    /// # Errors
    /// Where the part is not base62.
    pub fn from_public_part(part: &str) -> Result<Self, InvalidValue> {
        Self::parse(&format!("{}{part}", Self::PREFIX))
    }

    /// The part that stands in the API key itself.
    #[must_use]
    pub fn public_part(&self) -> &str {
        self.0.strip_prefix(Self::PREFIX).unwrap_or(&self.0)
    }
}

/// A name that people chose for a tenant, app or caller: `^[a-z0-9](-?[a-z0-9])*$`, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// Where it is empty, longer than 63, or holds anything but lower-case letters, digits and
    /// single hyphens between them.
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

/// A number that Box gave to a user, an enterprise, a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoxId(Arc<str>);

impl BoxId {
    /// Reads a Box id.
    ///
    /// # Errors
    /// Where it is not 1 to 20 decimal digits.
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
    /// Where it is empty, longer than 128, or holds anything but letters, digits, `-` and `_`.
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

/// The number of one state of a tenant's or app's credentials; each change takes the next one of a
/// single sequence, and none is used twice.
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
    fn names_are_hyphenated_lower_case() {
        for good in ["a", "9", "acme", "acme-emea-2", &"a".repeat(63)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a--b", "Acme", "a.b", "..", "a/b", "a\0", "ä", "ten_1", &long] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_read_by_its_own_kind_alone() {
        let id = TenantId::generate(&SystemEntropy);
        assert_eq!(TenantId::parse(id.as_str()), Ok(id.clone()));
        assert!(AppId::parse(id.as_str()).is_err());
        assert!(TenantId::parse("ten_").is_err() && TenantId::parse("ten_a-b").is_err());
    }

    #[test]
    fn box_ids_are_digits() {
        assert!(BoxId::parse("12345").is_ok());
        for bad in ["", "-1", "1.0", "12a", "123456789012345678901", "١"] {
            assert!(BoxId::parse(bad).is_err(), "{bad}");
        }
    }
}
