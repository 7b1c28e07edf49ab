//! Every private key that customers bring loads, and every other is refused for its own reason.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/keys.rs"]
mod keys;

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use box_token_broker::clock::{Clock, SystemClock};
use box_token_broker::domain::signing_key::{KeyProblem, SigningKey};
use box_token_broker::secret::SecretString;
use proptest::prelude::*;

/// What one text may cost is 300 ms; twice that is allowed here.
const LONGEST: Duration = Duration::from_millis(600);

fn parse(pem: &str, passphrase: Option<&str>) -> Result<SigningKey, KeyProblem> {
    let secret = |text: &str| SecretString::new(text.to_owned());
    SigningKey::parse(&secret(pem), passphrase.map(secret).as_ref())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let clock = SystemClock::new();
    let begin = clock.monotonic();
    (work(), clock.monotonic().since(begin))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

#[test]
fn every_form_loads_as_the_key_it_is_and_signs() {
    let dir = tempfile::tempdir().unwrap();
    let forms = keys::accepted(dir.path());
    assert!(forms.len() > 60, "{}", forms.len());
    for form in &forms {
        let name = &form.name;
        let (key, taken) = timed(|| parse(&form.pem, form.passphrase.as_deref()));
        let key = key.unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(taken < LONGEST, "{name}: {taken:?}");
        let public = keys::der::body(&form.public_pem);
        assert_eq!(key.public_sha256(), sha256_hex(&public), "{name}");

        let pair = RsaKeyPair::from_pkcs8(key.pkcs8_der().expose())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(pair.public_modulus_len(), key.bits().div_ceil(8) as usize, "{name}");
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"assertion", &mut signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public)
            .verify(b"assertion", &signature)
            .unwrap_or_else(|_| panic!("{name}: the signature is wrong"));
    }
    let same_key = |form: &&keys::KeyForm| form.public_pem == forms[0].public_pem;
    let first = parse(&forms[0].pem, forms[0].passphrase.as_deref()).unwrap();
    for form in forms.iter().filter(same_key) {
        let key = parse(&form.pem, form.passphrase.as_deref()).unwrap();
        assert!(key == first, "{}: one key has one encoding", form.name);
    }
}

#[test]
fn every_other_form_is_refused_for_its_own_reason_before_it_costs_anything() {
    let dir = tempfile::tempdir().unwrap();
    for form in keys::refused(dir.path()) {
        let name = &form.name;
        let (result, taken) = timed(|| parse(&form.pem, form.passphrase.as_deref()));
        let problem = result.err().unwrap_or_else(|| panic!("{name} was accepted"));
        assert_eq!(problem.code(), form.code, "{name}: {problem}");
        assert!(problem.to_string().contains(form.says), "{name}: {problem}");
        assert!(taken < LONGEST, "{name}: {taken:?}");

        let told = format!("{problem} {problem:?} {}", problem.fix());
        for line in form.pem.lines().filter(|line| line.len() == 64) {
            assert!(!told.contains(&line[..16]), "{name}: {told}");
        }
        if let Some(passphrase) = form.passphrase.filter(|text| text.contains(' ')) {
            assert!(!told.contains(&passphrase), "{name}: {told}");
        }
    }
}

#[test]
fn a_wrong_passphrase_is_told_as_such_also_where_its_padding_passes() {
    let dir = tempfile::tempdir().unwrap();
    let forms = keys::accepted(dir.path());
    let locked = |name: &str| forms.iter().find(|form| form.name == name).unwrap();
    for name in ["as Box makes it", "traditional PEM, -des3", "traditional PEM, -aes256"] {
        let form = locked(name);
        // One guess in 256 has a valid padding.
        for guess in 0..1500 {
            let problem = parse(&form.pem, Some(&format!("guess {guess}"))).unwrap_err();
            assert_eq!(problem, KeyProblem::WrongPassphrase, "{name}, guess {guess}");
        }
    }
}

#[test]
fn the_line_that_converts_a_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = keys::OpenSsl { dir: dir.path() };
    let mut converted = 0;
    for form in keys::refused(dir.path()) {
        let Err(problem @ (KeyProblem::UnsupportedScheme { .. } | KeyProblem::TooMuchMemory { .. })) =
            parse(&form.pem, form.passphrase.as_deref())
        else {
            continue;
        };
        let fix = problem.fix();
        let line = fix.split('`').nth(1).unwrap();
        let legacy = "-provider default -provider legacy";
        let options = line.strip_prefix("openssl ").unwrap().split(' ');
        if matches!(problem, KeyProblem::TooMuchMemory { .. }) {
            // The numbers of this one were altered, so OpenSSL cannot open it either.
            assert_eq!(line, "openssl pkcs8 -topk8 -v2 des3 -in key.pem -out converted.pem");
            continue;
        }
        assert!(fix.contains(legacy), "{fix}");
        let passphrase = format!("pass:{}", form.passphrase.clone().unwrap());
        let (from, to) = (dir.path().join("key.pem"), dir.path().join("converted.pem"));
        std::fs::write(&from, &form.pem).unwrap();
        let mut arguments: Vec<&str> = options
            .map(|option| match option {
                "key.pem" => from.to_str().unwrap(),
                "converted.pem" => to.to_str().unwrap(),
                other => other,
            })
            .chain(legacy.split(' '))
            .collect();
        arguments.extend(["-passin", &passphrase, "-passout", &passphrase]);
        openssl.run(&arguments, "");
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(parse(&text, form.passphrase.as_deref()).is_ok(), "{}", form.name);
        converted += 1;
    }
    assert!(converted > 5);
}

/// What a mutation begins with: a cheap key of each kind, and the passphrase.
fn seeds() -> &'static [(String, Option<String>)] {
    static SEEDS: std::sync::OnceLock<Vec<(String, Option<String>)>> = std::sync::OnceLock::new();
    SEEDS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let wanted = [
            "as Box makes it",
            "scrypt N = 1024, p = 2",
            "PBES2, PBKDF2 hmacWithSHA256, aes-256-cbc",
            "traditional PEM, -des3",
            "traditional PEM, -aes256",
            "PKCS#8, passphrase absent",
            "PKCS#1, passphrase absent",
        ];
        let all = keys::accepted(dir.path()).into_iter();
        let seeds: Vec<_> = all
            .filter(|form| wanted.contains(&form.name.as_str()))
            .map(|form| (form.pem, form.passphrase))
            .collect();
        assert_eq!(seeds.len(), wanted.len());
        seeds
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_with_altered_characters_never_panics(
        seed in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (pem, passphrase) = &seeds()[seed];
        let mut text: Vec<char> = pem.chars().collect();
        for (place, character) in changes {
            let place = place.index(text.len());
            text[place] = character;
        }
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        let _ = parse(&text.into_iter().collect::<String>(), passphrase.as_deref());
    }

    #[test]
    fn altered_der_never_panics(
        seed in 0..7_usize,
        changes in prop::collection::vec((0..80_usize, any::<u8>()), 1..5),
        more in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (pem, passphrase) = &seeds()[seed];
        let Some(label) = pem.strip_prefix("-----BEGIN ").and_then(|rest| rest.split("-----").next()) else {
            return Err(TestCaseError::reject("a seed has a label"));
        };
        if pem.contains("Proc-Type") {
            return Ok(());
        }
        let mut der = keys::der::body(pem);
        // Most of what is parsed, and all of the key derivation, stands in the first bytes.
        for (place, byte) in changes {
            der[place] = byte;
        }
        for (place, byte) in more {
            let place = place.index(der.len());
            der[place] = byte;
        }
        if let Some(cut) = cut {
            der.truncate(cut.index(der.len()));
        }
        let _ = parse(&keys::armoured(label, &der), passphrase.as_deref());
    }

    #[test]
    fn any_text_at_all_never_panics(text in "(-----BEGIN |-----END |RSA PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED|DEK-Info: (DES-EDE3|AES-128)-CBC,|[0-9A-F]{16}|\\PC|\n|\\\\n){0,24}") {
        prop_assert!(parse(&text, Some("x")).is_err());
    }
}
