//! `POST /v1/tenants/{tenant}/webhooks/verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use axum::extract::State;
use data_encoding::BASE64;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa_axum::routes;

use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::webhook::WebhookKeySlot;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::LongJson;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::route::Route;
use crate::store::TenantRef;

/// The longest body of a webhook, in bytes. Box's own have a few thousand.
const BODY: usize = 1024 * 1024;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::service(Permission::WebhooksVerify, AuditAction::WebhookVerify, routes!(verify))]
}

/// A webhook as it came.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyWebhookRequest {
    /// Its headers, each once, in upper or lower case. The value of a header whose name begins with `box-` is a
    /// string, or an array of one. Other headers may be included and are ignored.
    #[schema(value_type = BTreeMap<String, serde_json::Value>, example = json!({"BOX-DELIVERY-TIMESTAMP": "2026-01-02T03:04:05Z", "BOX-SIGNATURE-VERSION": "1"}))]
    headers: BoxHeaders,
    /// Its body in base64, exactly the bytes that arrived: at most 1 MiB.
    #[schema(content_encoding = "base64")]
    body: String,
}

/// Those of a webhook's headers that are Box's own, under lower-case names.
#[derive(Debug)]
struct BoxHeaders(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for BoxHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Headers)
    }
}

struct Headers;

impl<'de> Visitor<'de> for Headers {
    type Value = BoxHeaders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<BoxHeaders, M::Error> {
        let (mut seen, mut own) = (BTreeSet::new(), BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            let name = name.to_ascii_lowercase();
            if name.starts_with("box-") {
                let OneText(value) = map.next_value()?;
                own.insert(name.clone(), value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            if !seen.insert(name) {
                return Err(M::Error::custom("One header stands there twice."));
            }
        }
        Ok(BoxHeaders(own))
    }
}

/// A header's value: a text, or an array of one, as some libraries have it.
struct OneText(String);

impl<'de> Deserialize<'de> for OneText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text).map(Self)
    }
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an array of one")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut texts: S) -> Result<String, S::Error> {
        let text = texts.next_element::<String>()?.ok_or_else(|| S::Error::invalid_length(0, &self))?;
        match texts.next_element::<IgnoredAny>()? {
            None => Ok(text),
            Some(_) => Err(S::Error::invalid_length(2, &self)),
        }
    }
}

/// The result of a webhook's verification.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct VerifyWebhookResponse {
    /// True if one of the app's keys signed it within the last 10 minutes.
    valid: bool,
    /// The key that signed it, `primary` or `secondary`; `null` if neither did.
    key: Option<&'static str>,
    /// The reason, if it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    reason: Option<String>,
}

/// A webhook that can be looked at: its headers under lower-case names, and its body.
#[derive(Debug)]
pub(crate) struct ReceivedWebhook {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/webhooks/verify", tag = "webhooks", operation_id = "verify_webhook",
    request_body(content = VerifyWebhookRequest),
    responses((status = 200, description = "The result", body = VerifyWebhookResponse)),
)]
/// Check the signature of a webhook.
async fn verify(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    LongJson(body): LongJson<VerifyWebhookRequest>,
) -> Result<axum::Json<VerifyWebhookResponse>, ApiError> {
    let caller = caller.now(&api).await?;
    let ReceivedWebhook { headers, body } = parse_webhook(body)?;
    let found =
        api.broker.verify_webhook(&caller.context, &tenant, &headers, &body, api.clock.as_ref()).await?;
    Ok(axum::Json(match found {
        Ok(key) => VerifyWebhookResponse { valid: true, key: Some(name(key)), reason: None },
        Err(doubt) => VerifyWebhookResponse { valid: false, key: None, reason: Some(doubt.to_string()) },
    }))
}

/// Reads the webhook that a request contains.
pub(crate) fn parse_webhook(request: VerifyWebhookRequest) -> Result<ReceivedWebhook, ApiError> {
    let BoxHeaders(headers) = request.headers;
    let body = BASE64.decode(request.body.as_bytes()).map_err(|_| {
        let detail = "Send the webhook's body, byte by byte as it came, in base64 without line breaks.";
        ApiError::invalid("/body", detail)
    })?;
    match body.len() <= BODY {
        true => Ok(ReceivedWebhook { headers, body }),
        false => Err(ApiError::invalid("/body", "A webhook's body is at most 1 MiB.")),
    }
}

fn name(key: WebhookKeySlot) -> &'static str {
    match key {
        WebhookKeySlot::Primary => "primary",
        WebhookKeySlot::Secondary => "secondary",
    }
}
