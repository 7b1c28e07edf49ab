//! One way to write a statement, bind to it and read its rows, whichever engine runs it.

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

/// A query whose rows nobody else changes until the transaction ends. SQLite needs no words for it:
/// there a writing transaction is alone from its beginning.
macro_rules! holding {
    ($query:expr, $lock:literal) => {
        $crate::store::sql::statement::Sql { sqlite: $query, postgres: concat!($query, " ", $lock) }
    };
}
pub(super) use holding;

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

/// A statement with its parameters bound: never a text made of them.
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

/// One row of an answer.
pub(super) enum SqlRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column may be read as.
pub(super) trait FromColumn:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> FromColumn for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl SqlRow {
    /// The column of that name; `None` where it holds nothing, or nothing of that type, which a hand in
    /// the database can bring about.
    pub(super) fn get<T: FromColumn>(&self, column: &str) -> Option<T> {
        self.maybe(column).flatten()
    }

    /// The column of that name, which may hold nothing; `None` where it holds something of another type.
    pub(super) fn maybe<T: FromColumn>(&self, column: &str) -> Option<Option<T>> {
        match self {
            Self::Sqlite(row) => row.try_get(column).ok(),
            Self::Postgres(row) => row.try_get(column).ok(),
        }
    }
}
