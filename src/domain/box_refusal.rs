//! The reasons for which Box refuses a request, each with what the customer's admin has to change.
//!
//! It owns the codes and texts. Which of Box's answers means which reason is decided by `box_api`.

/// A refusal that lasts until somebody changes a setting at Box or in the broker. Each error of Box's token
/// endpoint maps to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BoxRefusal {
    /// The enterprise's admin has not authorised the app.
    AppNotAuthorized,
    /// The app may not use client credentials for this kind of subject.
    CcgNotAuthorized,
    /// The app was created for another authentication method.
    WrongAuthMethod,
    /// The client ID is not that of the app whose key signed.
    IssuerMismatch,
    /// The private key does not belong to the public key with that id.
    KeyMismatch,
    /// The app has no public key with that id.
    KeyUnknown,
    /// The app may not generate user access tokens.
    UserTokensDisabled,
    /// The app may not act as this user by the `As-User` header.
    AsUserDisabled,
    /// Box does not know the subject, or it is not in this enterprise.
    SubjectInvalid,
    /// The client ID or secret is wrong.
    CredentialsInvalid,
    /// The app was not granted the requested scopes.
    ScopeNotGranted,
    /// The user has to accept the enterprise's terms of service first.
    TermsOfServiceRequired,
    /// The subject does not see the resource.
    ResourceNotVisible,
    /// The clocks of Box and the broker disagree, even after a correction.
    ClockSkew,
    /// The broker does not know the reason.
    UpstreamRefused,
}

impl BoxRefusal {
    /// Every refusal.
    pub const ALL: [Self; 15] = [
        Self::AppNotAuthorized,
        Self::CcgNotAuthorized,
        Self::WrongAuthMethod,
        Self::IssuerMismatch,
        Self::KeyMismatch,
        Self::KeyUnknown,
        Self::UserTokensDisabled,
        Self::AsUserDisabled,
        Self::SubjectInvalid,
        Self::CredentialsInvalid,
        Self::ScopeNotGranted,
        Self::TermsOfServiceRequired,
        Self::ResourceNotVisible,
        Self::ClockSkew,
        Self::UpstreamRefused,
    ];

    /// Returns the problem code in the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AppNotAuthorized => "app_not_authorized",
            Self::CcgNotAuthorized => "ccg_not_authorized",
            Self::WrongAuthMethod => "wrong_auth_method",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::KeyMismatch => "key_mismatch",
            Self::KeyUnknown => "key_unknown",
            Self::UserTokensDisabled => "user_tokens_disabled",
            Self::SubjectInvalid => "subject_invalid",
            Self::CredentialsInvalid => "credentials_invalid",
            // Box has one code for both; the fix differs.
            Self::ScopeNotGranted | Self::AsUserDisabled => "scope_not_granted",
            Self::TermsOfServiceRequired => "terms_of_service_required",
            Self::ResourceNotVisible => "resource_not_visible",
            Self::ClockSkew => "clock_skew",
            Self::UpstreamRefused => "upstream_refused",
        }
    }

    /// Returns the problem in one sentence.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::AppNotAuthorized => "The enterprise's admin has not authorised the app.",
            Self::CcgNotAuthorized => {
                "The app's access level does not allow client credentials for this kind of subject."
            }
            Self::WrongAuthMethod => "The app was created with another authentication method.",
            Self::IssuerMismatch => "The client ID is not that of the app to which the key belongs.",
            Self::KeyMismatch => "The private key does not match the public key with that ID at Box.",
            Self::KeyUnknown => "The app has no public key with that ID any more.",
            Self::UserTokensDisabled => "The app may not act as this user.",
            Self::AsUserDisabled => "The app may not act as this user by the As-User header.",
            Self::SubjectInvalid => "Box knows no such enterprise or user for this app.",
            Self::CredentialsInvalid => "Box refuses the client ID and secret.",
            Self::ScopeNotGranted => "The app was not granted the scopes that were asked for.",
            Self::TermsOfServiceRequired => "The user has not accepted the enterprise's terms of service.",
            Self::ResourceNotVisible => "The subject does not see that file or folder.",
            Self::ClockSkew => "Box finds the assertion's time wrong, even after its clock was followed.",
            Self::UpstreamRefused => "Box refuses for a reason that the broker does not know.",
        }
    }

    /// Returns the steps that the customer's admin has to take at Box.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::AppNotAuthorized => {
                "In Box's Admin Console open Integrations › Platform Apps Manager (Apps on older consoles), \
                 add the app by its client ID and choose Authorize."
            }
            Self::CcgNotAuthorized => {
                "In the Developer Console open the app's Configuration, set App Access Level to \
                 App + Enterprise Access (and Generate User Access Tokens for user tokens), save, and have \
                 the admin reauthorize the app."
            }
            Self::WrongAuthMethod => {
                "Create a new Custom App in the Developer Console with the method you registered here \
                 (Server Authentication with JWT, or with Client Credentials Grant): it cannot be changed later."
            }
            Self::IssuerMismatch => {
                "Download the config JSON again from the app's Configuration page and register that file \
                 unchanged: its client ID and key must come from one app."
            }
            Self::KeyMismatch => {
                "In the app's Configuration under Add and Manage Public Keys generate a new keypair and \
                 register the config JSON that is downloaded then."
            }
            Self::KeyUnknown => {
                "The public key was removed in Box: under Add and Manage Public Keys generate a new keypair \
                 and register the config JSON that is downloaded then."
            }
            Self::UserTokensDisabled => {
                "In the app's Configuration turn on Generate User Access Tokens (and App + Enterprise Access \
                 for managed users), save, and have the admin reauthorize the app; the service account's own \
                 ID cannot be used as a user."
            }
            Self::AsUserDisabled => {
                "In the app's Configuration under Advanced Features turn on Make API calls using the as-user \
                 header (with App + Enterprise Access), save, and have the admin reauthorize the app; the ID \
                 has to be a user's of this enterprise, and not the service account's own."
            }
            Self::SubjectInvalid => {
                "Check the ID: it must be the number of a user or of the enterprise that authorised this app \
                 (Admin Console › Account & Billing shows the enterprise ID)."
            }
            Self::CredentialsInvalid => {
                "Copy the client ID and secret again from the app's Configuration under OAuth 2.0 Credentials; \
                 under CCG also check that the admin has authorised the app."
            }
            Self::ScopeNotGranted => {
                "In the app's Configuration under Application Scopes tick what is asked for, save, and have \
                 the admin reauthorize the app; then ask for new tokens."
            }
            Self::TermsOfServiceRequired => {
                "The user has to log in to Box once and accept the enterprise's custom terms of service."
            }
            Self::ResourceNotVisible => {
                "Invite the service account (its login is in the tenant's `service_account`), or the user, as \
                 a collaborator on that file or folder."
            }
            Self::ClockSkew => "Have the broker's machine follow NTP, then try again.",
            Self::UpstreamRefused => {
                "Read Box's own words under `upstream`, and give Box's support its request id if they do not help."
            }
        }
    }

    /// Returns true if the refusal concerns the app, and so every tenant that it serves.
    #[must_use]
    pub fn concerns_the_app(self) -> bool {
        matches!(
            self,
            Self::WrongAuthMethod
                | Self::IssuerMismatch
                | Self::KeyMismatch
                | Self::KeyUnknown
                | Self::CredentialsInvalid
                | Self::ClockSkew
        )
    }

    /// Returns true if the refusal concerns the requested subject or resource alone, and not the whole tenant.
    #[must_use]
    pub fn concerns_the_subject(self) -> bool {
        matches!(
            self,
            Self::UserTokensDisabled
                | Self::AsUserDisabled
                | Self::SubjectInvalid
                | Self::TermsOfServiceRequired
                | Self::ResourceNotVisible
                | Self::ScopeNotGranted
        )
    }
}
