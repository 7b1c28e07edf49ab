//! What is left of a purged tenant in SQLite's files: that it was there once, in the audit, and
//! nothing else, not even of what was no secret. (Postgres keeps old versions of rows until it is
//! vacuumed, and in its write-ahead log.)

use serde_json::{Value, json};

use crate::api_client::Visitor;
use crate::customers::Cast;
use crate::process::Place;

#[tokio::test(flavor = "multi_thread")]
async fn s1_of_a_purged_tenant_the_files_hold_its_name_in_the_audit_and_nothing_else() {
    let cast = Cast::assemble().await;
    let visitor = Visitor::new();
    let place = Place::new(&cast.sandbox.url(), &[]).await;
    if place.postgres().is_some() {
        return place.end().await;
    }
    let admin = place.new_admin("root").await;
    let serving = place.serve().await;
    let customers = &cast.customers[..5];
    for (at, customer) in customers.iter().enumerate() {
        let mut body = customer.registration.clone();
        body["tenant"] = json!(format!("name-of-no-{at}"));
        body["display_name"] = json!(format!("Display Name Of No {at}"));
        body["labels"] = json!({ "contract": format!("label-of-no-{at}") });
        visitor.gets(&serving, &admin, ("POST", "/v1/tenants"), &body).await;
    }
    visitor.gets(&serving, &admin, ("DELETE", "/v1/tenants/name-of-no-2?purge=now"), &Value::Null).await;
    serving.stop().await;

    let files: Vec<_> = std::fs::read_dir(place.data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let bytes: Vec<u8> = files.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    let count = |text: &str| bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
    for (at, customer) in customers.iter().enumerate() {
        let is_there = at != 2;
        let own =
            [format!("Display Name Of No {at}"), format!("label-of-no-{at}"), customer.app.client_id.clone()];
        for text in own {
            assert_eq!(count(&text) > 0, is_there, "{text}");
        }
        let audited = format!("name-of-no-{at} for enterprise {}", customer.app.enterprise_id);
        assert_eq!(count(&audited), 1, "{audited}");
        for text in [format!("name-of-no-{at}"), customer.app.enterprise_id.clone()] {
            assert_eq!(count(&text) > 1, is_there, "{text} beside the audit");
        }
    }
    place.end().await;
    cast.sandbox.stop().await;
}
