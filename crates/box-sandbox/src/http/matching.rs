//! The criteria by which faults and the journal select requests.

/// Reports whether a path matches a pattern: a whole path, or a prefix followed by `*`. No pattern matches every path.
pub(crate) fn path_matches(pattern: Option<&str>, path: &str) -> bool {
    match pattern.map(|pattern| (pattern, pattern.strip_suffix('*'))) {
        None => true,
        Some((_, Some(prefix))) => path.starts_with(prefix),
        Some((pattern, None)) => pattern == path,
    }
}

/// Reports whether a property of a request has the wanted value. No wanted value matches every request.
pub(crate) fn value_matches(wanted: Option<&str>, actual: Option<&str>) -> bool {
    wanted.is_none() || wanted == actual
}
