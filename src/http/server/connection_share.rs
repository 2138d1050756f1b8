//! What one connection takes of the bounds on connections.

use super::shares::Share;
use crate::http::source_address::{Network48, SourceAddress};

/// A connection's part of the bounds. Dropping it gives all of it back.
#[derive(Debug)]
pub(super) struct ConnectionShare {
    _source: Share<SourceAddress>,
    _network: Option<Share<Network48>>,
}

impl ConnectionShare {
    /// Returns the share of a client: of its source and of its network.
    pub(super) fn of_client(source: Share<SourceAddress>, network: Share<Network48>) -> Self {
        Self { _source: source, _network: Some(network) }
    }

    /// Returns the share of a trusted proxy, which only the bound of the process limits.
    pub(super) fn of_proxy(source: Share<SourceAddress>) -> Self {
        Self { _source: source, _network: None }
    }
}
