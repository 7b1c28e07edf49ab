//! The bytes of one version of a file: small ones in memory, large ones in temporary files that have no name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::task::spawn_blocking;

use super::quota::{QuotaReservation, StorageError, StorageQuota};
use crate::digest::{hex, sha1_hex};

/// The number of bytes that are read or written at once. Files up to this size stay in memory.
const CHUNK_SIZE: usize = 1024 * 1024;

/// The bytes of one version of a file. Clones share the bytes; dropping the last one frees them.
#[derive(Clone, Debug)]
pub(crate) struct FileContent {
    backing: Backing,
    size: u64,
    sha1: String,
    /// `None` for seed data, which does not count against the quota.
    reservation: Option<Arc<QuotaReservation>>,
}

#[derive(Clone, Debug)]
enum Backing {
    Memory(Bytes),
    File(Arc<File>),
}

impl FileContent {
    /// Returns content that does not count against the quota.
    pub(crate) fn seed(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha1 = sha1_hex(&bytes);
        Self { size: bytes.len() as u64, sha1, backing: Backing::Memory(bytes), reservation: None }
    }

    /// Returns the content of a temporary file that was written already.
    ///
    /// This reads the whole file for its checksum and blocks: not for a thread that serves requests.
    pub(crate) fn from_file(file: Arc<File>, size: u64, reservation: QuotaReservation) -> io::Result<Self> {
        let backing = Backing::File(file);
        let mut content =
            Self { backing, size, sha1: String::new(), reservation: Some(Arc::new(reservation)) };
        let mut digest = Sha1::new();
        let mut offset = 0;
        while offset < size {
            let chunk = content.read_blocking(offset, CHUNK_SIZE as u64)?;
            digest.update(&chunk);
            offset += chunk.len() as u64;
        }
        content.sha1 = hex(&digest.finalize());
        Ok(content)
    }

    /// Returns the quota reservation, unless a clone still uses these bytes.
    pub(crate) fn into_reservation(self) -> Option<QuotaReservation> {
        self.reservation.and_then(Arc::into_inner)
    }

    /// Returns the number of bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the SHA-1 of all bytes in lower-case hexadecimal.
    pub(crate) fn sha1(&self) -> &str {
        &self.sha1
    }

    /// Reads from `offset` on at most `length` bytes, and at most a mebibyte.
    pub(crate) async fn read(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        if let Backing::Memory(_) = self.backing {
            return self.read_blocking(offset, length);
        }
        let content = self.clone();
        spawn_blocking(move || content.read_blocking(offset, length)).await.map_err(io::Error::other)?
    }

    fn read_blocking(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        let end = offset.saturating_add(length.min(CHUNK_SIZE as u64)).min(self.size);
        let length = usize::try_from(end.saturating_sub(offset)).map_err(io::Error::other)?;
        match &self.backing {
            Backing::Memory(bytes) => {
                let start = usize::try_from(offset.min(end)).map_err(io::Error::other)?;
                Ok(bytes.slice(start..start + length))
            }
            Backing::File(file) => {
                let mut chunk = vec![0; length];
                file.read_exact_at(&mut chunk, offset)?;
                Ok(chunk.into())
            }
        }
    }
}

/// A writer for a file whose size is not known in advance.
#[derive(Debug)]
pub(crate) struct ContentWriter {
    pending: Vec<u8>,
    file: Option<File>,
    digest: Sha1,
    size: u64,
    reservation: QuotaReservation,
}

impl ContentWriter {
    /// Returns a writer that takes each byte from the quota as it comes.
    pub(crate) fn new(quota: &Arc<StorageQuota>) -> Result<Self, StorageError> {
        let reservation = QuotaReservation::take(quota, 0)?;
        Ok(Self { pending: Vec::new(), file: None, digest: Sha1::new(), size: 0, reservation })
    }

    /// Appends bytes.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.reservation.grow(bytes.len() as u64)?;
        self.size += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > CHUNK_SIZE { self.flush().await } else { Ok(()) }
    }

    /// Returns the complete content.
    pub(crate) async fn finish(mut self) -> Result<FileContent, StorageError> {
        if self.file.is_some() && !self.pending.is_empty() {
            self.flush().await?;
        }
        self.digest.update(&self.pending);
        let backing = match self.file {
            Some(file) => Backing::File(Arc::new(file)),
            None => Backing::Memory(self.pending.into()),
        };
        let sha1 = hex(&self.digest.finalize());
        Ok(FileContent { backing, size: self.size, sha1, reservation: Some(Arc::new(self.reservation)) })
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
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
