//! The rows of tenants, apps, callers and keypairs: loaded for an admin, replaced with their audit event.
//!
//! The services build on these functions instead of on each other. A function that replaces a row also makes the broker
//! forget its cached copy.

pub(super) mod apps;
pub(super) mod callers;
pub(super) mod keypairs;
pub(super) mod tenants;

pub use self::apps::shared_app_name;
