//! What is known about each product's clock-skew settings: data, read once.

use std::sync::LazyLock;

/// Every product that we know, ready to be searched.
#[derive(Debug, Default)]
pub struct Catalogue {}

impl Catalogue {
    /// The catalogue that is built into the program, parsed once.
    #[must_use]
    pub fn builtin() -> &'static Catalogue {
        static BUILTIN: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);
        &BUILTIN
    }
}
