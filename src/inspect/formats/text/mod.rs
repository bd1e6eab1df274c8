//! What the formats' readers stand on: a cursor that knows its place, places of bytes, and maps with repeated blocks.
//!
//! Does not know: any format.

mod block;
mod cursor;
mod places;

pub(super) use block::{Block, Section};
pub(super) use cursor::Cursor;
pub(super) use places::Places;
