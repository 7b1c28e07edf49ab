//! The matrix of isolation: every operation of the OpenAPI document by everybody who may not, and by
//! those who may.

use std::path::Path;
use std::time::Duration;

use box_token_broker::domain::grant::Permission;
use serde_json::{Value, json};

use crate::hidden_tenants::without_ids;
use crate::matrix_fixture::{
    Credential, SESSION, Scene, all_but, bearer, grant, grant_on, is_a_clients, never,
};
use crate::matrix_operations::{About, Operation, Recorded, Things, operations};
use crate::response::Reply;

/// An answer but for what differs between any two.
type Told = (u16, Vec<(String, String)>, Value);

/// The document that is checked in; `tests/openapi.rs` compares it with the routes.
pub(crate) fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The one text of each refusal, whoever is refused what.
#[derive(Default)]
struct Texts {
    unauthenticated: Option<Told>,
    forbidden: Option<Told>,
}

/// Compares a refusal with the first of its kind.
#[track_caller]
fn is_like_the_first(first: &mut Option<Told>, reply: Reply, what: &str) {
    let told = without_ids(reply);
    assert_eq!(first.get_or_insert_with(|| told.clone()), &told, "{what}");
}

#[tokio::test]
async fn s6_every_operation_is_refused_to_everybody_but_those_who_may() {
    let mut scene = Scene::new().await;
    let (mut texts, mut as_box) = (Texts::default(), Texts::default());
    let operations = operations(&box_token_broker::http::routes()).unwrap();
    assert!(operations.len() > 30);
    for operation in &operations {
        if operation.row.about == About::Page {
            no_callers_credential_opens(&mut scene, operation).await;
            continue;
        }
        let (first, second) = (scene.things_for(operation).await, scene.things_for(operation).await);
        let (name, right) = scene.right_caller(operation, &first).await;
        let texts = if operation.row.form.is_some() { &mut as_box } else { &mut texts };
        let lacking = lacking(&mut scene, operation, &first).await;
        let before = scene.state().await;
        strangers_are_refused(&mut scene, operation, &first, texts).await;
        for (name, credential) in &lacking {
            let reply = scene.ask((name, credential), operation, &first).await;
            if operation.keeps_quiet() {
                scene.is_quiet(operation, name, &reply);
                continue;
            }
            assert_eq!(reply.status, 403, "{} without its permission: {reply:?}", operation.id);
            is_like_the_first(&mut texts.forbidden, reply, &operation.id);
        }
        foreigners_see_nothing(&mut scene, operation, &first, texts).await;
        nothing_of_others(&mut scene, (&name, &right), operation, [&first, &second]).await;
        assert_eq!(scene.state().await, before, "{} was refused, and did something", operation.id);

        // What was refused all the time is given to those who may.
        let admin = bearer(&scene.harness.admin);
        is_given(&mut scene, (&name, &right), operation, first).await;
        is_given(&mut scene, ("root", &admin), operation, second).await;
        // So that nobody asks all of it in one second.
        scene.harness.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(scene.recorded_refusals().await, scene.refused);
    scene.harness.end().await;
}

/// Whoever proves to be nobody is told the same, whatever they ask for.
async fn strangers_are_refused(scene: &mut Scene, operation: &Operation, things: &Things, texts: &mut Texts) {
    for (what, credential) in scene.strangers.clone() {
        let reply = scene.ask((what, &credential), operation, things).await;
        if operation.keeps_quiet() && !is_a_clients(&credential) {
            scene.is_quiet(operation, "unknown", &reply);
            continue;
        }
        assert_eq!(reply.status, 401, "{} with {what}: {reply:?}", operation.id);
        is_like_the_first(&mut texts.unauthenticated, reply, &format!("{} with {what}", operation.id));
    }
}

/// What opens callers, an admin too, is no session.
async fn no_callers_credential_opens(scene: &mut Scene, operation: &Operation) {
    let mut told = None;
    let things = scene.things_for(operation).await;
    let mut everybody = scene.strangers.clone();
    everybody.retain(|(what, _)| *what != SESSION);
    everybody.extend(scene.foreigners.clone());
    everybody.push(("an admin's key", bearer(&scene.harness.admin)));
    for (what, credential) in everybody {
        let reply = scene.ask((what, &credential), operation, &things).await;
        assert_eq!(reply.status, 401, "{} with {what}: {reply:?}", operation.id);
        is_like_the_first(&mut told, reply, &format!("{} with {what}", operation.id));
    }
    scene.harness.clock.advance(Duration::from_secs(1));
}

/// Callers that hold every permission but the one that is needed; and for what needs a grant on every
/// tenant, one that holds all of them on one tenant alone.
async fn lacking(scene: &mut Scene, operation: &Operation, things: &Things) -> Vec<(String, Credential)> {
    let Some(permission) = operation.permission else { return Vec::new() };
    let mut grants = vec![grant_on(&things.tenant, all_but(permission)), grant("*", &all_but(permission))];
    if operation.everywhere {
        grants.push(grant_on(&things.tenant, Permission::ALL));
    }
    let mut callers = Vec::new();
    for grants in grants {
        callers.push(scene.new_caller("admin", grants).await);
    }
    callers
}

/// Callers of another tenant, with every permission there, are told what they would be told if this
/// one's things had never been.
async fn foreigners_see_nothing(
    scene: &mut Scene,
    operation: &Operation,
    things: &Things,
    texts: &mut Texts,
) {
    for (name, credential) in scene.foreigners.clone() {
        let expected = match (operation.row.about, name) {
            (About::Tenant, _) | (About::Caller, "foreign-admin") => 404,
            (About::Grants, "foreign-admin") => 422,
            (About::List, "foreign-admin") | (About::Oneself, _) => 200,
            _ => 403,
        };
        for (there, absent) in pairs(scene, operation, things).await {
            let foreign = scene.ask((name, &credential), operation, &there).await;
            let none = scene.ask((name, &credential), operation, &absent).await;
            if operation.keeps_quiet() {
                scene.is_quiet(operation, name, &foreign);
                scene.is_quiet(operation, name, &none);
                continue;
            }
            let what = format!("{} by {name} of {there:?}", operation.id);
            assert_eq!((foreign.status, none.status), (expected, expected), "{what}: {foreign:?}");
            if expected == 200 {
                tells_nothing_of(&foreign, scene, &what);
                continue;
            }
            let (foreign, none) = (without_ids(foreign), without_ids(none));
            assert_eq!(foreign, none, "{what}");
            if expected == 403 {
                assert_eq!(Some(&foreign), texts.forbidden.as_ref(), "{what}");
            }
        }
    }
}

/// Things of others, each beside the same things but for one that never was: by name and by id, in
/// every state.
async fn pairs(scene: &Scene, operation: &Operation, things: &Things) -> Vec<(Things, Things)> {
    let mut pairs = Vec::new();
    let mut pair = |change: &dyn Fn(&mut Things, &str), there: &str, absent: &str| {
        let (mut one, mut other) = (things.clone(), things.clone());
        change(&mut one, there);
        change(&mut other, absent);
        pairs.push((one, other));
    };
    match operation.row.about {
        About::Tenant | About::Grants => {
            for (name, id) in &scene.hidden {
                pair(&|things, tenant| things.tenant = tenant.to_owned(), name, "nobody");
                pair(&|things, tenant| things.tenant = tenant.to_owned(), id, &never(id));
            }
        }
        About::Caller => {
            let id = scene.id_of(&format!("callers/{}", things.caller)).await;
            pair(&|things, caller| things.caller = caller.to_owned(), &things.caller, "nobody");
            pair(&|things, caller| things.caller = caller.to_owned(), &id, &never(&id));
        }
        About::Broker if operation.path.contains("{app}") => {
            let id = scene.id_of(&format!("apps/{}", things.app)).await;
            pair(&|things, app| things.app = app.to_owned(), &things.app, "nothing");
            pair(&|things, app| things.app = app.to_owned(), &id, &never(&id));
        }
        About::Broker | About::List | About::Oneself | About::Page => {
            pairs.push((things.clone(), things.clone()))
        }
    }
    pairs
}

/// Nothing in an answer names a tenant that is not the reader's, or a caller of one.
#[track_caller]
fn tells_nothing_of(reply: &Reply, scene: &Scene, what: &str) {
    let text = reply.body.to_string();
    let names = scene.hidden.iter().flat_map(|(name, id)| [name.as_str(), id.as_str()]);
    for name in names.chain(["root", "caller-", "asker-"]) {
        assert!(!text.contains(name), "{what}: {name} in {text}");
    }
}

/// Whoever may do it to one thing cannot do it to what belongs to another: a key or a trust of another
/// caller, a keypair of another tenant or app, a tenant's own app as if it were a shared one.
async fn nothing_of_others(
    scene: &mut Scene,
    who: (&str, &Credential),
    operation: &Operation,
    [own, others]: [&Things; 2],
) {
    let mut pairs = Vec::new();
    if operation.path.contains("{keypair}") {
        let of_tenant = operation.row.about == About::Tenant;
        let keypair = if of_tenant { scene.others_keypair.clone() } else { others.keypair.clone() };
        let absent = never(&keypair);
        pairs.push([keypair, absent].map(|keypair| Things { keypair, ..own.clone() }));
    }
    if operation.path.contains("{key}") {
        let keys = [others.key.clone(), never(&others.key)];
        pairs.push(keys.map(|key| Things { key, ..own.clone() }));
    }
    if operation.path.contains("{trust}") {
        let trusts = [others.trust.clone(), never(&others.trust)];
        pairs.push(trusts.map(|trust| Things { trust, ..own.clone() }));
    }
    if operation.path.contains("{session}") {
        let sessions = [others.session.clone(), never(&others.session)];
        pairs.push(sessions.map(|session| Things { session, ..own.clone() }));
    }
    if operation.path.contains("{app}") {
        let acme = scene.harness.get(&scene.harness.admin, "/v1/tenants/acme").await.is(200);
        let app = acme["app"]["id"].as_str().unwrap().to_owned();
        pairs.push([app.clone(), never(&app)].map(|app| Things { app, ..own.clone() }));
    }
    for [there, absent] in pairs {
        let there = scene.ask(who, operation, &there).await;
        let absent = scene.ask(who, operation, &absent).await;
        assert_eq!(there.status, 404, "{}: {there:?}", operation.id);
        assert_eq!(without_ids(there), without_ids(absent), "{}", operation.id);
    }
}

/// Whoever may is given it, and the audit tells who it was.
async fn is_given(scene: &mut Scene, who: (&str, &Credential), operation: &Operation, things: Things) {
    let things = Things { asker: who.0.to_owned(), ..things };
    let reply = scene.ask(who, operation, &things).await;
    let what = format!("{} by {}", operation.id, who.0);
    assert!(operation.successes.contains(&reply.status), "{what}: {reply:?}");
    let action = match operation.row.recorded {
        Recorded::Declared => operation.audit.as_str(),
        Recorded::As(action) => action,
        Recorded::Nothing => return,
    };
    scene.harness.broker().write_counts().await;
    let path = format!("/v1/audit?outcome=done&action={action}&caller={}&limit=200", who.0);
    let records = scene.harness.get(&scene.harness.admin, &path).await.is(200);
    let request_id = json!(reply.header("x-request-id"));
    let is_it = |record: &&Value| record["request_id"] == request_id && record["caller"]["name"] == who.0;
    assert!(records["items"].as_array().unwrap().iter().any(|record| is_it(&record)), "{what}: {records:#}");
}
