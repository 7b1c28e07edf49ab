//! The store of apps on SQL.

use async_trait::async_trait;

use super::app_rows::select;
use super::authenticated_row::{fetch_document, tampered, verify_rows};
use super::statement::locking;
use super::timeout::with_timeout;
use super::{SqlStore, app_rows, keypairs, tenant_rows};
use crate::domain::app::{App, Keypair};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, Generation, KeypairId};
use crate::domain::tenant::Tenant;
use crate::store::{
    AppRef, AppStore, ChangedEntity, Conflict, CredentialSwitch, NewApp, PageRequest, Result, StoreError,
    StoredCredentials,
};

#[async_trait]
impl AppStore for SqlStore {
    async fn app(&self, by: &AppRef) -> Result<Option<App>> {
        let (sql, value) = match by {
            AppRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
            AppRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
            AppRef::ClientId(id) => (select!("WHERE client_id = $1 AND pending = 0"), id.as_str()),
        };
        with_timeout(async {
            fetch_document(&mut self.engine.reader().await?, &self.vault, sql, &[value.into()]).await
        })
        .await
    }

    async fn shared_apps(&self, page: &PageRequest) -> Result<Vec<App>> {
        let sql = select!("WHERE name > $1 ORDER BY name LIMIT $2");
        with_timeout(self.list_by_name(sql, page, |_| true)).await
    }

    /// A tenant's own generation may have advanced without new credentials of its app: the newest ones until
    /// then are meant.
    async fn credentials(&self, app: &AppId, generation: Generation) -> Result<Option<StoredCredentials>> {
        with_timeout(async {
            let sql = "SELECT generation, sealed FROM credentials WHERE app_id = $1 AND generation <= $2
                 ORDER BY generation DESC LIMIT 1";
            let values = [app.as_str().into(), generation.0.into()];
            let row = self.engine.reader().await?.fetch_optional(sql, &values).await?;
            let Some(row) = row else { return Ok(None) };
            let refused = || tampered("credentials", app.as_str());
            let generation = Generation(row.get("generation").ok_or_else(refused)?);
            Ok(Some(StoredCredentials { generation, sealed: row.get("sealed").ok_or_else(refused)? }))
        })
        .await
    }

    async fn count_tenants_of_app(&self, app: &AppId) -> Result<u64> {
        with_timeout(async { tenant_rows::count_of_app(&mut self.engine.reader().await?, app).await }).await
    }

    async fn active_tenant_of_app(&self, app: &AppId) -> Result<Option<Tenant>> {
        with_timeout(async {
            let sql = tenant_rows::select!("WHERE app_id = $1 AND state = 'active' ORDER BY name LIMIT 20");
            let rows = self.engine.reader().await?.fetch_all(sql, &[app.as_str().into()]).await?;
            Ok(verify_rows(&self.vault, &rows).next())
        })
        .await
    }

    async fn insert_app(&self, new: NewApp<'_>, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            app_rows::insert(&mut transaction, &self.vault, new).await?;
            let changed = [ChangedEntity::App(new.app.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn update_app(&self, app: &App, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            app_rows::replace(&mut transaction, &self.vault, app).await?;
            let changed = [ChangedEntity::App(app.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    /// The old credentials stay beside the new ones, because tokens that were minted with them may still have
    /// to be revoked. The private half of the keypair is erased, because it is among the credentials now; the
    /// public half shows that the switch happened.
    async fn switch_credentials(&self, switch: CredentialSwitch<'_>, event: &AuditEvent) -> Result<()> {
        let CredentialSwitch { app: new, tenant, keypair } = switch;
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            let mut changed = vec![ChangedEntity::App(new.app.id.clone())];
            app_rows::replace(&mut transaction, &self.vault, new.app).await?;
            app_rows::insert_credentials(&mut transaction, new).await?;
            if let Some(tenant) = tenant {
                tenant_rows::replace(&mut transaction, &self.vault, tenant).await?;
                changed.push(ChangedEntity::Tenant(tenant.id.clone()));
            }
            if let Some(keypair) = keypair {
                keypairs::erase_private_half(&mut transaction, keypair).await?;
            }
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn insert_keypair(&self, keypair: &Keypair, sealed: &[u8], event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            keypairs::insert(&mut transaction, &self.vault, keypair, sealed).await?;
            let changed = [ChangedEntity::App(keypair.app.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn keypair(&self, id: &KeypairId) -> Result<Option<(Keypair, Vec<u8>)>> {
        with_timeout(async { keypairs::find(&mut self.engine.reader().await?, &self.vault, id).await }).await
    }

    async fn keypairs_of_app(&self, app: &AppId) -> Result<Vec<Keypair>> {
        with_timeout(async { keypairs::of_app(&mut self.engine.reader().await?, &self.vault, app).await })
            .await
    }

    async fn delete_app(&self, id: &AppId, version: i64, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            let sql = locking!("SELECT id FROM apps WHERE id = $1 AND version = $2", "FOR UPDATE");
            if transaction.fetch_optional(sql, &[id.as_str().into(), version.into()]).await?.is_none() {
                return Err(StoreError::Conflict(Conflict::Version));
            }
            if tenant_rows::count_of_app(&mut transaction, id).await? > 0 {
                return Err(StoreError::Conflict(Conflict::InUse));
            }
            app_rows::delete(&mut transaction, id).await?;
            let changed = [ChangedEntity::App(id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await?;
        self.engine.truncate_wal().await;
        Ok(())
    }
}
