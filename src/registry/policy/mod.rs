//! Why a caller would get a token, or would not: judged by what releases are judged by, and told to an
//! admin. Nothing is minted, and Box is not asked.

use std::sync::Arc;

use serde::Serialize;

use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::broker::TenantContext;
use crate::broker::decision::{Block, Denial, first_allowed};
use crate::domain::caller::Caller;
use crate::domain::grant::{Permission, TenantSelector};
use crate::domain::id::Name;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::{self, AccessRequest, Decision, DecisionBasis, DenialReason};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::registry::Registry;
use crate::registry::callers::grants::GrantSpec;
use crate::registry::error::RegistryError;
use crate::store::{CallerRef, TenantRef};

/// What an admin wants to know.
#[derive(Debug)]
pub struct ExplainQuery {
    /// Of whom.
    pub who: ExplainCaller,
    /// Of which tenant.
    pub tenant: TenantRef,
    /// For whom the token would be.
    pub subject: Subject,
    /// How it would be restricted; `None` is a full token.
    pub restriction: Option<Restriction>,
    /// For whom the caller would say that it asks.
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// Who would ask.
#[derive(Debug)]
pub enum ExplainCaller {
    /// This caller; `None` for what cannot be the name of any.
    Caller(Option<CallerRef>),
    /// Whoever comes with a token of an OIDC issuer that opens these callers at this moment.
    Token(Vec<Arc<Caller>>),
}

impl ExplainQuery {
    fn ask(&self) -> AccessRequest<'_> {
        AccessRequest::Token {
            subject: &self.subject,
            restriction: self.restriction.as_ref(),
            on_behalf_of: self.on_behalf_of.as_ref(),
        }
    }

    fn is_for_a_full_token(&self) -> bool {
        self.restriction.as_ref().is_none_or(Restriction::is_full_access)
    }

    /// The permission that such a token needs, and what such a token is called.
    fn needs(&self) -> (&'static str, &'static str) {
        if self.is_for_a_full_token() {
            ("tokens:mint", "a full token")
        } else {
            ("tokens:downscope", "a downscoped token")
        }
    }
}

/// What the caller would be answered, and why.
#[derive(Debug)]
pub struct Explanation {
    /// Whether the token would leave.
    pub allowed: bool,
    /// Why, in a sentence or two.
    pub reason: String,
    /// The caller whose grant gives it.
    pub caller: Option<Name>,
    /// That grant's place in the caller's list, and the grant as it can be sent back.
    pub grant: Option<(usize, GrantSpec)>,
    /// What refuses it, or would in the policy's mode `enforce`.
    pub rule: Option<&'static str>,
    /// What else the admin should know.
    pub warnings: Vec<ExplainWarning>,
}

/// Something that an admin should know beside the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ExplainWarning {
    /// What it is about: `enterprise_token_acts_as_users`, `browser_session`, `observed` or `label_grant`.
    pub code: &'static str,
    /// What it is, in words.
    pub detail: String,
}

/// What was found for a set of callers: which of them gets it by what, or why none does.
type Found<'a> = Result<(&'a Caller, DecisionBasis), Denial>;

impl Registry {
    /// Refuses whoever may not ask about a tenant.
    ///
    /// # Errors
    /// Why not.
    pub async fn may_explain(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<(), RegistryError> {
        self.tenant_for(context, tenant, Permission::PolicyExplain).await.map(drop)
    }

    /// Tells whether a caller would get a token at this moment, and why.
    ///
    /// # Errors
    /// Where the admin may not ask about the tenant, or the store does not answer. A caller whom the
    /// admin could not have made does not exist to them, unless it is the admin.
    pub async fn explain(
        &self,
        context: &RequestContext,
        question: &ExplainQuery,
    ) -> Result<Explanation, RegistryError> {
        let (_, view) = self.tenant_for(context, &question.tenant, Permission::PolicyExplain).await?;
        let callers = match &question.who {
            ExplainCaller::Caller(caller) => vec![self.explained(context, caller.as_ref()).await?],
            ExplainCaller::Token(opened) => {
                let known = opened.iter().filter(|caller| exists_to(context, caller));
                known.map(|caller| (**caller).clone()).collect()
            }
        };
        if callers.is_empty() {
            return Ok(opens_nobody());
        }
        let found = judge(&callers, &view, question.ask());
        let warnings = warnings(&callers, &view, question, &found);
        let reason = reason(question, &found);
        Ok(match found {
            Ok((caller, grounds)) => Explanation {
                allowed: true,
                reason,
                caller: Some(caller.name.clone()),
                grant: self.spec_of(caller, grounds.grant).await,
                rule: grounds.waived.map(DenialReason::as_str),
                warnings,
            },
            Err(refused) => Explanation {
                allowed: false,
                reason,
                caller: None,
                grant: None,
                rule: Some(name_of(refused)),
                warnings,
            },
        })
    }

    async fn explained(
        &self,
        context: &RequestContext,
        caller: Option<&CallerRef>,
    ) -> Result<Caller, RegistryError> {
        let known = match caller {
            None => None,
            Some(caller) => match oneself(context, caller) {
                Some(oneself) => Some(oneself),
                None => self.known_to(context, caller).await?.map(|(_, known)| known),
            },
        };
        known.ok_or_else(|| RegistryError::invalid("/caller", "There is no such caller."))
    }

    async fn spec_of(&self, caller: &Caller, place: usize) -> Option<(usize, GrantSpec)> {
        let grant = caller.grants.get(place)?;
        let spec = self.specs_of(std::slice::from_ref(grant)).await.pop()?;
        Some((place, spec))
    }
}

/// The admin, where that is who is asked about.
fn oneself(context: &RequestContext, caller: &CallerRef) -> Option<Caller> {
    let is_it = |opened: &&AuthenticatedCaller| match caller {
        CallerRef::Id(id) => *id == opened.caller.id,
        CallerRef::Name(name) => *name == opened.caller.name,
        CallerRef::Key(_) => false,
    };
    context.callers().find(is_it).map(|opened| (*opened.caller).clone())
}

/// True for a caller that the admin could have made, or is.
fn exists_to(context: &RequestContext, caller: &Caller) -> bool {
    context.any(|admin| {
        admin.id == caller.id || admin.holds(Permission::CallersWrite) && admin.may_grant(&caller.grants)
    })
}

fn opens_nobody() -> Explanation {
    Explanation {
        allowed: false,
        reason: "A token with these claims opens no caller that you may see: none has a trust whose issuer, \
                 audience, subject and claims all match."
            .to_owned(),
        caller: None,
        grant: None,
        rule: Some("trust"),
        warnings: Vec::new(),
    }
}

/// Judges each caller alone, and each of its grants alone, as releases do.
fn judge<'a>(callers: &'a [Caller], view: &TenantContext, ask: AccessRequest<'_>) -> Found<'a> {
    first_allowed(callers.iter().map(|caller| (caller, caller)), view, ask)
}

/// The refusal's name in the audit.
fn name_of(refused: Denial) -> &'static str {
    match refused {
        Denial::NoGrant => "grant.tenant",
        Denial::Rule(rule) => rule.as_str(),
        Denial::Block(hold) => hold.as_str(),
    }
}

fn reason(question: &ExplainQuery, found: &Found<'_>) -> String {
    match found {
        Err(Denial::NoGrant) => {
            "The caller has no grant on this tenant: to the caller it does not exist.".to_owned()
        }
        Err(Denial::Rule(rule)) => reason_of_rule(question, *rule),
        Err(Denial::Block(hold)) => reason_of_hold(*hold).to_owned(),
        Ok((caller, grounds)) => {
            let (permission, token) = question.needs();
            let policy = match grounds.waived {
                None => "the tenant's policy allows it",
                Some(_) => "the tenant's policy, which only observes, lets it pass",
            };
            let (name, place, subject) = (&caller.name, grounds.grant, &question.subject);
            format!(
                "Grant {place} of {name} (counted from 0) gives {token} for {subject} ({permission}), and {policy}."
            )
        }
    }
}

fn reason_of_rule(question: &ExplainQuery, rule: DenialReason) -> String {
    let (permission, token) = question.needs();
    let subject = &question.subject;
    let is_full = question.is_for_a_full_token();
    match rule {
        DenialReason::Permission => {
            format!("No grant of the caller on this tenant gives `{permission}`, which {token} needs.")
        }
        DenialReason::GrantSubject => format!("No grant that gives `{permission}` here is for the subject {subject}."),
        DenialReason::GrantScopes if is_full => {
            "Each grant that would fit has `scopes` or `resources`, and such a grant never yields a full token \
             or one under OAuth scopes."
                .to_owned()
        }
        DenialReason::GrantScopes => "No grant that would fit allows all of these scopes together.".to_owned(),
        DenialReason::GrantResource => match question.restriction.as_ref().and_then(|asked| asked.target.resource()) {
            Some(resource) => {
                format!("No grant that would fit names {resource} in its `resources`; they match exactly.")
            }
            None => "Each grant that would fit has `resources`, and the request names none.".to_owned(),
        },
        DenialReason::PolicySubject => format!("The tenant's policy does not allow the subject {subject}."),
        DenialReason::PolicyScopes => "The tenant's policy does not allow all of these scopes.".to_owned(),
        DenialReason::PolicyFullTokens => {
            "The tenant's policy lets no full token leave, nor one under OAuth scopes: it has `scopes`, or \
             `full_tokens` is false."
                .to_owned()
        }
        DenialReason::PolicyOnBehalfOf => {
            "All else fits, but the tenant's policy wants each request to say for whom: send `on_behalf_of`."
                .to_owned()
        }
    }
}

fn reason_of_hold(hold: Block) -> &'static str {
    match hold {
        Block::TenantDeleted => {
            "The tenant is deleted: to callers it does not exist, unless it is restored in its grace."
        }
        Block::TenantLocked => {
            "Grants and policy allow it, but the tenant is locked because of an incident: nothing leaves until \
             somebody with `lockdown` lifts it."
        }
        Block::AppLocked => {
            "Grants and policy allow it, but the app that serves the tenant is locked because of an incident: \
             nothing leaves until somebody with `lockdown` lifts it."
        }
        Block::CallerLocked => {
            "Grants and policy allow it, but the caller is locked because of an incident: its keys open nothing \
             until somebody with `lockdown` lifts it."
        }
        Block::TenantSuspended => {
            "Grants and policy allow it, but the tenant is suspended: nothing leaves until its `state` is `active`."
        }
        Block::AppSuspended => {
            "Grants and policy allow it, but the app that serves the tenant is suspended: nothing leaves until \
             its `state` is `active`."
        }
        Block::TenantPending | Block::AppPending => {
            "Grants and policy allow it, but the tenant is pending: Box never gave a token for it. The next \
             request tries it there, and is served where Box gives one; a keypair that was made for the tenant \
             has to be activated first."
        }
    }
}

fn warnings(
    callers: &[Caller],
    view: &TenantContext,
    question: &ExplainQuery,
    found: &Found<'_>,
) -> Vec<ExplainWarning> {
    let mut warnings = Vec::new();
    if concerns_as_user(question) && acts_as_users(callers, view) {
        warnings.push(ExplainWarning {
            code: "enterprise_token_acts_as_users",
            detail: "This caller may have full enterprise (service account) tokens and not every user's. In Box \
                     such a token acts as any user by the `As-User` header, where the app has \"Make API calls \
                     using the as-user header\" and App + Enterprise Access: there, denying it user subjects \
                     does not keep it from users' content. Downscoped tokens are immune. The tenant's test with \
                     a `user` shows whether the header works (`as_user_header`)."
                .to_owned(),
        });
    }
    if let Some((caller, grounds)) = by_a_session(callers, view, question) {
        let (name, place) = (&caller.name, grounds.grant);
        let detail = format!(
            "Whatever the answer, pages get such a token by browser sessions, which grant {place} of {name} \
             (`sessions:create`) lets it open; at the origins alone that the tenant's policy names."
        );
        warnings.push(ExplainWarning { code: "browser_session", detail });
    }
    let Ok((caller, grounds)) = found else { return warnings };
    if let Some(rule) = grounds.waived {
        let detail = format!(
            "The tenant's policy only observes; in its mode `enforce` it refuses this by `{}`.",
            rule.as_str()
        );
        warnings.push(ExplainWarning { code: "observed", detail });
    }
    let selector = caller.grants.get(grounds.grant).map(|grant| &grant.tenants);
    if matches!(selector, Some(TenantSelector::Labels(_))) {
        let detail =
            "The grant is on labels, which the tenant bears at this moment: it ends when the tenant loses \
                      one of them."
                .to_owned();
        warnings.push(ExplainWarning { code: "label_grant", detail });
    }
    warnings
}

/// Who may open a browser session by which such a token leaves, and by which grant.
fn by_a_session<'a>(
    callers: &'a [Caller],
    view: &TenantContext,
    question: &ExplainQuery,
) -> Option<(&'a Caller, DecisionBasis)> {
    let restriction = question.restriction.as_ref().filter(|_| !question.is_for_a_full_token())?;
    restriction.target.resource()?;
    let (subject, on_behalf_of) = (&question.subject, question.on_behalf_of.as_ref());
    judge(callers, view, AccessRequest::SessionToken { subject, restriction, on_behalf_of }).ok()
}

/// True for all but a downscoped token of the service account, with which the header does nothing.
fn concerns_as_user(question: &ExplainQuery) -> bool {
    question.subject != Subject::ENTERPRISE || question.is_for_a_full_token()
}

/// True where full enterprise tokens may leave to these callers, while not every user's may: by Box's
/// header the first is worth as much as the others.
fn acts_as_users(callers: &[Caller], view: &TenantContext) -> bool {
    let tenant = &view.tenant;
    let ask = AccessRequest::Token { subject: &Subject::ENTERPRISE, restriction: None, on_behalf_of: None };
    let may_be_enterprise = |caller: &Caller| {
        let decision = policy::decide(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy, ask);
        // Whoever has to say for whom can say so.
        matches!(decision, Decision::Allowed(_) | Decision::Forbidden(DenialReason::PolicyOnBehalfOf))
    };
    let may_be_anyone = |caller: &Caller| {
        policy::allows_full_tokens_for_every_user(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy)
    };
    callers.iter().any(may_be_enterprise) && !callers.iter().any(may_be_anyone)
}

#[cfg(test)]
mod tests;
