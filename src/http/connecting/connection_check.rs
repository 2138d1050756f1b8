//! Whether a user has a connection that works.

use crate::{
    domain::UserId,
    http::{error::ApiError, state::HttpState},
};

/// Returns whether the user has a working connection. In this case no code is redeemed and no turn is needed.
pub(in crate::http) async fn is_connected(state: &HttpState, user: UserId) -> Result<bool, ApiError> {
    let existing = state.store.connection(user).await?;
    Ok(existing.is_some_and(|connection| connection.rejected_at.is_none()))
}
