//! Tokens that OwnerRez issued but that are not stored in the database.

use std::rc::Rc;

use super::loaded_tokens::LoadedTokens;
use crate::{
    domain::{TokenSet, UpstreamGrant},
    session::unsaved_count::CountedUnsaved,
};

/// The only copy of some tokens.
pub(super) struct Unsaved {
    tokens: UnsavedTokens,
    _counted: CountedUnsaved,
}

impl Unsaved {
    pub(super) fn new(tokens: UnsavedTokens, counted: CountedUnsaved) -> Self {
        Self { tokens, _counted: counted }
    }

    pub(super) fn tokens(&self) -> &UnsavedTokens {
        &self.tokens
    }
}

/// The kinds of unsaved tokens.
pub(super) enum UnsavedTokens {
    /// New tokens for an existing connection.
    Refreshed { replaces: Rc<LoadedTokens>, tokens: TokenSet },
    /// The grant of a new connection.
    Connected(UpstreamGrant),
}
