//! The page's Content-Security-Policy: the one that `clients/browser` recommends.

use url::Url;

use super::PageSettings;

/// The recommended policy, for a page that loads the elements from its own origin.
const POLICY: &str = include_str!("../../clients/browser/content-security-policy.txt");

/// The broker's origin in the recommended policy.
const BROKER: &str = "https://broker.example.com";

/// The origin of Box's API in the recommended policy.
const BOX: &str = "https://api.box.com";

/// Returns the policy in one line, with the origins of these settings.
pub(super) fn content_security_policy(settings: &PageSettings) -> String {
    let origin = |url: &Url| url.origin().ascii_serialization();
    let (api, upload) = (origin(&settings.box_api), origin(&settings.box_upload));
    let box_origins = if api == upload { api } else { format!("{api} {upload}") };
    let policy = POLICY.replace(BROKER, &origin(&settings.broker)).replace(BOX, &box_origins);
    policy.split_whitespace().collect::<Vec<_>>().join(" ")
}
