//! The credential with which a user connects an account.

use secrecy::SecretString;

/// The credential with which a user connects an account.
pub(super) enum ConnectCredential {
    /// An authorization code.
    Code(SecretString),
    /// A personal access token, as `e-mail:token`.
    PersonalToken(SecretString),
}
