//! The check that a downscoped token is as restricted as requested.

use super::token_response::{BoxObject, RestrictedObject};
use crate::domain::resource::{Resource, ResourceType};
use crate::domain::restriction::{Restriction, RestrictionTarget};

/// A difference between Box's `restricted_to` and the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RestrictionMismatch {
    /// Box did not say to what the token is restricted.
    #[error("restricted_to is missing or empty although one item was asked for")]
    Unrestricted,
    /// The token may do something that was not requested.
    #[error("restricted_to holds a scope that was not asked for")]
    Scope,
    /// The token reaches another item.
    #[error("restricted_to names another item than was asked for")]
    Object,
    /// A shared link leads to one item, but the token reaches several.
    #[error("restricted_to names several items for one shared link")]
    SeveralObjects,
}

/// Compares what Box granted with what was requested: never a scope that was not requested; with a resource, that
/// one only; with a shared link, one item. Without either, Box need not name anything.
pub(super) fn check(asked: &Restriction, granted: &[RestrictedObject]) -> Result<(), RestrictionMismatch> {
    if granted.iter().any(|entry| !asked.scopes.contains(entry.scope.as_str())) {
        return Err(RestrictionMismatch::Scope);
    }
    match &asked.target {
        RestrictionTarget::Anything => Ok(()),
        RestrictionTarget::Resource(_) | RestrictionTarget::SharedLink(_) if granted.is_empty() => {
            Err(RestrictionMismatch::Unrestricted)
        }
        RestrictionTarget::Resource(resource) => {
            let is_it = |entry: &RestrictedObject| entry.object.as_ref().is_some_and(|it| is(it, resource));
            if granted.iter().all(is_it) { Ok(()) } else { Err(RestrictionMismatch::Object) }
        }
        RestrictionTarget::SharedLink(_) => {
            let Some(first) = granted[0].object.as_ref() else { return Err(RestrictionMismatch::Object) };
            let same = granted.iter().all(|entry| entry.object.as_ref() == Some(first));
            if same { Ok(()) } else { Err(RestrictionMismatch::SeveralObjects) }
        }
    }
}

fn is(object: &BoxObject, resource: &Resource) -> bool {
    let kind = match resource.kind {
        ResourceType::File => "file",
        ResourceType::Folder => "folder",
    };
    object.kind == kind && object.id == resource.id.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::BoxId;
    use crate::domain::restriction::SharedLink;
    use crate::domain::scope::{Scope, ScopePreset};

    fn entry(scope: &str, object: Option<(&str, &str)>) -> RestrictedObject {
        let object = object.map(|(kind, id)| BoxObject { kind: kind.to_owned(), id: id.to_owned() });
        RestrictedObject { scope: Scope::parse(scope).unwrap(), object }
    }

    fn asked(target: RestrictionTarget) -> Restriction {
        Restriction { scopes: ScopePreset::Preview.scopes(), target, annotator: None }
    }

    #[test]
    fn with_a_resource_every_object_is_that_one() {
        let id = BoxId::parse("7").unwrap();
        let asked = asked(RestrictionTarget::Resource(Resource { kind: ResourceType::File, id }));
        let fits = [entry("base_preview", Some(("file", "7"))), entry("item_download", Some(("file", "7")))];
        assert_eq!(check(&asked, &fits), Ok(()));
        assert_eq!(check(&asked, &[]), Err(RestrictionMismatch::Unrestricted));
        for object in [None, Some(("folder", "7")), Some(("file", "8"))] {
            let granted = [fits[0].clone(), entry("item_download", object)];
            assert_eq!(check(&asked, &granted), Err(RestrictionMismatch::Object), "{object:?}");
        }
        let granted = [fits[0].clone(), entry("item_delete", Some(("file", "7")))];
        assert_eq!(check(&asked, &granted), Err(RestrictionMismatch::Scope));
    }

    #[test]
    fn a_shared_link_leads_to_one_object() {
        let asked =
            asked(RestrictionTarget::SharedLink(SharedLink::parse("https://app.box.com/s/abc").unwrap()));
        let one = entry("base_preview", Some(("folder", "7")));
        assert_eq!(check(&asked, &[one.clone(), one.clone()]), Ok(()));
        assert_eq!(check(&asked, &[]), Err(RestrictionMismatch::Unrestricted));
        assert_eq!(check(&asked, &[entry("base_preview", None)]), Err(RestrictionMismatch::Object));
        let other = entry("base_preview", Some(("folder", "8")));
        assert_eq!(check(&asked, &[one, other]), Err(RestrictionMismatch::SeveralObjects));
    }

    #[test]
    fn without_a_target_only_scopes_count() {
        let asked = asked(RestrictionTarget::Anything);
        assert_eq!(check(&asked, &[]), Ok(()));
        assert_eq!(check(&asked, &[entry("item_download", None)]), Ok(()));
        assert_eq!(check(&asked, &[entry("root_readwrite", None)]), Err(RestrictionMismatch::Scope));
    }
}
