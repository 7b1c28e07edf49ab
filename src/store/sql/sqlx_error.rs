//! The translation of the drivers' errors into the store's. It decides which errors are worth a retry.

use sqlx::error::{DatabaseError, ErrorKind};

use crate::store::{Conflict, StoreError};

/// The constraints that a change can violate: Postgres names them, SQLite lists their columns.
const CONFLICTS: [(&str, &str, Conflict); 5] = [
    ("tenants_name", "tenants.name", Conflict::Name),
    ("apps_name", "apps.name", Conflict::Name),
    ("callers_name", "callers.name", Conflict::Name),
    ("tenants_enterprise", "tenants.app_id, tenants.enterprise_id", Conflict::EnterpriseHeld),
    ("apps_client_id", "apps.client_id", Conflict::ClientIdHeld),
];

/// The classes of transient errors of Postgres: connection, transaction rollback, resources, operator
/// intervention, system; and a transaction that is read-only because the server has become a standby.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const TRANSIENT_SQLSTATES: [&str; 6] = ["08", "40", "53", "57", "58", "25006"];

/// The primary result codes of transient errors of SQLite: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
/// <https://www.sqlite.org/rescode.html>
const TRANSIENT_CODES: [i32; 6] = [5, 6, 8, 10, 13, 14];

/// Translates an error of a driver.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => database_error(&*error),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Unexpected(other.to_string()),
    }
}

fn database_error(error: &dyn DatabaseError) -> StoreError {
    if error.kind() == ErrorKind::UniqueViolation
        && let Some(conflict) = conflict(error)
    {
        return StoreError::Conflict(conflict);
    }
    // A message names tables and constraints, never the values bound to a statement.
    let message = error.message().to_owned();
    if is_transient(&error.code().unwrap_or_default()) {
        StoreError::Unavailable(message)
    } else {
        StoreError::Unexpected(message)
    }
}

fn conflict(error: &dyn DatabaseError) -> Option<Conflict> {
    let is_violated = |name: &str, columns: &str| match error.constraint() {
        Some(constraint) => constraint == name,
        None => error.message().strip_prefix("UNIQUE constraint failed: ") == Some(columns),
    };
    CONFLICTS.iter().find(|(name, columns, _)| is_violated(name, columns)).map(|(.., conflict)| *conflict)
}

/// Returns true if a retry may succeed. SQLSTATEs have five characters; the codes of SQLite are numbers whose low byte
/// is the primary code.
fn is_transient(code: &str) -> bool {
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => TRANSIENT_CODES.contains(&(number & 0xff)),
        _ => TRANSIENT_SQLSTATES.iter().any(|class| code.starts_with(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_codes_are_distinguished_from_permanent_ones() {
        for code in ["5", "261", "2570", "13", "25006", "57P01", "57014", "08006", "53300", "40P01"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["1", "11", "26", "1555", "42P01", "23505", "22021", ""] {
            assert!(!is_transient(code), "{code}");
        }
    }
}
