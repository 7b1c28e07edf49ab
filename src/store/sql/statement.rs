//! Statements, their parameters and their rows, for both engines.

use sqlx::postgres::PgRow;
use sqlx::query::Query;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, Decode, Encode, Postgres, Row as _, Sqlite, Type};

/// A statement: one text for both engines, or one for each where their dialects differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sql {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// Adds a row lock to a query, so that the rows do not change until the transaction ends. SQLite needs none:
/// there only one transaction writes at a time.
macro_rules! locking {
    ($query:expr, $lock:literal) => {
        $crate::store::sql::statement::Sql { sqlite: $query, postgres: concat!($query, " ", $lock) }
    };
}
pub(super) use locking;

/// A parameter.
#[derive(Clone, Copy)]
pub(super) enum SqlValue<'a> {
    Text(&'a str),
    Int(i64),
    Bytes(&'a [u8]),
    MaybeText(Option<&'a str>),
    MaybeInt(Option<i64>),
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),*) => {
        $(impl<'a> From<$type> for SqlValue<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

value_from!(&'a str => Text, i64 => Int, &'a [u8] => Bytes, Option<&'a str> => MaybeText, Option<i64> => MaybeInt);

impl<'a> From<&'a String> for SqlValue<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a Vec<u8>> for SqlValue<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

/// Binds the parameters to a statement. Values never become part of its text.
pub(super) fn bind<'q, DB>(text: &'static str, values: &[SqlValue<'q>]) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    &'q str: Encode<'q, DB> + Type<DB>,
    &'q [u8]: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
    Option<&'q str>: Encode<'q, DB> + Type<DB>,
    Option<i64>: Encode<'q, DB> + Type<DB>,
{
    values.iter().fold(sqlx::query(text), |query, value| match *value {
        SqlValue::Text(text) => query.bind(text),
        SqlValue::Int(number) => query.bind(number),
        SqlValue::Bytes(bytes) => query.bind(bytes),
        SqlValue::MaybeText(text) => query.bind(text),
        SqlValue::MaybeInt(number) => query.bind(number),
    })
}

/// One row of a result.
pub(super) enum SqlRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type that a column can be read as, on both engines.
pub(super) trait FromColumn:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> FromColumn for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl SqlRow {
    /// Returns the column of that name; `None` if it is null or of another type, as after a manual edit of
    /// the database.
    pub(super) fn get<T: FromColumn>(&self, column: &str) -> Option<T> {
        self.get_nullable(column).flatten()
    }

    /// Returns the column of that name, which may be null; `None` if it is of another type.
    pub(super) fn get_nullable<T: FromColumn>(&self, column: &str) -> Option<Option<T>> {
        match self {
            Self::Sqlite(row) => row.try_get(column).ok(),
            Self::Postgres(row) => row.try_get(column).ok(),
        }
    }
}
