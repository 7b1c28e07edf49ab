//! What one token, acting as one member, reaches and may do.

use std::sync::Arc;

use crate::api::fields::root;
use crate::http::cors;
use crate::http::error::Refusal;
use crate::http::request::Call;
use crate::scopes::{self, Deed};
use crate::state::Upstream;
use crate::tokens::{Subject, Token};
use crate::world::app::App;
use crate::world::enterprise::Enterprise;
use crate::world::item_tree::{Item, ItemKind, Member, Person, ROOT, Tree};

/// Whether a token's subject can get at an item: it was invited (or came by an open link), and the
/// item lies within what the token is confined to.
pub(crate) fn reaches(tree: &Tree, token: &Token, member: &Member, item: &Item) -> bool {
    let confinement = token.confinement.as_ref();
    let by_link = confinement.is_some_and(|confinement| confinement.by_link);
    (by_link || tree.sees(member, item))
        && confinement.is_none_or(|confinement| tree.within(item, &confinement.id))
}

/// A call with everything that decides about it. The enterprise is as it was when the call came.
#[derive(Clone)]
pub(crate) struct View<'a> {
    pub(crate) box_: &'a Upstream,
    pub(crate) call: &'a Call,
    pub(crate) token: &'a Token,
    pub(crate) app: Arc<App>,
    pub(crate) enterprise: Arc<Enterprise>,
    pub(crate) actor: Subject,
    pub(crate) member: Member,
}

impl<'a> View<'a> {
    /// The view of a call whose token lives and whose page, if it comes from one, is allowed.
    pub(crate) fn of(box_: &'a Upstream, call: &'a Call) -> Result<Self, Refusal> {
        let token = call.token.as_deref().filter(|token| token.live(box_.now()));
        let token = token.ok_or_else(Refusal::dead_token)?;
        let app = box_.app(&token.client_id).ok_or_else(Refusal::dead_token)?;
        cors::check(&app, call)?;
        let enterprise = box_.enterprise(&token.enterprise).ok_or_else(Refusal::dead_token)?;
        let actor = actor(box_, call, token, &app, &enterprise)?;
        let member = actor.member();
        Ok(Self { box_, call, token, app, enterprise, actor, member })
    }

    /// The same call once the enterprise has changed.
    pub(crate) fn after(&self, enterprise: Arc<Enterprise>) -> Self {
        Self { enterprise, ..self.clone() }
    }

    /// Whether the token's scopes are enough for this, wherever it is done.
    pub(crate) fn allows(&self, deed: Deed) -> bool {
        scopes::allow(&self.token.scopes, deed)
    }

    /// Whether this may be done to an item. What was reached by a link alone is only looked at.
    pub(crate) fn may(&self, deed: Deed, item: &Item) -> bool {
        self.may_in(&self.enterprise.tree, deed, item)
    }

    fn may_in(&self, tree: &Tree, deed: Deed, item: &Item) -> bool {
        let reached = if item.id == ROOT {
            self.token.confinement.as_ref().is_none_or(|confinement| confinement.id == ROOT)
                && matches!(deed, Deed::Read | Deed::Upload)
        } else {
            reaches(tree, self.token, &self.member, item) && (!deed.writes() || tree.sees(&self.member, item))
        };
        reached && self.allows(deed)
    }

    /// An item to which this may be done. A confined token is told 403 of everything elsewhere, so
    /// that it learns nothing from it.
    pub(crate) fn item(&self, kind: ItemKind, id: &str, deed: Deed) -> Result<Arc<Item>, Refusal> {
        self.item_in(&self.enterprise.tree, kind, id, deed)
    }

    /// The same in a tree that is about to change.
    pub(crate) fn item_in(
        &self,
        tree: &Tree,
        kind: ItemKind,
        id: &str,
        deed: Deed,
    ) -> Result<Arc<Item>, Refusal> {
        if !self.allows(deed) {
            return Err(Refusal::insufficient());
        }
        let found = if id == ROOT && kind == ItemKind::Folder {
            Some(Arc::new(root()))
        } else {
            tree.item(id).filter(|item| item.kind == kind).cloned()
        };
        match found {
            Some(item) if self.may_in(tree, deed, &item) => Ok(item),
            Some(item) if item.id == ROOT || self.may_in(tree, Deed::Read, &item) => {
                Err(Refusal::insufficient())
            }
            _ if self.token.confinement.is_some() => Err(Refusal::insufficient()),
            _ => Err(Refusal::not_found()),
        }
    }

    /// Whoever acts, as Box names them beside what they did.
    pub(crate) fn person(&self) -> Person {
        match &self.actor {
            Subject::Enterprise(enterprise) => {
                let account = self.app.service_account(enterprise);
                Person { id: account.id, name: account.name, login: account.login }
            }
            Subject::User(id) => {
                let user = self.enterprise.user(id);
                Person {
                    id: id.clone(),
                    name: user.map_or_else(String::new, |user| user.name.clone()),
                    login: user.map_or_else(String::new, |user| user.login.clone()),
                }
            }
        }
    }

    /// The sandbox's own URL, as the caller knows it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.call.header("host").unwrap_or("127.0.0.1"))
    }

    /// A number of the query, the given one where it is left out.
    pub(crate) fn number(&self, name: &str, otherwise: usize) -> Result<usize, Refusal> {
        let Some(text) = self.call.query(name).filter(|text| !text.is_empty()) else { return Ok(otherwise) };
        text.parse().map_err(|_| Refusal::bad_request(format!("'{name}' must be a whole number")))
    }
}

/// As whom the call is made: the token's subject, or the user that `As-User` names. The header needs
/// a service account's full token and an app that may use it, and reaches managed and app users of
/// the token's enterprise alone.
fn actor(
    box_: &Upstream,
    call: &Call,
    token: &Token,
    app: &App,
    enterprise: &Enterprise,
) -> Result<Subject, Refusal> {
    let Some(user) = call.header("as-user") else { return Ok(token.subject.clone()) };
    let allowed = app.as_user_header
        && app.enterprise_access
        && token.parent.is_none()
        && matches!(token.subject, Subject::Enterprise(_))
        && !box_.is_service_account(user)
        && enterprise.user(user).is_some();
    if allowed { Ok(Subject::User(user.to_owned())) } else { Err(Refusal::insufficient()) }
}
