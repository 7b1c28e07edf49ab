//! The Content-Security-Policy of the page: the one that `clients/browser` tells its readers to use.

use url::Url;

use super::PageSettings;

/// The policy for a page that loads the elements from its own origin, with the real Box.
const POLICY: &str = include_str!("../../clients/browser/content-security-policy.txt");

/// What stands in it for the broker, and for Box's API.
const BROKER: &str = "https://broker.example.com";
const BOX: &str = "https://api.box.com";

/// The policy in one line, for the broker and the Box of these settings.
pub(super) fn of(settings: &PageSettings) -> String {
    let origin = |url: &Url| url.origin().ascii_serialization();
    let (api, upload) = (origin(&settings.box_api), origin(&settings.box_upload));
    let boxes = if api == upload { api } else { format!("{api} {upload}") };
    let policy = POLICY.replace(BROKER, &origin(&settings.broker)).replace(BOX, &boxes);
    policy.split_whitespace().collect::<Vec<_>>().join(" ")
}
