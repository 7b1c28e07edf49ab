//! Upload sessions: large files that come in parts, in any order and several at once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use bytes::Bytes;
use jiff::Timestamp;
use rsa::sha2::Sha256;
use sha1::{Digest as _, Sha1};
use tokio::task::spawn_blocking;

use crate::http::error::Refusal;
use crate::random;
use crate::storage::{Allowance, Content, NotKept, Share, hexadecimal};
use crate::tokens::Subject;

/// Where the file will lie.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A new file in this folder.
    Folder { id: String, name: String },
    /// A new version of this file.
    File { id: String },
}

/// A part that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) id: String,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha1: String,
}

/// A file that is under way.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) subject: Subject,
    pub(crate) target: Target,
    pub(crate) size: u64,
    pub(crate) part_size: u64,
    pub(crate) expires_at: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    parts: BTreeMap<u64, Part>,
    /// The bytes, until the session is committed.
    file: Option<(Arc<File>, Share)>,
}

/// How the sender says what a part's bytes are (RFC 3230): as SHA-1, as SDKs do, or as SHA-256, as
/// pages do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl Checksum {
    fn fits(self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha1(wanted) => *Sha1::digest(bytes) == wanted,
            Self::Sha256(wanted) => *Sha256::digest(bytes) == wanted,
        }
    }
}

impl Session {
    /// A session for so many bytes, which are taken from the allowance at once.
    pub(crate) fn new(
        allowance: &Arc<Allowance>,
        (client_id, subject): (&str, &Subject),
        target: Target,
        (size, part_size): (u64, u64),
        expires_at: Timestamp,
    ) -> Result<Self, NotKept> {
        let share = Share::take(allowance, size)?;
        let file = Arc::new(tempfile::tempfile()?);
        Ok(Self {
            id: random::lower(32).to_uppercase(),
            client_id: client_id.to_owned(),
            subject: subject.clone(),
            target,
            size,
            part_size,
            expires_at,
            state: Mutex::new(State { parts: BTreeMap::new(), file: Some((file, share)) }),
        })
    }

    /// How many parts the file has.
    pub(crate) fn total_parts(&self) -> u64 {
        self.size.div_ceil(self.part_size)
    }

    /// The parts that arrived, in their order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.lock().parts.values().cloned().collect()
    }

    /// How many bytes the part at an offset must have; nothing where no part begins there.
    pub(crate) fn length_at(&self, offset: u64) -> Option<u64> {
        let begins = offset.is_multiple_of(self.part_size) && offset < self.size;
        begins.then(|| self.part_size.min(self.size - offset))
    }

    /// Keeps a part. The same bytes again are the part that is there already.
    pub(crate) async fn put(
        self: &Arc<Self>,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<Part, Refusal> {
        let session = self.clone();
        let put = spawn_blocking(move || session.put_now(offset, &bytes, checksum));
        put.await.map_err(|problem| Refusal::not_kept(&NotKept::Disk(std::io::Error::other(problem))))?
    }

    fn put_now(&self, offset: u64, bytes: &[u8], checksum: Checksum) -> Result<Part, Refusal> {
        if !checksum.fits(bytes) {
            return Err(Refusal::precondition("The part's bytes do not have the digest that was sent"));
        }
        let sha1 = hexadecimal(&Sha1::digest(bytes));
        let mut state = self.lock();
        if let Some(part) = state.parts.get(&offset) {
            return if part.sha1 == sha1 { Ok(part.clone()) } else { Err(overlap()) };
        }
        let Some((file, _)) = &state.file else { return Err(Refusal::not_found()) };
        file.write_all_at(bytes, offset).map_err(|problem| Refusal::not_kept(&NotKept::Disk(problem)))?;
        let id = random::lower(8).to_uppercase();
        let part = Part { id, offset, size: bytes.len() as u64, sha1 };
        state.parts.insert(offset, part.clone());
        Ok(part)
    }

    /// Ends the session with the file that came, where it has this SHA-1; otherwise it stays open.
    pub(crate) async fn finish(self: &Arc<Self>, sha1: [u8; 20]) -> Result<Content, Refusal> {
        let session = self.clone();
        let finish = spawn_blocking(move || session.finish_now(sha1));
        finish.await.map_err(|problem| Refusal::not_kept(&NotKept::Disk(std::io::Error::other(problem))))?
    }

    /// Reads the file without the lock, so that nobody waits for it; what comes meanwhile is refused.
    fn finish_now(&self, sha1: [u8; 20]) -> Result<Content, Refusal> {
        let (file, share) = self.lock().file.take().ok_or_else(Refusal::not_found)?;
        let content = Content::of_file(file.clone(), self.size, share)
            .map_err(|problem| Refusal::not_kept(&NotKept::Disk(problem)))?;
        if content.sha1() == hexadecimal(&sha1) {
            return Ok(content);
        }
        self.lock().file = content.give_back().map(|share| (file, share));
        Err(Refusal::precondition("The whole file does not have the SHA-1 that was sent"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn overlap() -> Refusal {
    let message = "Another part with other bytes was uploaded for this range";
    Refusal::api(StatusCode::CONFLICT, "range_overlaps_existing_range", message)
}

/// All sessions that are under way.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// Keeps a session, and lets go of those that are over.
    pub(crate) fn put(&self, session: Session, now: Timestamp) -> Arc<Session> {
        let session = Arc::new(session);
        let mut sessions = self.lock();
        sessions.retain(|_, known| now < known.expires_at);
        sessions.insert(session.id.clone(), session.clone());
        session
    }

    /// The session of an id, unless it is over.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<Arc<Session>> {
        let mut sessions = self.lock();
        sessions.retain(|_, known| now < known.expires_at);
        sessions.get(id).cloned()
    }

    /// Ends a session.
    pub(crate) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
