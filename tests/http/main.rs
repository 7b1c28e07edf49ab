//! The broker over HTTP: a running one on a real database, with the sandbox for Box.
//!
//! `BTB_TEST_ENGINE` is `sqlite` (when it is absent) or `postgres`, for which
//! `BTB_TEST_POSTGRES_URL` names a server on which the tests make databases of their own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
#[path = "../support/harness.rs"]
mod harness;
#[path = "../support/issuer.rs"]
mod issuer;
#[path = "../support/response.rs"]
mod response;

mod app_rotation;
mod apps;
mod audit_coverage;
mod audit_integrity;
mod audit_records;
mod browser_cors;
mod browser_fixture;
mod browser_folders;
mod browser_session_ends;
mod browser_session_forgery;
mod browser_session_races;
mod browser_sessions;
mod browser_tokens;
mod callers;
mod changes_during_mints;
mod client_addresses;
mod clocks;
mod config_files;
mod conflicts;
mod database_edits;
mod delegation;
mod diagnosis;
mod downscope;
mod end_to_end;
mod exchange;
mod exchange_without_client;
mod explain;
mod explain_claims;
mod flush;
mod grants;
mod health;
mod hidden_tenants;
mod hostile_issuers;
mod http_conventions;
mod invalid_tokens;
mod isolation;
mod issuer_fixture;
mod issuer_keys;
mod key_forms;
mod keypairs;
mod kill_at_each_step;
mod killed_broker;
mod limits;
mod listeners;
mod lockdown;
mod lockdown_callers;
mod lockdown_queue;
mod lockdown_rights;
mod matrix_fixture;
mod matrix_operations;
mod matrix_routes;
mod missing_keys;
mod oauth;
mod oauth_clients;
mod oauth_revoke;
mod on_behalf_of;
mod other_processes;
mod outages;
mod parent_tokens;
mod pending;
mod pending_races;
mod policy_modes;
mod privilege_escalation;
mod registration;
mod registration_fields;
mod rejected_tokens;
mod renewal;
mod request_heads;
mod restarts;
mod restricted_to;
mod revoke;
mod rotation;
mod rotation_during_mints;
mod sealed_rows;
mod service_state_changes;
mod shared_app;
mod single_flight;
mod stalled_readers;
mod store_probe;
mod strict_input;
mod tampering;
mod tampering_fixture;
mod tenant_deletion;
mod tenant_test;
mod tenants;
mod token_lifetimes;
mod token_provider;
mod token_requests;
mod trusts;
mod webhooks;
mod workload_identity;
