//! The context of a call: who acts, with which token, on which items.

use std::sync::Arc;

use crate::http::{ErrorResponse, SandboxRequest, cors};
use crate::scopes::{self, ItemAction};
use crate::state::SandboxState;
use crate::tokens::{IssuedToken, TokenSubject};
use crate::world::{Attribution, Author, BoxApp, Collaborator, Enterprise, Item, ItemKind, ItemTree, ROOT};

/// A call with everything that decides about it. The enterprise is as it was when the call came.
#[derive(Clone)]
pub(super) struct ApiContext<'a> {
    pub(super) state: &'a SandboxState,
    pub(super) request: &'a SandboxRequest,
    pub(super) token: &'a IssuedToken,
    pub(super) app: Arc<BoxApp>,
    pub(super) enterprise: Arc<Enterprise>,
    /// The account that acts: the token's subject, or the user of `As-User`.
    pub(super) actor: TokenSubject,
    /// The actor as a collaborator on items.
    pub(super) collaborator: Collaborator,
}

impl<'a> ApiContext<'a> {
    /// Returns the context of a call whose token is live and whose page, if it comes from one, has an allowed origin.
    pub(super) fn authorize(
        state: &'a SandboxState,
        request: &'a SandboxRequest,
    ) -> Result<Self, ErrorResponse> {
        let token = request.token.as_deref().filter(|token| token.is_live(state.now()));
        let token = token.ok_or_else(ErrorResponse::invalid_token)?;
        let app = state.directory.app(&token.client_id).ok_or_else(ErrorResponse::invalid_token)?;
        cors::check_origin(&app, request)?;
        let enterprise = state.directory.enterprise(&token.enterprise);
        let enterprise = enterprise.ok_or_else(ErrorResponse::invalid_token)?;
        let actor = actor(state, request, token, &app, &enterprise)?;
        let collaborator = actor.collaborator();
        Ok(Self { state, request, token, app, enterprise, actor, collaborator })
    }

    /// Returns the context after a change of the enterprise.
    pub(super) fn with_enterprise(&self, enterprise: Arc<Enterprise>) -> Self {
        Self { enterprise, ..self.clone() }
    }

    /// Reports whether the token's scopes permit an action, on whichever item.
    pub(super) fn scopes_permit(&self, action: ItemAction) -> bool {
        scopes::permit(&self.token.scopes, action)
    }

    /// Reports whether the call may do this to an item.
    pub(super) fn is_permitted(&self, action: ItemAction, item: &Item) -> bool {
        self.is_permitted_in(&self.enterprise.items, action, item)
    }

    /// An item that is reached by a shared link alone can be read, but not changed.
    fn is_permitted_in(&self, items: &ItemTree, action: ItemAction, item: &Item) -> bool {
        let reached = if item.id == ROOT {
            self.token.restriction.as_ref().is_none_or(|restriction| restriction.id == ROOT)
                && matches!(action, ItemAction::Read | ItemAction::Upload)
        } else {
            self.token.reaches(items, &self.collaborator, item)
                && (!action.is_write() || items.can_see(&self.collaborator, item))
        };
        reached && self.scopes_permit(action)
    }

    /// Returns an item to which the call may do this.
    pub(super) fn item(
        &self,
        kind: ItemKind,
        id: &str,
        action: ItemAction,
    ) -> Result<Arc<Item>, ErrorResponse> {
        self.item_in(&self.enterprise.items, kind, id, action)
    }

    /// Returns an item of a tree that is about to change. A restricted token gets 403 for everything outside of its
    /// restriction, so that it does not learn what exists there.
    pub(super) fn item_in(
        &self,
        items: &ItemTree,
        kind: ItemKind,
        id: &str,
        action: ItemAction,
    ) -> Result<Arc<Item>, ErrorResponse> {
        if !self.scopes_permit(action) {
            return Err(ErrorResponse::insufficient_permissions());
        }
        let found = if id == ROOT && kind == ItemKind::Folder {
            Some(Arc::new(Item::root()))
        } else {
            items.item(id).filter(|item| item.kind == kind).cloned()
        };
        match found {
            Some(item) if self.is_permitted_in(items, action, &item) => Ok(item),
            Some(item) if item.id == ROOT || self.is_permitted_in(items, ItemAction::Read, &item) => {
                Err(ErrorResponse::insufficient_permissions())
            }
            _ if self.token.restriction.is_some() => Err(ErrorResponse::insufficient_permissions()),
            _ => Err(ErrorResponse::not_found()),
        }
    }

    /// Refuses the call if its `If-Match` header names another version of the item.
    pub(super) fn check_if_match(&self, item: &Item) -> Result<(), ErrorResponse> {
        let Some(wanted) = self.request.header("if-match") else { return Ok(()) };
        let wanted = wanted.trim().trim_matches('"');
        if wanted == "*" || item.etag().as_deref() == Some(wanted) {
            return Ok(());
        }
        let message = "The resource has been modified. Please retrieve the resource again and retry";
        Err(ErrorResponse::precondition_failed(message))
    }

    /// Returns a new item in a folder, created by the actor.
    pub(super) fn new_item(&self, kind: ItemKind, folder: &str, name: String) -> Item {
        let id = self.state.directory.new_item_id();
        let mut item = Item::new(kind, id, name, self.author(), self.state.now());
        self.place_in(&mut item, folder);
        item
    }

    /// Puts an item into a folder. At the top, where nothing is inherited, the actor becomes its collaborator.
    pub(super) fn place_in(&self, item: &mut Item, folder: &str) {
        if folder == ROOT {
            item.parent = None;
            item.collaborators.insert(self.collaborator.clone());
        } else {
            item.parent = Some(folder.to_owned());
        }
    }

    /// Counts a change of an item and notes the actor and the time.
    pub(super) fn stamp_change(&self, item: &mut Item) {
        item.sequence += 1;
        item.modified = Attribution { by: self.author(), at: self.state.now() };
    }

    /// Returns the actor as Box shows them next to what they changed.
    pub(super) fn author(&self) -> Author {
        match &self.actor {
            TokenSubject::Enterprise(enterprise) => {
                let account = self.app.automation_user(enterprise);
                Author { id: account.id, name: account.name, login: account.login }
            }
            TokenSubject::User(id) => {
                let user = self.enterprise.user(id);
                Author {
                    id: id.clone(),
                    name: user.map_or_else(String::new, |user| user.name.clone()),
                    login: user.map_or_else(String::new, |user| user.login.clone()),
                }
            }
        }
    }

    /// Returns the sandbox's URL as the caller knows it.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.request.header("host").unwrap_or("127.0.0.1"))
    }
}

/// Returns the account that acts: the token's subject, or the user of the header `As-User`.
///
/// The header needs a full token of a service account and an app whose settings permit it. It accepts the users of the
/// token's enterprise, but no service accounts.
fn actor(
    state: &SandboxState,
    request: &SandboxRequest,
    token: &IssuedToken,
    app: &BoxApp,
    enterprise: &Enterprise,
) -> Result<TokenSubject, ErrorResponse> {
    let Some(user) = request.header("as-user") else { return Ok(token.subject.clone()) };
    let permitted = app.as_user_header
        && app.enterprise_access
        && token.parent.is_none()
        && matches!(token.subject, TokenSubject::Enterprise(_))
        && !state.directory.is_automation_user(user)
        && enterprise.user(user).is_some();
    if permitted {
        Ok(TokenSubject::User(user.to_owned()))
    } else {
        Err(ErrorResponse::insufficient_permissions())
    }
}
