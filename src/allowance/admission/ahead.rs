//! How many places are served before a given one.

/// The number of places that are served before a given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ahead {
    /// All places.
    pub all: u32,
    /// The places of its network.
    pub network: u32,
    /// The places of its source.
    pub source: u32,
    /// The places with bad codes.
    pub suspects: u32,
}
