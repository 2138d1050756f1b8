//! How the houses are presented and to whom: listings, channels, webhooks.

use serde_json::{Value, json};

use super::{CHANNELS, Seeder};
use crate::sandbox::records::{Record, id, text};

impl Seeder<'_> {
    pub(super) fn shop(&mut self) {
        let houses: Vec<Record> = self.records.all("properties").cloned().collect();
        for house in &houses {
            self.listing(house);
        }
        for (name, _) in CHANNELS {
            let record = json!({"id": self.id(), "name": name, "active": name != "Direct" || houses.len() > 1});
            self.put("listing_sites", record);
        }
        let subscription = json!({
            "id": self.id(),
            "type": "booking",
            "action": "entity_update",
            "webhook_url": format!("https://{}.hooks.example/ownerrez", self.handle()),
        });
        self.put("webhook_subscriptions", subscription);
    }

    /// A listing bears its property's id.
    fn listing(&mut self, house: &Record) {
        let id = id(house).unwrap_or_default();
        let of_house = |name: &str| house.get(name).cloned().unwrap_or_default();
        let rate = house.get("_nightly_rate").and_then(Value::as_f64).unwrap_or_default();
        let name = text(house, "external_name");
        let record = json!({
            "id": id,
            "property_id": id,
            "nightly_rate_min": (rate * 0.8).round(),
            "nightly_rate_max": (rate * 1.8).round(),
            "bedroom_count": of_house("bedrooms"),
            "bathroom_count": of_house("bathrooms"),
            "bathroom_full_count": of_house("bathrooms_full"),
            "bathroom_half_count": of_house("bathrooms_half"),
            "occupancy_max": of_house("max_guests"),
            "sleeps_max": of_house("max_guests"),
            "wifi_network": format!("{name} guests"),
            "wifi_password": format!("{}-{id}", self.handle()),
            "check_in_instructions": "The key box is left of the door; its code comes with the booking.",
            "house_manual": format!("Welcome to {name}. Quiet hours are from ten to eight."),
            "directions": "Last house on the left.",
            "descriptions": {
                "headline": name,
                "description": format!("{name} is a bright home close to everything ({}).", self.plan.marker),
                "short_description": format!("Bright home: {name}"),
            },
            "photos": [{"original_url": format!("https://images.example/{id}/front.jpg"), "caption": "From the street"}],
            "amenity_categories": [{
                "type": "kitchen", "caption": "Kitchen",
                "amenities": [{"title": "Dishwasher"}, {"title": "Coffee maker", "text": "filter"}],
            }],
            "rooms": [{"name": "Main bedroom", "beds": ["queen"]}],
            "bathrooms": [{"name": "Main bathroom"}],
        });
        self.put("listings", record);
    }
}
