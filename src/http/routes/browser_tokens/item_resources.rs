//! By which of a session's resources an item is served.

use std::collections::BTreeMap;
use std::pin::Pin;

use tokio::time::Sleep;

use super::{failed, in_time, record, too_late, wanted};
use crate::broker::TokenError;
use crate::domain::id::BoxId;
use crate::domain::policy::DenialReason;
use crate::domain::resource::{Resource, ResourceType};
use crate::domain::session::ItemCoverage;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::problem::{ErrorScope, Problem};
use crate::http::extract::browser_page::BrowserPage;
use crate::http::rate_limits as limits;

/// By which resource each named item is served; why by none.
pub(super) type ItemResources<'a> = BTreeMap<&'a str, Result<Resource, Problem>>;

/// The resources by which any of them is served.
pub(super) fn resources(placed: &ItemResources<'_>) -> Vec<Resource> {
    let mut resources: Vec<Resource> = placed.values().filter_map(|one| one.as_ref().ok().cloned()).collect();
    resources.sort();
    resources.dedup();
    resources
}

/// Finds for each named item the resource that serves it.
pub(super) async fn place<'a>(
    api: &Api,
    page: &BrowserPage,
    ids: &'a [String],
    timer: Pin<&mut Sleep>,
) -> ItemResources<'a> {
    let mut placed = ItemResources::new();
    let mut asked = Vec::new();
    for id in ids {
        let item = item(id);
        let found = match item.as_ref().map(|item| page.session.coverage_of(item)) {
            None => Err(not_an_item()),
            Some(ItemCoverage::CoveredBy(resource)) => Ok(resource.clone()),
            Some(ItemCoverage::NotCovered) => Err(outside(api, page)),
            Some(ItemCoverage::DependsOnFolder) => {
                asked.extend(item.map(|item| (id.as_str(), item)));
                Err(too_late())
            }
        };
        placed.insert(id.as_str(), found);
    }
    let one = |(id, item): (&'a str, Resource)| async move { (id, folder_of(api, page, &item).await) };
    in_time(asked.into_iter().map(one).collect(), timer, |(id, found)| {
        placed.insert(id, found);
    })
    .await;
    placed
}

/// The item that a typed id names.
fn item(id: &str) -> Option<Resource> {
    let (kind, id) = id.split_once('_')?;
    let kind = match kind {
        "file" => ResourceType::File,
        "folder" => ResourceType::Folder,
        _ => return None,
    };
    Some(Resource { kind, id: BoxId::parse(id).ok()? })
}

/// The session's folder that an item lies in. Whether there is no such item, or only none in these
/// folders, a page does not learn.
async fn folder_of(api: &Api, page: &BrowserPage, item: &Resource) -> Result<Resource, Problem> {
    let (session, view) = (&page.session, &page.view);
    let ancestors = match api.broker.ancestors().cached(view, &session.subject, item) {
        Some(ancestors) => ancestors,
        None => {
            may_look(api, page).await?;
            let counted = api.limits.count_look(&session.id);
            counted.map_err(|exceeded| limits::limited(ErrorScope::Request, exceeded).problem())?;
            let mut cause = page.caller.context.audit_context();
            cause.on_behalf_of.clone_from(&session.on_behalf_of);
            let seen = api.broker.ancestors().find(view, &session.subject, item, &cause).await;
            seen.map_err(|error| failed(api, page, (None, &session.read), error.into()))?
        }
    };
    let folder = ancestors.as_deref().and_then(|ancestors| session.innermost_folder(ancestors));
    folder.cloned().ok_or_else(|| outside(api, page))
}

/// Succeeds where the session gives a token of any folder at this moment: else nothing is asked for it.
async fn may_look(api: &Api, page: &BrowserPage) -> Result<(), Problem> {
    let mut refused = None;
    for resource in &page.session.resources {
        let wanted = wanted(&page.session, &page.session.read, resource);
        match api.broker.authorize(&page.caller.context, &page.tenant(), &wanted).await {
            Ok(_) => return Ok(()),
            Err(error) => refused = Some((resource, error)),
        }
    }
    let Some((resource, error)) = refused else { return Ok(()) };
    Err(failed(api, page, (Some(resource), &page.session.read), error.into()))
}

fn outside(api: &Api, page: &BrowserPage) -> Problem {
    let problem = ApiError::from(TokenError::Forbidden(DenialReason::GrantResource)).problem();
    let problem = problem.reason("session.resources");
    record(api, page, (None, None), &problem);
    problem
}

fn not_an_item() -> Problem {
    ApiError::invalid("/ids", "An id is `file_` or `folder_` and Box's number.").problem()
}
