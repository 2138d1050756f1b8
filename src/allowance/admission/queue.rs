//! The queue of the attempts to connect: the places, and the histories that decide their order.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    ahead::Ahead,
    attempt_origin::AttemptOrigin,
    party::Party,
    place::{Place, PlaceKey, State},
    queue_scope::QueueScope,
    record::Record,
};

/// The order of the places: bad codes of source and user, bad codes of the network, then the permits of the window that
/// network, source and user used, then the order of arrival.
type Rank = (u32, u32, u32, u32, u32, u64);

/// The record of a party without history.
static NOTHING: Record = Record::EMPTY;

/// The places, and the records of all parties.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) places: HashMap<PlaceKey, Place>,
    pub(super) records: HashMap<Party, Record>,
    arrivals: u64,
    /// The number of called places.
    pub(super) called: u32,
}

impl Queue {
    /// Adds a place. If all places are taken, one of the part with the most places is displaced, if the part of the new
    /// place has fewer.
    pub(super) fn insert(
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
                self.remove(&key);
            }
        }
        self.places.insert(key, place);
        for party in origin.parties() {
            self.record(party).places += 1;
        }
        Ok(())
    }

    /// Removes a place.
    pub(super) fn remove(&mut self, key: &PlaceKey) {
        self.set_state(*key, State::Waiting);
        if let Some(place) = self.places.remove(key) {
            for party in place.origin.parties() {
                let record = self.record(party);
                record.places = record.places.saturating_sub(1);
            }
        }
    }

    /// Changes the state of a place, and the numbers of called places with it.
    pub(super) fn set_state(&mut self, key: PlaceKey, state: State) {
        let Some(place) = self.places.get_mut(&key) else { return };
        let (before, origin) = (std::mem::replace(&mut place.state, state), place.origin);
        if before == State::Called {
            self.called = self.called.saturating_sub(1);
        }
        self.called += u32::from(state == State::Called);
        for party in origin.parties() {
            let record = self.record(party);
            if before == State::Called {
                record.called = record.called.saturating_sub(1);
            }
            record.called += u32::from(state == State::Called);
        }
    }

    /// Moves a place to the end of the order of arrival.
    pub(super) fn move_to_end(&mut self, key: PlaceKey) {
        self.arrivals += 1;
        let number = self.arrivals;
        self.places.entry(key).and_modify(|place| place.number = number);
    }

    /// Returns the waiting and present place that is served first among those that `is_able` accepts.
    pub(super) fn next(&self, now: DateTime<Utc>, is_able: impl Fn(&Place) -> bool) -> Option<PlaceKey> {
        let able = self
            .places
            .iter()
            .filter(|(_, place)| place.state == State::Waiting && place.is_present(now) && is_able(place));
        able.min_by_key(|(_, place)| self.rank(place, now)).map(|(key, _)| *key)
    }

    /// Returns the record of a party, to change it.
    pub(super) fn record(&mut self, party: Party) -> &mut Record {
        self.records.entry(party).or_default()
    }

    /// Returns the record of a party.
    pub(super) fn seen(&self, party: Party) -> &Record {
        self.records.get(&party).unwrap_or(&NOTHING)
    }

    /// Returns whether the network, the source or the user presented bad codes.
    pub(super) fn is_suspect(&self, origin: &AttemptOrigin, now: DateTime<Utc>) -> bool {
        origin.parties().any(|party| self.seen(party).bad_codes(now) > 0)
    }

    /// Counts the places that are served before this one, if no others arrive. Parties take turns, so the second place
    /// of a party comes after the first place of every other party.
    pub(super) fn ahead_of(&self, place: &Place, now: DateTime<Utc>) -> Ahead {
        let waiting = self.places.values().filter(|place| place.state == State::Waiting && place.is_present(now));
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

    fn rank(&self, place: &Place, now: DateTime<Utc>) -> Rank {
        let origin = &place.origin;
        let (network, source) = (self.seen(origin.network()), self.seen(Party::Source(origin.source)));
        let user = origin.user.map_or(&NOTHING, |user| self.seen(Party::User(user)));
        (
            source.bad_codes(now).max(user.bad_codes(now)),
            network.bad_codes(now),
            network.used(now),
            source.used(now),
            user.used(now),
            place.number,
        )
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
}

/// A level at which parties take turns.
#[derive(Clone, Copy)]
enum Level {
    User,
    Source,
    Network,
}
