use super::*;
use crate::domain::id::BoxId;
use crate::domain::scope::{Scope, ScopePreset};

fn item(kind: ResourceType, id: &str) -> Resource {
    Resource { kind, id: BoxId::parse(id).unwrap() }
}

fn scopes(names: &[&str]) -> ScopeSet {
    names.iter().map(|name| Scope::parse(name).unwrap()).collect()
}

fn session(resources: &[(ResourceType, &str)]) -> BrowserSession {
    BrowserSession {
        id: SessionId::parse("ses_a").unwrap(),
        tenant: TenantId::parse("ten_a").unwrap(),
        subject: Subject::ENTERPRISE,
        resources: resources.iter().map(|(kind, id)| item(*kind, id)).collect(),
        read: ScopePreset::Explorer.scopes(),
        write: None,
        origins: vec![Origin::parse("https://app.example.com").unwrap()],
        owner: SessionOwner {
            caller: CallerId::parse("cal_a").unwrap(),
            credential: SessionCredential::Key(KeyId::parse("key_a").unwrap()),
        },
        on_behalf_of: None,
        min_ttl: None,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: Timestamp::from_second(3600).unwrap(),
        cancelled_at: None,
        version: 1,
    }
}

#[test]
fn an_exact_resource_wins_then_the_only_folder() {
    use ResourceType::{File, Folder};
    let one = session(&[(Folder, "1"), (File, "2")]);
    assert_eq!(one.coverage_of(&item(File, "2")), ItemCoverage::CoveredBy(&item(File, "2")));
    assert_eq!(one.coverage_of(&item(Folder, "1")), ItemCoverage::CoveredBy(&item(Folder, "1")));
    assert_eq!(
        one.coverage_of(&item(File, "1")),
        ItemCoverage::CoveredBy(&item(Folder, "1")),
        "a file of a folder's number"
    );
    assert_eq!(session(&[(File, "2")]).coverage_of(&item(File, "3")), ItemCoverage::NotCovered);
    let two = session(&[(Folder, "1"), (Folder, "3"), (File, "2")]);
    assert_eq!(two.coverage_of(&item(File, "2")), ItemCoverage::CoveredBy(&item(File, "2")));
    assert_eq!(two.coverage_of(&item(File, "9")), ItemCoverage::DependsOnFolder);
    let among = |ids: &[&str]| {
        let ids: Vec<_> = ids.iter().map(|id| BoxId::parse(id).unwrap()).collect();
        two.innermost_folder(&ids).map(|folder| folder.id.as_str().to_owned())
    };
    assert_eq!(among(&["0", "1", "5"]).as_deref(), Some("1"));
    assert_eq!(among(&["0", "1", "3", "5"]).as_deref(), Some("3"), "the innermost");
    assert_eq!(among(&["0", "2", "5"]), None, "a file holds nothing");
}

#[test]
fn any_one_changed_field_changes_what_the_text_is_bound_to() {
    use ResourceType::{File, Folder};
    let whole = session(&[(Folder, "1")]);
    let changes: [&dyn Fn(&mut BrowserSession); 16] = [
        &|one| one.id = SessionId::parse("ses_b").unwrap(),
        &|one| one.tenant = TenantId::parse("ten_b").unwrap(),
        &|one| one.subject = Subject::User { id: BoxId::parse("1").unwrap() },
        &|one| one.resources = vec![item(Folder, "2")],
        &|one| one.resources = vec![item(File, "1")],
        &|one| one.resources.push(item(File, "1")),
        &|one| one.read = ScopePreset::Picker.scopes(),
        &|one| one.write = Some(ScopePreset::Uploader.scopes()),
        &|one| one.origins = vec![Origin::parse("https://evil.example").unwrap()],
        &|one| one.origins.push(Origin::parse("https://evil.example").unwrap()),
        &|one| one.owner.caller = CallerId::parse("cal_b").unwrap(),
        &|one| one.owner.credential = SessionCredential::Key(KeyId::parse("key_b").unwrap()),
        &|one| one.owner.credential = SessionCredential::Trust(TrustId::parse("tru_a").unwrap()),
        &|one| one.on_behalf_of = Some(OnBehalfOf::parse("ada").unwrap()),
        &|one| one.min_ttl = Some(1),
        &|one| one.expires_at = Timestamp::from_second(3601).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = whole.clone();
        change(&mut other);
        assert_ne!(other.encoding(), whole.encoding(), "change {number}");
    }
    let cancelled = BrowserSession { cancelled_at: Some(Timestamp::UNIX_EPOCH), version: 2, ..whole.clone() };
    assert_eq!(cancelled.encoding(), whole.encoding());
}

#[test]
fn scopes_moved_from_read_to_write_make_another_session() {
    let with = |read: &[&str], write: &[&str]| BrowserSession {
        read: scopes(read),
        write: Some(scopes(write)),
        ..session(&[(ResourceType::Folder, "1")])
    };
    let (one, other) = (
        with(&["item_read", "item_task"], &["item_share"]),
        with(&["item_read"], &["item_share", "item_task"]),
    );
    assert_ne!(one.encoding(), other.encoding());
    assert_eq!(one.restrictions().count(), 2);
}
