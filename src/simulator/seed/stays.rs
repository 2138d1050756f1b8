//! Consecutive stays of a property, with gaps between them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::json;

use super::{plan::Extent, properties::Property, seeder::Seeder};
use crate::simulator::{calendar::Seasons, timestamp::utc};

/// Average number of days from one stay's arrival to the next one's.
const DAYS_OF_A_STAY: i64 = 9;
/// The number of days in advance for which a portfolio with a given number of bookings is booked.
const BOOKED_AHEAD: i64 = 240;

impl Seeder<'_> {
    /// Returns the first day with bookings.
    pub(super) fn first_day(&self) -> NaiveDate {
        let back = match self.plan.extent {
            Extent::Days { past, .. } => past,
            Extent::Bookings(_) => DAYS_OF_A_STAY * self.bookings_of(0) as i64 - BOOKED_AHEAD,
        };
        self.now.date_naive() - TimeDelta::days(back.max(30))
    }

    /// Returns the number of bookings and blocks of a property; unlimited if the days limit it.
    fn bookings_of(&self, index: usize) -> usize {
        match self.plan.extent {
            Extent::Days { .. } => usize::MAX,
            Extent::Bookings(all) => {
                let properties = self.plan.properties.max(1);
                all / properties + usize::from(index < all % properties)
            }
        }
    }

    /// Iterates over the days and adds stay after stay, so that active ones never overlap.
    pub(super) fn stays_of(&mut self, property: &Property, index: usize) {
        let today = self.now.date_naive();
        let last = match self.plan.extent {
            Extent::Days { future, .. } => today + TimeDelta::days(future),
            Extent::Bookings(_) => NaiveDate::MAX,
        };
        let seasons = Seasons::of(self.records, property.id);
        let mut left = self.bookings_of(index);
        let mut count = 0;
        let mut day = self.first_day() + TimeDelta::days(self.rng.i64(0..6));
        while day < last && left > 0 {
            let departure = day + TimeDelta::days(self.rng.i64(2..=8));
            let days = (day, departure);
            left -= 1;
            count += 1;
            // Even a small portfolio has one block and one canceled booking.
            let kind = match count {
                2 => 0,
                3 => 8,
                _ => self.rng.u8(0..100),
            };
            match kind {
                0..8 => self.block(property, day, departure),
                8..16 => {
                    self.booking(property, &seasons, days, "canceled");
                    // Some of the canceled nights are booked again.
                    if self.rng.bool() && left > 0 {
                        left -= 1;
                        self.booking(property, &seasons, days, "active");
                    }
                }
                16..24 if day > today => self.booking(property, &seasons, days, "pending"),
                _ => self.booking(property, &seasons, days, "active"),
            }
            day = departure + TimeDelta::days(self.rng.i64(0..8));
        }
    }

    /// Returns a booking time, 1 to 150 days before the arrival and before now, and a time between that and now.
    pub(super) fn moments(&mut self, arrival: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        let ahead = TimeDelta::minutes(self.rng.i64(1_440..150 * 1_440));
        let booked = (arrival.and_time(chrono::NaiveTime::MIN).and_utc() - ahead)
            .min(self.now - TimeDelta::minutes(self.rng.i64(1..60 * 1_440)));
        let since = (self.now - booked).num_minutes().max(2);
        (booked, booked + TimeDelta::minutes(self.rng.i64(1..since)))
    }

    fn block(&mut self, property: &Property, arrival: NaiveDate, departure: NaiveDate) {
        let (created, updated) = self.moments(arrival);
        let changed = self.rng.bool();
        let blocks = [
            ("block", "maintenance"),
            ("block", "deep clean"),
            ("owner", "owner stay"),
            ("owner", "visit of the owner"),
            ("linked_availability", "linked calendar"),
        ];
        let (kind, title) = self.rng.choice(blocks).unwrap_or(("block", "blocked"));
        let record = json!({
            "id": self.id(),
            "property_id": property.id,
            "type": kind,
            "status": "active",
            "is_block": true,
            "arrival": arrival,
            "departure": departure,
            "title": format!("{} {title}", self.plan.tenant_label),
            "created_utc": utc(created),
            "updated_utc": utc(if changed { updated } else { created }),
            "_never_changed": !changed,
            "currency_code": property.currency,
        });
        self.put("bookings", record);
    }
}
