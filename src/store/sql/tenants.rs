//! The store of tenants on SQL.

use async_trait::async_trait;

use super::authenticated_row::{fetch_document, verify_rows};
use super::statement::locking;
use super::tenant_rows::select;
use super::timeout::with_timeout;
use super::{SqlStore, app_rows, tenant_rows};
use crate::domain::app::{App, AppOwner};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, TenantId};
use crate::domain::tenant::{Tenant, TenantState};
use crate::store::{
    ChangedEntity, Conflict, NewApp, PageRequest, Result, StoreError, TenantFilter, TenantRef, TenantStore,
};

#[async_trait]
impl TenantStore for SqlStore {
    async fn tenant(&self, by: &TenantRef) -> Result<Option<Tenant>> {
        let (sql, value) = match by {
            TenantRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
            TenantRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
        };
        with_timeout(async {
            fetch_document(&mut self.engine.reader().await?, &self.vault, sql, &[value.into()]).await
        })
        .await
    }

    async fn tenants(&self, filter: &TenantFilter, page: &PageRequest) -> Result<Vec<Tenant>> {
        let is_accepted = |tenant: &Tenant| {
            filter.state.is_none_or(|state| tenant.state == state)
                && filter.labels.iter().all(|(key, value)| tenant.labels.get(key) == Some(value))
        };
        with_timeout(self.list_by_name(select!("WHERE name > $1 ORDER BY name LIMIT $2"), page, is_accepted))
            .await
    }

    async fn deleted_tenants(&self) -> Result<Vec<Tenant>> {
        with_timeout(async {
            let sql = select!("WHERE state = 'deleted' ORDER BY purge_at");
            let rows = self.engine.reader().await?.fetch_all(sql, &[]).await?;
            Ok(verify_rows(&self.vault, &rows).collect())
        })
        .await
    }

    async fn pending_tenants(&self) -> Result<Vec<Tenant>> {
        with_timeout(async {
            let sql = select!("WHERE state = 'pending' ORDER BY name");
            let rows = self.engine.reader().await?.fetch_all(sql, &[]).await?;
            let tenants = verify_rows(&self.vault, &rows);
            Ok(tenants.filter(|tenant: &Tenant| tenant.state == TenantState::Pending).collect())
        })
        .await
    }

    async fn activate_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<&App>,
        event: &AuditEvent,
    ) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            let mut changed = vec![ChangedEntity::Tenant(tenant.id.clone())];
            if let Some(app) = own_app {
                app_rows::replace(&mut transaction, &self.vault, app).await?;
                changed.push(ChangedEntity::App(app.id.clone()));
            }
            tenant_rows::replace(&mut transaction, &self.vault, tenant).await?;
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn insert_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<NewApp<'_>>,
        event: &AuditEvent,
    ) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            if own_app.is_none() {
                // A client ID that came with one tenant's own configuration serves no second tenant.
                let app = app_rows::lock(&mut transaction, &self.vault, &tenant.app).await?;
                let app = app.ok_or(StoreError::Conflict(Conflict::Version))?;
                if !app.may_serve(&tenant.id) {
                    return Err(StoreError::Conflict(Conflict::ClientIdHeld));
                }
            }
            tenant_rows::insert(&mut transaction, &self.vault, tenant).await?;
            let mut changed = vec![ChangedEntity::Tenant(tenant.id.clone())];
            if let Some(new) = own_app {
                if new.app.id != tenant.app || new.app.owner != (AppOwner::Tenant { id: tenant.id.clone() }) {
                    let reason = "the app that came with a tenant is not its own";
                    return Err(StoreError::Unexpected(reason.to_owned()));
                }
                app_rows::insert(&mut transaction, &self.vault, new).await?;
                changed.push(ChangedEntity::App(new.app.id.clone()));
            }
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn update_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            tenant_rows::replace(&mut transaction, &self.vault, tenant).await?;
            let changed = [ChangedEntity::Tenant(tenant.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn purge_tenant(&self, tenant: &TenantId, event: &AuditEvent) -> Result<()> {
        with_timeout(self.purge(tenant, None, event)).await?;
        self.engine.truncate_wal().await;
        Ok(())
    }

    async fn purge_pending_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()> {
        with_timeout(self.purge(&tenant.id, Some(tenant.version), event)).await?;
        self.engine.truncate_wal().await;
        Ok(())
    }
}

impl SqlStore {
    /// Erases a tenant; if a version is given, only at that version.
    async fn purge(&self, id: &TenantId, version: Option<i64>, event: &AuditEvent) -> Result<()> {
        let mut transaction = self.begin_audited().await?;
        let sql = locking!("SELECT app_id, version FROM tenants WHERE id = $1", "FOR UPDATE");
        let row = transaction.fetch_optional(sql, &[id.as_str().into()]).await?;
        let row = row.filter(|row| version.is_none() || row.get::<i64>("version") == version);
        let row = row.ok_or(StoreError::Conflict(Conflict::Version))?;
        transaction.execute("DELETE FROM tokens WHERE tenant_id = $1", &[id.as_str().into()]).await?;
        transaction.execute("DELETE FROM sessions WHERE tenant_id = $1", &[id.as_str().into()]).await?;
        transaction.execute("DELETE FROM tenants WHERE id = $1", &[id.as_str().into()]).await?;
        let mut changed = vec![ChangedEntity::Tenant(id.clone())];
        let app = row.get::<String>("app_id").and_then(|app| AppId::parse(&app).ok());
        if let Some(app) = app
            && tenant_rows::count_of_app(&mut transaction, &app).await? == 0
            && app_rows::is_owned_by(&mut transaction, &self.vault, &app, id).await?
        {
            app_rows::delete(&mut transaction, &app).await?;
            changed.push(ChangedEntity::App(app));
        }
        transaction.commit_change(&self.vault, event, &changed).await
    }
}
