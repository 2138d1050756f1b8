//! What the log learns of an answer that is none.

/// Travels with a response to the middleware that writes the request's line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// The stable code.
    pub(crate) code: &'static str,
    /// Why, if it is not the client's doing.
    pub(crate) cause: Option<String>,
}

/// An error and what lies behind it, for the log only.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let text = error.to_string();
        // Wrappers repeat what they wrap.
        if !told.ends_with(&text) {
            told = format!("{told}: {text}");
        }
        behind = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Wrapper(#[from] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("it was not written")]
    struct Outer(#[source] Wrapper);

    #[test]
    fn a_chain_tells_each_cause_once() {
        assert_eq!(chain(&Outer(Wrapper(Inner))), "it was not written: the disk is full");
    }
}
