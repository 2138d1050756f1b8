//! Why an attempt to connect may not begin.

/// Reasons for which an attempt may not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// The window has no permit for it.
    NoPermit,
    /// Its source or its network has reached this limit of permits in the window.
    OwnShare(u32),
    /// Its source, network or user presented bad codes, and such attempts get few permits.
    BadCodes,
    /// Its network has reached its limit of attempts in progress.
    UnderWay,
}
