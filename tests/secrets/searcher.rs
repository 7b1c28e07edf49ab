//! Looks for many secrets in many encodings at once.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use aho_corasick::AhoCorasick;

use crate::encodings::forms;

/// Shorter secrets could stand somewhere by chance.
const SHORTEST: usize = 16;

/// A secret under a name that can be shown.
#[derive(Clone, Debug)]
pub(crate) struct Canary {
    pub(crate) name: String,
    pub(crate) secret: Vec<u8>,
}

impl Canary {
    pub(crate) fn new(name: impl Into<String>, secret: impl AsRef<[u8]>) -> Self {
        let (name, secret) = (name.into(), secret.as_ref().to_vec());
        assert!(secret.len() >= SHORTEST, "{name} is too short to be looked for");
        Self { name, secret }
    }
}

/// Knows what to look for.
pub(crate) struct Searcher {
    automaton: AhoCorasick,
    /// What each of the automaton's patterns means.
    meanings: Vec<String>,
}

impl Searcher {
    pub(crate) fn new(canaries: &[Canary]) -> Self {
        assert!(!canaries.is_empty(), "there is nothing to look for");
        let (mut patterns, mut meanings) = (Vec::new(), Vec::new());
        for canary in canaries {
            for form in forms(&canary.secret) {
                patterns.push(form.bytes);
                meanings.push(format!("{}, {}", canary.name, form.name));
            }
        }
        Self { automaton: AhoCorasick::new(patterns).unwrap(), meanings }
    }

    /// What stands in `bytes`, as sentences that name the secret and where it is.
    pub(crate) fn find(&self, whose: &str, bytes: &[u8]) -> BTreeSet<String> {
        let found = self.automaton.find_overlapping_iter(bytes);
        found.map(|found| format!("{whose}: {}", self.meanings[found.pattern().as_usize()])).collect()
    }

    /// What stands in the files of a folder and of those below it, and how many bytes they hold.
    /// Nothing is left out: what cannot be read is a failure.
    pub(crate) fn find_below(&self, folder: &Path) -> (BTreeSet<String>, usize) {
        let (mut found, mut size) = (BTreeSet::new(), 0);
        let entries = std::fs::read_dir(folder);
        for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let (more, bytes) = self.find_below(&path);
                found.extend(more);
                size += bytes;
                continue;
            }
            match std::fs::read(&path) {
                Ok(bytes) => {
                    found.extend(self.find(&path.display().to_string(), &bytes));
                    size += bytes.len();
                }
                // A server that runs removes files of its own.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        (found, size)
    }
}
