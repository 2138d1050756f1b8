//! The contact of the operator, as the pages of the authorization server show it.

use crate::{
    http::{pages, state::HttpState},
    oauth::AuthorizationServer,
};

/// Returns the operator's contact as pages show it.
pub(super) fn operator_contact(state: &HttpState) -> String {
    pages::operator(state.settings.contact.as_deref())
}

/// Returns the operator's contact if the gateway accepts no new users.
pub(super) fn closed_registration_contact(state: &HttpState, server: &AuthorizationServer) -> Option<String> {
    (!server.settings().allows_new_users).then(|| operator_contact(state))
}
