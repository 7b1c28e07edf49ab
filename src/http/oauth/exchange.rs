//! Token exchange (RFC 8693) as Box has it: a downscoped token for a full one that this broker gave.

use std::time::Duration;

use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use url::Url;

use crate::auth::AuthError;
use crate::broker::{BOX_WAIT_LIMIT, SubjectToken, TokenError, TokenRequest};
use crate::domain::id::BoxId;
use crate::domain::policy::DenialReason;
use crate::domain::recipient::Recipient;
use crate::domain::resource::{Resource, ResourceType};
use crate::domain::restriction::{Annotator, Restriction, RestrictionTarget, SharedLink};
use crate::domain::scope::{Scope, ScopeSet};
use crate::http::Api;
use crate::http::error::{ApiError, OAuthError};
use crate::http::extract::AuthenticatedRequest;
use crate::http::oauth::client::{OAuthClient, OAuthRequest};
use crate::http::oauth::{OAuthTokenForm, answer, checked_token};
use crate::http::rate_limits as limits;
use crate::http::routes::tokens::SCOPES;
use crate::http::token_release as release;
use crate::secret::SecretString;
use crate::store::TenantRef;

/// The grant type of a token exchange.
pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Box's own address, which it wants in a `resource` whatever host is called.
const BOX: &str = "https://api.box.com";

const DOWNSCOPES_ALONE: &str = "Without client credentials `scope` names Box's scopes for downscoped tokens alone: one such as \
                                `root_readwrite` reaches as far as a full token.";

/// A token exchange: the token to exchange, and what it is exchanged for.
#[derive(Debug)]
pub(crate) struct TokenExchange {
    token: SecretString,
    restriction: Restriction,
}

/// A downscoped token for a live full one, judged by what the callers may have today who were given that; by the
/// client alone, where credentials came along. It is told to live no longer than its parent; at Box it lives as long
/// as Box gave it.
pub(crate) async fn exchange(
    api: &Api,
    request: &OAuthRequest,
    client: Option<OAuthClient>,
    asked: TokenExchange,
) -> Result<Response, ApiError> {
    let TokenExchange { token, restriction } = asked;
    // At Box the child lives on when its parent is over: whoever only shows a token gets nothing that is worth as much.
    if client.is_none() && restriction.is_full_access() {
        return Err(OAuthError::Scope(DOWNSCOPES_ALONE).into());
    }
    let presented = presented(api, request, &token, client.is_some()).await?;
    let tenant = TenantRef::Id(presented.key.tenant.clone());
    let wanted = TokenRequest {
        subject: presented.key.subject.clone(),
        restriction: Some(restriction),
        min_ttl: None,
        rejected: None,
        on_behalf_of: None,
    };
    let exchanged = async {
        let caller = match client {
            Some(client) => client_given(api, client, &presented).await?,
            None => caller_given(api, request, &presented, &wanted).await?,
        };
        caller.log.set_token_request(&wanted);
        let given = checked_token(api, &caller, &tenant, &wanted).await.map_err(none_left)?;
        Ok::<_, ApiError>((caller, given))
    };
    let (caller, given) = tokio::time::timeout(BOX_WAIT_LIMIT, exchanged)
        .await
        .unwrap_or_else(|_| Err(TokenError::timed_out().into()))?;
    let clock = api.clock.as_ref();
    let left = given.token.lifetime.left(clock).min(presented.left(clock));
    if left < Duration::from_secs(1) {
        return Err(OAuthError::SubjectToken.into());
    }
    given.token.note_exchange();
    release::count(api, &caller, None, &given);
    Ok(answer(&given.token, left.as_secs(), Some(ACCESS_TOKEN)))
}

/// The token that is presented. To look for one in the store is a favour to whoever shows no credentials, and
/// counts as an attempt to be somebody.
async fn presented(
    api: &Api,
    request: &OAuthRequest,
    token: &SecretString,
    is_known: bool,
) -> Result<SubjectToken, ApiError> {
    if let Some(presented) = api.broker.subject_tokens().find_cached(token) {
        return Ok(presented);
    }
    if !is_known {
        limits::count_unauthenticated(api, request.log.peer())?;
    }
    api.broker.subject_tokens().find_stored(token).await?.ok_or(OAuthError::SubjectToken.into())
}

/// The client, where the token was given to it and is its tenant's.
async fn client_given(
    api: &Api,
    client: OAuthClient,
    presented: &SubjectToken,
) -> Result<AuthenticatedRequest, ApiError> {
    let (caller, tenant) = client.with_tenant()?;
    let caller = caller.now(api).await?;
    let is_its = match &tenant {
        TenantRef::Id(id) => *id == presented.key.tenant,
        TenantRef::Name(name) => {
            let view = api.broker.tenants().find_by_key(&presented.key).await?;
            view.is_some_and(|view| view.tenant.name == *name)
        }
    };
    let is_one = |receivers: &[Recipient]| {
        receivers.iter().any(|receiver| caller.context.any(|caller| caller.id == receiver.caller))
    };
    let was_given = is_its
        && (is_one(&presented.cached_recipients())
            || is_one(&api.broker.subject_tokens().recipients_of(presented).await?));
    if was_given { Ok(caller) } else { Err(OAuthError::SubjectToken.into()) }
}

/// The first of those who were given the token that may have what is wanted today.
async fn caller_given(
    api: &Api,
    request: &OAuthRequest,
    presented: &SubjectToken,
    wanted: &TokenRequest,
) -> Result<AuthenticatedRequest, ApiError> {
    let mut nearest = OAuthError::NoneLeft(None).into();
    let known = presented.cached_recipients();
    for receiver in &known {
        if let Some(caller) = judge(api, request, receiver, presented, wanted, &mut nearest).await {
            return Ok(caller);
        }
    }
    for receiver in api.broker.subject_tokens().recipients_of(presented).await? {
        if known.contains(&receiver) {
            continue;
        }
        if let Some(caller) = judge(api, request, &receiver, presented, wanted, &mut nearest).await {
            return Ok(caller);
        }
    }
    if matches!(nearest, ApiError::OAuth(OAuthError::NoneLeft(_))) {
        limits::count_unauthenticated(api, request.log.peer())?;
    }
    Err(nearest)
}

/// One of those who were given the token, where it may have what is wanted; else why not is kept as `nearest`, unless
/// something there says more.
async fn judge(
    api: &Api,
    request: &OAuthRequest,
    receiver: &Recipient,
    presented: &SubjectToken,
    wanted: &TokenRequest,
    nearest: &mut ApiError,
) -> Option<AuthenticatedRequest> {
    match judged(api, request, receiver, presented, wanted).await {
        Ok(caller) => Some(caller),
        Err(error) => {
            let error = none_left(error);
            if says(&error) > says(nearest) {
                *nearest = error;
            }
            None
        }
    }
}

/// Ranks a refusal by how much it tells the reader of the audit.
fn says(error: &ApiError) -> u8 {
    match error {
        ApiError::OAuth(OAuthError::NoneLeft(None)) => 0,
        ApiError::OAuth(OAuthError::NoneLeft(Some(_))) => 1,
        _ => 2,
    }
}

async fn judged(
    api: &Api,
    request: &OAuthRequest,
    receiver: &Recipient,
    presented: &SubjectToken,
    wanted: &TokenRequest,
) -> Result<AuthenticatedRequest, ApiError> {
    let since = api.authenticator.change_token();
    let mut context = api.authenticator.receiver(receiver).await?;
    request.log.fill_in(&mut context);
    let tenant = TenantRef::Id(presented.key.tenant.clone());
    let (view, (by, _)) = api.broker.authorize(&context, &tenant, wanted).await?;
    request.log.set_caller(&context);
    request.log.set_tenant(&tenant);
    // It may be somebody else who has the token too: the caller's own limit is not theirs to spend.
    limits::count_shown(api, &presented.row, &by.caller, context.peer)?;
    limits::count_tenant(api, &view.tenant)?;
    Ok(AuthenticatedRequest::new(context, since, request.log.clone()))
}

/// The error for a shown token whose recipients may not have what is requested. It says as little as for a text
/// that is not a token.
fn none_left(error: ApiError) -> ApiError {
    let rule: Option<DenialReason> = match error {
        ApiError::Token(TokenError::Forbidden(rule)) => Some(rule),
        ApiError::Token(TokenError::Absent)
        | ApiError::Auth(AuthError::Unauthenticated | AuthError::Token(_)) => None,
        other => return other,
    };
    OAuthError::NoneLeft(rule).into()
}

/// The exchange that a form requests.
pub(crate) fn parse_exchange(form: OAuthTokenForm, api_url: &Url) -> Result<TokenExchange, ApiError> {
    let missing =
        || ApiError::invalid("/subject_token", "`subject_token` is missing: the token to exchange.");
    let token = form.subject_token.ok_or_else(missing)?;
    if form.subject_token_type.as_deref() != Some(ACCESS_TOKEN) {
        let detail = format!("`subject_token_type` is `{ACCESS_TOKEN}`.");
        return Err(ApiError::invalid("/subject_token_type", detail));
    }
    let scopes = scopes(form.scope.as_deref().unwrap_or_default())?;
    let target = match (form.resource.as_deref(), form.box_shared_link.as_ref()) {
        (None, None) => RestrictionTarget::Anything,
        (Some(resource), None) => RestrictionTarget::Resource(typed(resource, api_url)?),
        (None, Some(link)) => {
            let link = SharedLink::parse(link.expose());
            RestrictionTarget::SharedLink(
                link.map_err(|error| ApiError::invalid("/box_shared_link", error.to_string()))?,
            )
        }
        (Some(_), Some(_)) => {
            let detail = "Box takes a `resource` or a `box_shared_link`, not both.";
            return Err(ApiError::invalid("/resource", detail));
        }
    };
    let annotator = match (form.actor_token.as_deref(), form.actor_token_type.as_deref()) {
        (None, None) => None,
        (Some(token), Some(ID_TOKEN)) => Some(annotator(token).ok_or_else(no_annotator)?),
        _ => {
            let detail = format!("`actor_token` and `actor_token_type`, which is `{ID_TOKEN}`, go together.");
            return Err(ApiError::invalid("/actor_token_type", detail));
        }
    };
    Ok(TokenExchange { token, restriction: Restriction { scopes, target, annotator } })
}

fn scopes(text: &str) -> Result<ScopeSet, ApiError> {
    let scopes: Result<ScopeSet, _> =
        text.split(' ').filter(|name| !name.is_empty()).map(Scope::parse).collect();
    match scopes {
        Ok(scopes) if (1..=SCOPES).contains(&scopes.len()) => Ok(scopes),
        Ok(_) => Err(OAuthError::Scope("`scope` names 1 to 50 scopes, with blanks between them.").into()),
        Err(error) => Err(OAuthError::Scope(error.0).into()),
    }
}

/// The file or folder that an address of Box's API names; the broker's own address of Box counts as Box's.
fn typed(resource: &str, api_url: &Url) -> Result<Resource, ApiError> {
    let own = api_url.as_str().trim_end_matches('/');
    let rest = [BOX, own].iter().find_map(|base| resource.strip_prefix(base)?.strip_prefix("/2.0/"));
    let named = rest.and_then(|rest| {
        let (kind, id) = rest.split_once('/')?;
        let kind = match kind {
            "files" => ResourceType::File,
            "folders" => ResourceType::Folder,
            _ => return None,
        };
        Some(Resource { kind, id: BoxId::parse(id).ok()? })
    });
    named.ok_or_else(|| {
        let detail = format!("`resource` is `{BOX}/2.0/files/` or `{BOX}/2.0/folders/` and an id.");
        ApiError::invalid("/resource", detail)
    })
}

fn no_annotator() -> ApiError {
    let detail = "`actor_token` is an unsigned JWT (`alg` is `none`) whose `sub` and `name` are 1 to 128 printable \
                  characters each.";
    ApiError::invalid("/actor_token", detail)
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: String,
}

/// Returns the annotator that an actor token names. The token is unsigned, as Box demands: its sender chooses its
/// content.
fn annotator(token: &str) -> Option<Annotator> {
    fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
    }
    let mut parts = token.split('.');
    let (header, claims) = (part::<Header>(parts.next()?)?, part::<Claims>(parts.next()?)?);
    let is_unsigned =
        header.alg.eq_ignore_ascii_case("none") && parts.next()?.is_empty() && parts.next().is_none();
    if is_unsigned { Annotator::new(&claims.sub, &claims.name).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed_at(resource: &str) -> Option<String> {
        let own = Url::parse("http://127.0.0.1:7070").unwrap();
        typed(resource, &own).ok().map(|resource| resource.to_string())
    }

    #[test]
    fn a_resource_is_an_address_of_boxes_api_and_nothing_else() {
        assert_eq!(typed_at("https://api.box.com/2.0/files/12").as_deref(), Some("file:12"));
        assert_eq!(typed_at("https://api.box.com/2.0/folders/0").as_deref(), Some("folder:0"));
        assert_eq!(typed_at("http://127.0.0.1:7070/2.0/files/12").as_deref(), Some("file:12"));
        for other in [
            "https://api.box.com.evil.example/2.0/files/12",
            "https://evil.example/2.0/files/12",
            "http://api.box.com/2.0/files/12",
            "https://api.box.com/2.0/files/",
            "https://api.box.com/2.0/files/12/",
            "https://api.box.com/2.0/files/12?x=1",
            "https://api.box.com/2.0/files/1a",
            "https://api.box.com/2.0/web_links/12",
            "https://api.box.com/files/12",
            "12",
            "",
        ] {
            assert_eq!(typed_at(other), None, "{other}");
        }
    }

    #[test]
    fn an_annotator_is_named_by_an_unsigned_token_alone() {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let (none, rs256) = (encode(r#"{"alg":"none"}"#), encode(r#"{"alg":"RS256"}"#));
        let claims = encode(r#"{"iss":"x","sub":"ext-1","name":"Ann","box_sub_type":"external"}"#);
        let named = Annotator::new("ext-1", "Ann").unwrap();
        assert_eq!(annotator(&format!("{none}.{claims}.")), Some(named));
        let nameless = encode(r#"{"sub":"ext-1"}"#);
        for other in [
            format!("{none}.{claims}"),
            format!("{none}.{claims}.x"),
            format!("{none}.{claims}.."),
            format!("{rs256}.{claims}."),
            format!("{none}.{nameless}."),
            format!("{none}.!."),
            String::new(),
        ] {
            assert_eq!(annotator(&other), None, "{other}");
        }
    }
}
