//! Responses that several resources share.
