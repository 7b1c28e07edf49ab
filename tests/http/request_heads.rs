//! What a request's head may say of the request and of who sends it.

use crate::harness::Harness;
use crate::http_conventions::asked;
use crate::response::Reply;

#[tokio::test]
async fn a_request_id_is_echoed_where_it_is_plain() {
    let harness = Harness::new().await;
    let ask = async |sent: &[u8]| {
        let request = harness.http.get(harness.url("/v1/whoami")).bearer_auth(&harness.admin);
        let value = reqwest::header::HeaderValue::from_bytes(sent).unwrap();
        Reply::of(request.header("x-request-id", value).send().await.unwrap()).await
    };
    let longest = "x".repeat(64);
    for plain in ["a", "7f3c-21_Z", &longest] {
        assert_eq!(ask(plain.as_bytes()).await.header("x-request-id"), plain);
    }
    let longer = "x".repeat(65);
    for other in ["", "a b", "a.b", "a\tb", "<script>", "ä", &longer] {
        let reply = ask(other.as_bytes()).await;
        let given = reply.header("x-request-id");
        assert!(given.starts_with("req_") && given != other, "{given}");
    }
    let (one, other) = (ask(b"").await, ask(b"").await);
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
    // A problem carries it in its body too, which every reply is checked for.
    let request = harness.http.get(harness.url("/nowhere")).header("x-request-id", "mine");
    let problem = Reply::of(request.send().await.unwrap()).await.refuses(404, "not_found");
    assert_eq!(problem["request_id"], "mine");
    harness.end().await;
}

#[tokio::test]
async fn there_is_one_credential_and_it_is_a_bearer() {
    let harness = Harness::new().await;
    let key = harness.admin.clone();
    let whoami = async |headers: &[(&str, String)]| {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        asked(&harness, "GET", "/v1/whoami", &lines).await
    };
    let bearer = |key: &str| ("authorization", format!("Bearer {key}"));
    for good in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(whoami(&[("Authorization", format!("{good} {key}"))]).await.0, 200, "{good}");
    }
    for wrong in [
        &[][..],
        &[bearer(&key), bearer(&key)],
        &[bearer(&key), bearer("btb_x_y")],
        &[("authorization", format!("Basic {key}"))],
        &[("authorization", key.clone())],
        &[("authorization", "Bearer".to_owned())],
        &[("authorization", format!("Bearer {key} {key}"))],
        &[("authorization", format!("Bearer {key}, Bearer {key}"))],
        &[bearer(&key[..key.len() - 1])],
        &[bearer(&key.to_uppercase())],
        &[bearer(&format!("{key}x"))],
        &[bearer("")],
        &[bearer("\u{e4}")],
        &[("x-api-key", key.clone())],
        &[("cookie", format!("authorization={key}"))],
        &[("proxy-authorization", format!("Bearer {key}"))],
    ] {
        let (status, answer) = whoami(wrong).await;
        assert_eq!(status, 401, "{wrong:?}: {answer}");
        assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    }
    let (status, _) = asked(&harness, "GET", &format!("/v1/whoami?access_token={key}"), "").await;
    assert_eq!(status, 401);
    harness.end().await;
}
