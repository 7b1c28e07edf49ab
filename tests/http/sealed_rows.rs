//! Sealed values that a hand damages or moves: they are refused or minted anew, each alone.

use crate::database::Hand;
use crate::tampering_fixture::Scene;

/// Statements that flip a bit of a sealed value: in its first, a middle and its last byte.
async fn flips(scene: &Scene, table: &str, row: &str) -> Vec<String> {
    let hand = scene.harness.hand();
    let hex = match hand {
        Hand::Sqlite(_) => "lower(hex(sealed))",
        Hand::Postgres(_) => "encode(sealed, 'hex')",
    };
    let sealed = hand.reads(&format!("SELECT {hex} FROM {table} WHERE {row}")).await;
    let sealed = data_encoding::HEXLOWER.decode(sealed[0].as_bytes()).unwrap();
    let flip = |place: usize| {
        let mut sealed = sealed.clone();
        sealed[place] ^= 1;
        let value = hand.bytes(&data_encoding::HEXLOWER.encode(&sealed));
        format!("UPDATE {table} SET sealed = {value} WHERE {row}")
    };
    [0, sealed.len() / 2, sealed.len() - 1].map(flip).into()
}

#[tokio::test]
async fn s2_damaged_or_swapped_credentials_sign_nothing() {
    let mut scene = Scene::new().await;
    let (own, other) = (Scene::app(&scene.acme).to_owned(), Scene::app(&scene.globex).to_owned());
    let mut edits = flips(&scene, "credentials", &format!("app_id = '{own}'")).await;
    scene.harness.hand().does("CREATE TABLE kept AS SELECT * FROM credentials").await;
    let foreign = format!(
        "UPDATE credentials SET sealed = (SELECT sealed FROM kept WHERE app_id = '{other}') WHERE app_id = '{own}'"
    );
    edits.push(foreign);
    for sql in edits {
        let asked = scene.harness.count("path=/oauth2/token").await;
        scene.written(&sql).await;
        let problem = scene.fresh().await.refuses(500, "sealed_data_refused");
        assert_eq!(problem["scope"], "tenant");
        assert_eq!(scene.harness.count("path=/oauth2/token").await, asked, "{sql}");
        scene.bystander_is_served().await;
        let test =
            scene.harness.call(&scene.harness.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
        assert_eq!(test["diagnosis"][0]["code"], "sealed_data_refused");
        // What is warm is no part of the damage.
        scene.harness.token(&scene.strong, "acme").await.token();
        scene.written("DELETE FROM credentials").await;
        scene.written("INSERT INTO credentials SELECT * FROM kept").await;
    }
    scene.fresh().await.token();
    scene.end().await;
}

#[tokio::test]
async fn s3_damaged_or_swapped_tokens_are_minted_anew() {
    let mut scene = Scene::new().await;
    let kept = scene.harness.token(&scene.strong, "acme").await.token();
    let others = scene.harness.token(&scene.bystander, "globex").await.token();
    let (acme, globex) = (Scene::id(&scene.acme).to_owned(), Scene::id(&scene.globex).to_owned());
    scene.harness.restart().await;
    assert_eq!(scene.harness.token(&scene.strong, "acme").await.token(), kept, "rows outlive the process");
    scene.harness.hand().does("CREATE TABLE kept AS SELECT * FROM tokens WHERE discarded = 0").await;
    let from = |column: &str| format!("{column} = (SELECT {column} FROM kept WHERE tenant_id = '{globex}')");
    let all = ["tenant_id", "app_id", "key_digest", "generation"]
        .map(|column| format!("{column} = (SELECT {column} FROM kept WHERE tenant_id = '{acme}')"));
    let mut edits = flips(&scene, "tokens", &format!("tenant_id = '{acme}'")).await;
    edits.extend([
        format!("UPDATE tokens SET {} WHERE tenant_id = '{acme}'", from("sealed")),
        format!(
            "UPDATE tokens SET {}, {}, {} WHERE tenant_id = '{acme}'",
            from("sealed"),
            from("mac"),
            from("mac_key")
        ),
        format!("UPDATE tokens SET expires_at = expires_at + 1 WHERE tenant_id = '{acme}'"),
        // The other tenant's token, filed as acme's.
        format!(
            "DELETE FROM tokens WHERE tenant_id = '{acme}'; UPDATE tokens SET {} WHERE tenant_id = '{globex}'",
            all.join(", ")
        ),
    ]);
    for sql in edits {
        scene.written(&sql).await;
        let given = scene.harness.token(&scene.strong, "acme").await.token();
        assert!(given != kept && given != others, "{sql}");
        assert_eq!(scene.harness.at_box(&given, "/2.0/users/me").await, 200);
        let theirs = scene.harness.token(&scene.bystander, "globex").await.token();
        assert!(theirs != given && theirs != kept, "{sql}");
        scene.written("DELETE FROM tokens").await;
        scene.written("INSERT INTO tokens SELECT * FROM kept").await;
    }
    assert_eq!(scene.harness.token(&scene.strong, "acme").await.token(), kept);
    scene.end().await;
}
