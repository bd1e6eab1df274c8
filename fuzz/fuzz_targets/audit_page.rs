#![no_main]

#[path = "../checks/audit_page.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
