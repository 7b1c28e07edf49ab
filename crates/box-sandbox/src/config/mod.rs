//! Box's app config files (`config.json`): a generator and a parser.
//!
//! This module owns the file format and the RSA keys in it. It must not know what the sandbox does with an app.

mod generated_app;
mod parser;
mod private_key;
mod public_key;

pub use generated_app::{AppSpec, GeneratedApp, generate_app};
pub(crate) use parser::AppConfig;
pub use private_key::AppPrivateKey;
pub use public_key::PublicKey;
