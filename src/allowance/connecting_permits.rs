//! The number of permits that the budget has for connecting.

/// The permits for connecting at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectingPermits {
    /// Slots that connecting occupies, including callers that wait for one.
    pub used: u32,
    /// Permits that connecting would get now, one after the other.
    pub left: u32,
}
