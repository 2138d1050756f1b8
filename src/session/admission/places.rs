//! The places of the queue: their limits, and which one is displaced when all are taken.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Admission, Ahead, Connector, Party, PlaceKey, Rank, State, is_present};

/// The maximum number of places in total, per network and per source.
pub(super) const MOST_PLACES: u32 = 1_000;
const MOST_PER_NETWORK: u32 = 40;
pub(super) const MOST_PER_SOURCE: u32 = 20;

/// A place in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) connector: Connector,
    /// The order of arrival.
    pub(super) number: u64,
    pub(super) seen_at: DateTime<Utc>,
    pub(super) state: State,
}

/// A group of connectors with a limit on its places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crowd {
    /// An IPv4 address, or a /64 of IPv6.
    Source,
    /// A /48 of IPv6.
    Network,
    /// All connectors.
    Everyone,
}

impl Crowd {
    /// Returns the group's maximum number of places.
    pub fn places(self) -> u32 {
        match self {
            Self::Source => MOST_PER_SOURCE,
            Self::Network => MOST_PER_NETWORK,
            Self::Everyone => MOST_PLACES,
        }
    }

    fn has(self, connector: &Connector, other: &Connector) -> bool {
        match self {
            Self::Source => connector.source == other.source,
            Self::Network => connector.network() == other.network(),
            Self::Everyone => true,
        }
    }

    /// Returns the part of the group that this connector belongs to. All users that are not known yet form one part.
    fn part(self, connector: &Connector) -> Option<Party> {
        match self {
            Self::Source => connector.user.map(Party::User),
            Self::Network => Some(Party::Source(connector.source)),
            Self::Everyone => Some(connector.network()),
        }
    }
}

impl Admission {
    /// Adds a place. If all places are taken, one of the part with the most places is displaced, if the part of the new
    /// place has fewer.
    pub(super) fn take_place(&mut self, now: DateTime<Utc>, key: PlaceKey, connector: Connector) -> Result<(), Crowd> {
        self.arrivals += 1;
        let place = Place { connector, number: self.arrivals, seen_at: now, state: State::Waiting };
        // A displaced place frees one in the larger groups as well.
        for crowd in [Crowd::Source, Crowd::Network, Crowd::Everyone] {
            if self.places_of(crowd, &connector) >= crowd.places() {
                let key = self.gives_way(&place, crowd, now).ok_or(crowd)?;
                self.leave(&key);
            }
        }
        self.places.insert(key, place);
        for party in connector.parties() {
            self.record(party).places += 1;
        }
        Ok(())
    }

    fn places_of(&self, crowd: Crowd, connector: &Connector) -> u32 {
        match crowd {
            Crowd::Source => self.seen(Party::Source(connector.source)).places,
            Crowd::Network => self.seen(connector.network()).places,
            Crowd::Everyone => u32::try_from(self.places.len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the place of the group that a new one displaces: among those with most bad codes, then of the part with
    /// the most places, the one that would be served last.
    fn gives_way(&self, new: &Place, crowd: Crowd, now: DateTime<Utc>) -> Option<PlaceKey> {
        let among = || self.places.iter().filter(|(_, place)| crowd.has(&new.connector, &place.connector));
        let mut held: HashMap<Option<Party>, u32> = HashMap::new();
        for (_, place) in among() {
            *held.entry(crowd.part(&place.connector)).or_default() += 1;
        }
        let held = |place: &Place| held.get(&crowd.part(&place.connector)).copied().unwrap_or(0);
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
        let mut order: Vec<(Rank, &Connector)> =
            waiting.map(|place| (self.rank(place, now), &place.connector)).collect();
        // From the innermost level to the outermost.
        for level in [Level::User, Level::Source, Level::Network] {
            order.sort_unstable_by_key(|(rank, _)| *rank);
            let mut earlier: HashMap<Party, u32> = HashMap::new();
            for (rank, connector) in &mut order {
                let (used, party) = match level {
                    Level::User => (&mut rank.4, connector.user.map(Party::User)),
                    Level::Source => (&mut rank.3, Some(Party::Source(connector.source))),
                    Level::Network => (&mut rank.2, Some(connector.network())),
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
            network: ahead.network + u32::from(Crowd::Network.has(&place.connector, other)),
            source: ahead.source + u32::from(Crowd::Source.has(&place.connector, other)),
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
