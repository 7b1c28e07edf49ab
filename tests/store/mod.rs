//! The conformance suite of the store, which runs on every engine.

pub(crate) mod apps;
pub(crate) mod browser_sessions;
pub(crate) mod callers;
pub(crate) mod changes;
pub(crate) mod credentials;
#[path = "../support/database.rs"]
pub(crate) mod database;
pub(crate) mod harness;
pub(crate) mod old_schema;
pub(crate) mod pending;
pub(crate) mod read_through_cache;
pub(crate) mod recipients;
pub(crate) mod sample_rows;
pub(crate) mod tampering;
pub(crate) mod tenants;
pub(crate) mod tokens;

/// Makes a test of each case, on the harness that the given function prepares.
macro_rules! conformance {
    ($prepare:path) => {
        crate::store::conformance_cases! { $prepare;
            tenants: {
                a_tenant_is_read_as_it_was_written
                tenants_are_listed_by_name_page_by_page
                tenants_are_filtered_by_labels_and_state
                each_conflict_names_what_is_taken
                one_of_two_tenant_updates_of_the_same_version_fails
                purging_a_tenant_of_a_shared_app_keeps_the_app
                purging_a_tenant_erases_its_tokens_app_and_credentials
                invariant_13_an_own_app_serves_no_second_tenant
            }
            apps: {
                an_app_is_read_as_it_was_written
                an_app_in_use_cannot_be_deleted
                no_generation_is_returned_twice
            }
            callers: {
                a_caller_is_read_as_it_was_written
                a_key_finds_its_caller_until_it_is_revoked
                an_issuer_finds_only_callers_whose_own_rows_trust_it
                one_of_two_caller_updates_of_the_same_version_fails
                the_latest_use_of_a_key_is_recorded
            }
            browser_sessions: {
                a_session_is_read_as_it_was_written
                sessions_are_listed_by_owner_and_age
                a_session_is_cancelled_and_reported_as_changed_once
                a_session_is_refused_if_its_tenant_app_or_caller_changed
                invariant_6_an_altered_session_is_refused_alone
                a_session_is_erased_a_day_after_its_end
            }
            credentials: {
                keypairs_are_listed_by_age_and_erased_with_their_app
                invariant_6_an_altered_or_moved_keypair_is_refused_alone
                a_switch_inserts_new_credentials_beside_the_old_ones
                a_switch_of_an_outdated_version_changes_nothing
                an_active_tenant_of_an_app_is_found
                recording_an_event_changes_no_entity
            }
            pending: {
                the_first_tenant_to_become_active_holds_the_client_id
                the_first_tenant_to_become_active_holds_the_enterprise
                an_outdated_pending_tenant_is_not_activated
                a_pending_tenant_is_purged_only_at_its_current_version
            }
            old_schema: {
                a_database_of_version_1_is_migrated_and_stays_usable
            }
            changes: {
                changes_are_returned_once_and_in_order
                a_change_log_with_a_hole_or_an_altered_row_returns_none
                a_change_log_without_the_requested_changes_returns_none
                changes_of_concurrent_writers_are_never_missed
            }
            read_through_cache: {
                concurrent_misses_of_one_key_share_one_read
                a_read_from_before_a_change_is_not_used_after_it
                a_failed_read_fails_for_all_waiters_and_is_not_cached
            }
            tokens: {
                the_live_token_that_expires_last_is_found
                invariant_5_a_token_of_an_old_generation_is_fenced
                invariant_5_a_token_of_a_tenant_out_of_service_is_fenced
                invariant_5_no_token_slips_past_a_change
                a_token_saved_as_discarded_is_only_listed_for_revocation
                a_token_of_a_purged_tenant_is_only_recorded
                expired_and_revoked_tokens_are_erased
                a_discarded_token_is_never_found_again
                pages_list_every_live_token_once_and_skip_unreadable_rows
            }
            recipients: {
                recipients_are_read_with_their_token_and_erased_with_it
                invariant_6_an_altered_or_moved_recipient_is_refused_alone
                a_token_is_found_by_its_fingerprint_until_it_expires_or_is_discarded
            }
            tampering: {
                invariant_6_a_row_with_an_altered_column_is_refused_alone
                invariant_6_a_deleted_row_permits_nothing
                invariant_6_rows_inserted_from_outside_are_refused
                invariant_6_rows_that_were_exchanged_are_refused
                invariant_6_a_list_continues_behind_refused_rows
                a_row_with_a_missing_key_is_refused_alone
                a_token_is_fenced_if_its_tenants_row_is_refused
                a_counter_that_was_set_back_returns_no_generation
            }
        }
    };
}
macro_rules! conformance_cases {
    ($prepare:path; $($module:ident: { $($case:ident)* })*) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let harness = $prepare().await;
                store::$module::$case(&harness).await;
                harness.end().await;
            }
        )*)*
    };
}
pub(crate) use conformance;
pub(crate) use conformance_cases;
