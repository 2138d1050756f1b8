//! Limits on fetches per host, domain or network, so that one unresponsive host does not block the documents of others.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::{Ipv4Net, Ipv6Net};
use tokio::sync::Semaphore;

/// Counts the running and waiting fetches per place.
pub(super) struct ConcurrencyLimits<Place: Hash + Eq> {
    /// The maximum number of running fetches per place.
    max_running: usize,
    /// The maximum number of running and waiting fetches per place.
    max_total: usize,
    all: Mutex<HashMap<Place, PlaceLimit>>,
}

struct PlaceLimit {
    count: usize,
    slots: Arc<Semaphore>,
}

impl<Place: Hash + Eq + Clone> ConcurrencyLimits<Place> {
    pub(super) fn new(max_running: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { max_running, max_total: max_running + waiting, all: Mutex::default() })
    }

    /// Joins a place; `None` if the place is full.
    pub(super) fn join(self: &Arc<Self>, place: &Place) -> Option<SlotHolder<Place>> {
        let mut all = self.lock();
        let limit = all
            .entry(place.clone())
            .or_insert_with(|| PlaceLimit { count: 0, slots: Arc::new(Semaphore::new(self.max_running)) });
        if limit.count >= self.max_total {
            return None;
        }
        limit.count += 1;
        let slots = limit.slots.clone();
        Some(SlotHolder { limits: self.clone(), place: place.clone(), slots })
    }

    /// Ignores poisoning: a panic under this lock leaves no partial update.
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, PlaceLimit>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One fetch at a place. Leaves the place when dropped.
pub(super) struct SlotHolder<Place: Hash + Eq + Clone> {
    limits: Arc<ConcurrencyLimits<Place>>,
    place: Place,
    /// The semaphore of running fetches.
    pub(super) slots: Arc<Semaphore>,
}

impl<Place: Hash + Eq + Clone> Drop for SlotHolder<Place> {
    fn drop(&mut self) {
        let mut all = self.limits.lock();
        if let Some(limit) = all.get_mut(&self.place) {
            limit.count -= 1;
            if limit.count == 0 {
                all.remove(&self.place);
            }
        }
    }
}

/// Returns the last two labels of a host, as an approximation of its domain. Hosts under some public suffixes share a
/// value; the limits per domain are high enough for that.
pub(super) fn domain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    let start = host.rmatch_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
    host.get(start..).unwrap_or(host)
}

/// Returns the network of an address: a /24 of IPv4, a /48 of IPv6. Many names may lead to one network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, 24).network().into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 48).network().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_full_for_itself_only_and_forgotten_when_empty() {
        let limits = ConcurrencyLimits::new(1, 2);
        let mut there: Vec<_> = (0..3).map(|_| limits.join(&"a").unwrap()).collect();
        assert!(limits.join(&"a").is_none());
        assert!(limits.join(&"b").is_some());
        assert!(there[0].slots.try_acquire().is_ok_and(|_running| there[1].slots.try_acquire().is_err()));
        there.pop();
        assert!(limits.join(&"a").is_some());
        drop(there);
        assert!(limits.lock().is_empty());
    }

    #[test]
    fn hosts_of_one_domain_count_together() {
        for (host, expected) in [
            ("a.b.example.com", "example.com"),
            ("example.com", "example.com"),
            ("b.example.com.", "example.com"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(domain(host), expected, "{host}");
        }
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let at = |text: &str| network(text.parse().unwrap());
        assert_eq!(at("203.0.113.7"), at("203.0.113.250"));
        assert_eq!(at("::ffff:203.0.113.7"), at("203.0.113.1"));
        assert_ne!(at("203.0.113.7"), at("203.0.114.7"));
        assert_eq!(at("2001:db8:1:2::3"), at("2001:db8:1:ffff::1"));
        assert_ne!(at("2001:db8:1::"), at("2001:db8:2::"));
    }
}
