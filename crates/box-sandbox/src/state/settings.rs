//! The settings that the control plane changes while the sandbox runs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::world::{BoxApp, World};

/// The smallest file that may be uploaded in parts, in bytes, as at Box.
const DEFAULT_MIN_CHUNKED_SIZE: u64 = 20_000_000;

/// The size of a part in bytes, as at Box.
const DEFAULT_PART_SIZE: u64 = 8 * 1024 * 1024;

/// The lifetimes of tokens and the sizes of chunked uploads.
#[derive(Debug)]
pub(crate) struct SandboxSettings {
    token_lifetime: AtomicI64,
    downscoped_lifetime: AtomicI64,
    min_chunked_size: AtomicU64,
    part_size: AtomicU64,
    /// True if revoking a token also revokes the tokens that were downscoped from it.
    pub(crate) revoke_descendants: bool,
}

impl SandboxSettings {
    /// Returns the settings of a world, and Box's own for the rest.
    pub(crate) fn new(world: &World) -> Self {
        Self {
            token_lifetime: AtomicI64::new(world.token_lifetime),
            downscoped_lifetime: AtomicI64::new(world.downscoped_lifetime),
            min_chunked_size: AtomicU64::new(DEFAULT_MIN_CHUNKED_SIZE),
            part_size: AtomicU64::new(DEFAULT_PART_SIZE),
            revoke_descendants: world.revoke_descendants,
        }
    }

    /// Returns the lifetime of a new token of this app, in seconds.
    pub(crate) fn token_lifetime(&self, app: &BoxApp, downscoped: bool) -> i64 {
        let (own, default) = if downscoped {
            (app.downscoped_lifetime, &self.downscoped_lifetime)
        } else {
            (app.token_lifetime, &self.token_lifetime)
        };
        own.unwrap_or_else(|| default.load(Ordering::Relaxed))
    }

    /// Sets the lifetimes of new tokens, in seconds, for all apps without a lifetime of their own. `None` keeps a
    /// value.
    pub(crate) fn set_token_lifetimes(&self, full: Option<i64>, downscoped: Option<i64>) {
        for (lifetime, setting) in [(full, &self.token_lifetime), (downscoped, &self.downscoped_lifetime)] {
            if let Some(lifetime) = lifetime {
                setting.store(lifetime, Ordering::Relaxed);
            }
        }
    }

    /// Returns the smallest size of a file that may be uploaded in parts, in bytes.
    pub(crate) fn min_chunked_size(&self) -> u64 {
        self.min_chunked_size.load(Ordering::Relaxed)
    }

    /// Returns the size of a part of a new upload session, in bytes.
    pub(crate) fn part_size(&self) -> u64 {
        self.part_size.load(Ordering::Relaxed)
    }

    /// Sets the sizes of new upload sessions, in bytes. `None` keeps a value.
    pub(crate) fn set_chunked_upload(&self, min_size: Option<u64>, part_size: Option<u64>) {
        for (size, setting) in [(min_size, &self.min_chunked_size), (part_size, &self.part_size)] {
            if let Some(size) = size {
                setting.store(size, Ordering::Relaxed);
            }
        }
    }
}
