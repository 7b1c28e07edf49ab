//! The key set in a file that only its owner can read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeySet, KeySetError};

/// The maximum length of a key file, in bytes; each key takes a few hundred.
const MAX_LEN: usize = 64 * 1024;

/// The error of writing or reading a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file does not exist.
    #[error("there is no key file `{}`: make one with `box-token-broker keys generate`", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file to be written exists already.
    #[error(
        "`{}` is there already and stays as it is: what its keys sealed could not be opened without \
         them; give another path",
        .path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Users other than the owner have permissions on the file.
    #[error("`{0}` is open to others than its owner (mode {mode:04o}): run `chmod 600 {0}`", .path.display())]
    TooPermissive {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a folder, a pipe or a device.
    #[error("`{}` is not a regular file: give the path of a key file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is too long to be a key set.
    #[error("`{}` is longer than 64 KiB, so it is no key file: give the path of one", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold a valid key set.
    #[error("`{}` holds no usable key set: {source}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The problem with the key set.
        source: KeySetError,
    },
    /// The operating system reported an error.
    #[error("`{}` cannot be {verb}: {source}", .path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// The error.
        source: io::Error,
    },
}

/// Writes the key set to a new file of mode 0600, whatever the umask. The write is atomic: the file gets its name only
/// after its content is on disk.
///
/// # Errors
/// `Exists` if the path exists, which is left unchanged; `System` if the folder is missing or not writable.
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
    // The draft was created with 0600 minus the umask: this sets exactly 0600.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(keys.to_json().expose()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    draft.persist_noclobber(path).map_err(|refused| failed(refused.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Reads a key file. A symbolic link is followed, and the rules apply to its target.
///
/// # Errors
/// [`KeyFileError`] if it is missing, users other than its owner have permissions on it, it is longer than 64 KiB, or
/// it holds no valid key set.
pub fn read(path: &Path) -> Result<KeySet, KeyFileError> {
    let owned = || path.to_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: owned() },
        _ => KeyFileError::System { path: owned(), verb: "read", source },
    };
    // Checked before it is opened: opening a pipe would block until something writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(KeyFileError::NotAFile { path: owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooPermissive { path: owned(), mode });
    }
    // Reserved in advance: a buffer that grows leaves copies of keys behind.
    let mut json = Zeroizing::new(Vec::with_capacity(MAX_LEN + 2));
    file.take(MAX_LEN as u64 + 1).read_to_end(&mut json).map_err(failed)?;
    if json.len() > MAX_LEN {
        return Err(KeyFileError::TooLong { path: owned() });
    }
    KeySet::parse(&json).map_err(|source| KeyFileError::Content { path: owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::entropy::SystemEntropy;

    /// A folder with a key file `keys.json` in it.
    fn written() -> (TempDir, PathBuf, KeySet) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let keys = KeySet::generate(&SystemEntropy);
        write_new(&path, &keys).unwrap();
        (folder, path, keys)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_written_file_is_readable_by_its_owner_alone_and_reads_back() {
        let (folder, path, keys) = written();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(read(&path).unwrap(), keys);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn writing_never_overwrites() {
        let (folder, path, keys) = written();
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("nowhere"), &dangling).unwrap();
        for taken in [path.as_path(), &dangling, folder.path()] {
            let error = write_new(taken, &KeySet::generate(&SystemEntropy)).unwrap_err();
            assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
        }
        assert_eq!(read(&path).unwrap(), keys);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let (folder, ..) = written();
        let path = folder.path().join("none/keys.json");
        let error = write_new(&path, &KeySet::generate(&SystemEntropy)).unwrap_err();
        assert!(matches!(error, KeyFileError::System { verb: "written", .. }), "{error}");
        assert!(error.to_string().contains("none/keys.json"));
    }

    #[test]
    fn a_file_that_others_have_rights_on_is_refused_with_the_remedy() {
        let (_folder, path, keys) = written();
        for mode in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o610, 0o601, 0o777] {
            set_mode(&path, mode);
            let error = read(&path).unwrap_err();
            assert!(
                matches!(error, KeyFileError::TooPermissive { mode: told, .. } if told == mode),
                "{error}"
            );
            assert!(error.to_string().ends_with(&format!("run `chmod 600 {}`", path.display())));
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            assert_eq!(read(&path).unwrap(), keys);
        }
    }

    #[test]
    fn a_link_is_read_by_the_rules_for_its_target() {
        let (folder, path, keys) = written();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read(&link).unwrap(), keys);
        set_mode(&path, 0o644);
        assert!(matches!(read(&link), Err(KeyFileError::TooPermissive { .. })));
    }

    #[test]
    fn the_error_for_a_missing_file_says_how_to_create_one() {
        let error = read(Path::new("/nonexistent/keys.json")).unwrap_err();
        let told =
            "there is no key file `/nonexistent/keys.json`: make one with `box-token-broker keys generate`";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn anything_but_a_key_file_is_refused() {
        let (folder, path, keys) = written();
        assert!(matches!(read(folder.path()), Err(KeyFileError::NotAFile { .. })));
        let padded = |length: usize| {
            let mut json = keys.to_json().expose().to_vec();
            json.resize(length, b' ');
            fs::write(&path, json).unwrap();
            read(&path)
        };
        assert_eq!(padded(MAX_LEN).unwrap(), keys);
        assert!(matches!(padded(MAX_LEN + 1), Err(KeyFileError::TooLong { .. })));
        assert!(matches!(padded(20), Err(KeyFileError::Content { .. })));
    }
}
