//! The bytes of files: small ones in memory, others in temporary files that have no name any more,
//! and a bound on all of them together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::task::spawn_blocking;

/// How many bytes are collected before they go to a file, and up to which a file stays in memory.
const PIECE: usize = 1024 * 1024;

/// Why bytes are not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// The sandbox keeps as many bytes as it may.
    #[error("the sandbox keeps at most {limit} bytes")]
    Full { limit: u64 },
    /// The machine's disk refuses.
    #[error("the temporary file cannot be written or read: {0}")]
    Disk(#[from] io::Error),
}

/// How many bytes may be kept, and how many are.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: AtomicU64,
    kept: AtomicU64,
}

impl Allowance {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: AtomicU64::new(limit), kept: AtomicU64::new(0) }
    }

    /// Changes the limit; what is kept already stays.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many bytes may be kept.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// How many bytes are kept or promised.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), NotKept> {
        let limit = self.limit();
        let fits = |kept: u64| kept.checked_add(bytes).filter(|&kept| kept <= limit);
        let taken = self.kept.try_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(drop).map_err(|_| NotKept::Full { limit })
    }
}

/// A part of the allowance, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Arc<Allowance>,
    bytes: u64,
}

impl Share {
    /// Takes `bytes` from the allowance.
    pub(crate) fn take(allowance: &Arc<Allowance>, bytes: u64) -> Result<Self, NotKept> {
        allowance.take(bytes)?;
        Ok(Self { allowance: allowance.clone(), bytes })
    }

    fn grow(&mut self, bytes: u64) -> Result<(), NotKept> {
        self.allowance.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.allowance.kept.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The bytes of one version of a file. Copies share them; the last one gives them back.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    place: Place,
    size: u64,
    sha1: String,
    /// Absent for what the sandbox is born with.
    share: Option<Arc<Share>>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Bytes),
    File(Arc<File>),
}

impl Content {
    /// Bytes that the sandbox is born with.
    pub(crate) fn born(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha1 = hexadecimal(&Sha1::digest(&bytes));
        Self { size: bytes.len() as u64, sha1, place: Place::Memory(bytes), share: None }
    }

    /// A temporary file that was written already. Reads it once, for its checksum: not for a thread
    /// that serves requests.
    pub(crate) fn of_file(file: Arc<File>, size: u64, share: Share) -> io::Result<Self> {
        let mut content =
            Self { place: Place::File(file), size, sha1: String::new(), share: Some(Arc::new(share)) };
        let mut digest = Sha1::new();
        let mut from = 0;
        while from < size {
            let piece = content.read_now(from, PIECE as u64)?;
            digest.update(&piece);
            from += piece.len() as u64;
        }
        content.sha1 = hexadecimal(&digest.finalize());
        Ok(content)
    }

    /// The share of the allowance, where nobody else has these bytes.
    pub(crate) fn give_back(self) -> Option<Share> {
        self.share.and_then(Arc::into_inner)
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The SHA-1 of all bytes, in lower-case hexadecimal.
    pub(crate) fn sha1(&self) -> &str {
        &self.sha1
    }

    /// At most a mebibyte and at most `length` bytes from an offset on.
    pub(crate) async fn read(&self, from: u64, length: u64) -> io::Result<Bytes> {
        if let Place::Memory(_) = self.place {
            return self.read_now(from, length);
        }
        let content = self.clone();
        spawn_blocking(move || content.read_now(from, length)).await.map_err(io::Error::other)?
    }

    fn read_now(&self, from: u64, length: u64) -> io::Result<Bytes> {
        let end = from.saturating_add(length.min(PIECE as u64)).min(self.size);
        let span = usize::try_from(end.saturating_sub(from)).map_err(io::Error::other)?;
        match &self.place {
            Place::Memory(bytes) => {
                let start = usize::try_from(from.min(end)).map_err(io::Error::other)?;
                Ok(bytes.slice(start..start + span))
            }
            Place::File(file) => {
                let mut piece = vec![0; span];
                file.read_exact_at(&mut piece, from)?;
                Ok(piece.into())
            }
        }
    }
}

/// Collects the bytes of a file whose size nobody knows yet.
#[derive(Debug)]
pub(crate) struct Spool {
    pending: Vec<u8>,
    file: Option<File>,
    digest: Sha1,
    size: u64,
    share: Share,
}

impl Spool {
    pub(crate) fn new(allowance: &Arc<Allowance>) -> Result<Self, NotKept> {
        let share = Share::take(allowance, 0)?;
        Ok(Self { pending: Vec::new(), file: None, digest: Sha1::new(), size: 0, share })
    }

    /// Adds bytes at the end.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), NotKept> {
        self.share.grow(bytes.len() as u64)?;
        self.size += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > PIECE { self.flush().await } else { Ok(()) }
    }

    /// The whole.
    pub(crate) async fn finish(mut self) -> Result<Content, NotKept> {
        if self.file.is_some() && !self.pending.is_empty() {
            self.flush().await?;
        }
        self.digest.update(&self.pending);
        let place = match self.file {
            Some(file) => Place::File(Arc::new(file)),
            None => Place::Memory(self.pending.into()),
        };
        let sha1 = hexadecimal(&self.digest.finalize());
        Ok(Content { place, size: self.size, sha1, share: Some(Arc::new(self.share)) })
    }

    async fn flush(&mut self) -> Result<(), NotKept> {
        let pending = std::mem::take(&mut self.pending);
        let (file, mut digest) = (self.file.take(), std::mem::take(&mut self.digest));
        let offset = self.size - pending.len() as u64;
        let written = spawn_blocking(move || -> io::Result<_> {
            let file = file.map_or_else(tempfile::tempfile, Ok)?;
            file.write_all_at(&pending, offset)?;
            digest.update(&pending);
            Ok((file, digest))
        });
        let (file, digest) = written.await.map_err(io::Error::other)??;
        (self.file, self.digest) = (Some(file), digest);
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
