//! The options of connections to PostgreSQL.

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret, SecretString};

use super::error::StoreError;

/// Parses the URL of a server.
pub(super) fn postgres_options(url: &SecretString) -> Result<PgConnectOptions, StoreError> {
    match url.expose_secret().parse::<PgConnectOptions>() {
        // Poolers reject this parameter by default. It affects only numbers in text form, which the gateway never
        // reads.
        Ok(options) => Ok(options.application_name("ownerrez-gateway").extra_float_digits(None)),
        // The error is left out: it may quote parts of the URL.
        Err(_) => Err(StoreError::target("the PostgreSQL URL cannot be parsed".to_owned())),
    }
}
