#![no_main]

mod bounds;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bounds::within(
    box_token_broker_fuzz::scopes_resources::run,
    input
));
