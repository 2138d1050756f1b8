//! Where the invented houses stand: time zone, currency and address follow from it.

/// Where an account's houses stand.
pub(super) struct Place {
    pub(super) time_zone: &'static str,
    pub(super) currency: &'static str,
    pub(super) town: &'static str,
    pub(super) state: Option<&'static str>,
    pub(super) country: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

pub(super) const CAMDEN: Place = Place {
    time_zone: "America/New_York",
    currency: "USD",
    town: "Camden",
    state: Some("ME"),
    country: "US",
    latitude: 44.21,
    longitude: -69.06,
};
pub(super) const SILVERTON: Place = Place {
    time_zone: "America/Denver",
    currency: "USD",
    town: "Silverton",
    state: Some("CO"),
    country: "US",
    latitude: 37.81,
    longitude: -107.66,
};
pub(super) const ERICEIRA: Place = Place {
    time_zone: "Europe/Lisbon",
    currency: "EUR",
    town: "Ericeira",
    state: None,
    country: "PT",
    latitude: 38.96,
    longitude: -9.42,
};
pub(super) const LAKEVIEW: Place = Place {
    time_zone: "America/Chicago",
    currency: "USD",
    town: "Lakeview",
    state: Some("MI"),
    country: "US",
    latitude: 43.45,
    longitude: -85.27,
};
