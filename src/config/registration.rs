//! Registration and removal of users.

use secrecy::SecretString;

use super::{
    errors::Problem,
    header_token::{MAKE_A_TOKEN, header_token},
    layers::Layers,
};

/// Registration and removal of users.
#[derive(Clone, Debug)]
pub struct RegistrationSection {
    /// How users may register.
    pub mode: RegistrationMode,
    /// The number of registrations from one address in an hour.
    pub per_hour_and_address: u32,
    /// The number of days after which a user without a connection is deleted; 0 for never.
    pub unconnected_days: u32,
}

/// How users may register.
#[derive(Clone, Debug)]
pub enum RegistrationMode {
    /// Without a token.
    Open,
    /// With this token.
    Token(SecretString),
    /// Not at all.
    Closed,
}

pub(super) fn registration(layers: &mut Layers) -> Option<RegistrationSection> {
    const TOKEN: &str = "registration.token";
    let token = layers.text(TOKEN, header_token);
    let mode = layers.text("registration.mode", |text| match text {
        "open" => Ok(RegistrationMode::Open),
        // An empty token is never compared with anything: it is rejected below.
        "token" => Ok(RegistrationMode::Token(token.clone().unwrap_or_default())),
        "closed" => Ok(RegistrationMode::Closed),
        _ => Err(Problem::new("it is not a registration mode", "set it to open, token or closed")),
    });
    match mode {
        Some(RegistrationMode::Token(_)) if !layers.is_set(TOKEN) => {
            layers.refuse(TOKEN, "it is not set, but registration.mode (REGISTRATION_MODE) is token", MAKE_A_TOKEN);
        }
        Some(RegistrationMode::Open) if token.is_some() && !layers.is_set("registration.mode") => layers.refuse(
            TOKEN,
            "it is set, but registration is open: registration.mode (REGISTRATION_MODE) is not token",
            "set REGISTRATION_MODE=token, or remove the token",
        ),
        _ => {}
    }
    Some(RegistrationSection {
        mode: mode?,
        per_hour_and_address: layers.number("registration.per_hour_and_address", 1..=1_000_000),
        unconnected_days: layers.number("registration.unconnected_days", 0..=3650),
    })
}
