//! Writing the audit: each transaction adds its events to one chain, which nobody else adds to meanwhile.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use super::{Result, StoreError};
use crate::audit::{Chain, ChainLink, ChainTip, Day, SignedCheckpoint};
use crate::crypto::Vault;
use crate::domain::audit_event::{Actor, AuditEvent};
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};

/// How long writing an event may take: its share of a call's budget.
const SHARE: Duration = Duration::from_secs(1);

/// The vault, and the chains that this process adds to.
#[derive(Clone, Debug)]
pub(super) struct AuditWriter {
    vault: Arc<Vault>,
    chains: Arc<Mutex<Chains>>,
}

#[derive(Debug, Default)]
struct Chains {
    /// Those that nobody adds to at the moment.
    idle: Vec<Chain>,
    /// How far this process's own go that grew since the last checkpoint.
    grown: HashMap<WriterId, (Day, ChainTip)>,
    /// All that this process ever added to since it began, of the last days.
    own: HashMap<WriterId, Day>,
    /// The last checkpoint that this process saw: its number, and the hash of its content.
    last: Option<(i64, String)>,
}

impl Deref for AuditWriter {
    type Target = Vault;

    fn deref(&self) -> &Vault {
        &self.vault
    }
}

impl AuditWriter {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, chains: Arc::default() }
    }

    /// Writes an event of this moment within the session's transaction.
    pub(super) async fn write(&self, session: &mut Connection, event: &AuditEvent) -> Result<()> {
        self.write_on(session, Day::of(event.at), event).await
    }

    /// Writes an event on that day within the session's transaction: it may be of an earlier one, whose
    /// chains may be dropped by now.
    pub(super) async fn write_on(
        &self,
        session: &mut Connection,
        day: Day,
        event: &AuditEvent,
    ) -> Result<()> {
        let page = session.page(|| self.open_page(day));
        let link = page
            .chain
            .append(self.vault.notary(), event)
            .map_err(|error| StoreError::Unexpected(error.to_string()))?;
        match tokio::time::timeout(SHARE, insert(session, &link, event)).await {
            Ok(Ok(())) => Ok(()),
            // Whatever keeps the audit from being written, what it is to tell of is not done meanwhile.
            Ok(Err(error)) => {
                // Somebody may have put a record where this one belongs: the chain cannot go on.
                session.spoil_page();
                Err(unwritable(&error.to_string()))
            }
            Err(_) => Err(unwritable("no answer in time")),
        }
    }

    /// A chain of that day that nobody else adds to: no chain outlives its day.
    fn open_page(&self, day: Day) -> ChainAppend {
        let mut chains = self.chains();
        chains.idle.retain(|chain| chain.day >= day);
        // The last one first, so that no more chains grow than are needed.
        let place = chains.idle.iter().rposition(|chain| chain.day == day);
        let chain = match place {
            Some(place) => chains.idle.remove(place),
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

    /// How far this process's own chains go that grew since the last checkpoint.
    pub(super) fn grown(&self) -> HashMap<WriterId, (Day, ChainTip)> {
        self.chains().grown.clone()
    }

    /// True for a chain of this process whose end it knows: not for one whose last commit is in doubt.
    pub(super) fn is_own(&self, writer: &WriterId) -> bool {
        self.chains().own.contains_key(writer)
    }

    /// The last checkpoint that this process saw.
    pub(super) fn last_checkpoint(&self) -> Option<(i64, String)> {
        self.chains().last.clone()
    }

    /// Takes note of a checkpoint that covers `heads`.
    pub(super) fn covered(&self, checkpoint: &SignedCheckpoint, heads: &HashMap<WriterId, (Day, ChainTip)>) {
        let mut chains = self.chains();
        chains.grown.retain(|writer, (_, head)| {
            heads.get(writer).is_none_or(|(_, covered)| covered.number < head.number)
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

/// What one transaction adds to a chain.
#[derive(Debug)]
pub(super) struct ChainAppend {
    chain: Chain,
    /// The chain as it was, where it is certain that nothing was added.
    before: Option<Chain>,
    committed: bool,
    chains: Arc<Mutex<Chains>>,
}

impl ChainAppend {
    /// Writes down how far the chain goes now, as the last thing before the commit. From here on nobody
    /// knows whether it does, until the commit is known to have happened.
    pub(super) async fn close(&mut self, session: &mut Connection) -> Result<()> {
        self.before = None;
        let Chain { writer, day, tip: head } = &self.chain;
        let sql = "INSERT INTO audit_chains (writer, day, number, mac, covered) VALUES ($1, $2, $3, $4, 0)
             ON CONFLICT (writer) DO UPDATE SET number = excluded.number, mac = excluded.mac";
        let mac = head.mac.as_slice();
        session.run(sql, &[writer.as_str().into(), day.0.into(), head.number.into(), mac.into()]).await?;
        Ok(())
    }

    /// Has nobody add to the chain any more.
    pub(super) fn spoil(&mut self) {
        self.before = None;
    }

    /// Gives the chain back for others to add to.
    pub(super) fn committed(mut self) {
        self.committed = true;
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let Chain { writer, day, tip: head } = self.chain.clone();
        chains.grown.insert(writer, (day, head));
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
            // A chain of which it is not known how far it goes is never added to again, and as long as
            // the store says that it is.
            None => {
                chains.grown.remove(&self.chain.writer);
                chains.own.remove(&self.chain.writer);
            }
        }
    }
}

async fn insert(session: &mut Connection, link: &ChainLink, event: &AuditEvent) -> Result<()> {
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
    session.run(sql, &values).await.map(drop)
}

/// What stands in columns beside an event, taken out of it.
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
