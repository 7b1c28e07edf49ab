//! Randomness and keys that are the same in every run.

use box_token_broker::crypto::{KeySet, Vault};
use box_token_broker::entropy::Entropy;

/// Randomness that the input decides: the same bytes each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated<'a>(pub(crate) &'a [u8]);

impl Entropy for Repeated<'_> {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.iter().fold(1, |state, byte| mixed(state ^ u64::from(*byte)));
        for byte in bytes {
            state = mixed(state);
            *byte = state.to_le_bytes()[7];
        }
    }
}

/// A step of a generator that never stands still (Knuth's constants).
fn mixed(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// A vault over keys that nobody else has.
pub(crate) fn vault() -> Vault {
    let entropy = Repeated(b"the keys of the fuzzer");
    let Ok(vault) = Vault::local(&KeySet::generate(&entropy), std::sync::Arc::new(entropy)) else {
        panic!("a set that was generated has every key")
    };
    vault
}
