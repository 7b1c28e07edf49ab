//! The setting `database.url`.

use std::path::PathBuf;

use url::Url;

use crate::secret::SecretString;

/// The location of the database.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// An SQLite file, created if missing; for one `serve` at a time.
    Sqlite(PathBuf),
    /// A Postgres server; the URL may hold a password.
    Postgres(SecretString),
}

/// The error for an invalid database URL. It never repeats the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// The scheme is unknown.
    #[error("must be `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
    UnknownScheme,
    /// There is no path.
    #[error("names no file: write `sqlite:PATH`, as in `sqlite:/var/lib/box-token-broker/broker.db`")]
    NoPath,
    /// It is a database in memory.
    #[error("a database in memory forgets every tenant at each start: name a file, as in `sqlite:broker.db`")]
    InMemory,
    /// There are parameters after the path.
    #[error("takes no parameters after `?`: the broker sets SQLite's options itself")]
    Parameters,
    /// It is not a URL.
    #[error("is no URL: write `postgres://USER:PASSWORD@HOST/DATABASE`, with `%40` for `@` in a password")]
    NotAUrl,
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`] if the text is none of these.
    pub fn parse(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(InvalidDatabaseUrl::NoPath),
                ":memory:" => Err(InvalidDatabaseUrl::InMemory),
                _ if path.contains('?') => Err(InvalidDatabaseUrl::Parameters),
                _ => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return match Url::parse(text) {
                Ok(_) => Ok(Self::Postgres(SecretString::new(text.to_owned()))),
                Err(_) => Err(InvalidDatabaseUrl::NotAUrl),
            };
        }
        Err(InvalidDatabaseUrl::UnknownScheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_literally() {
        for (text, path) in [
            ("sqlite:broker.db", "broker.db"),
            ("sqlite:/var/lib/b.db", "/var/lib/b.db"),
            ("sqlite:///var/lib/b.db", "/var/lib/b.db"),
        ] {
            assert!(
                matches!(DatabaseUrl::parse(text), Ok(DatabaseUrl::Sqlite(read)) if read.as_os_str() == path),
                "{text}"
            );
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_its_reason() {
        for (text, problem) in [
            ("mysql://h/d", InvalidDatabaseUrl::UnknownScheme),
            ("broker.db", InvalidDatabaseUrl::UnknownScheme),
            ("sqlite:", InvalidDatabaseUrl::NoPath),
            ("sqlite::memory:", InvalidDatabaseUrl::InMemory),
            ("sqlite:a.db?mode=ro", InvalidDatabaseUrl::Parameters),
            ("postgres://u:p@h:port/d", InvalidDatabaseUrl::NotAUrl),
        ] {
            assert_eq!(DatabaseUrl::parse(text).err(), Some(problem), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_in_the_debug_text() {
        let url = DatabaseUrl::parse("postgres://u:hunter2@localhost/d").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
