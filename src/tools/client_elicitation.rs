//! How a client can ask its user (elicitation), and the user's reply.

use rmcp::model::ElicitationAction;

/// The user interaction that the client supports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientElicitation {
    /// Whether the client can ask the user (form elicitation).
    pub supports_form: bool,
    /// Whether the client can send the user to a web page (URL elicitation), and did not do so for an earlier try of
    /// this call.
    pub supports_url: bool,
    /// The reply to the question in the response to an earlier call.
    pub reply: Option<ElicitationReply>,
}

/// The reply to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElicitationReply {
    /// The state that was sent with the question.
    pub state: String,
    /// The user's action. Only `accept` is consent: clients without a user send the other actions automatically.
    pub action: ElicitationAction,
}
