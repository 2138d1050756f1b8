//! Quotas of a limited resource of the process: connections, unfinished requests, bytes of bodies.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A limited amount, and how much of it each holder has.
///
/// A holder gets nothing more once it has more than is free. So the first hostile source gets at most half of the
/// total, the second a quarter, and a source that has nothing yet is admitted until the last unit is taken.
#[derive(Debug)]
pub(super) struct Quota<K> {
    total: usize,
    per_holder: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_holder: HashMap<K, usize>,
}

/// The reason why a share was not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exhausted {
    /// The holder has reached its limit.
    Holder,
    /// The process has reached its limit.
    Process,
}

/// A part of [`Quota`]. Dropping it returns the part.
#[derive(Debug)]
pub(super) struct Reservation<K: Hash + Eq> {
    shares: Arc<Quota<K>>,
    holder: Option<K>,
    amount: usize,
}

impl<K: Hash + Eq + Clone> Quota<K> {
    /// Creates `total` units for all holders, at most `per_holder` of them for one.
    pub(super) fn new(total: usize, per_holder: usize) -> Arc<Self> {
        Arc::new(Self { total, per_holder, taken: Mutex::new(Taken { all: 0, by_holder: HashMap::new() }) })
    }

    /// Takes `amount` units for a holder.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(self: &Arc<Self>, holder: K, amount: usize) -> Result<Reservation<K>, Exhausted> {
        let mut taken = self.lock();
        let free = self.total.saturating_sub(taken.all).checked_sub(amount).ok_or(Exhausted::Process)?;
        let held = taken.by_holder.get(&holder).copied().unwrap_or_default();
        if held + amount > self.per_holder || held > free {
            return Err(Exhausted::Holder);
        }
        taken.all += amount;
        taken.by_holder.insert(holder.clone(), held + amount);
        drop(taken);
        Ok(Reservation { shares: self.clone(), holder: Some(holder), amount })
    }

    /// Takes `amount` units for a holder to which only the total applies; `None` if too few are free.
    pub(super) fn take_exempt(self: &Arc<Self>, amount: usize) -> Option<Reservation<K>> {
        let mut taken = self.lock();
        if amount > self.total.saturating_sub(taken.all) {
            return None;
        }
        taken.all += amount;
        drop(taken);
        Some(Reservation { shares: self.clone(), holder: None, amount })
    }

    /// Returns how many units a holder has.
    pub(super) fn held_by(&self, holder: &K) -> usize {
        self.lock().by_holder.get(holder).copied().unwrap_or_default()
    }
}

impl<K> Quota<K> {
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        // Each update is two additions, so a panic leaves no partial update.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Reservation<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        taken.all = taken.all.saturating_sub(self.amount);
        if let Some(holder) = self.holder.take()
            && let Entry::Occupied(mut held) = taken.by_holder.entry(holder)
        {
            *held.get_mut() = held.get().saturating_sub(self.amount);
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_hostile_holder_gets_at_most_half_of_what_is_left() {
        let shares = Quota::new(100, 1_000);
        let mut held = Vec::new();
        let mut counts = Vec::new();
        for hostile in 0..4 {
            let before = held.len();
            while let Ok(share) = shares.take(hostile, 1) {
                held.push(share);
            }
            counts.push(held.len() - before);
        }
        assert_eq!(counts, [50, 25, 13, 6]);
        assert!(shares.take(99, 1).is_ok(), "another holder");
    }

    #[test]
    fn the_bounds_of_one_holder_and_of_the_process_differ() {
        let shares = Quota::new(10, 2);
        let _two = [shares.take("a", 1).unwrap(), shares.take("a", 1).unwrap()];
        assert_eq!(shares.take("a", 1).unwrap_err(), Exhausted::Holder);
        let exempt = shares.take_exempt(8).unwrap();
        assert!(shares.take_exempt(1).is_none());
        assert_eq!(shares.take("b", 1).unwrap_err(), Exhausted::Process);
        drop(exempt);
        assert!(shares.take("b", 1).is_ok());
    }

    proptest! {
        /// Whatever is taken and returned in whatever order: the limits are respected, and at the end everything is
        /// free again.
        #[test]
        fn nothing_is_lost_and_no_bound_is_passed(
            steps in prop::collection::vec((0u8..4, 0usize..6, any::<bool>()), 0..200),
        ) {
            let (total, per_holder) = (20, 9);
            let shares = Quota::new(total, per_holder);
            let mut held: Vec<Reservation<u8>> = Vec::new();
            for (holder, amount, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    held.remove(amount % held.len());
                } else if holder == 3 {
                    held.extend(shares.take_exempt(amount));
                } else {
                    held.extend(shares.take(holder, amount).ok());
                }
                let all: usize = held.iter().map(|share| share.amount).sum();
                prop_assert!(all <= total);
                for holder in 0..3 {
                    let own: usize =
                        held.iter().filter(|share| share.holder == Some(holder)).map(|share| share.amount).sum();
                    prop_assert_eq!(shares.held_by(&holder), own);
                    prop_assert!(own <= per_holder);
                }
            }
            drop(held);
            prop_assert!(shares.take_exempt(total).is_some());
            prop_assert!(shares.lock().by_holder.is_empty());
        }
    }
}
