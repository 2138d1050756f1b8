//! Elicitation: how a request can ask its user, and the questions to the user.

use rmcp::{
    RoleServer,
    model::{
        ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema, InputRequest, InputRequiredResult,
        InputResponses,
    },
    service::RequestContext,
};
use serde::Deserialize;

use super::revision::Revision;
use crate::tools::{ClientElicitation, ElicitationReply};

/// The key of the question and its reply in the protocol messages.
const FORM_ELICITATION: &str = "consent";
/// The same for a web page that the user is sent to.
const URL_ELICITATION: &str = "connect";

/// Returns how this request can ask the user (elicitation), and the user's reply if the request contains one.
pub(super) fn elicitation_support(
    context: &RequestContext<RoleServer>,
    request_state: Option<String>,
    input_responses: Option<InputResponses>,
) -> ClientElicitation {
    // Before this revision, elicitation needs a channel back to the client, which a request without a session lacks.
    let new_enough = Revision::of(context) >= Revision::V2026_07_28;
    let elicitation = context.client_capabilities().and_then(|able| able.elicitation);
    // A client that names no mode supports forms.
    let has_forms = elicitation.as_ref().is_some_and(|able| able.form.is_some() || able.url.is_none());
    let has_pages = elicitation.is_some_and(|able| able.url.is_some());
    let was_sent = input_responses.as_ref().is_some_and(|answers| answers.contains_key(URL_ELICITATION));
    let answer = input_responses.and_then(|mut answers| answers.remove(FORM_ELICITATION));
    let reply = request_state.zip(answer).map(|(state, answer)| {
        let action = answer.get("action").and_then(|action| ElicitationAction::deserialize(action).ok());
        // An action that cannot be read is no consent.
        ElicitationReply { state, action: action.unwrap_or(ElicitationAction::Cancel) }
    });
    ClientElicitation {
        supports_form: new_enough && has_forms,
        supports_url: new_enough && has_pages && !was_sent,
        reply,
    }
}

/// Sends the user to a web page. The client repeats the same call when the user returns or refuses to go.
pub(super) fn url_elicitation(message: String, url: String) -> InputRequiredResult {
    let page = ElicitRequestParams::UrlElicitationParams { meta: None, message, url, elicitation_id: String::new() };
    let requests = [(URL_ELICITATION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(page)))];
    InputRequiredResult::new(Some(requests.into()), None)
}

/// Returns a question to the user, to be answered with the same call and this state.
pub(super) fn form_elicitation(message: String, state: String) -> InputRequiredResult {
    // An empty form: accepting or declining is the answer.
    let requested_schema = ElicitationSchema::new(Default::default());
    let form = ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
    let requests = [(FORM_ELICITATION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(form)))];
    InputRequiredResult::new(Some(requests.into()), Some(state))
}
