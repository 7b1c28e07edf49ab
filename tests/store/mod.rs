//! One suite for every engine: what the store promises, whichever database stands behind it.

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

/// Makes a test of each case, on harness that the given function prepares.
macro_rules! conformance {
    ($prepare:path) => {
        crate::store::conformance_cases! { $prepare;
            tenants: {
                a_tenant_comes_back_as_it_was_written
                a_list_is_in_order_and_in_stretches
                a_list_is_filtered_by_labels_and_state
                what_is_taken_is_told_apart
                of_two_changes_of_one_version_one_wins
                a_tenant_of_a_shared_app_leaves_it_behind
                a_purged_tenant_takes_all_with_it
                invariant_13_an_own_app_serves_no_second_tenant
            }
            apps: {
                an_app_comes_back_as_it_was_written
                an_app_in_use_stays
                no_generation_is_given_twice
            }
            callers: {
                a_caller_comes_back_as_it_was_written
                a_key_leads_to_its_caller_until_it_is_revoked
                an_issuer_leads_to_those_whose_own_rows_trust_it
                of_two_changes_of_one_version_one_wins_for_callers
                the_last_use_of_a_key_is_kept
            }
            browser_sessions: {
                a_session_comes_back_as_it_was_written
                sessions_are_listed_by_age_and_of_whom_they_are
                a_cancelled_session_stays_cancelled_and_is_told_once
                a_session_is_opened_only_by_what_stands
                invariant_6_a_session_that_is_altered_is_refused_alone
                a_session_is_swept_out_a_day_after_its_end
            }
            credentials: {
                keypairs_are_listed_by_age_and_go_with_their_app
                invariant_6_a_keypair_that_is_altered_or_moved_is_refused_alone
                a_switch_puts_new_credentials_beside_the_old_ones
                a_switch_that_comes_too_late_changes_nothing
                of_an_apps_tenants_one_that_is_active_is_found
                what_is_only_recorded_changes_nothing
            }
            pending: {
                the_first_who_is_admitted_holds_the_client_id
                the_first_who_is_admitted_holds_the_enterprise
                nobody_is_admitted_by_what_is_not_so_any_more
                a_pending_tenant_is_erased_only_as_it_was_seen
            }
            old_schema: {
                a_database_of_version_1_is_migrated_and_serves_on
            }
            changes: {
                changes_come_in_order_and_once
                a_log_with_a_hole_or_an_altered_line_tells_nothing
                a_log_that_was_swept_says_so
                changes_of_many_writers_are_never_missed
            }
            read_through_cache: {
                those_who_miss_the_same_together_share_one_reading
                a_reading_from_before_a_change_is_not_for_those_who_know_of_it
                a_reading_that_fails_fails_for_all_who_wait_and_is_not_remembered
            }
            tokens: {
                the_token_that_lives_longest_is_found
                invariant_5_a_token_of_an_old_generation_is_fenced
                invariant_5_a_token_of_a_tenant_out_of_service_is_fenced
                invariant_5_no_token_slips_past_a_change
                a_token_that_is_handed_in_as_discarded_is_only_revoked
                a_purged_tenants_token_leaves_only_its_event
                dead_and_revoked_tokens_are_erased
                what_is_marked_to_be_revoked_is_never_found_again
                a_walk_meets_every_live_token_once_and_passes_over_what_cannot_be_read
            }
            recipients: {
                receivers_come_back_with_their_token_and_go_with_it
                invariant_6_a_receiver_that_is_altered_or_moved_is_refused_alone
                a_token_is_found_by_its_fingerprint_while_it_may_be_used
            }
            tampering: {
                invariant_6_any_altered_column_is_refused_alone
                invariant_6_any_deleted_row_permits_nothing
                invariant_6_rows_put_in_from_outside_are_refused
                invariant_6_rows_that_changed_places_are_refused
                invariant_6_a_list_goes_on_behind_refused_rows
                a_row_under_a_missing_key_costs_only_itself
                a_token_is_fenced_where_its_tenants_row_is_refused
                a_counter_set_back_gives_no_generation
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
