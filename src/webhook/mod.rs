//! The validating webhook: refuses objects whose clock settings the policies forbid.

pub mod review;
pub mod ruling;
pub mod verdict;
pub mod words;
