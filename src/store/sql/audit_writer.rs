//! The writer of the audit: it appends events to hash chains, each of which one transaction at a time appends
//! to.
//!
//! It owns the chains of this process and the knowledge of how far they go, which it trusts more than the
//! database. It must not begin or commit a transaction.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use crate::audit::{Chain, ChainLink, ChainTip, Day, SignedCheckpoint};
use crate::crypto::Vault;
use crate::domain::audit_event::{Actor, AuditEvent};
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};
use crate::store::{Result, StoreError};

/// The time that writing an event may take, which is part of the time of its call.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The writer of the audit in this process.
#[derive(Clone, Debug)]
pub(super) struct AuditWriter {
    vault: Arc<Vault>,
    chains: Arc<Mutex<Chains>>,
}

#[derive(Debug, Default)]
struct Chains {
    /// The chains that no transaction appends to at the moment.
    idle: Vec<Chain>,
    /// The tips of this process's chains that have grown since the last checkpoint.
    grown: HashMap<WriterId, (Day, ChainTip)>,
    /// All chains of this process, of the last days, whose tip is known.
    own: HashMap<WriterId, Day>,
    /// The last checkpoint that this process saw: its number, and the hash of its content.
    last: Option<(i64, String)>,
}

impl AuditWriter {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, chains: Arc::default() }
    }

    /// Takes a chain of that day that no other transaction appends to. A chain never continues on the next
    /// day, so that whole days can be dropped.
    pub(super) fn take_chain(&self, day: Day) -> ChainAppend {
        let mut chains = self.chains();
        chains.idle.retain(|chain| chain.day >= day);
        // The chain that was used last comes first, so that no more chains grow than are needed.
        let index = chains.idle.iter().rposition(|chain| chain.day == day);
        let chain = match index {
            Some(index) => chains.idle.remove(index),
            None => {
                let chain = Chain::new(WriterId::generate(self.vault.entropy()), day);
                chains.own.retain(|_, of| *of >= day.plus_days(-2));
                chains.own.insert(chain.writer.clone(), day);
                chain
            }
        };
        drop(chains);
        ChainAppend { before: Some(chain.clone()), chain, committed: false, chains: Arc::clone(&self.chains) }
    }

    /// Writes an event to the chain, within the transaction of the connection.
    pub(super) async fn write(
        &self,
        connection: &mut Connection,
        append: &mut ChainAppend,
        event: &AuditEvent,
    ) -> Result<()> {
        let link = append
            .chain
            .append(self.vault.audit_signer(), event)
            .map_err(|error| StoreError::Unexpected(error.to_string()))?;
        match tokio::time::timeout(WRITE_TIMEOUT, insert(connection, &link, event)).await {
            Ok(Ok(())) => Ok(()),
            // If the audit cannot be written, the change that it records is not made.
            Ok(Err(error)) => {
                // The row may have been inserted from outside: the chain cannot continue.
                append.abandon();
                Err(unwritable(&error.to_string()))
            }
            Err(_) => Err(unwritable("no answer in time")),
        }
    }

    /// Returns the tips of this process's own chains that have grown since the last checkpoint.
    pub(super) fn grown_chains(&self) -> HashMap<WriterId, (Day, ChainTip)> {
        self.chains().grown.clone()
    }

    /// Returns true for a chain of this process whose tip is known. After a commit with an unknown outcome
    /// it is not.
    pub(super) fn is_own(&self, writer: &WriterId) -> bool {
        self.chains().own.contains_key(writer)
    }

    /// Returns the number and hash of the last checkpoint that this process saw.
    pub(super) fn last_checkpoint(&self) -> Option<(i64, String)> {
        self.chains().last.clone()
    }

    /// Records that a checkpoint covers the chains up to `tips`.
    pub(super) fn mark_covered(
        &self,
        checkpoint: &SignedCheckpoint,
        tips: &HashMap<WriterId, (Day, ChainTip)>,
    ) {
        let mut chains = self.chains();
        chains.grown.retain(|writer, (_, tip)| {
            tips.get(writer).is_none_or(|(_, covered)| covered.number < tip.number)
        });
        chains.last = Some((checkpoint.number, checkpoint.hash()));
    }

    fn chains(&self) -> MutexGuard<'_, Chains> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unwritable(reason: &str) -> StoreError {
    StoreError::Unavailable(format!("the audit cannot be written: {reason}"))
}

/// The records that one transaction appends to a chain.
#[derive(Debug)]
pub(super) struct ChainAppend {
    chain: Chain,
    /// The chain before the transaction, as long as it is certain that a rollback restores it.
    before: Option<Chain>,
    committed: bool,
    chains: Arc<Mutex<Chains>>,
}

impl ChainAppend {
    /// Writes the new tip of the chain, as the last statement before the commit. From here on the tip in the
    /// database is unknown until the commit has succeeded.
    pub(super) async fn write_tip(&mut self, connection: &mut Connection) -> Result<()> {
        self.before = None;
        let Chain { writer, day, tip } = &self.chain;
        let sql = "INSERT INTO audit_chains (writer, day, number, mac, covered) VALUES ($1, $2, $3, $4, 0)
             ON CONFLICT (writer) DO UPDATE SET number = excluded.number, mac = excluded.mac";
        let mac = tip.mac.as_slice();
        let values = [writer.as_str().into(), day.0.into(), tip.number.into(), mac.into()];
        connection.execute(sql, &values).await.map(drop)
    }

    /// Makes sure that nothing is appended to the chain any more.
    fn abandon(&mut self) {
        self.before = None;
    }

    /// Returns the chain after a commit, for other transactions to append to.
    pub(super) fn release(mut self) {
        self.committed = true;
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let Chain { writer, day, tip } = self.chain.clone();
        chains.grown.insert(writer, (day, tip));
        chains.idle.push(self.chain.clone());
    }
}

impl Drop for ChainAppend {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        match self.before.take() {
            Some(before) => chains.idle.push(before),
            // Nothing is appended to a chain whose tip is unknown; its length is what the database says.
            None => {
                chains.grown.remove(&self.chain.writer);
                chains.own.remove(&self.chain.writer);
            }
        }
    }
}

async fn insert(connection: &mut Connection, link: &ChainLink, event: &AuditEvent) -> Result<()> {
    let sql = "INSERT INTO audit
         (day, writer, number, at, action, outcome, actor_id, tenant_id, app_id, caller_id, on_behalf_of,
          fingerprint, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let AuditColumns { actor, on_behalf_of } = AuditColumns::of(event);
    let values = [
        link.day.0.into(),
        link.writer.as_str().into(),
        link.number.into(),
        event.at.as_millisecond().into(),
        event.action.as_str().into(),
        event.outcome.as_str().into(),
        actor.into(),
        event.tenant.as_ref().map(TenantId::as_str).into(),
        event.app.as_ref().map(AppId::as_str).into(),
        event.caller.as_ref().map(CallerId::as_str).into(),
        on_behalf_of.into(),
        event.fingerprint.as_deref().into(),
        (&link.doc).into(),
        (&link.key).into(),
        (&link.mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

/// The columns of an event that are not fields of it.
pub(super) struct AuditColumns<'a> {
    pub(super) actor: Option<&'a str>,
    pub(super) on_behalf_of: Option<&'a str>,
}

impl<'a> AuditColumns<'a> {
    pub(super) fn of(event: &'a AuditEvent) -> Self {
        let actor = match &event.actor {
            Actor::Caller { id, .. } => Some(id.as_str()),
            Actor::Unknown | Actor::CommandLine | Actor::Broker => None,
        };
        Self { actor, on_behalf_of: event.on_behalf_of.as_ref().map(|who| who.as_str()) }
    }
}
