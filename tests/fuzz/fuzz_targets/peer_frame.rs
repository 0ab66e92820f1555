//! See `fuzz::peer_frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::peer_frame::run(bytes));
