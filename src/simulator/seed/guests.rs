//! Guests: some return, and some return with another spelling of their name.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    names::{FIRST_NAMES, LAST_NAMES, STREETS},
    seeder::Seeder,
};
use crate::simulator::{records::text, timestamp::utc};

impl Seeder<'_> {
    /// Returns a guest for a stay: about one in ten is known, and one in twenty is known and entered again as a new
    /// record.
    pub(super) fn guest(&mut self, created: DateTime<Utc>) -> i64 {
        let chance = self.rng.u8(0..20);
        let known = if chance < 3 { self.rng.choice(&self.guests).copied() } else { None };
        match known {
            Some(known) if chance == 0 => self.guest_again(known, created),
            Some(known) => known,
            None => {
                let (first, last) = (self.pick(&FIRST_NAMES), self.pick(&LAST_NAMES));
                self.new_guest(first.to_owned(), last.to_owned(), None, created)
            }
        }
    }

    /// Creates another record of the same person: the name differs slightly, the phone number does not.
    fn guest_again(&mut self, known: i64, created: DateTime<Utc>) -> i64 {
        let Some(guest) = self.records.get("guests", known) else { return known };
        let (first, last) = (text(guest, "first_name").to_owned(), text(guest, "last_name").to_owned());
        let phone = guest.get("phones").and_then(|phones| phones.get(0)?.get("number")?.as_str()).map(str::to_owned);
        let (first, last) = match self.rng.u8(0..5) {
            0 => (format!("{}.", first.chars().next().unwrap_or_default()), last),
            1 => (first.to_lowercase(), last.to_lowercase()),
            2 => (first, format!("{last}-{}", self.pick(&LAST_NAMES))),
            3 => (format!("{first} {}.", self.rng.uppercase()), last),
            _ => (last, first),
        };
        self.new_guest(first, last, Some((known, phone)), created)
    }

    fn new_guest(
        &mut self,
        first: String,
        last: String,
        same: Option<(i64, Option<String>)>,
        created: DateTime<Utc>,
    ) -> i64 {
        let id = self.id();
        let place = self.plan.place(id as usize);
        let (same_as, phone) = match same {
            Some((guest, phone)) => (Some(guest), phone),
            None => (None, None),
        };
        let phone =
            phone.unwrap_or_else(|| format!("+1 555 01{:02} {:04}", self.rng.u8(0..100), self.rng.u16(0..10_000)));
        // OwnerRez returns the type of few entries.
        let typed = self.rng.u8(0..8) == 0;
        let address = format!("{first}.{last}.{id}@{}.guests.example", self.handle()).to_lowercase();
        let address: String = address.chars().filter(|c| !c.is_whitespace()).collect::<String>().replace("..", ".");
        let mut addresses =
            vec![json!({"id": self.id(), "type": typed.then_some("home"), "is_default": true, "address": address})];
        if self.rng.u8(0..8) == 0 {
            let other = format!("{id}@{}.relay.example", self.handle());
            addresses.push(json!({"id": self.id(), "is_default": false, "address": other}));
        }
        let record = json!({
            "id": id,
            "first_name": first,
            "last_name": last,
            "notes": format!("Guest of {}", self.plan.tenant_label),
            "is_banned": false,
            "opt_out_marketing_email": self.rng.bool(),
            "opt_out_marketing_sms": false,
            "opt_out_transactional_sms": false,
            "addresses": [{
                "id": self.id(),
                "type": typed.then_some("home"),
                "is_default": true,
                "street1": format!("{} {}", self.rng.i64(1..400), self.pick(&STREETS)),
                "city": self.pick(&["Springfield", "Riverton", "Ashford", "Millbrook"]),
                "state": place.state_name,
                "postal_code": format!("{:05}", self.rng.u32(10_000..99_999)),
                "country": place.country_name,
            }],
            "email_addresses": addresses,
            "phones": [{"id": self.id(), "type": typed.then_some("mobile"), "is_default": true, "number": phone}],
            "tags": ["demo guest"],
            "fields": (self.rng.u8(0..4) == 0).then(|| json!([{"code": "ALLERGY", "value": "none"}])),
            "_created_utc": utc(created),
            "_same_as": same_as.map(Value::from),
        });
        self.guests.push(id);
        self.put("guests", record)
    }
}
