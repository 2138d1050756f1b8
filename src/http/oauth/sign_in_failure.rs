//! The reasons why a sign-in fails.

use crate::session::ConnectError;

/// The reasons why a returned browser was not signed in.
pub(super) enum SignInFailure {
    /// OwnerRez sent no code.
    Denied,
    /// The code expired before its turn.
    CodeExpired,
    /// The code was not redeemed.
    Failed(ConnectError),
}
