//! The `box-token-broker` command.

fn main() {}
