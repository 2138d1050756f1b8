//! The endpoints of the REST API, for monitoring, and for notifications of OwnerRez.

pub(super) mod connect;
pub(super) mod health;
pub(super) mod keys;
pub(super) mod legacy_routes;
pub(super) mod metrics;
pub(super) mod notices;
pub(super) mod ready;
pub(super) mod starting;
pub(super) mod users;
pub(super) mod webhook;
