//! The recipients of tokens.

use box_token_broker::domain::audit_event::Credential;
use box_token_broker::domain::id::{CallerId, KeyId};
use box_token_broker::domain::recipient::Recipient;
use box_token_broker::store::TokenRecipient;

use super::harness::Harness;
use super::sample_rows::{at, token_key};

fn receiver(caller: &str, key: &str) -> Recipient {
    Recipient::new(&CallerId::parse(caller).unwrap(), &Credential::Key(KeyId::parse(key).unwrap()))
}

pub(crate) async fn recipients_are_read_with_their_token_and_erased_with_it(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (short, _) = harness.save(&key, &app, 600, false).await;
    let (long, _) = harness.save(&key, &app, 3600, false).await;
    let giving = |token, seconds, receiver: Recipient| TokenRecipient {
        token,
        expires_at: at(seconds),
        recipient: receiver,
    };
    let (one, two) = (receiver("cal_a", "key_a"), receiver("cal_a", "key_b"));
    let all = [
        giving(short.clone(), 600, one.clone()),
        giving(long.clone(), 3600, one.clone()),
        giving(long.clone(), 3600, two.clone()),
    ];
    harness.store.save_recipients(&all).await.unwrap();
    harness.store.save_recipients(&all[1..]).await.unwrap();
    assert_eq!(harness.store.recipients(&short).await, Ok(vec![one.clone()]));
    let both = harness.store.recipients(&long).await.unwrap();
    assert!(both.len() == 2 && both.contains(&one) && both.contains(&two), "{both:?}");
    harness.store.delete_expired(at(600)).await.unwrap();
    assert_eq!(harness.store.recipients(&short).await, Ok(Vec::new()));
    assert_eq!(harness.store.recipients(&long).await.unwrap().len(), 2);
}

pub(crate) async fn invariant_6_an_altered_or_moved_recipient_is_refused_alone(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (token, _) = harness.save(&key, &app, 600, false).await;
    let (other, _) = harness.save(&key, &app, 3600, false).await;
    let (one, two) = (receiver("cal_a", "key_a"), receiver("cal_b", "key_b"));
    let of = |token: &box_token_broker::domain::id::TokenId, receiver: &Recipient| TokenRecipient {
        token: token.clone(),
        expires_at: at(3600),
        recipient: receiver.clone(),
    };
    harness.store.save_recipients(&[of(&token, &one), of(&other, &two)]).await.unwrap();
    let hand = &harness.database.hand;
    hand.does("CREATE TABLE kept AS SELECT * FROM given").await;
    for sql in [
        format!("UPDATE given SET token_id = '{token}' WHERE token_id = '{other}'"),
        format!(
            "INSERT INTO given SELECT '{token}', 'x', expires_at, doc, mac_key, mac FROM given WHERE token_id = '{other}'"
        ),
    ] {
        hand.does(&sql).await;
        assert_eq!(harness.store.recipients(&token).await, Ok(vec![one.clone()]), "{sql}");
        hand.does("DELETE FROM given").await;
        hand.does("INSERT INTO given SELECT * FROM kept").await;
    }
    for change in ["doc = replace(doc, 'cal_a', 'cal_b')", "expires_at = expires_at + 1", "mac_key = 'x'"] {
        hand.does(&format!("UPDATE given SET {change} WHERE token_id = '{token}'")).await;
        assert_eq!(harness.store.recipients(&token).await, Ok(Vec::new()), "{change}");
        assert_eq!(harness.store.recipients(&other).await, Ok(vec![two.clone()]), "{change}");
        hand.does("DELETE FROM given").await;
        hand.does("INSERT INTO given SELECT * FROM kept").await;
    }
}

pub(crate) async fn a_token_is_found_by_its_fingerprint_until_it_expires_or_is_discarded(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (token, _) = harness.save(&key, &app, 600, false).await;
    let fingerprints = harness.database.hand.reads("SELECT fingerprint FROM tokens").await;
    let [fingerprint] = &fingerprints[..] else { panic!("one token: {fingerprints:?}") };
    let found =
        async |seconds| harness.store.live_token_by_fingerprint(fingerprint, at(seconds)).await.unwrap();
    assert_eq!(found(0).await.map(|found| found.id), Some(token.clone()));
    assert_eq!(found(600).await, None);
    assert_eq!(harness.store.live_token_by_fingerprint("another", at(0)).await, Ok(None));
    harness.store.discard_tokens(std::slice::from_ref(&token)).await.unwrap();
    assert_eq!(found(0).await, None);
    harness.database.hand.does("UPDATE tokens SET discarded = 0").await;
    assert_eq!(found(0).await, None, "the mark is not taken away by hand");
}
