//! `POST /v1/tenants/{tenant}/webhooks/verify`.

use std::collections::BTreeMap;

use axum::extract::State;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::body::LongJson;
use super::error::ApiError;
use super::extract::{Caller, Named};
use super::problem::Document;
use crate::domain::webhook::WebhookKey;
use crate::store::TenantRef;

/// The longest body of a webhook, in bytes. Box's own have a few thousand.
const BODY: usize = 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// A webhook as it came.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyWebhookRequest {
    /// Its headers, by name in any case; others than Box's own may be among them.
    #[schema(example = json!({"BOX-DELIVERY-TIMESTAMP": "2026-01-02T03:04:05Z", "BOX-SIGNATURE-VERSION": "1"}))]
    headers: BTreeMap<String, String>,
    /// Its body in base64, byte by byte as it came: at most 1 MiB.
    #[schema(content_encoding = "base64")]
    body: String,
}

/// Whether a webhook is Box's.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct VerifyWebhookResponse {
    /// True where one of the app's keys signed it within the last 10 minutes.
    valid: bool,
    /// Which one did, `primary` or `secondary`; `null` where neither did.
    key: Option<&'static str>,
    /// Why it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    reason: Option<String>,
}

/// A webhook that can be looked at: its headers under lower-case names, and its body.
#[derive(Debug)]
pub(super) struct Came {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/webhooks/verify", tag = "webhooks", operation_id = "verify_webhook",
    params(("tenant" = String, Path, description = "The tenant's name or id")),
    request_body(content = VerifyWebhookRequest),
    responses((status = 200, description = "Whether it is Box's", body = VerifyWebhookResponse), (status = "default", description = "What is wrong, and what to do about it", body = Document, content_type = "application/problem+json")),
    security(("api_key" = [])),
    extensions(("x-access" = json!({"permission": "webhooks:verify", "group": "service", "audit": "webhook.verify"}))),
)]
/// Check the signature of a webhook that Box sent.
async fn verify(
    State(api): State<Api>,
    caller: Caller,
    Named(tenant): Named<TenantRef>,
    LongJson(body): LongJson<VerifyWebhookRequest>,
) -> Result<axum::Json<VerifyWebhookResponse>, ApiError> {
    let caller = caller.now(&api).await?;
    let Came { headers, body } = came(body)?;
    let found = api.broker.verify_webhook(&caller.identity, &tenant, &headers, &body).await?;
    Ok(axum::Json(match found {
        Ok(key) => VerifyWebhookResponse { valid: true, key: Some(name(key)), reason: None },
        Err(doubt) => VerifyWebhookResponse { valid: false, key: None, reason: Some(doubt.to_string()) },
    }))
}

/// What a request says of a webhook, where it can be read.
pub(super) fn came(request: VerifyWebhookRequest) -> Result<Came, ApiError> {
    let mut headers = BTreeMap::new();
    for (name, value) in request.headers {
        if headers.insert(name.to_ascii_lowercase(), value).is_some() {
            return Err(ApiError::invalid("/headers", "One header stands there twice, in different case."));
        }
    }
    let body = BASE64.decode(request.body.as_bytes()).map_err(|_| {
        let detail = "Send the webhook's body, byte by byte as it came, in base64 without line breaks.";
        ApiError::invalid("/body", detail)
    })?;
    match body.len() <= BODY {
        true => Ok(Came { headers, body }),
        false => Err(ApiError::invalid("/body", "A webhook's body is at most 1 MiB.")),
    }
}

fn name(key: WebhookKey) -> &'static str {
    match key {
        WebhookKey::Primary => "primary",
        WebhookKey::Secondary => "secondary",
    }
}
