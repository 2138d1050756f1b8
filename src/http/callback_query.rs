//! The parameters with which OwnerRez redirects a browser back.

use secrecy::SecretString;
use serde::Deserialize;

/// A code or an error, and the state that it belongs to.
#[derive(Deserialize)]
pub(crate) struct CallbackQuery {
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) code: SecretString,
    pub(super) error: Option<String>,
}
