//! The hint for connections that ended.

pub(super) const RECONNECT: &str =
    "Connect again: GET /api/connect/ownerrez/start returns a link to open in a browser.";
