//! The reasons for which client authentication with an assertion fails.

/// The only supported assertion type (RFC 7523 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Reasons for which client authentication fails. Never quotes the assertion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssertionProblem {
    /// The assertion is missing.
    #[error("this client uses private_key_jwt: client_assertion_type and client_assertion are missing")]
    Missing,
    /// The client has no keys to check the assertion with.
    #[error("this client has no keys here: omit client_assertion")]
    NotExpected,
    /// The assertion has an unsupported type.
    #[error("client_assertion_type is not {ASSERTION_TYPE}")]
    Type,
    /// Not a JWT with the claims of RFC 7523.
    #[error("client_assertion is not a signed JWT with iss, sub, aud, exp and jti")]
    Form,
    /// The algorithm is not permitted for this client.
    #[error("client_assertion is signed with an algorithm that is not allowed for this client")]
    Algorithm,
    /// None of the client's keys could have signed it.
    #[error("client_assertion is signed with a key that this client does not publish")]
    UnknownKey,
    /// The assertion was altered, or another key signed it.
    #[error("the signature of client_assertion is invalid")]
    Signature,
    /// `iss` or `sub` names another client.
    #[error("iss and sub of client_assertion are not the client_id")]
    Issuer,
    /// `aud` names another server.
    #[error("aud of client_assertion is not this authorization server")]
    Audience,
    /// The assertion has expired.
    #[error("client_assertion has expired")]
    Expired,
    /// The assertion expires too late.
    #[error("client_assertion expires more than 10 minutes from now")]
    TooLong,
    /// `nbf` or `iat` is in the future.
    #[error("client_assertion is not valid yet; the clock of the client may be wrong")]
    TooEarly,
    /// The assertion was used before.
    #[error("client_assertion was used before; each needs a unique jti")]
    Replayed,
    /// More assertions of this client than are remembered.
    #[error("this client used too many assertions within ten minutes")]
    TooMany,
}
