//! Invented but believable portfolios. The same seed, day and order of accounts give the same data.
//!
//! Houses, seasons and stays are laid here; what follows from them is in the files below: `money` (payments and what
//! is charged), `talk` (inquiries, quotes, messages, reviews), `shop` (listings, channels, webhooks), and last `labels`,
//! which turns the tags and fields that all of them noted into records of their own.

mod labels;
mod money;
mod shop;
mod talk;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    bookings::{charges, money},
    calendar,
    places::{LAKEVIEW, Place},
    records::Records,
};

/// What makes one account different from the next.
pub(super) struct Plan {
    /// Stands in every name of the account, so that a record seen by the wrong tenant gives itself away.
    pub(super) marker: String,
    pub(super) place: &'static Place,
    pub(super) properties: usize,
    /// How far the bookings reach around today.
    pub(super) past_days: i64,
    pub(super) future_days: i64,
}

impl Plan {
    /// A small portfolio, cheap to make: accounts added for tests.
    pub(super) fn small(marker: &str) -> Self {
        Plan { marker: marker.to_owned(), place: &LAKEVIEW, properties: 2, past_days: 30, future_days: 60 }
    }
}

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
const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Liam", "Mara",
    "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Stefan", "Tess", "Uma", "Victor", "Wanda", "Yusuf",
];
const LAST_NAMES: [&str; 24] = [
    "Abbott",
    "Bergman",
    "Castellano",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Gallagher",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quigley",
    "Rossi",
    "Svensson",
    "Tanaka",
    "Underhill",
    "Vasquez",
    "Whitfield",
    "Zimmer",
];
const STREETS: [&str; 6] = ["Harbor Lane", "Mill Road", "Orchard Street", "Quarry Hill", "Shore Drive", "Station Road"];
const CHANNELS: [(&str, &str); 4] = [("Airbnb", "HM"), ("Vrbo", "HA-"), ("Booking.com", "4"), ("Direct", "")];

/// Fills the books of one account.
pub(super) struct Seeder<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rng: Rng,
    pub(super) now: DateTime<Utc>,
    pub(super) records: &'a mut Records,
}

impl Seeder<'_> {
    pub(super) fn fill(mut self) {
        let owners: Vec<i64> = (0..self.plan.properties.div_ceil(4)).map(|index| self.owner(index)).collect();
        for index in 0..self.plan.properties {
            let owner = owners.get(index % owners.len().max(1)).copied();
            let property = self.property(index, owner);
            self.seasons(property, index);
            self.stays(property, owner);
        }
        self.shop();
        self.money();
        self.talk();
        self.labels();
    }

    fn id(&mut self) -> i64 {
        self.records.new_id()
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        self.rng.choice(from).copied().unwrap_or_default()
    }

    fn put(&mut self, collection: &str, record: Value) -> i64 {
        let id = record.get("id").and_then(Value::as_i64).unwrap_or_default();
        if let Value::Object(members) = record {
            self.records.put(collection, id, members);
        }
        id
    }

    fn handle(&self) -> String {
        self.plan.marker.to_lowercase().replace(' ', "-")
    }

    fn owner(&mut self, index: usize) -> i64 {
        let (first, last) = (self.pick(&FIRST_NAMES), self.pick(&LAST_NAMES));
        let record = json!({
            "id": self.id(),
            "name": format!("{first} {last} ({})", self.plan.marker),
            "first_name": first,
            "last_name": last,
            "email": format!("{}.{}@{}.owners.example", first, last, self.handle()).to_lowercase(),
            "company": (index == 0).then(|| format!("{} Holdings", self.plan.marker)),
            // One retired owner among several shows what the filter does.
            "active": index != 2,
            "last_owner_statement_id": self.id(),
            "tags": ["statement by e-mail"],
            "fields": [{"code": "SINCE", "value": (2015 + index).to_string()}],
        });
        self.put("owners", record)
    }

    fn property(&mut self, index: usize, owner: Option<i64>) -> i64 {
        let house = HOUSES.get(index % HOUSES.len()).copied().unwrap_or_default();
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
            "name": format!("{} {house}", self.plan.marker),
            "external_name": format!("{house} at {}", self.plan.place.town),
            "internal_code": format!("{}{:02}", self.handle().chars().take(3).collect::<String>().to_uppercase(), index + 1),
            // One closed and one snoozed house in a large portfolio.
            "active": index != 11,
            "is_snoozed": index == 9,
            "owner_id": owner,
            "property_type": if bedrooms > 1 { "house" } else { "apartment" },
            "address": {
                "street1": format!("{} {}", self.rng.i64(1..400), self.pick(&STREETS)),
                "city": self.plan.place.town,
                "state": self.plan.place.state,
                "postal_code": format!("{:05}", self.rng.u32(10_000..99_999)),
                "country": self.plan.place.country,
            },
            "latitude": money(self.plan.place.latitude + self.rng.f64() / 20.0),
            "longitude": money(self.plan.place.longitude + self.rng.f64() / 20.0),
            // The real service leaves it out for some; clients then use the account's.
            "time_zone": (index % 3 != 2).then_some(self.plan.place.time_zone),
            "currency_code": self.plan.place.currency,
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
            "public_url": format!("https://{}.stays.example/{}", self.handle(), house.to_lowercase()),
            "thumbnail_url": format!("{picture}/small.jpg"),
            "thumbnail_url_medium": format!("{picture}/medium.jpg"),
            "thumbnail_url_large": format!("{picture}/large.jpg"),
            "listing_numbers": {"Airbnb": (id * 7919).to_string(), "Vrbo": format!("321.{id}")},
            "tags": tags,
            "fields": [{"code": "WIFI", "value": format!("{house} guest network")}],
            "_payment_method_ids": [1, 2 + index % 2],
            "_pets_allowed": pets,
            "_children_allowed": !index.is_multiple_of(5),
            "_nightly_rate": base_rate(index),
        });
        self.put("properties", record)
    }

    /// Three seasons a year, from last year to the year after next; then the rates end, as they do in life.
    fn seasons(&mut self, property: i64, index: usize) {
        let base = base_rate(index) as f64;
        let year = self.now.year();
        for year in year - 1..=year + 2 {
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

    /// Walks the days and lays stay after stay with gaps between, so that active ones never overlap.
    fn stays(&mut self, property: i64, owner: Option<i64>) {
        let today = self.now.date_naive();
        let last = today + TimeDelta::days(self.plan.future_days);
        let mut day = today - TimeDelta::days(self.plan.past_days) + TimeDelta::days(self.rng.i64(0..6));
        while day < last {
            let departure = day + TimeDelta::days(self.rng.i64(2..=8));
            match self.rng.u8(0..100) {
                0..8 => self.block(property, day, departure),
                8..16 => {
                    self.booking(property, owner, day, departure, "canceled");
                    // Cancelled nights were sold again more often than not.
                    if self.rng.bool() {
                        self.booking(property, owner, day, departure, "active");
                    }
                }
                16..24 if day > today => self.booking(property, owner, day, departure, "pending"),
                _ => self.booking(property, owner, day, departure, "active"),
            }
            day = departure + TimeDelta::days(self.rng.i64(0..8));
        }
    }

    /// A moment between `days` before the stay and now, and one between that and now.
    fn moments(&mut self, arrival: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        let ahead = TimeDelta::minutes(self.rng.i64(1_440..150 * 1_440));
        let booked = (arrival.and_time(chrono::NaiveTime::MIN).and_utc() - ahead)
            .min(self.now - TimeDelta::minutes(self.rng.i64(1..60 * 1_440)));
        let since = (self.now - booked).num_minutes().max(2);
        (booked, booked + TimeDelta::minutes(self.rng.i64(1..since)))
    }

    fn block(&mut self, property: i64, arrival: NaiveDate, departure: NaiveDate) {
        let (created, updated) = self.moments(arrival);
        let title = self.pick(&["maintenance", "owner stay", "deep clean"]);
        let record = json!({
            "id": self.id(),
            "property_id": property,
            "type": "block",
            "status": "active",
            "is_block": true,
            "arrival": arrival,
            "departure": departure,
            "title": format!("{} {title}", self.plan.marker),
            "created_utc": utc(created),
            "updated_utc": utc(updated),
            "currency_code": self.plan.place.currency,
        });
        self.put("bookings", record);
    }

    fn booking(&mut self, property: i64, owner: Option<i64>, arrival: NaiveDate, departure: NaiveDate, status: &str) {
        let (booked, updated) = self.moments(arrival);
        let guest = self.guest(booked);
        let id = self.id();
        let (channel, prefix) = self.rng.choice(CHANNELS).unwrap_or(("Direct", ""));
        let direct = channel == "Direct";
        let rent = calendar::rent(self.records, property, arrival, departure);
        let lines = charges(rent, channel);
        let total: f64 = lines.iter().filter_map(|line| line.get("amount")?.as_f64()).sum();
        let canceled = status == "canceled";
        let past = departure <= self.now.date_naive();
        let paid = match status {
            "active" if past || !direct => total,
            "active" | "canceled" => total / 2.0,
            _ => 0.0,
        };
        let refunded = if canceled { paid } else { 0.0 };
        let fee = if channel == "Airbnb" { total * 0.03 } else { 0.0 };
        let code =
            format!("{prefix}{}", self.guid().to_uppercase().replace('-', "").chars().take(8).collect::<String>());
        let mut record = json!({
            "id": id,
            "property_id": property,
            "guest_id": guest,
            "owner_id": owner,
            "type": "booking",
            "status": status,
            "is_block": false,
            "arrival": arrival,
            "departure": departure,
            "check_in": "16:00",
            "check_in_end": direct.then_some("20:00"),
            "check_out": "10:00",
            "cleaning_date": format!("{departure}T11:00:00Z"),
            "adults": self.rng.i64(1..=4),
            "children": self.rng.i64(0..=2),
            "infants": 0,
            "pets": self.rng.i64(0..=1),
            "notes": self.rng.u8(0..5).eq(&0).then(|| format!("{}: late arrival", self.plan.marker)),
            "listing_site": channel,
            "platform_reservation_number": (!direct).then_some(code),
            "platform_email_address": (!direct).then(|| format!("{id}@{}.relay.example", self.handle())),
            "form_key": self.guid(),
        });
        let moments_and_money = json!({
            "booked_utc": utc(booked),
            "created_utc": utc(booked),
            "updated_utc": utc(updated),
            "canceled_utc": canceled.then(|| utc(updated)),
            "pending_until_utc": (status == "pending").then(|| utc(self.now + TimeDelta::days(2))),
            "currency_code": self.plan.place.currency,
            "total_amount": money(total),
            "total_paid": money(paid),
            "total_owed": money(if canceled { 0.0 } else { total - paid }),
            "total_refunded": money(refunded),
            "total_host_fees": money(fee),
        });
        let extras = json!({
            "thread_ids": (!direct).then(|| [id + 5_000_000]),
            "charges": lines,
            "door_codes": [{"code": format!("{:04}", self.rng.u16(0..10_000)), "lock_names": "Front door"}],
            "cancellation_policy_description": "Full refund until 30 days before arrival, half until 14 days.",
            "agreements": [{"name": "Rental agreement", "date": utc(booked), "url": format!("https://docs.example/{id}")}],
            "tags": if direct { vec!["direct", "returning"] } else { vec!["channel"] },
            "fields": [{"code": "ARRIVE", "value": "by car"}],
        });
        if let Value::Object(members) = &mut record {
            for part in [moments_and_money, extras] {
                members.extend(part.as_object().cloned().unwrap_or_default());
            }
        }
        self.put("bookings", record);
    }

    fn guest(&mut self, created: DateTime<Utc>) -> i64 {
        // Some come back.
        if self.rng.u8(0..10) == 0 {
            let known: Vec<i64> = self.records.all("guests").filter_map(super::records::id).collect();
            if let Some(guest) = self.rng.choice(known) {
                return guest;
            }
        }
        let (first, last) = (self.pick(&FIRST_NAMES), self.pick(&LAST_NAMES));
        let id = self.id();
        let record = json!({
            "id": id,
            "first_name": first,
            "last_name": last,
            "notes": format!("Guest of {}", self.plan.marker),
            "is_banned": false,
            "opt_out_marketing_email": self.rng.bool(),
            "opt_out_marketing_sms": false,
            "opt_out_transactional_sms": false,
            "addresses": [{
                "id": self.id(),
                "type": "home",
                "is_default": true,
                "street1": format!("{} {}", self.rng.i64(1..400), self.pick(&STREETS)),
                "city": self.pick(&["Springfield", "Riverton", "Ashford", "Millbrook"]),
                "postal_code": format!("{:05}", self.rng.u32(10_000..99_999)),
                "country": self.plan.place.country,
            }],
            "email_addresses": [{
                "id": self.id(),
                "type": "home",
                "is_default": true,
                "address": format!("{first}.{last}.{id}@{}.guests.example", self.handle()).to_lowercase(),
            }],
            "phones": [{
                "id": self.id(),
                "type": "mobile",
                "is_default": true,
                "number": format!("+1 555 01{:02} {:04}", self.rng.u8(0..100), self.rng.u16(0..10_000)),
            }],
            "tags": ["demo guest"],
            "fields": [{"code": "ALLERGY", "value": "none"}],
            "_created_utc": utc(created),
        });
        self.put("guests", record)
    }

    fn guid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid().to_string()
    }
}

fn base_rate(index: usize) -> i64 {
    110 + 35 * (index as i64 % 8)
}

/// A moment as OwnerRez writes it.
pub(super) fn utc(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
