//! The description of a simulated account.

use serde::Serialize;

use crate::domain::AccountId;

/// A simulated OwnerRez account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoAccount {
    /// `user_id` of token responses, `id` of `/v2/users/me`.
    #[serde(serialize_with = "number")]
    pub id: AccountId,
    /// Part of every record's name.
    pub name: String,
    /// User name for the personal access token.
    pub email: String,
    /// IANA name.
    pub time_zone: String,
    /// A personal access token that is always valid. It is not secret, because it only gives access to generated data.
    pub personal_access_token: String,
}

fn number<S: serde::Serializer>(id: &AccountId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(id.0)
}
