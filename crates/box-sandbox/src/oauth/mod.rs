pub(crate) mod assertion;
pub(crate) mod exchange;
pub(crate) mod grants;
