pub(crate) mod connection;
pub(crate) mod cors;
pub(crate) mod error;
pub(crate) mod request;
pub(crate) mod response;
