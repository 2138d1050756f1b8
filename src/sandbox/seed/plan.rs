//! How large a portfolio is and where its properties are.

use crate::sandbox::places::{CAMDEN, ERICEIRA, LAKEVIEW, PORTREE, Place, SILVERTON, TOFINO};

/// The size of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portfolio {
    /// Its properties.
    pub properties: usize,
    /// Its bookings and blocks, canceled ones included.
    pub bookings: usize,
}

impl Portfolio {
    const USUAL_PROPERTIES: usize = 12;
    const USUAL_BOOKINGS_OF_A_PROPERTY: usize = 100;

    /// The size that was asked for: what was not said is as usual. None where nothing was.
    pub fn asked(properties: Option<usize>, bookings: Option<usize>) -> Option<Self> {
        if properties.is_none() && bookings.is_none() {
            return None;
        }
        let properties = properties.unwrap_or(Self::USUAL_PROPERTIES).max(1);
        let bookings = bookings.unwrap_or(properties * Self::USUAL_BOOKINGS_OF_A_PROPERTY);
        Some(Portfolio { properties, bookings })
    }
}

/// Which stays a portfolio has.
#[derive(Clone, Copy)]
pub(in crate::sandbox) enum Extent {
    /// All that fit into the days around today.
    Days { past: i64, future: i64 },
    /// This many, shared evenly among the properties; they reach back as far as it takes.
    Bookings(usize),
}

/// What makes one account different from the next.
pub(in crate::sandbox) struct Plan {
    /// Stands in every name of the account, so that a record seen by the wrong tenant gives itself away.
    pub(in crate::sandbox) marker: String,
    /// The properties are in these places by turns.
    pub(in crate::sandbox) places: &'static [Place],
    pub(in crate::sandbox) properties: usize,
    pub(in crate::sandbox) extent: Extent,
}

/// The demo accounts reach two years back, so that last year can be asked about.
const TWO_YEARS: i64 = 740;

impl Plan {
    /// A small portfolio, cheap to make: accounts added for tests.
    pub(in crate::sandbox) fn small(marker: &str) -> Self {
        let extent = Extent::Days { past: 30, future: 60 };
        Plan { marker: marker.to_owned(), places: &[LAKEVIEW], properties: 2, extent }
    }

    /// A portfolio of any size, in several places.
    pub(in crate::sandbox) fn of_size(marker: &str, portfolio: Portfolio) -> Self {
        Plan {
            marker: marker.to_owned(),
            places: &[CAMDEN, SILVERTON, CAMDEN, TOFINO, ERICEIRA, PORTREE],
            properties: portfolio.properties,
            extent: Extent::Bookings(portfolio.bookings),
        }
    }

    /// The accounts for demonstrations.
    pub(in crate::sandbox) fn demo_accounts() -> [Self; 3] {
        let account = |marker: &str, places, properties, future| Plan {
            marker: marker.to_owned(),
            places,
            properties,
            extent: Extent::Days { past: TWO_YEARS, future },
        };
        [
            account("Heron Point", &[CAMDEN], 12, 240),
            account("Alpenglow", &[SILVERTON, TOFINO], 4, 180),
            account("Costa Verde", &[ERICEIRA, ERICEIRA, PORTREE], 3, 150),
        ]
    }

    /// Where the account itself is.
    pub(in crate::sandbox) fn home(&self) -> &'static Place {
        self.place(0)
    }

    /// Where a property is.
    pub(in crate::sandbox) fn place(&self, index: usize) -> &'static Place {
        self.places.get(index % self.places.len().max(1)).unwrap_or(&LAKEVIEW)
    }
}
