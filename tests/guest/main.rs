//! The real agent in a virtual machine, whose clock may be set, slewed, stopped and put to sleep.
//!
//! Nothing here touches this machine's clock. The guest is a QEMU that emulates its processor, so that it needs no
//! rights and no `/dev/kvm`; its kernel and everything else that it is made of, `scripts/guest` finds or fetches.
//!
//! ```text
//! this machine                                        the guest (10.0.2.15)
//! Machine ──QMP──▶ QEMU: stop, cont, wake-up          /init = this test binary as process 1 (init.rs)
//! Orders  ──TCP──────────────────────────────────────▶  sets, slews, suspends the guest's clock
//! Witness ──HTTP─────────────────────────────────────▶ clockwarden agent (the binary that was built here)
//! two chronyd -x on 127.0.0.1 ◀──NTP, as 10.0.2.2───────┘
//! ```
//!
//! One machine for all events, since it takes some seconds to start: `events.rs`. Verdicts never depend on how fast
//! this machine is; deadlines are generous. Where a guest cannot be had, the test says so on stderr, and passes.

#[path = "../support/mod.rs"]
mod support;

mod cpio;
mod events;
mod image;
mod init;
mod machine;
mod orders;
mod parts;
mod qmp;
mod witness;
