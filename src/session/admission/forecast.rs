//! Why an attempt waits, and when its turn may come.

use chrono::{DateTime, Utc};

use super::{Admission, Ahead, AttemptOrigin, Party, PlaceKey, record::Record};
use crate::session::budget::{ConnectingPermits, PERIOD};

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

impl Admission {
    /// Returns the reason for which this connector may not get a permit at that time, regardless of the order.
    /// `permits` is the budget's value at that time; the attempts ahead take theirs first.
    pub(super) fn obstacle(
        &self,
        origin: &AttemptOrigin,
        at: DateTime<Utc>,
        ahead: Ahead,
        permits: ConnectingPermits,
    ) -> Option<Obstacle> {
        let source = self.seen(Party::Source(origin.source));
        let network = self.seen(origin.network());
        let left = permits.left.saturating_sub(self.called).saturating_sub(ahead.all);
        let whole = permits.left.saturating_add(permits.used);
        if left == 0 {
            return Some(Obstacle::NoPermit);
        }
        // Many users may connect from behind one address, so valid codes lift its limit while most permits are left.
        let bounded = |party: &Record, ahead: u32, bound: u32| {
            let is_over = party.used(at).saturating_add(ahead) >= bound;
            (is_over && !(party.is_proven(at) && left > whole / 2)).then_some(bound)
        };
        let bound = bounded(source, ahead.source, self.share)
            .or_else(|| bounded(network, ahead.network, self.share_of_network()));
        if let Some(bound) = bound {
            return Some(Obstacle::OwnShare(bound));
        }
        if self.is_suspect(origin, at) {
            let used = self.suspect_uses.len() - self.suspect_uses.partition_point(|free_at| *free_at <= at);
            let used = u32::try_from(used).unwrap_or(u32::MAX).saturating_add(self.suspects_busy);
            if used.saturating_add(ahead.suspects) >= self.share || left <= whole * 2 / 5 {
                return Some(Obstacle::BadCodes);
            }
        } else if network.used(at) > 0 && left <= whole / 5 {
            return Some(Obstacle::NoPermit);
        }
        (!self.has_capacity(origin, at)).then_some(Obstacle::UnderWay)
    }

    /// Returns why an attempt waits, and when its turn may come if no others arrive. `forecast` lists the permits for
    /// connecting and the times from which they apply. If there are several reasons, the one that lasts longest is
    /// returned.
    pub fn estimate_turn(
        &self,
        now: DateTime<Utc>,
        key: &PlaceKey,
        origin: AttemptOrigin,
        ahead: Ahead,
        forecast: &[(DateTime<Utc>, ConnectingPermits)],
    ) -> (Obstacle, DateTime<Utc>) {
        // The caller may have moved to another network since it took its place.
        let origin = self.places.get(key).map_or(origin, |place| place.origin);
        let uses = origin.parties().flat_map(|party| &self.seen(party).uses).chain(&self.suspect_uses).copied();
        let mut times: Vec<_> = forecast.iter().map(|(from, _)| *from).chain(uses).filter(|at| *at > now).collect();
        times.push(now);
        times.sort_unstable();
        let mut why = Obstacle::UnderWay;
        let mut last = now;
        for at in times {
            let known = forecast.partition_point(|(from, _)| *from <= at);
            let permits = known.checked_sub(1).and_then(|last| forecast.get(last)).map(|(_, permits)| *permits);
            match self.obstacle(&origin, at, ahead, permits.unwrap_or_default()) {
                // An attempt in progress ends within seconds.
                None | Some(Obstacle::UnderWay) => return (why, at),
                Some(obstacle) => (why, last) = (obstacle, at),
            }
        }
        // All current uses are free by then, and each further period admits as many attempts as its limit allows.
        let periods = (ahead.source / self.share)
            .max(ahead.network / self.share_of_network())
            .max(if why == Obstacle::BadCodes { ahead.suspects / self.share } else { 0 });
        (why, last + PERIOD * i32::try_from(periods).unwrap_or(i32::MAX))
    }

    /// Returns the maximum number of permits in the window for one network.
    fn share_of_network(&self) -> u32 {
        self.share.saturating_mul(2)
    }
}
