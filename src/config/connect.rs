//! Limits on links for connecting an account.

use super::layers::Layers;

/// Limits on links for connecting an account.
#[derive(Clone, Debug)]
pub struct ConnectSection {
    /// How long a link is valid.
    pub link_minutes: u32,
    /// Whether accounts may be connected with personal access tokens if the gateway is not loopback only.
    pub personal_tokens: bool,
    /// The number of open links per user.
    pub open_links_per_user: usize,
}

pub(super) fn connect(layers: &mut Layers) -> ConnectSection {
    ConnectSection {
        link_minutes: layers.number("connect.link_minutes", 1..=60),
        open_links_per_user: layers.number("connect.open_links_per_user", 1..=100),
        personal_tokens: layers.flag("connect.personal_tokens"),
    }
}
