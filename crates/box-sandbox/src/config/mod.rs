pub mod generator;
pub(crate) mod parser;
