//! The HTTP API: listeners, middleware, extractors, routes, one error map, and the OpenAPI document.
//!
//! It owns everything that knows of HTTP. It decides nothing: who calls is `auth`'s decision, what they may do is
//! the policy's, and what happens is up to `broker` and `registry`.
//!
//! | module | content |
//! |---|---|
//! | [`server`] | accepts connections, with time limits, and lets requests finish on a stop |
//! | `middleware` | the layers around every request; `stack` puts them together |
//! | `extract` | reads caller, path, query and body |
//! | `routes`, `oauth` | the handlers, one file for each resource |
//! | [`route`] | the declaration of a route, from which router and document are made |
//! | `error` | the one map from errors to problem documents |
//! | `schema` | types that exist for the document alone |

mod api;
mod credential_input;
mod error;
mod extract;
mod middleware;
mod oauth;
mod openapi;
mod rate_limits;
mod request_log;
pub mod request_parsers;
mod responses;
pub mod route;
mod router;
mod routes;
mod run_detached;
mod schema;
pub mod server;
mod token_release;

pub use self::api::{Api, ApiParts};
pub use self::openapi::openapi;
pub use self::route::RouteGroup;
pub use self::router::router;
pub use self::routes::{all as routes, token_provider};
