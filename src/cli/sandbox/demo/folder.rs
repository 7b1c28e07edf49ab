//! The folder with the demo's files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::failure::Failure;
use crate::secret::SecretString;

/// The folder with the demo's files. A temporary one is deleted when the demo ends.
pub(super) enum DemoFolder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl DemoFolder {
    /// Opens the folder at `path`, or a temporary one if there is no path.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let folder = tempfile::Builder::new().prefix("box-token-broker-").tempdir();
            return folder.map(Self::Temporary).map_err(Failure::failed);
        };
        fs::create_dir_all(path)
            .and_then(|()| fs::canonicalize(path))
            .map(Self::Kept)
            .map_err(|error| Failure::failed(format!("{} cannot be used: {error}", path.display())))
    }

    /// Returns the path of the folder.
    pub(super) fn root(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    /// Returns the path of a file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Returns a secret that an earlier demo stored, or stores the one that `create` returns.
    pub(super) async fn secret_or(
        &self,
        name: &str,
        create: impl Future<Output = Result<SecretString, Failure>>,
    ) -> Result<SecretString, Failure> {
        if let Ok(text) = fs::read_to_string(self.path(name))
            && !text.trim().is_empty()
        {
            return Ok(SecretString::new(text.trim().to_owned()));
        }
        let secret = create.await?;
        self.write_private(name, secret.expose())?;
        Ok(secret)
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write_private(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
    }
}
