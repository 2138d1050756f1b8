//! The caller that a key identifies.

use std::ops::Deref;

use crate::domain::{KeyId, Principal};

/// A caller with an API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyCaller {
    pub(super) caller: Principal,
    /// The caller's key.
    pub(crate) key: KeyId,
}

impl KeyCaller {
    /// Returns the caller without its key id.
    pub(crate) fn into_caller(self) -> Principal {
        self.caller
    }
}

impl Deref for KeyCaller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.caller
    }
}
