//! The file of an agent's history.
#![no_main]

#[path = "../checks/history_file.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
