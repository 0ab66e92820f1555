//! See `fuzz::node_step`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::node_step::run(bytes));
