//! `POST /v1/policy/explain`: whether a caller would get a token, and why.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa_axum::routes;

use crate::auth::AuthError;
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::Resource;
use crate::domain::restriction::{Restriction, RestrictionTarget};
use crate::domain::scope::ScopeSet;
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest, PathParam};
use crate::http::route::Route;
use crate::http::routes::tokens::SCOPES;
use crate::http::schema::subject::SubjectSchema;
use crate::registry::callers::grants::GrantSpec;
use crate::registry::policy::{ExplainCaller, ExplainQuery, ExplainWarning, Explanation};
use crate::store::{CallerRef, TenantRef};

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::admin(Permission::PolicyExplain, AuditAction::PolicyExplain, routes!(explain))]
}

/// The request to explain: a full token, or with `scopes` a downscoped one.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainRequest {
    /// The caller's name or id; or `claims`.
    #[schema(example = "invoice-service")]
    caller: Option<String>,
    /// The claims of an OIDC token, unsigned: `iss`, `sub`, `aud` and whatever trusts check.
    #[schema(value_type = Option<Object>)]
    claims: Option<Map<String, Value>>,
    /// The tenant's name or id.
    #[schema(example = "acme")]
    tenant: String,
    /// The subject; the service account if omitted.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<Subject>,
    /// The scopes of the token; a full one if omitted.
    #[schema(value_type = Option<Vec<String>>, example = json!(["base_preview", "item_download"]))]
    pub scopes: Option<ScopeSet>,
    /// With `scopes`: the file or folder that it would be restricted to.
    pub resource: Option<Resource>,
    /// The `on_behalf_of` of the request.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    on_behalf_of: Option<OnBehalfOf>,
}

/// The decision on a token request at this moment, and its reason.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ExplainResponse {
    /// True if the token would be released.
    allowed: bool,
    /// The reason, in words.
    reason: String,
    /// The caller whose grant allows it.
    caller: Option<String>,
    /// That grant, in the form in which grants are sent.
    grant: Option<GrantSpec>,
    /// The grant's place in the caller's list, counted from 0.
    grant_index: Option<usize>,
    /// The rule that refuses it, such as `grant.subjects`, `policy.full_tokens` or `tenant.suspended`; if it
    /// is allowed, the rule that would refuse it if the policy were enforced.
    rule: Option<&'static str>,
    /// Warnings about grants and policy.
    warnings: Vec<ExplainWarning>,
}

impl From<Explanation> for ExplainResponse {
    fn from(explanation: Explanation) -> Self {
        let Explanation { allowed, reason, caller, grant, rule, warnings } = explanation;
        let (grant_index, grant) = grant.unzip();
        Self {
            allowed,
            reason,
            caller: caller.map(|name| name.to_string()),
            grant,
            grant_index,
            rule,
            warnings,
        }
    }
}

#[utoipa::path(
    post, path = "/v1/policy/explain", tag = "policy", operation_id = "explain_policy",
    request_body(content = ExplainRequest),
    responses((status = 200, description = "The decision and its reason", body = ExplainResponse)),
)]
/// Explain whether a caller would get a token, and why; nothing is minted.
async fn explain(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    Json(body): Json<ExplainRequest>,
) -> Result<axum::Json<ExplainResponse>, ApiError> {
    let caller = caller.now(&api).await?;
    let tenant = TenantRef::parse(&body.tenant).ok_or(ApiError::NotFound)?;
    api.registry.policy.require_permission(&caller.context, &tenant).await?;
    let question = ExplainQuery {
        caller: who(&api, body.caller, body.claims).await?,
        tenant,
        subject: body.subject.unwrap_or(Subject::ENTERPRISE),
        restriction: restriction(body.scopes, body.resource)?,
        on_behalf_of: body.on_behalf_of,
    };
    Ok(axum::Json(api.registry.policy.explain(&caller.context, &question).await?.into()))
}

async fn who(
    api: &Api,
    caller: Option<String>,
    claims: Option<Map<String, Value>>,
) -> Result<ExplainCaller, ApiError> {
    match (caller, claims) {
        (Some(caller), None) => Ok(ExplainCaller::Caller(CallerRef::parse(&caller))),
        (None, Some(claims)) => {
            let opened = api.authenticator.opened_by_claims(claims).await.map_err(|error| match error {
                AuthError::Token(fault) => {
                    ApiError::invalid("/claims", format!("A token with these claims opens nothing: {fault}."))
                }
                other => ApiError::Auth(other),
            })?;
            Ok(ExplainCaller::Token(opened.into_iter().map(|opened| opened.caller).collect()))
        }
        _ => Err(ApiError::invalid("/caller", "Send either `caller` or `claims`.")),
    }
}

/// Returns the restriction of the token; `None` for a full one.
pub(crate) fn restriction(
    scopes: Option<ScopeSet>,
    resource: Option<Resource>,
) -> Result<Option<Restriction>, ApiError> {
    match (scopes, resource) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let detail = "A `resource` restricts a downscoped token, which needs `scopes` too.";
            Err(ApiError::invalid("/scopes", detail))
        }
        (Some(scopes), _) if !(1..=SCOPES).contains(&scopes.len()) => {
            Err(ApiError::invalid("/scopes", format!("Name 1 to {SCOPES} scopes.")))
        }
        (Some(scopes), resource) => {
            let target = resource.map_or(RestrictionTarget::Anything, RestrictionTarget::Resource);
            Ok(Some(Restriction { scopes, target, annotator: None }))
        }
    }
}
