//! Settings of the check of API keys.

use super::{layers::Layers, server::ServerSection};

/// How API keys are checked.
#[derive(Clone, Debug)]
pub struct KeysSection {
    /// The bcrypt cost of one hash.
    pub bcrypt_cost: u32,
    /// The number of hashes that may run at the same time.
    pub bcrypt_parallel: usize,
    /// The number of verified keys in the cache.
    pub cache_entries: usize,
    /// Failures after which an address has to wait.
    pub failures_per_address: u32,
    /// The same per key prefix.
    pub failures_per_lookup_id: u32,
    /// How long a failure counts.
    pub failure_minutes: u32,
}

pub(super) fn keys(layers: &mut Layers, server: &ServerSection) -> KeysSection {
    let keys = KeysSection {
        bcrypt_cost: layers.number("keys.bcrypt_cost", 4..=15),
        bcrypt_parallel: layers.number("keys.bcrypt_parallel", 1..=64),
        cache_entries: layers.number("keys.cache_entries", 1..=10_000_000),
        failures_per_address: layers.number("keys.failures_per_address", 1..=1_000_000),
        failures_per_lookup_id: layers.number("keys.failures_per_lookup_id", 1..=1_000_000),
        failure_minutes: layers.number("keys.failure_minutes", 1..=1440),
    };
    if keys.bcrypt_cost < 10 && !server.is_loopback_only() {
        let what = format!("{} is too low if server.bind (BIND) is not loopback", keys.bcrypt_cost);
        layers.refuse("keys.bcrypt_cost", what, "set it to 10 or more, or remove it");
    }
    keys
}
