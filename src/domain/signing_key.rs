//! (part)
