//! The settings of the simulated OwnerRez that can change at run time.

use serde::{Deserialize, Serialize};

/// The behaviour of the simulated OwnerRez that is a setting of the real one, or that no source documents. All can
/// change at run time; those for tokens apply to tokens issued afterwards. [`Variation`] has the differences between
/// accounts.
///
/// [`Variation`]: super::Variation
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Policy "Standard": the lifetime of an access token in seconds. `None` is the policy "None": tokens without
    /// expiry or refresh.
    pub token_life_seconds: Option<i64>,
    /// Each refresh replaces the refresh token and invalidates the old one; otherwise the response has none.
    pub rotate_refresh_tokens: bool,
    /// A refresh invalidates the access tokens issued before it.
    pub refresh_ends_old_access: bool,
    /// Connecting an account again invalidates the tokens of its earlier grants.
    pub second_grant_ends_first: bool,
    /// The app's scope is read-only: its tokens may only GET.
    pub read_only: bool,
    /// The status of a POST that creates a record: 200 or 201.
    pub create_status: u16,
    /// DELETE responds with 204 without a body, otherwise with 200 and `{id, success}`.
    pub delete_answers_204: bool,
    /// The number of requests served per source address in any five minutes.
    pub request_limit: u32,
    /// The app has a messaging agreement; without one its tokens get 402 for messages.
    pub messaging: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            token_life_seconds: Some(2_592_000),
            rotate_refresh_tokens: false,
            refresh_ends_old_access: false,
            second_grant_ends_first: false,
            read_only: false,
            create_status: 200,
            delete_answers_204: true,
            request_limit: 300,
            messaging: true,
        }
    }
}
