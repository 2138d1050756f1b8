//! The owner of the grant of a sign-in.

use crate::{
    domain::{AccountId, Identity, UserId},
    store::SealedGrant,
};

/// The owner of the grant.
pub(super) enum ResolvedIdentity {
    /// A new user: user, identity and connection are stored.
    New(AccountId),
    /// An existing user: the grant is encrypted for this user and not stored yet.
    Known { user: UserId, identity: Identity, account: AccountId, grant: SealedGrant },
}
