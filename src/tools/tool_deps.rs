//! What the tools depend on.

use std::sync::Arc;

use url::Url;

use super::links::ConnectLinks;
use crate::{
    catalog::Catalog, crypto::KeyRing, domain::SharedClock, metrics::Metrics, session::Sessions, store::Store,
};

/// The dependencies of the tools.
pub struct ToolDeps {
    /// The operations of OwnerRez.
    pub catalog: Catalog,
    /// The sessions of the users.
    pub sessions: Sessions,
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: SharedClock,
    /// Connect links for users without a connected account.
    pub links: ConnectLinks,
    /// Encrypts drafts and confirmations, and creates the digests that identify recorded writes.
    pub ring: Arc<KeyRing>,
    /// URL of the OwnerRez application, for links to its pages.
    pub app_url: Url,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}
