//! The store on SQL: one implementation for SQLite and Postgres.
//!
//! Each trait of the store is implemented in the file of its entity. The files below them own one mechanism
//! each: `engine` and `connection` the drivers, `authenticated_row` the MAC of a row, `audit_writer` and
//! `audited_transaction` the audit, `change_log` and `generation_counter` the sequences. No other module may
//! see SQL or a driver's type.

mod app_rows;
mod apps;
mod audit;
mod audit_rows;
mod audit_writer;
mod audited_transaction;
mod authenticated_row;
mod browser_sessions;
mod callers;
mod change_log;
mod checkpoints;
mod connection;
mod engine;
mod generation_counter;
mod instance_lock;
mod keypairs;
mod open;
mod page_builder;
mod postgres;
mod recipients;
mod schema;
mod sqlite;
mod sqlx_error;
mod statement;
mod tenant_rows;
mod tenants;
mod timeout;
mod token_rows;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::crypto::Vault;
use crate::domain::id::Generation;
use crate::store::{Result, Store};
use audit_writer::AuditWriter;
use audited_transaction::AuditedTransaction;
use engine::Engine;
use instance_lock::InstanceLock;
use timeout::with_timeout;

pub use open::{OpenMode, migrate, open};
pub use schema::MigrationReport;

/// The store on an open database.
#[derive(Debug)]
struct SqlStore {
    engine: Engine,
    vault: Arc<Vault>,
    audit_writer: AuditWriter,
    /// Keeps a second `serve` away for as long as the store exists.
    _lock: Option<InstanceLock>,
}

impl SqlStore {
    fn new(engine: Engine, vault: Arc<Vault>, lock: Option<InstanceLock>) -> Self {
        let audit_writer = AuditWriter::new(Arc::clone(&vault));
        Self { engine, vault, audit_writer, _lock: lock }
    }

    /// Begins a transaction that writes to the audit.
    async fn begin_audited(&self) -> Result<AuditedTransaction<'_>> {
        Ok(AuditedTransaction::new(self.engine.begin().await?, &self.audit_writer))
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn next_generation(&self) -> Result<Generation> {
        with_timeout(generation_counter::next_generation(&self.engine, &self.vault)).await
    }

    async fn delete_expired(&self, now: Timestamp) -> Result<()> {
        with_timeout(async {
            let mut connection = self.engine.begin().await?;
            token_rows::delete_expired(&mut connection, now).await?;
            recipients::delete_expired(&mut connection, now).await?;
            app_rows::delete_replaced_credentials(&mut connection).await?;
            browser_sessions::delete_expired(&mut connection, now).await?;
            change_log::delete_expired(&mut connection, now).await?;
            connection.commit().await
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        with_timeout(async { self.engine.reader().await?.execute("SELECT 1", &[]).await.map(drop) }).await
    }
}
