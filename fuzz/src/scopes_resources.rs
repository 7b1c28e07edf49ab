//! Scopes, resources, shared links, annotators and subjects, and the key of the token that they make.
//!
//! Each line of the input is one of them, by its first word: `scope`, `file`, `folder`, `link`,
//! `annotator` (the id and the name with a tab between) or `subject`. An empty line begins a second
//! token. `decode` and hex is the encoding of a key instead.

use box_token_broker::domain::id::{BoxId, Generation, TenantId};
use box_token_broker::domain::resource::{Resource, ResourceType};
use box_token_broker::domain::restriction::{Annotator, Restriction, RestrictionTarget, SharedLink};
use box_token_broker::domain::scope::{Scope, ScopeSet};
use box_token_broker::domain::subject::Subject;
use box_token_broker::domain::token_key::TokenKey;

/// What is accepted is read back as it was, in each way that it is written; two tokens have one
/// encoding only where they are equal; an encoding that is read is the one of what it says.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(hex) = text.strip_prefix("decode ") {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes());
        return check_decoded(bytes.as_deref().unwrap_or(hex.as_bytes()));
    }
    let (one, other) = text.split_once("\n\n").unwrap_or((text, ""));
    let (Some(one), Some(other)) = (key(one), key(other)) else { return };
    assert_eq!(one == other, one.encoding() == other.encoding(), "{one:?} {other:?}");
    for key in [one, other] {
        assert_eq!(TokenKey::decode(&key.encoding()).as_ref(), Some(&key));
        let parent = key.parent().encoding();
        assert_eq!(key.restriction.is_none(), parent == key.encoding());
    }
}

/// What the lines say; none where something among them is not accepted.
fn key(lines: &str) -> Option<TokenKey> {
    let (mut subject, mut target, mut annotator) = (Subject::ENTERPRISE, RestrictionTarget::Anything, None);
    let mut scopes = Vec::new();
    for line in lines.lines() {
        let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "scope" => scopes.push(scope(text)?),
            "file" => target = RestrictionTarget::Resource(resource(ResourceType::File, text)?),
            "folder" => target = RestrictionTarget::Resource(resource(ResourceType::Folder, text)?),
            "link" => target = RestrictionTarget::SharedLink(link(text)?),
            "annotator" => annotator = Some(self::annotator(text)?),
            "subject" => subject = self::subject(text)?,
            _ => {}
        }
    }
    let count = scopes.len();
    let scopes: ScopeSet = scopes.into_iter().collect();
    check_scopes(&scopes, count);
    let restriction = (!scopes.is_empty()).then_some(Restriction { scopes, target, annotator });
    let tenant = TenantId::parse("ten_a").ok()?;
    Some(TokenKey { tenant, generation: Generation(1), subject, restriction })
}

fn scope(text: &str) -> Option<Scope> {
    let scope = Scope::parse(text).ok();
    let fits = (1..=64).contains(&text.len())
        && text.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '.' | ':'));
    assert_eq!(scope.is_some(), fits, "{text:?}");
    assert_eq!(serde_json::from_value(serde_json::json!(text)).ok(), scope);
    scope
}

fn check_scopes(scopes: &ScopeSet, most: usize) {
    assert!(scopes.len() <= most);
    let joined = scopes.space_separated();
    let mut names: Vec<&str> = joined.split_terminator(' ').collect();
    assert_eq!(names.len(), scopes.len(), "no scope holds a space");
    assert!(names.is_sorted() && names.iter().all(|name| scopes.contains(name)));
    names.reverse();
    let again: ScopeSet = names.iter().filter_map(|name| Scope::parse(name).ok()).collect();
    assert_eq!(again, *scopes);
    assert!(again.is_within(scopes));
    assert_eq!(serde_json::from_value(serde_json::json!(names)).ok().as_ref(), Some(scopes));
}

fn resource(kind: ResourceType, text: &str) -> Option<Resource> {
    let id = BoxId::parse(text).ok();
    let fits = (1..=20).contains(&text.len()) && text.chars().all(|letter| letter.is_ascii_digit());
    assert_eq!(id.is_some(), fits, "{text:?}");
    let resource = Resource { kind, id: id? };
    let written = serde_json::to_value(&resource).ok()?;
    assert_eq!(serde_json::from_value(written).ok().as_ref(), Some(&resource));
    Some(resource)
}

fn link(text: &str) -> Option<SharedLink> {
    let link = SharedLink::parse(text).ok()?;
    assert_eq!(link.as_str(), text, "nothing is rewritten");
    assert!(text.len() <= 512 && !text.contains(|letter: char| !letter.is_ascii_graphic()), "{text:?}");
    let begins_like = text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    assert!(begins_like, "{text:?}");
    assert_eq!(format!("{link:?}"), "[shared link]");
    Some(link)
}

fn annotator(text: &str) -> Option<Annotator> {
    let (id, name) = text.split_once('\t')?;
    let annotator = Annotator::new(id, name).ok()?;
    let fits = |text: &str| (1..=128).contains(&text.chars().count()) && !text.contains(char::is_control);
    assert!(fits(id) && fits(name), "{text:?}");
    assert_eq!((&*annotator.id, &*annotator.name), (id, name));
    Some(annotator)
}

fn subject(text: &str) -> Option<Subject> {
    let subject = Subject::parse(text).ok()?;
    assert_eq!(subject.to_string(), text);
    let written = serde_json::to_value(&subject).ok()?;
    assert_eq!(serde_json::from_value(written).ok().as_ref(), Some(&subject));
    Some(subject)
}

fn check_decoded(encoding: &[u8]) {
    if let Some(key) = TokenKey::decode(encoding) {
        assert_eq!(key.encoding(), encoding);
    }
}
