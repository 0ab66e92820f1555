//! See `fuzz::control_line`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::control_line::run(bytes));
