//! The broker over HTTP: a running one on a real database, with the sandbox for Box.
//!
//! `BTB_TEST_ENGINE` is `sqlite` (when it is absent) or `postgres`, for which
//! `BTB_TEST_POSTGRES_URL` names a server on which the tests make databases of their own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
mod ground;
#[path = "../support/issuer.rs"]
mod issuer;
mod reply;

mod app_rotation;
mod apps;
mod asking;
mod audit_records;
mod audit_whole;
mod bad_tokens;
mod beside;
mod browser_cors;
mod browser_ends;
mod browser_folders;
mod browser_hand;
mod browser_meanwhile;
mod browser_scene;
mod browser_sessions;
mod browser_tokens;
mod by_hand;
mod callers;
mod climbing;
mod clocks;
mod config_files;
mod crash_table;
mod crashes;
mod delegation;
mod diagnosis;
mod downscope;
mod exchange;
mod exchange_alone;
mod explain;
mod explain_claims;
mod fences;
mod flights;
mod flush;
mod grants;
mod health;
mod hidden;
mod hostile_issuers;
mod identity_scene;
mod isolation;
mod issuers_keys;
mod key_forms;
mod keypairs;
mod limits;
mod listeners;
mod lives;
mod lockdown;
mod lockdown_callers;
mod lockdown_queue;
mod lockdown_rights;
mod main_job;
mod manners;
mod matrix_operations;
mod matrix_routes;
mod matrix_scene;
mod missing_keys;
mod oauth;
mod oauth_asking;
mod oauth_revoke;
mod on_behalf_of;
mod outages;
mod overtaken;
mod parents;
mod peers;
mod pending;
mod pending_races;
mod policy_modes;
mod recorded;
mod registration;
mod registration_fields;
mod renewal;
mod reported;
mod request_heads;
mod restarts;
mod restricted_to;
mod revoke;
mod rotation;
mod rotation_amid;
mod scene;
mod sealed_rows;
mod shared_app;
mod strictness;
mod taken;
mod tampering;
mod tenant_deletion;
mod tenant_test;
mod tenants;
mod token_provider;
mod trusts;
mod unread;
mod watching;
mod webhooks;
mod workload_identity;
