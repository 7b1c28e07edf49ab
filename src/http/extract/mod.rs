//! The parts of a request, each checked as it is read.

pub(crate) mod body;
pub(crate) mod browser_page;
mod caller;
pub(crate) mod form;
mod if_match;
pub(crate) mod origin;
mod paging;
pub(crate) mod path;
pub(crate) mod peer_address;
mod query;

pub(crate) use self::caller::{AuthenticatedRequest, authenticate, bearer};
pub(crate) use self::if_match::IfMatch;
pub(crate) use self::paging::{PageQuery, cursor, limit, page};
pub(crate) use self::path::{PathParam, PathParams};
pub(crate) use self::query::{NoQuery, QueryFlag, query, time};
