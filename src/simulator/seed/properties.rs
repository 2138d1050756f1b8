//! Owners, their properties, and nightly prices.

use chrono::{Datelike, NaiveDate};
use serde_json::json;

use super::{
    names::{FIRST_NAMES, LAST_NAMES, STREETS},
    seeder::Seeder,
};
use crate::simulator::{bookings::money, records::number};

const HOUSES: [&str; 14] = [
    "Cottage",
    "Boathouse",
    "Lodge",
    "Cabin",
    "Loft",
    "Farmhouse",
    "Bungalow",
    "Villa",
    "Retreat",
    "Chalet",
    "Studio",
    "Gatehouse",
    "Lighthouse",
    "Annex",
];
/// The shares of the rent for owners, in turn.
const PERCENTS: [i64; 4] = [80, 75, 70, 85];

/// The attributes of a property that its stays depend on.
pub(super) struct Property {
    pub(super) id: i64,
    pub(super) owner: Option<i64>,
    pub(super) owner_percent: i64,
    pub(super) currency: &'static str,
    pub(super) pets: bool,
}

/// Returns a name that no other property of the account has.
fn property_name(index: usize) -> String {
    let name = HOUSES.get(index % HOUSES.len()).copied().unwrap_or_default();
    match index / HOUSES.len() {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}

/// Returns the nightly rate on which a property's seasons are based.
pub(super) fn base_rate(index: usize) -> i64 {
    110 + 35 * (index as i64 % 8)
}

impl Seeder<'_> {
    pub(super) fn owner(&mut self, index: usize) -> i64 {
        let (first, last) = (self.pick(&FIRST_NAMES), self.pick(&LAST_NAMES));
        let record = json!({
            "id": self.id(),
            "name": format!("{first} {last} ({})", self.plan.tenant_label),
            "first_name": first,
            "last_name": last,
            "email": format!("{}.{}@{}.owners.example", first, last, self.handle()).to_lowercase(),
            "company": (index == 0).then(|| format!("{} Holdings", self.plan.tenant_label)),
            // The owner's share of the rent.
            "_percent": PERCENTS.get(index % 4),
            // One inactive owner among several shows the effect of the filter.
            "active": index != 2,
            "last_owner_statement_id": self.id(),
            "tags": ["statement by e-mail"],
            "fields": [{"code": "SINCE", "value": (2015 + index).to_string()}],
        });
        self.put("owners", record)
    }

    pub(super) fn property(&mut self, index: usize, owner: Option<i64>) -> Property {
        let place = self.plan.place(index);
        let name = property_name(index);
        let bedrooms = self.rng.i64(1..=6);
        let half_baths = self.rng.i64(0..=1);
        let full_baths = self.rng.i64(1..=bedrooms.min(3));
        let pets = self.rng.bool();
        let id = self.id();
        let picture = format!("https://images.example/{id}");
        let mut tags = vec!["demo"];
        if pets {
            tags.push("pets welcome");
        }
        if index.is_multiple_of(3) {
            tags.push("waterfront");
        }
        let record = json!({
            "id": id,
            "key": self.guid(),
            "name": format!("{} {name}", self.plan.tenant_label),
            "external_name": format!("{name} at {}", place.town),
            "internal_code": format!("{}{:02}", self.handle().chars().take(3).collect::<String>().to_uppercase(), index + 1),
            // Of every twelve properties one is inactive and one snoozed; of four or more the last one is inactive.
            "active": !(index % 12 == 11 || (index >= 3 && index + 1 == self.plan.properties)),
            "is_snoozed": index % 12 == 9,
            "owner_id": owner,
            "property_type": if bedrooms > 1 { "house" } else { "apartment" },
            "address": {
                "street1": format!("{} {}", self.rng.i64(1..400), self.pick(&STREETS)),
                "city": place.town,
                "state": place.state,
                "postal_code": format!("{:05}", self.rng.u32(10_000..99_999)),
                "country": place.country,
            },
            "latitude": money(place.latitude + self.rng.f64() / 20.0),
            "longitude": money(place.longitude + self.rng.f64() / 20.0),
            "time_zone": place.time_zone,
            "_no_time_zone": index % 3 == 2,
            "currency_code": place.currency,
            "bedrooms": bedrooms,
            "bathrooms": full_baths as f64 + half_baths as f64 / 2.0,
            "bathrooms_full": full_baths,
            "bathrooms_half": half_baths,
            "living_area": 450 * bedrooms + 200,
            "living_area_type": "sqft",
            "max_guests": bedrooms * 2 + 1,
            "max_adults": bedrooms * 2,
            "max_children": bedrooms,
            "max_pets": if pets { 2 } else { 0 },
            "check_in": "16:00",
            "check_in_end": "22:00",
            "check_out": "10:00",
            "display_order": index + 1,
            "external_display_order": null,
            "public_url": format!("https://{}.stays.example/{}", self.handle(), name.to_lowercase().replace(' ', "-")),
            "thumbnail_url": format!("{picture}/small.jpg"),
            "thumbnail_url_medium": format!("{picture}/medium.jpg"),
            "thumbnail_url_large": format!("{picture}/large.jpg"),
            "listing_numbers": {"Airbnb": (id * 7919).to_string(), "Vrbo": format!("321.{id}")},
            "tags": tags,
            "fields": [{"code": "WIFI", "value": format!("{name} guest network")}],
            "_payment_method_ids": [1, 2 + index % 2],
            "_pets_allowed": pets,
            "_children_allowed": !index.is_multiple_of(5),
            "_nightly_rate": base_rate(index),
        });
        self.put("properties", record);
        Property { id, owner, owner_percent: self.owner_percent(owner), currency: place.currency, pets }
    }

    fn owner_percent(&self, owner: Option<i64>) -> i64 {
        let owner = owner.and_then(|owner| self.records.get("owners", owner));
        owner.and_then(|owner| number(owner, "_percent")).unwrap_or(100)
    }

    /// Creates three seasons a year, from the year of the first stay to the year after next; then the rates end, as in
    /// real accounts.
    pub(super) fn seasons(&mut self, property: i64, index: usize) {
        let base = base_rate(index) as f64;
        let first = self.first_day().year().min(self.now.year() - 1);
        for year in first..=self.now.year() + 2 {
            for (name, start, end, factor, min_nights) in [
                ("Winter", (1, 1), (5, 14), 0.8, 2),
                ("Summer", (5, 15), (9, 14), 1.5, if index.is_multiple_of(4) { 5 } else { 3 }),
                ("Autumn", (9, 15), (12, 31), 1.0, 2),
            ] {
                let record = json!({
                    "id": self.id(),
                    "property_id": property,
                    "name": format!("{name} {year}"),
                    "start": NaiveDate::from_ymd_opt(year, start.0, start.1),
                    "end": NaiveDate::from_ymd_opt(year, end.0, end.1),
                    "nightly": (base * factor).round(),
                    "weekend": (base * factor * 1.2).round(),
                    "min_nights": min_nights,
                });
                self.put("seasons", record);
            }
        }
    }
}
