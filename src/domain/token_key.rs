//! The typed key that cache, flights and stored tokens share.
//!
//! It owns the encoding of the key; stored tokens are found by it, so it must not change.

use super::id::{BoxId, Generation, TenantId};
use super::length_prefixed::LengthPrefixed;
use super::resource::{Resource, ResourceType};
use super::restriction::{Annotator, Restriction, RestrictionTarget, SharedLink};
use super::scope::{Scope, ScopeSet};
use super::subject::Subject;

/// The identity of a token: two requests with equal keys get the same token. Keys that differ in any field are
/// different, in memory by `Eq` and in the store by [`TokenKey::encoding`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The generation of its credentials.
    pub generation: Generation,
    /// The account that the token acts for.
    pub subject: Subject,
    /// The restriction; `None` is a full token.
    pub restriction: Option<Restriction>,
}

impl TokenKey {
    /// Returns the key of the full token that this token is exchanged from, or of the token itself if it is full.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self { restriction: None, ..self.clone() }
    }

    /// Returns the key as bytes. Each field is preceded by its length, so that no two keys have the same encoding.
    #[must_use]
    pub fn encoding(&self) -> Vec<u8> {
        let mut fields = LengthPrefixed::with_capacity(256);
        fields.push(b"token-key-1");
        fields.push(self.tenant.as_str().as_bytes());
        fields.push(&self.generation.0.to_be_bytes());
        match &self.subject {
            Subject::Enterprise {} => fields.push(b"enterprise"),
            Subject::User { id } => {
                fields.push(b"user");
                fields.push(id.as_str().as_bytes());
            }
        }
        let Some(restriction) = &self.restriction else {
            fields.push(b"full");
            return fields.into_bytes();
        };
        fields.push(b"restricted");
        fields.push(&(restriction.scopes.len() as u64).to_be_bytes());
        for scope in restriction.scopes.iter() {
            fields.push(scope.as_str().as_bytes());
        }
        match &restriction.target {
            RestrictionTarget::Anything => fields.push(b"anything"),
            RestrictionTarget::Resource(resource) => {
                fields.push(match resource.kind {
                    ResourceType::File => b"file",
                    ResourceType::Folder => b"folder",
                });
                fields.push(resource.id.as_str().as_bytes());
            }
            RestrictionTarget::SharedLink(link) => {
                fields.push(b"shared-link");
                fields.push(link.as_str().as_bytes());
            }
        }
        if let Some(annotator) = &restriction.annotator {
            fields.push(b"annotator");
            fields.push(annotator.id.as_bytes());
            fields.push(annotator.name.as_bytes());
        }
        fields.into_bytes()
    }
}

impl TokenKey {
    /// Reads the form that [`TokenKey::encoding`] writes. Returns `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = KeyDecoder(bytes);
        if fields.next()? != b"token-key-1" {
            return None;
        }
        let tenant = TenantId::parse(fields.text()?).ok()?;
        let generation = Generation(i64::from_be_bytes(fields.next()?.try_into().ok()?));
        let subject = match fields.text()? {
            "enterprise" => Subject::ENTERPRISE,
            "user" => Subject::User { id: BoxId::parse(fields.text()?).ok()? },
            _ => return None,
        };
        let restriction = match fields.text()? {
            "full" => None,
            "restricted" => Some(fields.restriction()?),
            _ => return None,
        };
        let key = Self { tenant, generation, subject, restriction };
        // Reordered or repeated scopes decode to the same set: accept the canonical encoding alone.
        (key.encoding() == bytes).then_some(key)
    }
}

/// Reads the fields of an encoding from its front.
struct KeyDecoder<'a>(&'a [u8]);

impl<'a> KeyDecoder<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next()?).ok()
    }

    fn resource(&mut self, kind: ResourceType) -> Option<RestrictionTarget> {
        Some(RestrictionTarget::Resource(Resource { kind, id: BoxId::parse(self.text()?).ok()? }))
    }

    fn restriction(&mut self) -> Option<Restriction> {
        let count = u64::from_be_bytes(self.next()?.try_into().ok()?);
        let scopes = (0..count).map(|_| Scope::parse(self.text()?).ok()).collect::<Option<ScopeSet>>()?;
        let target = match self.text()? {
            "anything" => RestrictionTarget::Anything,
            "file" => self.resource(ResourceType::File)?,
            "folder" => self.resource(ResourceType::Folder)?,
            "shared-link" => RestrictionTarget::SharedLink(SharedLink::parse(self.text()?).ok()?),
            _ => return None,
        };
        if self.0.is_empty() {
            return Some(Restriction { scopes, target, annotator: None });
        }
        if self.text()? != "annotator" {
            return None;
        }
        let annotator = Annotator::new(self.text()?, self.text()?).ok()?;
        Some(Restriction { scopes, target, annotator: Some(annotator) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject() -> impl Strategy<Value = Subject> {
        prop_oneof![
            Just(Subject::ENTERPRISE),
            "[0-9]{1,3}".prop_map(|id| Subject::User { id: BoxId::parse(&id).unwrap() }),
        ]
    }

    fn target() -> impl Strategy<Value = RestrictionTarget> {
        prop_oneof![
            Just(RestrictionTarget::Anything),
            (any::<bool>(), "[0-9]{1,3}").prop_map(|(file, id)| RestrictionTarget::Resource(Resource {
                kind: if file { ResourceType::File } else { ResourceType::Folder },
                id: BoxId::parse(&id).unwrap(),
            })),
            "[ab:,|/]{0,4}".prop_map(|path| RestrictionTarget::SharedLink(
                SharedLink::parse(&format!("https://b/{path}")).unwrap()
            )),
        ]
    }

    fn restriction() -> impl Strategy<Value = Option<Restriction>> {
        let scopes = proptest::collection::vec("[ab:_.]{1,3}", 1..3)
            .prop_map(|names| names.iter().map(|name| Scope::parse(name).unwrap()).collect::<ScopeSet>());
        // Fields hold delimiters of every kind, which must not matter.
        let annotator =
            ("[ab:,| \"]{1,3}", "[ab:,| \"]{1,3}").prop_map(|(id, name)| Annotator::new(&id, &name).unwrap());
        proptest::option::of(
            (scopes, target(), proptest::option::of(annotator))
                .prop_map(|(scopes, target, annotator)| Restriction { scopes, target, annotator }),
        )
    }

    fn key() -> impl Strategy<Value = TokenKey> {
        ("[ab]{1,2}", 0_i64..3, subject(), restriction()).prop_map(
            |(tenant, generation, subject, restriction)| TokenKey {
                tenant: TenantId::parse(&format!("ten_{tenant}")).unwrap(),
                generation: Generation(generation),
                subject,
                restriction,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn invariant_2_two_keys_share_an_encoding_only_when_they_are_equal(a in key(), b in key()) {
            prop_assert_eq!(a == b, a.encoding() == b.encoding());
        }

        #[test]
        fn a_key_is_decoded_from_its_whole_encoding_alone(key in key(), cut in 0_usize..400) {
            let encoding = key.encoding();
            let cut = cut % encoding.len();
            prop_assert_eq!(TokenKey::decode(&encoding[..cut]).filter(|read| *read == key), None);
            prop_assert_eq!(TokenKey::decode(&[&encoding[..], &[0]].concat()), None);
            prop_assert_eq!(TokenKey::decode(&encoding), Some(key));
        }

        #[test]
        fn invariant_2_any_one_changed_field_changes_the_key(key in key(), other in key()) {
            let mut variants = vec![
                TokenKey { tenant: other.tenant.clone(), ..key.clone() },
                TokenKey { generation: other.generation, ..key.clone() },
                TokenKey { subject: other.subject.clone(), ..key.clone() },
                TokenKey { restriction: other.restriction.clone(), ..key.clone() },
            ];
            if let (Some(mine), Some(theirs)) = (&key.restriction, &other.restriction) {
                let with = |restriction| TokenKey { restriction: Some(restriction), ..key.clone() };
                variants.push(with(Restriction { scopes: theirs.scopes.clone(), ..mine.clone() }));
                variants.push(with(Restriction { target: theirs.target.clone(), ..mine.clone() }));
                variants.push(with(Restriction { annotator: theirs.annotator.clone(), ..mine.clone() }));
            }
            for variant in variants {
                prop_assert_eq!(variant == key, variant.encoding() == key.encoding());
            }
        }
    }

    #[test]
    fn invariant_2_scopes_split_elsewhere_make_another_key() {
        let with = |names: [&str; 2]| TokenKey {
            tenant: TenantId::parse("ten_a").unwrap(),
            generation: Generation(1),
            subject: Subject::ENTERPRISE,
            restriction: Some(Restriction {
                scopes: names.iter().map(|name| Scope::parse(name).unwrap()).collect(),
                target: RestrictionTarget::Anything,
                annotator: None,
            }),
        };
        assert_ne!(with(["ab", "cd"]).encoding(), with(["a", "bcd"]).encoding());
        assert_eq!(with(["cd", "ab"]).encoding(), with(["ab", "cd"]).encoding());
    }

    #[test]
    fn an_encoding_with_reordered_or_repeated_scopes_is_refused() {
        let scopes = ["ab", "cd"].map(|name| Scope::parse(name).unwrap());
        let key = TokenKey {
            tenant: TenantId::parse("ten_a").unwrap(),
            generation: Generation(1),
            subject: Subject::ENTERPRISE,
            restriction: Some(Restriction {
                scopes: scopes.into_iter().collect(),
                target: RestrictionTarget::Anything,
                annotator: None,
            }),
        };
        let encoding = key.encoding();
        let place = encoding.windows(2).position(|part| part == b"ab").unwrap();
        for (one, other) in [(b"cd", b"ab"), (b"ab", b"ab")] {
            let mut altered = encoding.clone();
            altered[place..place + 2].copy_from_slice(one);
            altered[place + 10..place + 12].copy_from_slice(other);
            assert_eq!(TokenKey::decode(&altered), None);
        }
        assert_eq!(TokenKey::decode(&encoding), Some(key));
    }
}
