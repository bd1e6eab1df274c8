//! The `clockwarden` binary: parse, dispatch, exit code; nothing else.

fn main() {}
