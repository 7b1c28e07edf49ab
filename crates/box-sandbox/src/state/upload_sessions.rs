//! Upload sessions: large files that arrive in parts, in any order and several at once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use bytes::Bytes;
use jiff::Timestamp;
use rsa::sha2::Sha256;
use sha1::{Digest as _, Sha1};
use tokio::task::spawn_blocking;

use crate::digest::{hex, sha1_hex};
use crate::http::ErrorResponse;
use crate::random;
use crate::storage::{FileContent, QuotaReservation, StorageError, StorageQuota};
use crate::tokens::TokenSubject;

/// The destination of an upload.
#[derive(Clone, Debug)]
pub(crate) enum UploadTarget {
    /// A new file in this folder.
    NewFile { folder: String, name: String },
    /// A new version of this file.
    NewVersion { file: String },
}

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadPart {
    pub(crate) id: String,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// The SHA-1 in lower-case hexadecimal.
    pub(crate) sha1: String,
}

/// The upload of one large file.
#[derive(Debug)]
pub(crate) struct UploadSession {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) subject: TokenSubject,
    pub(crate) target: UploadTarget,
    pub(crate) size: u64,
    pub(crate) part_size: u64,
    pub(crate) expires_at: Timestamp,
    progress: Mutex<UploadProgress>,
}

#[derive(Debug)]
struct UploadProgress {
    parts: BTreeMap<u64, UploadPart>,
    /// The file's bytes, until the session is committed.
    file: Option<(Arc<File>, QuotaReservation)>,
}

/// The digest of a request's body (RFC 3230). SDKs send SHA-1, Box's own pages SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyDigest {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl BodyDigest {
    fn matches(self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha1(expected) => *Sha1::digest(bytes) == expected,
            Self::Sha256(expected) => *Sha256::digest(bytes) == expected,
        }
    }
}

impl UploadSession {
    /// Returns a session for a file of `size` bytes, which are taken from the quota at once.
    pub(crate) fn new(
        quota: &Arc<StorageQuota>,
        (client_id, subject): (&str, &TokenSubject),
        target: UploadTarget,
        (size, part_size): (u64, u64),
        expires_at: Timestamp,
    ) -> Result<Self, StorageError> {
        let reservation = QuotaReservation::take(quota, size)?;
        let file = Arc::new(tempfile::tempfile()?);
        Ok(Self {
            id: random::uppercase(32),
            client_id: client_id.to_owned(),
            subject: subject.clone(),
            target,
            size,
            part_size,
            expires_at,
            progress: Mutex::new(UploadProgress { parts: BTreeMap::new(), file: Some((file, reservation)) }),
        })
    }

    /// Returns the number of parts that make up the file.
    pub(crate) fn total_parts(&self) -> u64 {
        self.size.div_ceil(self.part_size)
    }

    /// Returns the parts that have arrived, ordered by offset.
    pub(crate) fn parts(&self) -> Vec<UploadPart> {
        self.lock().parts.values().cloned().collect()
    }

    /// Returns the size in bytes of the part at an offset; `None` if no part begins there.
    pub(crate) fn part_size_at(&self, offset: u64) -> Option<u64> {
        let begins_part = offset.is_multiple_of(self.part_size) && offset < self.size;
        begins_part.then(|| self.part_size.min(self.size - offset))
    }

    /// Stores a part. Sending the same bytes again returns the part that is there already.
    pub(crate) async fn store_part(
        self: &Arc<Self>,
        offset: u64,
        bytes: Bytes,
        digest: BodyDigest,
    ) -> Result<UploadPart, ErrorResponse> {
        let session = self.clone();
        blocking(move || session.store_part_blocking(offset, &bytes, digest)).await
    }

    fn store_part_blocking(
        &self,
        offset: u64,
        bytes: &[u8],
        digest: BodyDigest,
    ) -> Result<UploadPart, ErrorResponse> {
        if !digest.matches(bytes) {
            let message = "The part's bytes do not have the digest that was sent";
            return Err(ErrorResponse::precondition_failed(message));
        }
        let sha1 = sha1_hex(bytes);
        let mut progress = self.lock();
        if let Some(part) = progress.parts.get(&offset) {
            return if part.sha1 == sha1 { Ok(part.clone()) } else { Err(overlapping_range()) };
        }
        let Some((file, _)) = &progress.file else { return Err(ErrorResponse::not_found()) };
        file.write_all_at(bytes, offset).map_err(StorageError::Disk)?;
        let part = UploadPart { id: random::uppercase(8), offset, size: bytes.len() as u64, sha1 };
        progress.parts.insert(offset, part.clone());
        Ok(part)
    }

    /// Returns the complete file if it has this SHA-1. Otherwise the session stays open.
    pub(crate) async fn finish(self: &Arc<Self>, sha1: [u8; 20]) -> Result<FileContent, ErrorResponse> {
        let session = self.clone();
        blocking(move || session.finish_blocking(sha1)).await
    }

    /// Reads the file without holding the lock. Parts that arrive meanwhile are refused.
    fn finish_blocking(&self, sha1: [u8; 20]) -> Result<FileContent, ErrorResponse> {
        let (file, reservation) = self.lock().file.take().ok_or_else(ErrorResponse::not_found)?;
        let content =
            FileContent::from_file(file.clone(), self.size, reservation).map_err(StorageError::Disk)?;
        if content.sha1() == hex(&sha1) {
            return Ok(content);
        }
        self.lock().file = content.into_reservation().map(|reservation| (file, reservation));
        let message = "The whole file does not have the SHA-1 that was sent";
        Err(ErrorResponse::precondition_failed(message))
    }

    fn lock(&self) -> MutexGuard<'_, UploadProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs file operations on a thread that may block.
async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, ErrorResponse> + Send + 'static,
) -> Result<T, ErrorResponse> {
    spawn_blocking(operation).await.map_err(|error| StorageError::Disk(io::Error::other(error)))?
}

fn overlapping_range() -> ErrorResponse {
    let message = "Another part with other bytes was uploaded for this range";
    ErrorResponse::api(StatusCode::CONFLICT, "range_overlaps_existing_range", message)
}

/// All open sessions.
#[derive(Debug, Default)]
pub(crate) struct UploadSessions(Mutex<HashMap<String, Arc<UploadSession>>>);

impl UploadSessions {
    /// Adds a session and returns it.
    pub(crate) fn put(&self, session: UploadSession, now: Timestamp) -> Arc<UploadSession> {
        let session = Arc::new(session);
        self.unexpired(now).insert(session.id.clone(), session.clone());
        session
    }

    /// Returns the session with this id, unless it has expired.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<Arc<UploadSession>> {
        self.unexpired(now).get(id).cloned()
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Drops expired sessions and returns the rest.
    fn unexpired(&self, now: Timestamp) -> MutexGuard<'_, HashMap<String, Arc<UploadSession>>> {
        let mut sessions = self.lock();
        sessions.retain(|_, session| now < session.expires_at);
        sessions
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<UploadSession>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
