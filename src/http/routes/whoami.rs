//! `/v1/whoami`: who one is.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa_axum::routes;

use crate::auth::AuthenticatedCaller;
use crate::domain::audit_event::AuditAction;
use crate::domain::audit_event::Credential;
use crate::domain::caller::{CallerKind, CallerState};
use crate::http::Api;
use crate::http::extract::AuthenticatedRequest as Calling;
use crate::http::route::{Access, Route};
use crate::registry::callers::grants::GrantSpec;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::service(Access::AnyCaller, AuditAction::CallerRead, routes!(whoami))]
}

/// Show the calling caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WhoamiResponse<'a> {
    /// The caller; the first one if a token authenticates several.
    #[serde(flatten)]
    caller: WhoamiCaller<'a>,
    /// The credential that this request came with.
    credential: WhoamiCredentialResponse<'a>,
    /// The other callers that the same token authenticates as. The grants of each count by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    others: Vec<OtherCaller<'a>>,
}

/// A caller, as it sees itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WhoamiCaller<'a> {
    /// The immutable id.
    id: &'a str,
    /// The name.
    name: &'a str,
    /// Service or admin.
    kind: CallerKind,
    /// `active` or `locked`. A locked caller cannot authenticate.
    state: CallerState,
    /// Its grants.
    grants: Vec<GrantSpec>,
}

/// One more caller that a token authenticates as.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OtherCaller<'a> {
    /// The caller.
    #[serde(flatten)]
    caller: WhoamiCaller<'a>,
    /// The id of its trust that the token matches.
    trust: &'a str,
}

/// The credential that a request came with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum WhoamiCredentialResponse<'a> {
    /// An API key.
    Key {
        /// `api_key`.
        #[serde(rename = "type")]
        kind: &'static str,
        /// Its id.
        id: &'a str,
        /// The time at which it expires.
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Option<Timestamp>,
    },
    /// A token of an OIDC issuer.
    Jwt {
        /// `jwt`.
        #[serde(rename = "type")]
        kind: &'static str,
        /// Its `iss`.
        issuer: &'a str,
        /// Its `sub`.
        subject: &'a str,
        /// The id of the trust that it matches.
        trust: &'a str,
        /// Its `exp`.
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Option<Timestamp>,
    },
}

#[utoipa::path(
    get, path = "/v1/whoami", tag = "callers",
    responses((status = 200, description = "The caller", body = WhoamiResponse)),
)]
/// Show the calling caller.
async fn whoami(State(api): State<Api>, calling: Calling) -> Response {
    let expires_at = calling.context.expires_at;
    let first = calling.context.first();
    let mut others = Vec::new();
    for other in calling.context.callers().skip(1) {
        others.push(OtherCaller { caller: seen(&api, other).await, trust: trust_of(other) });
    }
    let credential = match &first.credential {
        Credential::Key(id) => WhoamiCredentialResponse::Key { kind: "api_key", id: id.as_str(), expires_at },
        // None opens this route.
        Credential::Session(id) => {
            WhoamiCredentialResponse::Key { kind: "browser_session", id: id.as_str(), expires_at }
        }
        Credential::Jwt { issuer, subject, trust, .. } => {
            WhoamiCredentialResponse::Jwt { kind: "jwt", issuer, subject, trust: trust.as_str(), expires_at }
        }
    };
    axum::Json(WhoamiResponse { caller: seen(&api, first).await, credential, others }).into_response()
}

async fn seen<'a>(api: &Api, opened: &'a AuthenticatedCaller) -> WhoamiCaller<'a> {
    let caller = &opened.caller;
    WhoamiCaller {
        id: caller.id.as_str(),
        name: caller.name.as_str(),
        kind: caller.kind,
        state: caller.state,
        grants: api.registry.callers.grant_specs(&caller.grants).await,
    }
}

fn trust_of(opened: &AuthenticatedCaller) -> &str {
    match &opened.credential {
        Credential::Key(id) => id.as_str(),
        Credential::Jwt { trust, .. } => trust.as_str(),
        Credential::Session(id) => id.as_str(),
    }
}
