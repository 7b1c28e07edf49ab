//! The meaning of Box's refusals. The only place that reads Box's error bodies.
//!
//! Box documents no codes of its own, so a refusal is recognised by its `error` and by distinctive words of its
//! description, in any case. An unknown refusal is reported as unknown.

use super::response::BoxResponse;
use super::upstream::{SentSecrets, UpstreamMessage};
use crate::domain::box_refusal::BoxRefusal;

/// The kind of call that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    /// A grant at the token endpoint.
    Grant,
    /// A token exchange.
    Exchange,
    /// A revocation.
    Revocation,
    /// An API call with a token.
    Api,
    /// An API call with a token and `As-User`.
    ApiAsUser,
}

/// The meaning of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalMeaning {
    /// Somebody has to change something.
    Refused(BoxRefusal),
    /// The time in our JWT is wrong by Box's clock.
    WrongTime,
    /// Box has seen the `jti` before.
    Replayed,
    /// The token that was shown is dead.
    TokenDead,
}

/// Box's error in full, for the diagnosis; people see [`BoxErrorBody::upstream`].
pub(super) struct BoxErrorBody {
    error: String,
    description: Option<String>,
    request_id: Option<String>,
}

impl BoxErrorBody {
    /// Reads the error of an answer: from the token endpoint's body (`error`, `error_description`), from an
    /// API call's (`code`, `message`), or from the bearer challenge (RFC 6750) of an answer without a body.
    /// Returns `None` if there is none.
    pub(super) fn read(answer: &BoxResponse) -> Option<Self> {
        let body: serde_json::Value =
            answer.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let challenge = |name: &str| answer.challenge(name).map(str::to_owned);
        let error = text("error").or_else(|| text("code")).or_else(|| challenge("error"))?;
        let description = text("error_description").or_else(|| text("message"));
        let description = description.or_else(|| challenge("error_description"));
        let request_id = text("request_id").or_else(|| answer.request_id().map(str::to_owned));
        Some(Self { error, description, request_id })
    }

    /// Returns the meaning of the refusal.
    pub(super) fn finding(&self, place: CallKind, status: u16) -> RefusalMeaning {
        diagnose(place, status, &self.error, self.description.as_deref().unwrap_or_default())
    }

    /// Returns the message in a form that may be shown.
    pub(super) fn upstream(&self, status: u16, sent: &SentSecrets) -> UpstreamMessage {
        let clean = |text: &String| sent.printable(text);
        UpstreamMessage {
            status,
            error: Some(clean(&self.error)),
            error_description: self.description.as_ref().map(clean),
            request_id: self.request_id.as_ref().map(clean),
        }
    }
}

/// Returns the meaning of a refusal without a readable error: a bare 401 still has one.
pub(super) fn without_words(place: CallKind, status: u16) -> Option<RefusalMeaning> {
    match (place, status) {
        (CallKind::Api | CallKind::ApiAsUser, 401) => Some(RefusalMeaning::TokenDead),
        (CallKind::Exchange, 401) => Some(RefusalMeaning::Refused(BoxRefusal::ScopeNotGranted)),
        _ => None,
    }
}

fn diagnose(place: CallKind, status: u16, error: &str, description: &str) -> RefusalMeaning {
    let error = error.to_ascii_lowercase();
    let description = description.to_ascii_lowercase();
    let says = |words: &str| description.contains(words);
    let names = |word: &str| words_of(&description).any(|one| one == word);

    // Codes that mean the same in every kind of call.
    match error.as_str() {
        "terms_of_service_required" => return RefusalMeaning::Refused(BoxRefusal::TermsOfServiceRequired),
        "invalid_resource" => return RefusalMeaning::Refused(BoxRefusal::ResourceNotVisible),
        "invalid_scope" | "insufficient_scope" => {
            return RefusalMeaning::Refused(BoxRefusal::ScopeNotGranted);
        }
        _ => {}
    }
    let refusal = match place {
        CallKind::Api | CallKind::ApiAsUser => return api_call(place, status, &error),
        CallKind::Exchange | CallKind::Revocation if speaks_of_a_dead_token(place, &error, &description) => {
            return RefusalMeaning::TokenDead;
        }
        CallKind::Grant | CallKind::Exchange | CallKind::Revocation => match error.as_str() {
            "unauthorized_client" if says("box_subject_type") => BoxRefusal::CcgNotAuthorized,
            "unauthorized_client" if says("not authorized by the enterprise") => BoxRefusal::AppNotAuthorized,
            // RFC 6749, section 5.2: the client could not be authenticated, whatever the description
            // says.
            "invalid_client" => BoxRefusal::CredentialsInvalid,
            "invalid_request" if says("grant type is unauthorized") => BoxRefusal::WrongAuthMethod,
            "invalid_request" if says("cannot obtain") && says("enterprise configuration") => {
                BoxRefusal::UserTokensDisabled
            }
            // The description about the signature mentions `kid` too, so it is checked first.
            "invalid_grant" if says("signature verification") => BoxRefusal::KeyMismatch,
            "invalid_grant" if names("kid") => BoxRefusal::KeyUnknown,
            "invalid_grant" if names("jti") => return RefusalMeaning::Replayed,
            "invalid_grant" if names("exp") || says("before the expiration") => {
                return RefusalMeaning::WrongTime;
            }
            "invalid_grant" if names("iss") => BoxRefusal::IssuerMismatch,
            "invalid_grant" if names("sub") => BoxRefusal::SubjectInvalid,
            "invalid_grant" if says("grant credentials are invalid") => BoxRefusal::CredentialsInvalid,
            _ if place == CallKind::Exchange && status == 401 => BoxRefusal::ScopeNotGranted,
            _ => BoxRefusal::UpstreamRefused,
        },
    };
    RefusalMeaning::Refused(refusal)
}

/// Returns the meaning of a refused API call, by status and code.
fn api_call(place: CallKind, status: u16, error: &str) -> RefusalMeaning {
    let as_user = place == CallKind::ApiAsUser;
    RefusalMeaning::Refused(match (status, error) {
        (401, _) => return RefusalMeaning::TokenDead,
        // The app may not act as this user: the header is disabled, the access level is too low, or the
        // user is the service account itself.
        (403, "access_denied_insufficient_permissions") if as_user => BoxRefusal::AsUserDisabled,
        (403, "access_denied_insufficient_permissions") => BoxRefusal::ScopeNotGranted,
        (404, _) if as_user => BoxRefusal::SubjectInvalid,
        _ => BoxRefusal::UpstreamRefused,
    })
}

/// Returns true if the refusal is about a dead parent token: Box then says "The subject_token provided is
/// invalid".
fn speaks_of_a_dead_token(place: CallKind, error: &str, description: &str) -> bool {
    let mut words = words_of(description);
    match (place, error) {
        (_, "invalid_token") => true,
        (CallKind::Exchange, _) => words.any(|word| word == "subject_token"),
        (_, "invalid_grant" | "invalid_request") => {
            words.clone().any(|word| word == "token")
                && words.any(|word| matches!(word, "invalid" | "expired" | "revoked"))
        }
        _ => false,
    }
}

fn words_of(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of Box's token-endpoint errors, in Box's words, and its meaning.
    const LINES: [(&str, &str, RefusalMeaning); 18] = [
        (
            "unauthorized_client",
            "This app is not authorized by the enterprise admin",
            RefusalMeaning::Refused(BoxRefusal::AppNotAuthorized),
        ),
        (
            "unauthorized_client",
            "The \"box_subject_type\" value is unauthorized for this client_id",
            RefusalMeaning::Refused(BoxRefusal::CcgNotAuthorized),
        ),
        (
            "invalid_client",
            "The client credentials are invalid",
            RefusalMeaning::Refused(BoxRefusal::CredentialsInvalid),
        ),
        (
            "invalid_request",
            "The grant type is unauthorized for this client_id",
            RefusalMeaning::Refused(BoxRefusal::WrongAuthMethod),
        ),
        (
            "invalid_request",
            "Cannot obtain user token based on the enterprise configuration for your app",
            RefusalMeaning::Refused(BoxRefusal::UserTokensDisabled),
        ),
        (
            "invalid_request",
            "Cannot obtain token based on the enterprise configuration for your app",
            RefusalMeaning::Refused(BoxRefusal::UserTokensDisabled),
        ),
        (
            "invalid_grant",
            "Please check the 'sub' claim. The 'sub' specified is invalid.",
            RefusalMeaning::Refused(BoxRefusal::SubjectInvalid),
        ),
        ("invalid_grant", "A unique 'jti' value is required.", RefusalMeaning::Replayed),
        (
            "invalid_grant",
            "Please check the 'iss' claim.",
            RefusalMeaning::Refused(BoxRefusal::IssuerMismatch),
        ),
        (
            "invalid_grant",
            "Please check the 'exp' claim. The 'exp' value exceeds the maximum of 60 seconds.",
            RefusalMeaning::WrongTime,
        ),
        (
            "invalid_grant",
            "Current date/time MUST be before the expiration date/time listed in the 'exp' claim.",
            RefusalMeaning::WrongTime,
        ),
        (
            "invalid_grant",
            "Current time MUST be before the expiration time listed in the claim",
            RefusalMeaning::WrongTime,
        ),
        (
            "invalid_grant",
            "OAuth JWT Signature verification error. The public key identified by 'kid' must correspond to \
             the private key used for signing.",
            RefusalMeaning::Refused(BoxRefusal::KeyMismatch),
        ),
        (
            "invalid_grant",
            "OAuth JWT header 'kid' invalid, unable to lookup correct key.",
            RefusalMeaning::Refused(BoxRefusal::KeyUnknown),
        ),
        (
            "invalid_grant",
            "Grant credentials are invalid",
            RefusalMeaning::Refused(BoxRefusal::CredentialsInvalid),
        ),
        (
            "invalid_resource",
            "The target resource is invalid",
            RefusalMeaning::Refused(BoxRefusal::ResourceNotVisible),
        ),
        ("terms_of_service_required", "", RefusalMeaning::Refused(BoxRefusal::TermsOfServiceRequired)),
        (
            "unheard_of",
            "The moon is in the wrong house",
            RefusalMeaning::Refused(BoxRefusal::UpstreamRefused),
        ),
    ];

    #[test]
    fn each_line_of_boxs_errors_has_its_own_meaning_in_any_case() {
        for (error, description, finding) in LINES {
            let cases: [fn(&str) -> String; 3] = [str::to_owned, str::to_uppercase, str::to_lowercase];
            for case in cases {
                let (error, description) = (case(error), case(description));
                assert_eq!(diagnose(CallKind::Grant, 400, &error, &description), finding, "{description}");
                assert_eq!(diagnose(CallKind::Grant, 401, &error, &description), finding, "{description}");
            }
        }
    }

    #[test]
    fn a_known_error_with_unknown_words_is_not_guessed_at() {
        for error in ["unauthorized_client", "invalid_request", "invalid_grant", "server_error", ""] {
            for description in ["", "Please check the 'aud' claim.", "The token has expired.", "subtle"] {
                let finding = diagnose(CallKind::Grant, 400, error, description);
                assert_eq!(
                    finding,
                    RefusalMeaning::Refused(BoxRefusal::UpstreamRefused),
                    "{error}: {description}"
                );
            }
        }
    }

    #[test]
    fn on_an_exchange_a_dead_parent_is_told_from_a_missing_scope() {
        for (status, error, description) in [
            (400, "invalid_grant", "The subject_token provided is invalid"),
            (401, "unauthorized", "The 'Subject_Token' has expired"),
            (401, "invalid_token", ""),
        ] {
            let finding = diagnose(CallKind::Exchange, status, error, description);
            assert_eq!(finding, RefusalMeaning::TokenDead, "{description}");
        }
        for (status, error, description) in [
            (401, "unauthorized", "The application lacks what is needed"),
            (400, "invalid_scope", "The scope is unknown"),
            (401, "insufficient_scope", "The subject_token lacks the scope"),
        ] {
            let finding = diagnose(CallKind::Exchange, status, error, description);
            assert_eq!(finding, RefusalMeaning::Refused(BoxRefusal::ScopeNotGranted), "{description}");
        }
        assert_eq!(
            without_words(CallKind::Exchange, 401),
            Some(RefusalMeaning::Refused(BoxRefusal::ScopeNotGranted)),
            "a bare 401"
        );
        let wrong_time = diagnose(CallKind::Exchange, 400, "invalid_grant", "Please check the 'exp' claim.");
        assert_eq!(wrong_time, RefusalMeaning::WrongTime, "an annotator's token has a time too");
    }

    #[test]
    fn a_token_that_is_dead_already_is_told_on_revocation() {
        let dead = diagnose(CallKind::Revocation, 400, "invalid_grant", "The token has been revoked");
        assert_eq!(dead, RefusalMeaning::TokenDead);
        let wrong =
            diagnose(CallKind::Revocation, 400, "invalid_client", "The client credentials are invalid");
        assert_eq!(wrong, RefusalMeaning::Refused(BoxRefusal::CredentialsInvalid));
    }

    #[test]
    fn api_calls_are_told_apart_by_status_and_code() {
        let denied = "access_denied_insufficient_permissions";
        for (place, status, code, finding) in [
            (CallKind::Api, 401, "unauthorized", RefusalMeaning::TokenDead),
            (CallKind::Api, 403, denied, RefusalMeaning::Refused(BoxRefusal::ScopeNotGranted)),
            (CallKind::ApiAsUser, 403, denied, RefusalMeaning::Refused(BoxRefusal::AsUserDisabled)),
            (CallKind::ApiAsUser, 404, "not_found", RefusalMeaning::Refused(BoxRefusal::SubjectInvalid)),
            (CallKind::Api, 404, "not_found", RefusalMeaning::Refused(BoxRefusal::UpstreamRefused)),
            (
                CallKind::Api,
                403,
                "cors_origin_not_whitelisted",
                RefusalMeaning::Refused(BoxRefusal::UpstreamRefused),
            ),
        ] {
            assert_eq!(diagnose(place, status, code, "Denied"), finding, "{place:?} {status} {code}");
        }
    }
}
