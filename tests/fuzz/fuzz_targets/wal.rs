//! See `fuzz::wal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::wal::run(bytes));
