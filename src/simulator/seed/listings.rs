//! Presentation of the properties: listings, channels, webhooks.

use serde_json::{Value, json};

use super::{names::CHANNELS, seeder::Seeder};
use crate::simulator::records::{Record, id, text};

/// The record types of webhook subscriptions.
const SUBSCRIBED: [&str; 8] = ["booking", "discount", "guest", "inquiry", "message", "property", "quote", "surcharge"];
/// Numbers of photos, in turn; the last two were counted in live accounts.
const PHOTOS: [usize; 4] = [4, 12, 83, 104];

impl Seeder<'_> {
    pub(super) fn listings(&mut self) {
        let houses: Vec<Record> = self.records.all("properties").cloned().collect();
        for (house, photos) in houses.iter().zip(PHOTOS.into_iter().cycle()) {
            self.listing(house, photos);
        }
        for (name, _) in CHANNELS {
            let record = json!({"id": self.id(), "name": name, "active": name != "Direct" || houses.len() > 1});
            self.put("listing_sites", record);
        }
        // One application with all subscriptions; they fill more than one page.
        let everything = if houses.len() > 3 { SUBSCRIBED.as_slice() } else { SUBSCRIBED.get(..1).unwrap_or_default() };
        for kind in everything {
            for action in ["entity_create", "entity_update", "entity_delete"] {
                let subscription = json!({
                    "id": self.id(),
                    "type": kind,
                    "action": action,
                    "webhook_url": format!("https://{}.hooks.example/ownerrez", self.handle()),
                });
                self.put("webhook_subscriptions", subscription);
            }
        }
    }

    /// Creates a listing, which has its property's id.
    fn listing(&mut self, house: &Record, photos: usize) {
        let id = id(house).unwrap_or_default();
        let of_house = |name: &str| house.get(name).cloned().unwrap_or_default();
        let rate = house.get("_nightly_rate").and_then(Value::as_f64).unwrap_or_default();
        let name = text(house, "external_name");
        let photo = |number: usize| {
            let picture = format!("https://images.example/{id}/{number}");
            json!({
                "caption": format!("Photo {number}"),
                "original_url": format!("{picture}/original.jpg"),
                "large_url": format!("{picture}/large.jpg"),
                "cropped_url": format!("{picture}/cropped.jpg"),
            })
        };
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
                "description": format!("{name} is a bright home close to everything ({}).", self.plan.tenant_label),
                "short_description": format!("Bright home: {name}"),
            },
            "photos": (1..=photos).map(photo).collect::<Vec<_>>(),
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
