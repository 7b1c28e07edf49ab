//! A searcher that finds nothing proves nothing: here it finds what was put there.

use box_sandbox::AppPrivateKey;
use box_token_broker::entropy::{Entropy as _, SystemEntropy, random_base62};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

use crate::encodings::forms;
use crate::private_key;
use crate::searcher::{Canary, Searcher};

/// A text as a token is one, a text that every encoding changes, and bytes as a key is made of.
fn secrets() -> [Vec<u8>; 3] {
    let mut bytes = vec![0; 32];
    SystemEntropy.fill(&mut bytes);
    let text =
        format!("{}/\"\\+\n ä{}", random_base62(&SystemEntropy, 12), random_base62(&SystemEntropy, 12));
    [random_base62(&SystemEntropy, 32).into_bytes(), text.into_bytes(), bytes]
}

#[test]
fn s1_the_searcher_finds_a_planted_secret_in_every_form_at_every_alignment_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("base/16384");
    std::fs::create_dir_all(&deep).unwrap();
    for secret in secrets() {
        let searcher = Searcher::new(&[Canary::new("it", &secret)]);
        for form in forms(&secret) {
            for before in 0..5 {
                let mut page = vec![b'='; 8192 + before];
                page.extend(&form.bytes);
                page.extend([0; 100]);
                std::fs::write(deep.join("2619"), page).unwrap();
                let (found, size) = searcher.find_below(folder.path());
                assert!(size > 8192 && found.iter().any(|line| line.ends_with(&form.name)), "{form:?}");
            }
        }
        std::fs::write(deep.join("2619"), vec![b'='; 8192]).unwrap();
        assert!(searcher.find_below(folder.path()).0.is_empty(), "it finds what is not there");
    }
}

#[test]
fn s8_the_searcher_finds_a_planted_secret_in_a_line_of_a_log_however_it_was_encoded() {
    for secret in secrets() {
        let searcher = Searcher::new(&[Canary::new("it", &secret)]);
        let mut texts = vec![
            hex::encode(&secret),
            hex::encode_upper(&secret),
            format!("{secret:?}"),
            serde_json::to_string(&secret).unwrap(),
            secret.escape_ascii().to_string(),
            url::form_urlencoded::byte_serialize(&secret).collect(),
        ];
        if let Ok(text) = std::str::from_utf8(&secret) {
            texts.extend([format!("{text:?}"), serde_json::to_string(text).unwrap(), text.to_owned()]);
        }
        for shift in 0..6 {
            let around = [&b"before"[..shift], &secret, b"behind"].concat();
            texts.extend([BASE64.encode(&around), BASE64URL.encode(&around), BASE64_NOPAD.encode(&around)]);
        }
        for text in texts {
            let log = format!("{{\"level\":\"TRACE\",\"message\":\"sent {text}, and waits\"}}\n");
            assert!(!searcher.find("the log", log.as_bytes()).is_empty(), "{text}");
        }
        assert!(searcher.find("the log", b"{\"level\":\"TRACE\"}\n").is_empty());
    }
}

#[test]
fn s1_the_searcher_finds_a_private_key_in_whichever_format_it_was_put_down() {
    let key = AppPrivateKey::generate(2048);
    let parsed = private_key::parse(&key);
    let (pkcs8, pkcs1) = (parsed.to_pkcs8_der().unwrap(), parsed.to_pkcs1_der().unwrap());
    let pems = [key.to_pem(), parsed.to_pkcs1_pem(LineEnding::LF).unwrap().to_string()];
    let mut canaries = private_key::canaries("key", &key);
    canaries.extend(pems.iter().flat_map(|pem| private_key::lines("key", pem)));
    let searcher = Searcher::new(&canaries);
    for der in [pkcs8.as_bytes(), pkcs1.as_bytes()] {
        let found = searcher.find("", der);
        assert_eq!(found.len(), 3, "d, p and q: {found:?}");
        for shift in 0..3 {
            let text = BASE64.encode(&[&[7; 2][..shift], der].concat());
            assert_eq!(
                searcher.find("", text.as_bytes()).iter().filter(|line| line.contains("'s ")).count(),
                3
            );
        }
        assert!(!searcher.find("", hex::encode(der).as_bytes()).is_empty());
    }
    for pem in &pems {
        let config = serde_json::json!({ "privateKey": pem }).to_string();
        assert!(searcher.find("", pem.as_bytes()).len() > 5);
        assert!(searcher.find("", config.as_bytes()).len() > 5, "line breaks in JSON");
        assert!(!searcher.find("", pem.lines().collect::<String>().as_bytes()).is_empty(), "in one line");
    }
    let public = key.public_pem();
    assert!(searcher.find("", public.as_bytes()).is_empty(), "the public half is no secret");
}
