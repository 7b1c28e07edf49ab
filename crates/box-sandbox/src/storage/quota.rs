//! The bound on the number of bytes that a sandbox keeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reason why bytes cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The storage quota is used up.
    #[error("the sandbox keeps at most {limit} bytes")]
    QuotaExceeded { limit: u64 },
    /// A temporary file cannot be written or read.
    #[error("the temporary file cannot be written or read: {0}")]
    Disk(#[from] io::Error),
}

/// The number of bytes that may be kept, and the number that are.
#[derive(Debug)]
pub(crate) struct StorageQuota {
    limit: AtomicU64,
    used: AtomicU64,
}

impl StorageQuota {
    /// Returns an unused quota of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0) }
    }

    /// Changes the limit. Bytes that are already stored stay.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Returns the number of bytes that may be kept.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that are stored or reserved.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), StorageError> {
        let limit = self.limit();
        let within_limit = |used: u64| used.checked_add(bytes).filter(|&used| used <= limit);
        let taken = self.used.try_update(Ordering::Relaxed, Ordering::Relaxed, within_limit);
        taken.map(drop).map_err(|_| StorageError::QuotaExceeded { limit })
    }
}

/// A part of the quota, given back on drop.
#[derive(Debug)]
pub(crate) struct QuotaReservation {
    quota: Arc<StorageQuota>,
    bytes: u64,
}

impl QuotaReservation {
    /// Takes `bytes` from the quota.
    pub(crate) fn take(quota: &Arc<StorageQuota>, bytes: u64) -> Result<Self, StorageError> {
        quota.take(bytes)?;
        Ok(Self { quota: quota.clone(), bytes })
    }

    /// Takes `bytes` more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.quota.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for QuotaReservation {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
