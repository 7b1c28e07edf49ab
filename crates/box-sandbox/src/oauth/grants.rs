//! The grants that give a full token: JWT bearer and client credentials.

use std::sync::Arc;

use crate::http::error::Refusal;
use crate::http::request::Form;
use crate::http::response::Answer;
use crate::oauth::assertion;
use crate::oauth::exchange;
use crate::state::Upstream;
use crate::tokens::{Subject, Token};
use crate::world::app::{App, AuthMethod};

/// The grant types by the last part of their names, which faults and the journal use too.
pub(crate) const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const CCG: &str = "client_credentials";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// `POST /oauth2/token`.
pub(crate) fn token(box_: &Upstream, form: &Form) -> Result<Answer, Refusal> {
    match form.one("grant_type")? {
        Some(JWT) => jwt(box_, form),
        Some(CCG) => client_credentials(box_, form),
        Some(EXCHANGE) => exchange::token(box_, form),
        Some(_) => {
            Err(Refusal::grant("unsupported_grant_type", "The 'grant_type' specified is not supported"))
        }
        None => Err(missing("grant_type")),
    }
}

/// The refusal of a form without a field that it must have.
pub(crate) fn missing(field: &str) -> Refusal {
    Refusal::grant("invalid_request", format!("The '{field}' parameter is missing"))
}

/// The app whose id and secret the form carries.
pub(crate) fn client(box_: &Upstream, form: &Form) -> Result<Arc<App>, Refusal> {
    let (app, right) = named_client(box_, form)?;
    if right { Ok(app) } else { Err(wrong_client()) }
}

fn wrong_client() -> Refusal {
    Refusal::grant("invalid_client", "The client credentials are invalid")
}

/// The app that the form names, and whether its secret is right.
fn named_client(box_: &Upstream, form: &Form) -> Result<(Arc<App>, bool), Refusal> {
    let app = box_.app(form.required("client_id")?).ok_or_else(wrong_client)?;
    let right = form.required("client_secret")? == app.client_secret;
    Ok((app, right))
}

fn jwt(box_: &Upstream, form: &Form) -> Result<Answer, Refusal> {
    let app = client(box_, form)?;
    demand(&app, AuthMethod::Jwt)?;
    let subject = assertion::verify(&app, form.required("assertion")?, box_.now(), &box_.replays)?;
    let invalid =
        || Refusal::grant("invalid_grant", "Please check the 'sub' claim. The 'sub' specified is invalid");
    let unauthorized =
        || Refusal::grant("unauthorized_client", "This app is not authorized by the enterprise admin");
    let enterprise = match &subject {
        Subject::Enterprise(id) => box_.enterprise(id).ok_or_else(invalid)?.id.clone(),
        Subject::User(id) => reachable_user(box_, &app, id, cannot_obtain)?.ok_or_else(invalid)?,
    };
    if !app.authorized.contains(&enterprise) {
        return Err(unauthorized());
    }
    full(box_, &app, &enterprise, subject)
}

fn client_credentials(box_: &Upstream, form: &Form) -> Result<Answer, Refusal> {
    let invalid = || Refusal::grant("invalid_grant", "Grant credentials are invalid");
    let (app, right) = named_client(box_, form)?;
    demand(&app, AuthMethod::Ccg)?;
    if !right {
        return Err(invalid());
    }
    let id = form.required("box_subject_id")?.to_owned();
    let unauthorized = || {
        Refusal::grant(
            "unauthorized_client",
            "The \"box_subject_type\" value is unauthorized for this client_id",
        )
    };
    let (subject, enterprise) = match form.required("box_subject_type")? {
        "enterprise" => {
            let enterprise = box_.enterprise(&id).ok_or_else(invalid)?.id.clone();
            (Subject::Enterprise(id), enterprise)
        }
        "user" => {
            let enterprise = reachable_user(box_, &app, &id, unauthorized)?.ok_or_else(invalid)?;
            (Subject::User(id), enterprise)
        }
        _ => return Err(Refusal::grant("invalid_request", "The 'box_subject_type' specified is invalid")),
    };
    if !app.authorized.contains(&enterprise) {
        return Err(invalid());
    }
    full(box_, &app, &enterprise, subject)
}

fn demand(app: &App, method: AuthMethod) -> Result<(), Refusal> {
    if app.auth == method {
        return Ok(());
    }
    Err(Refusal::grant("invalid_request", "The grant type is unauthorized for this client_id"))
}

fn cannot_obtain() -> Refusal {
    let description = "Cannot obtain user token based on the enterprise configuration for your app";
    Refusal::grant("invalid_request", description)
}

/// The enterprise of a user whom the app's settings let it act for; nothing where there is no such
/// user, `closed()` where the settings forbid it.
fn reachable_user(
    box_: &Upstream,
    app: &App,
    id: &str,
    closed: fn() -> Refusal,
) -> Result<Option<String>, Refusal> {
    if app.is_service_account(id) {
        return Err(cannot_obtain());
    }
    let Some((enterprise, user)) = box_.user(id) else { return Ok(None) };
    if !app.authorized.contains(&enterprise.id) {
        return Ok(Some(enterprise.id.clone()));
    }
    if !app.user_tokens || (user.managed && !app.enterprise_access) {
        return Err(closed());
    }
    if user.terms_of_service_required {
        let description = "The user must accept the custom terms of service first";
        return Err(Refusal::grant("terms_of_service_required", description));
    }
    Ok(Some(enterprise.id.clone()))
}

fn full(box_: &Upstream, app: &App, enterprise: &str, subject: Subject) -> Result<Answer, Refusal> {
    let scopes = app.scopes.iter().cloned().collect();
    let token = Token::new(&app.client_id, enterprise, subject, scopes);
    let life = box_.life(app, false);
    let (text, sha256) = box_.tokens.issue(token, box_.now(), life);
    let body = serde_json::json!({
        "access_token": text, "expires_in": life, "restricted_to": [], "token_type": "bearer",
    });
    Ok(Answer::json(body).issuing(sha256))
}
