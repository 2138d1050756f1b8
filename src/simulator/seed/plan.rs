//! The size of a portfolio and the locations of its properties.

use crate::simulator::places::{CAMDEN, ERICEIRA, LAKEVIEW, PORTREE, Place, SILVERTON, TOFINO};

/// The size of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portfolio {
    /// The number of properties.
    pub properties: usize,
    /// The number of bookings and blocks, including canceled ones.
    pub bookings: usize,
}

impl Portfolio {
    const USUAL_PROPERTIES: usize = 12;
    const USUAL_BOOKINGS_OF_A_PROPERTY: usize = 100;

    /// Returns the requested size, with defaults for missing values; `None` if no value is given.
    pub fn asked(properties: Option<usize>, bookings: Option<usize>) -> Option<Self> {
        if properties.is_none() && bookings.is_none() {
            return None;
        }
        let properties = properties.unwrap_or(Self::USUAL_PROPERTIES).max(1);
        let bookings = bookings.unwrap_or(properties * Self::USUAL_BOOKINGS_OF_A_PROPERTY);
        Some(Portfolio { properties, bookings })
    }
}

/// The stays of a portfolio.
#[derive(Clone, Copy)]
pub(in crate::simulator) enum Extent {
    /// All that fit into the days around today.
    Days { past: i64, future: i64 },
    /// This number, distributed evenly among the properties; they reach back as far as necessary.
    Bookings(usize),
}

/// The differences between accounts.
pub(in crate::simulator) struct Plan {
    /// Part of every name in the account, so that a record shown to the wrong tenant is recognizable.
    pub(in crate::simulator) tenant_label: String,
    /// The properties are in these locations in turn.
    pub(in crate::simulator) places: &'static [Place],
    pub(in crate::simulator) properties: usize,
    pub(in crate::simulator) extent: Extent,
}

/// The demo accounts reach two years back, so that data of the previous year exists.
const TWO_YEARS: i64 = 740;

impl Plan {
    /// Returns a small portfolio that is cheap to create, for accounts added by tests.
    pub(in crate::simulator) fn small(tenant_label: &str) -> Self {
        let extent = Extent::Days { past: 30, future: 60 };
        Plan { tenant_label: tenant_label.to_owned(), places: &[LAKEVIEW], properties: 2, extent }
    }

    /// Returns a portfolio of any size, in several locations.
    pub(in crate::simulator) fn of_size(tenant_label: &str, portfolio: Portfolio) -> Self {
        Plan {
            tenant_label: tenant_label.to_owned(),
            places: &[CAMDEN, SILVERTON, CAMDEN, TOFINO, ERICEIRA, PORTREE],
            properties: portfolio.properties,
            extent: Extent::Bookings(portfolio.bookings),
        }
    }

    /// Returns the accounts for demonstrations.
    pub(in crate::simulator) fn demo_accounts() -> [Self; 3] {
        let account = |tenant_label: &str, places, properties, future| Plan {
            tenant_label: tenant_label.to_owned(),
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

    /// Returns the location of the account itself.
    pub(in crate::simulator) fn home(&self) -> &'static Place {
        self.place(0)
    }

    /// Returns the location of a property.
    pub(in crate::simulator) fn place(&self, index: usize) -> &'static Place {
        self.places.get(index % self.places.len().max(1)).unwrap_or(&LAKEVIEW)
    }
}
