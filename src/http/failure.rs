//! What the log learns of an answer that is none.

/// Travels with a response to the middleware that writes the request's line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// The stable code.
    pub(crate) code: &'static str,
    /// Why, if it is not the client's doing.
    pub(crate) cause: Option<String>,
}
