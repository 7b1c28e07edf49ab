//! The few API calls that a broker and its callers need, under Box's rules of who may see what.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::app::{App, ServiceAccount};
use super::call::Call;
use super::enterprise::{Enterprise, User};
use super::refusal::Refusal;
use super::scope;
use super::tokens::{Subject, Token};
use super::tree::{Item, ItemKind, Member, ROOT, root};
use super::upstream::Upstream;

/// A call under `/2.0`, by a token that may be dead.
pub(super) fn answer(box_: &Upstream, call: &Call) -> Result<Answer, Refusal> {
    let token = call.token.as_ref().filter(|token| token.live(box_.now())).ok_or_else(Refusal::dead_token)?;
    let app = box_.app(&token.client_id).ok_or_else(Refusal::dead_token)?;
    if let Some(origin) = call.header("origin")
        && !app.origins.contains(origin)
    {
        return Err(Refusal::api(
            StatusCode::FORBIDDEN,
            "cors_origin_not_whitelisted",
            "Access denied - Did you forget to safelist your origin in the CORS config of your app?",
        ));
    }
    let enterprise = box_.enterprise(&token.enterprise).ok_or_else(Refusal::dead_token)?;
    let actor = actor(box_, call, token, &app, enterprise)?;
    let view = View { token, enterprise, member: actor.member() };
    let segments: Vec<&str> = call.path.split('/').skip(2).collect();
    match segments.as_slice() {
        ["users", "me"] => me(&view, &app, &actor, call.query("fields")),
        ["folders", id] => view.folder(id, call).map(Answer::json),
        ["folders", id, "items"] => view.items(id, call).map(Answer::json),
        ["files", id] => view.file(id).map(Answer::json),
        _ => Err(Refusal::not_found()),
    }
}

/// Whether a token's subject can get at an item: it was invited (or came by an open link), and the
/// item lies within what the token is confined to.
pub(super) fn reaches(enterprise: &Enterprise, token: &Token, member: &Member, item: &Item) -> bool {
    let within = |id: &str| enterprise.tree.within(item, id);
    let confinement = token.confinement.as_ref();
    let by_link = confinement.is_some_and(|confinement| confinement.by_link);
    (by_link || enterprise.tree.sees(member, item))
        && confinement.is_none_or(|confinement| within(&confinement.id))
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

fn me(view: &View<'_>, app: &App, actor: &Subject, fields: Option<String>) -> Result<Answer, Refusal> {
    if view.token.parent.is_some()
        && (view.token.confinement.is_some() || !scope::allow_identity(&view.token.scopes))
    {
        return Err(Refusal::insufficient());
    }
    let mut whole = match actor {
        Subject::Enterprise(enterprise) => service_account(&app.service_account(enterprise)),
        Subject::User(id) => user(view.enterprise.user(id).ok_or_else(Refusal::not_found)?),
    };
    let enterprise = json!({ "type": "enterprise", "id": view.enterprise.id, "name": view.enterprise.name });
    let Some(fields) = fields else { return Ok(Answer::json(whole)) };
    whole["enterprise"] = enterprise;
    let asked: Vec<&str> = fields.split(',').map(str::trim).collect();
    if let Value::Object(map) = &mut whole {
        map.retain(|field, _| field == "type" || field == "id" || asked.contains(&field.as_str()));
    }
    Ok(Answer::json(whole))
}

fn service_account(account: &ServiceAccount) -> Value {
    person(&account.id, &account.name, &account.login)
}

fn user(user: &User) -> Value {
    person(&user.id, &user.name, &user.login)
}

fn person(id: &str, name: &str, login: &str) -> Value {
    json!({
        "type": "user", "id": id, "name": name, "login": login, "status": "active", "language": "en",
        "timezone": "Etc/UTC", "space_amount": 10_737_418_240_u64, "space_used": 0, "job_title": "",
        "phone": "", "address": "", "avatar_url": format!("https://app.box.com/api/avatar/large/{id}"),
        "created_at": "2024-01-01T00:00:00Z", "modified_at": "2024-01-01T00:00:00Z",
    })
}

/// What one token, acting as one member, can see.
struct View<'a> {
    token: &'a Token,
    enterprise: &'a Enterprise,
    member: Member,
}

impl View<'_> {
    fn file(&self, id: &str) -> Result<Value, Refusal> {
        let item = self.item(id, ItemKind::File)?;
        let mut whole = self.enterprise.tree.whole(item, &self.member);
        whole["size"] = json!(1024);
        Ok(whole)
    }

    fn folder(&self, id: &str, call: &Call) -> Result<Value, Refusal> {
        let mut whole = if id == ROOT {
            self.root()?;
            let mut whole = root();
            whole["path_collection"] = json!({ "total_count": 0, "entries": [] });
            whole
        } else {
            self.enterprise.tree.whole(self.item(id, ItemKind::Folder)?, &self.member)
        };
        whole["item_collection"] = self.page(id, call);
        Ok(whole)
    }

    fn items(&self, id: &str, call: &Call) -> Result<Value, Refusal> {
        if id == ROOT {
            self.root()?;
        } else {
            self.item(id, ItemKind::Folder)?;
        }
        Ok(self.page(id, call))
    }

    fn root(&self) -> Result<(), Refusal> {
        let free = self.token.confinement.as_ref().is_none_or(|confinement| confinement.id == ROOT);
        if free && self.reading() { Ok(()) } else { Err(Refusal::insufficient()) }
    }

    fn reading(&self) -> bool {
        scope::allow_reading(&self.token.scopes)
    }

    /// An item that the token may read. A confined token is told 403 of everything elsewhere, so that
    /// it learns nothing from it.
    fn item(&self, id: &str, kind: ItemKind) -> Result<&Item, Refusal> {
        let item = self.enterprise.tree.item(id).filter(|item| item.kind == kind);
        let reached = item.filter(|item| reaches(self.enterprise, self.token, &self.member, item));
        match reached {
            _ if !self.reading() => Err(Refusal::insufficient()),
            Some(item) => Ok(item),
            None if self.token.confinement.is_some() => Err(Refusal::insufficient()),
            None => Err(Refusal::not_found()),
        }
    }

    fn page(&self, folder: &str, call: &Call) -> Value {
        let number = |name| call.query(name).and_then(|value| value.parse::<usize>().ok());
        let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(100).min(1000));
        let children = self.enterprise.tree.children(folder, &self.member);
        let page: Vec<Value> = children.iter().skip(offset).take(limit).map(|item| item.mini()).collect();
        json!({ "total_count": children.len(), "entries": page, "offset": offset, "limit": limit })
    }
}
