//! What an engine's errors mean to the broker.

use sqlx::error::{DatabaseError, ErrorKind};

use super::{Conflict, StoreError};

/// Constraints a change can collide with: Postgres names them, SQLite lists their columns.
const CONFLICTS: [(&str, &str, Conflict); 5] = [
    ("tenants_name", "tenants.name", Conflict::Name),
    ("apps_name", "apps.name", Conflict::Name),
    ("callers_name", "callers.name", Conflict::Name),
    ("tenants_enterprise", "tenants.app_id, tenants.enterprise_id", Conflict::EnterpriseHeld),
    ("apps_client_id", "apps.client_id", Conflict::ClientIdHeld),
];

/// Postgres' classes of errors that pass: connection, transaction rollback, resources, operator
/// intervention, system; and a transaction that is read-only because the server is a standby now.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const PASSING_STATES: [&str; 6] = ["08", "40", "53", "57", "58", "25006"];

/// SQLite's primary result codes that pass: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
/// <https://www.sqlite.org/rescode.html>
const PASSING_CODES: [i32; 6] = [5, 6, 8, 10, 13, 14];

pub(super) fn failure(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => refusal(&*error),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Unexpected(other.to_string()),
    }
}

fn refusal(error: &dyn DatabaseError) -> StoreError {
    if error.kind() == ErrorKind::UniqueViolation
        && let Some(conflict) = conflict(error)
    {
        return StoreError::Conflict(conflict);
    }
    // A message names tables and constraints, never the values bound to a statement.
    let message = error.message().to_owned();
    if passes(&error.code().unwrap_or_default()) {
        StoreError::Unavailable(message)
    } else {
        StoreError::Unexpected(message)
    }
}

fn conflict(error: &dyn DatabaseError) -> Option<Conflict> {
    let collides = |name: &str, columns: &str| match error.constraint() {
        Some(constraint) => constraint == name,
        None => error.message().strip_prefix("UNIQUE constraint failed: ") == Some(columns),
    };
    CONFLICTS.iter().find(|(name, columns, _)| collides(name, columns)).map(|(.., conflict)| *conflict)
}

/// SQLSTATEs have five characters; SQLite's codes are numbers whose low byte is the primary code.
fn passes(code: &str) -> bool {
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => PASSING_CODES.contains(&(number & 0xff)),
        _ => PASSING_STATES.iter().any(|class| code.starts_with(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        for code in ["5", "261", "2570", "13", "25006", "57P01", "57014", "08006", "53300", "40P01"] {
            assert!(passes(code), "{code}");
        }
        for code in ["1", "11", "26", "1555", "42P01", "23505", "22021", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}
