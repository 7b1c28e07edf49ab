//! The bytes of uploaded files, and the bound on how many are kept.
//!
//! This module owns temporary files and the storage quota. It must not know names, owners or permissions of files.

mod content;
mod quota;

pub(crate) use content::{ContentWriter, FileContent};
pub(crate) use quota::{QuotaReservation, StorageError, StorageQuota};
