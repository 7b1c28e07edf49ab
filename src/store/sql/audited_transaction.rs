//! A transaction that writes to the audit. It makes sure that a change, its audit record and its entry in the
//! log of changes are committed together.

use std::ops::{Deref, DerefMut};

use super::audit_writer::{AuditWriter, ChainAppend};
use super::change_log;
use super::connection::Connection;
use crate::audit::Day;
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::store::{ChangedEntity, Result};

/// A transaction that writes to the audit; it is rolled back unless it is committed.
pub(super) struct AuditedTransaction<'a> {
    connection: Connection,
    writer: &'a AuditWriter,
    /// The chain that the transaction appends to, from its first event on.
    append: Option<ChainAppend>,
}

impl<'a> AuditedTransaction<'a> {
    /// Makes an audited transaction of one that has begun on the connection.
    pub(super) fn new(connection: Connection, writer: &'a AuditWriter) -> Self {
        Self { connection, writer, append: None }
    }

    /// Records an event on the day that it happened.
    pub(super) async fn record(&mut self, event: &AuditEvent) -> Result<()> {
        self.record_on(Day::of(event.at), event).await
    }

    /// Records an event on the given day. The event may be of an earlier one, whose chains may have been
    /// dropped by now.
    pub(super) async fn record_on(&mut self, day: Day, event: &AuditEvent) -> Result<()> {
        let append = self.append.get_or_insert_with(|| self.writer.take_chain(day));
        self.writer.write(&mut self.connection, append, event).await
    }

    /// Records an event and the entities that it changed, and commits. The changes are numbered last: no other
    /// transaction numbers any from then on until the commit, so that numbers become visible in their order.
    pub(super) async fn commit_change(
        mut self,
        vault: &Vault,
        event: &AuditEvent,
        changed: &[ChangedEntity],
    ) -> Result<()> {
        self.record(event).await?;
        change_log::append(&mut self.connection, vault, event.at, changed).await?;
        self.commit().await
    }

    /// Commits the transaction.
    pub(super) async fn commit(self) -> Result<()> {
        let Self { mut connection, mut append, .. } = self;
        if let Some(append) = &mut append {
            append.write_tip(&mut connection).await?;
        }
        connection.commit().await?;
        if let Some(append) = append {
            append.release();
        }
        Ok(())
    }
}

impl Deref for AuditedTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for AuditedTransaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
