//! The browser's part of connecting an account: the page of a connect link, and the way back from OwnerRez.

pub(super) mod connect_callback;
pub(super) mod connect_link;
pub(super) mod connect_queue;
pub(super) mod connection_check;
pub(super) mod wait_reason;
