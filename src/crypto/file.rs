//! The key set in a file that its owner alone can read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeySet, KeySetError};

/// The most that is read, in bytes; a key set has a few hundred for each key.
const MAX_LEN: usize = 64 * 1024;

/// Why a key file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no file to read.
    #[error("there is no key file `{}`: make one with `box-token-broker keys generate`", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is a file already where one was to be written.
    #[error(
        "`{}` is there already and stays as it is: what its keys sealed could not be opened without \
         them; give another path",
        .path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner have rights on the file.
    #[error("`{0}` is open to others than its owner (mode {mode:04o}): run `chmod 600 {0}`", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a folder, a pipe or a device.
    #[error("`{}` is not a regular file: give the path of a key file", .path.display())]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// It is too long to be a key set.
    #[error("`{}` is longer than 64 KiB, so it is no key file: give the path of one", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// What stands in it is no key set.
    #[error("`{}` holds no usable key set: {source}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeySetError,
    },
    /// The system refused.
    #[error("`{}` cannot be {verb}: {source}", .path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes the key set to a new file of mode 0600, whatever the umask. The file is whole, or not
/// there: it gets its name only after its content is on the disk.
///
/// # Errors
/// `Exists` where anything stands at that path, which is left as it is; `System` where the folder
/// is missing or refuses.
pub fn write_new(path: &Path, keys: &KeySet) -> Result<(), KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::System { path: path.to_owned(), verb: "written", source },
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut draft = tempfile::Builder::new().prefix(".keys-").tempfile_in(folder).map_err(failed)?;
    let file = draft.as_file_mut();
    // The draft was made with 0600 less the umask: this sets exactly 0600.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(keys.to_json().expose()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    draft.persist_noclobber(path).map_err(|refused| failed(refused.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Reads a key file. A link is followed; the rules hold for what it leads to.
///
/// # Errors
/// Where it is missing, anyone but its owner has rights on it, it is longer than 64 KiB, or it
/// holds no key set.
pub fn read(path: &Path) -> Result<KeySet, KeyFileError> {
    let owned = || path.to_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: owned() },
        _ => KeyFileError::System { path: owned(), verb: "read", source },
    };
    // Asked before it is opened: opening a pipe would wait for whoever writes into it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(KeyFileError::NotAFile { path: owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: owned(), mode });
    }
    // In one piece: a buffer that grows leaves copies of keys behind.
    let mut json = Zeroizing::new(Vec::with_capacity(MAX_LEN + 2));
    file.take(MAX_LEN as u64 + 1).read_to_end(&mut json).map_err(failed)?;
    if json.len() > MAX_LEN {
        return Err(KeyFileError::TooLong { path: owned() });
    }
    KeySet::parse(&json).map_err(|source| KeyFileError::Content { path: owned(), source })
}
