//! The places of the queue: their limits, and which one is displaced when all are taken.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Admission, Ahead, AttemptOrigin, Party, PlaceKey, Rank, State, is_present};

/// The maximum number of places in total, per network and per source.
pub(super) const MAX_PLACES: u32 = 1_000;
const MAX_PER_NETWORK: u32 = 40;
pub(super) const MAX_PER_SOURCE: u32 = 20;

/// A place in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) origin: AttemptOrigin,
    /// The order of arrival.
    pub(super) number: u64,
    pub(super) seen_at: DateTime<Utc>,
    pub(super) state: State,
}

/// A group of connectors with a limit on its places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueScope {
    /// An IPv4 address, or a /64 of IPv6.
    Source,
    /// A /48 of IPv6.
    Network,
    /// All connectors.
    Everyone,
}

impl QueueScope {
    /// Returns the group's maximum number of places.
    pub fn capacity(self) -> u32 {
        match self {
            Self::Source => MAX_PER_SOURCE,
            Self::Network => MAX_PER_NETWORK,
            Self::Everyone => MAX_PLACES,
        }
    }

    fn includes(self, origin: &AttemptOrigin, other: &AttemptOrigin) -> bool {
        match self {
            Self::Source => origin.source == other.source,
            Self::Network => origin.network() == other.network(),
            Self::Everyone => true,
        }
    }

    /// Returns the part of the group that this connector belongs to. All users that are not known yet form one part.
    fn member(self, origin: &AttemptOrigin) -> Option<Party> {
        match self {
            Self::Source => origin.user.map(Party::User),
            Self::Network => Some(Party::Source(origin.source)),
            Self::Everyone => Some(origin.network()),
        }
    }
}

impl Admission {
    /// Adds a place. If all places are taken, one of the part with the most places is displaced, if the part of the new
    /// place has fewer.
    pub(super) fn insert_place(
        &mut self,
        now: DateTime<Utc>,
        key: PlaceKey,
        origin: AttemptOrigin,
    ) -> Result<(), QueueScope> {
        self.arrivals += 1;
        let place = Place { origin, number: self.arrivals, seen_at: now, state: State::Waiting };
        // A displaced place frees one in the larger groups as well.
        for scope in [QueueScope::Source, QueueScope::Network, QueueScope::Everyone] {
            if self.places_of(scope, &origin) >= scope.capacity() {
                let key = self.place_to_evict(&place, scope, now).ok_or(scope)?;
                self.leave(&key);
            }
        }
        self.places.insert(key, place);
        for party in origin.parties() {
            self.record(party).places += 1;
        }
        Ok(())
    }

    fn places_of(&self, scope: QueueScope, origin: &AttemptOrigin) -> u32 {
        match scope {
            QueueScope::Source => self.seen(Party::Source(origin.source)).places,
            QueueScope::Network => self.seen(origin.network()).places,
            QueueScope::Everyone => u32::try_from(self.places.len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the place of the group that a new one displaces: among those with most bad codes, then of the part with
    /// the most places, the one that would be served last.
    fn place_to_evict(&self, new: &Place, scope: QueueScope, now: DateTime<Utc>) -> Option<PlaceKey> {
        let among = || self.places.iter().filter(|(_, place)| scope.includes(&new.origin, &place.origin));
        let mut held: HashMap<Option<Party>, u32> = HashMap::new();
        for (_, place) in among() {
            *held.entry(scope.member(&place.origin)).or_default() += 1;
        }
        let held = |place: &Place| held.get(&scope.member(&place.origin)).copied().unwrap_or(0);
        let waiting = among().filter(|(_, place)| place.state == State::Waiting);
        let (_, key, theirs) = waiting
            .map(|(key, place)| {
                let rank = self.rank(place, now);
                let theirs = (rank.0, held(place));
                ((theirs, rank), *key, theirs)
            })
            .max_by_key(|(order, ..)| *order)?;
        let own = (self.rank(new, now).0, held(new) + 1);
        (theirs > own).then_some(key)
    }

    /// Counts the places that are served before this one, if no others arrive. Parties take turns, so the second place
    /// of a party comes after the first place of every other party.
    pub(super) fn ahead_of(&self, place: &Place, now: DateTime<Utc>) -> Ahead {
        let waiting = self.places.values().filter(|place| place.state == State::Waiting && is_present(place, now));
        let mut order: Vec<(Rank, &AttemptOrigin)> =
            waiting.map(|place| (self.rank(place, now), &place.origin)).collect();
        // From the innermost level to the outermost.
        for level in [Level::User, Level::Source, Level::Network] {
            order.sort_unstable_by_key(|(rank, _)| *rank);
            let mut earlier: HashMap<Party, u32> = HashMap::new();
            for (rank, origin) in &mut order {
                let (used, party) = match level {
                    Level::User => (&mut rank.4, origin.user.map(Party::User)),
                    Level::Source => (&mut rank.3, Some(Party::Source(origin.source))),
                    Level::Network => (&mut rank.2, Some(origin.network())),
                };
                let Some(party) = party else { continue };
                let earlier = earlier.entry(party).or_default();
                *used = used.saturating_add(*earlier);
                *earlier += 1;
            }
        }
        order.sort_unstable_by_key(|(rank, _)| *rank);
        let before = order.iter().take_while(|(rank, _)| rank.5 != place.number);
        before.fold(Ahead::default(), |ahead, (_, other)| Ahead {
            all: ahead.all + 1,
            network: ahead.network + u32::from(QueueScope::Network.includes(&place.origin, other)),
            source: ahead.source + u32::from(QueueScope::Source.includes(&place.origin, other)),
            suspects: ahead.suspects + u32::from(self.is_suspect(other, now)),
        })
    }
}

/// A level at which parties take turns.
#[derive(Clone, Copy)]
enum Level {
    User,
    Source,
    Network,
}
