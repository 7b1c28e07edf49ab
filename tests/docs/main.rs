//! The documents: their tables are what the code does, their links lead somewhere, their commands run.
//!
//! Conventions of a page, all visible in its source:
//!
//! - A block marked `sh` runs, together with the page's other ones, in the order of the page and in one shell. Nothing is
//!   set but what the page sets. A block that is one `demo`, `serve` or `sandbox` command is a terminal of its own.
//! - `<!-- not run: REASON -->` before a block keeps it from running.
//! - Every answer of `curl` has to be a success, every command has to end with 0, unless `<!-- expect: 404 -->` or
//!   `<!-- expect: exit 5 -->` stands before the block, or a `json` block behind it shows a problem document.
//! - `<!-- paste: the exports of the demo -->` before a block: the lines that the demo prints for this are pasted first.
//! - A `json` block right behind an `sh` block is its answer: the fields that it shows are in the last JSON value that the
//!   block prints, with the same types.
//! - A `toml` block is a valid settings file. With `title="FILE"` the page's commands find it under that name.
//! - Blocks marked `python`, `js`, `java` and `go` run in the suite `sdk`: `tests/sdk/snippets.py`.
//! - What is between `<!-- generated: NAME -->` and `<!-- end -->` comes from the code. `BTB_UPDATE_DOCS=1 cargo test
//!   --test docs` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod commands;
mod facts;
mod generated;
mod internals;
mod links;
mod markdown;
mod page;
mod reference;
mod script;
