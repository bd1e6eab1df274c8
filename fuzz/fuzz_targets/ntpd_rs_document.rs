#![no_main]

#[path = "../checks/ntpd_rs_document.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
