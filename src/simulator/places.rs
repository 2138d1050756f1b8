//! Locations of the generated properties: they determine time zone, currency and address.

/// The location of some of an account's properties.
pub(super) struct Place {
    pub(super) time_zone: &'static str,
    pub(super) currency: &'static str,
    pub(super) town: &'static str,
    pub(super) state: Option<&'static str>,
    pub(super) country: &'static str,
    /// State and country as the addresses of guests contain them.
    pub(super) state_name: Option<&'static str>,
    pub(super) country_name: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

pub(super) const CAMDEN: Place = Place {
    time_zone: "America/New_York",
    currency: "USD",
    town: "Camden",
    state: Some("ME"),
    country: "US",
    state_name: Some("Maine"),
    country_name: "UNITED STATES",
    latitude: 44.21,
    longitude: -69.06,
};
pub(super) const SILVERTON: Place = Place {
    time_zone: "America/Denver",
    currency: "USD",
    town: "Silverton",
    state: Some("CO"),
    country: "US",
    state_name: Some("Colorado"),
    country_name: "UNITED STATES",
    latitude: 37.81,
    longitude: -107.66,
};
pub(super) const TOFINO: Place = Place {
    time_zone: "America/Vancouver",
    currency: "CAD",
    town: "Tofino",
    state: Some("BC"),
    country: "CA",
    state_name: Some("British Columbia"),
    country_name: "CANADA",
    latitude: 49.15,
    longitude: -125.91,
};
pub(super) const ERICEIRA: Place = Place {
    time_zone: "Europe/Lisbon",
    currency: "EUR",
    town: "Ericeira",
    state: None,
    country: "PT",
    state_name: None,
    country_name: "PORTUGAL",
    latitude: 38.96,
    longitude: -9.42,
};
pub(super) const PORTREE: Place = Place {
    time_zone: "Europe/London",
    currency: "GBP",
    town: "Portree",
    state: None,
    country: "GB",
    state_name: Some("Scotland"),
    country_name: "UNITED KINGDOM",
    latitude: 57.41,
    longitude: -6.19,
};
pub(super) const LAKEVIEW: Place = Place {
    time_zone: "America/Chicago",
    currency: "USD",
    town: "Lakeview",
    state: Some("MI"),
    country: "US",
    state_name: Some("Michigan"),
    country_name: "UNITED STATES",
    latitude: 43.45,
    longitude: -85.27,
};
