//! The log of changes, by which every process learns what the others changed.

use async_trait::async_trait;

use super::Result;
use crate::domain::id::{AppId, CallerId, SessionId, TenantId};

/// An entity that changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangedEntity {
    /// A tenant.
    Tenant(TenantId),
    /// An app, and with it every tenant that it serves.
    App(AppId),
    /// A caller.
    Caller(CallerId),
    /// A browser session.
    Session(SessionId),
}

/// One record of the log of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its number; later changes have higher ones.
    pub number: i64,
    /// The entity that changed.
    pub entity: ChangedEntity,
}

/// The log of changes in the database.
#[async_trait]
pub trait ChangeLog {
    /// Returns the number of the last change to tenants, apps, callers and browser sessions; 0 if there is
    /// none.
    async fn last_change_number(&self) -> Result<i64>;
    /// Returns the changes after the change of that number, oldest first; `None` if the log does not reach
    /// back that far and everything may have changed.
    async fn changes_since(&self, number: i64) -> Result<Option<Vec<ChangeRecord>>>;
}
