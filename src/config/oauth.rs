//! Limits on OAuth clients and their tokens.

use super::layers::Layers;

/// Limits on OAuth clients and their tokens.
#[derive(Clone, Debug)]
pub struct OAuthSection {
    /// The number of clients that may register from one address in an hour.
    pub registrations_per_hour_and_address: u32,
    /// The lifetime of an access token.
    pub access_token_minutes: u32,
    /// The lifetime of a refresh token.
    pub refresh_token_days: u32,
}

pub(super) fn oauth(layers: &mut Layers) -> OAuthSection {
    OAuthSection {
        registrations_per_hour_and_address: layers.number("oauth.registrations_per_hour_and_address", 1..=1_000_000),
        access_token_minutes: layers.number("oauth.access_token_minutes", 1..=1440),
        refresh_token_days: layers.number("oauth.refresh_token_days", 1..=365),
    }
}
