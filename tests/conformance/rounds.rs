//! Calls that request input from the client before they return a result (input-required results, SEP-2322). The server
//! stores no state: in a call with several rounds, the client carries the round number in a signed state.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, rand::SystemRandom};
use rmcp::{
    ErrorData,
    model::{ClientCapabilities, InputRequest, InputRequiredResult, InputResponses},
};
use serde::Deserialize;

/// The inputs that a call requests, in order.
#[derive(Clone, Deserialize)]
pub(crate) struct Ask {
    /// The names of the inputs that each round requests.
    rounds: Vec<Vec<String>>,
    /// Whether the client carries a signed state.
    sealed: bool,
    /// The beginning of the result text when all inputs are there.
    pub(crate) done: String,
}

impl Ask {
    /// One round, without state.
    pub(crate) fn once(names: Vec<String>) -> Self {
        Self { rounds: vec![names], sealed: false, done: String::new() }
    }
}

/// What the client sent with its call.
pub(crate) struct Sent<'a> {
    /// The name of the tool or prompt: a state is valid only for the same one.
    pub(crate) name: &'a str,
    pub(crate) responses: Option<&'a InputResponses>,
    pub(crate) state: Option<&'a str>,
    pub(crate) capabilities: ClientCapabilities,
}

/// The next step of a call.
pub(crate) enum Next {
    /// The client must provide input first.
    Ask(InputRequiredResult),
    /// All inputs are there.
    Done,
}

/// All questions, and the key that signs the states.
pub(crate) struct Rounds {
    questions: BTreeMap<String, InputRequest>,
    key: hmac::Key,
}

impl Rounds {
    pub(crate) fn new(questions: BTreeMap<String, InputRequest>) -> Result<Self, ring::error::Unspecified> {
        Ok(Self { questions, key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())? })
    }

    pub(crate) fn next(&self, ask: &Ask, sent: &Sent<'_>) -> Result<Next, ErrorData> {
        let mut round = match sent.state {
            Some(state) => self.open(sent.name, state)?,
            None => 0,
        };
        if self.is_answered(ask, round, sent) {
            round += 1;
        }
        let asked = self.asked(ask, round, sent);
        if asked.is_empty() {
            return Ok(Next::Done);
        }
        let state = ask.sealed.then(|| self.seal(sent.name, round));
        Ok(Next::Ask(InputRequiredResult::new(Some(asked), state)))
    }

    /// Returns the inputs that a round requests, limited to those that the client declared it can answer.
    fn asked(&self, ask: &Ask, round: usize, sent: &Sent<'_>) -> BTreeMap<String, InputRequest> {
        let names = ask.rounds.get(round).into_iter().flatten();
        let questions = names.filter_map(|name| Some((name.clone(), self.questions.get(name)?.clone())));
        questions.filter(|(_, question)| can_answer(&sent.capabilities, question)).collect()
    }

    /// An answer must be an object; anything else is requested again. Answers to questions that were not asked are
    /// ignored.
    fn is_answered(&self, ask: &Ask, round: usize, sent: &Sent<'_>) -> bool {
        let asked = self.asked(ask, round, sent);
        sent.responses.is_some_and(|responses| {
            asked.keys().all(|name| responses.get(name).is_some_and(serde_json::Value::is_object))
        })
    }

    fn seal(&self, name: &str, round: usize) -> String {
        let text = format!("{name} {round}");
        let tag = hmac::sign(&self.key, text.as_bytes());
        URL_SAFE_NO_PAD.encode([tag.as_ref(), text.as_bytes()].concat())
    }

    fn open(&self, name: &str, state: &str) -> Result<usize, ErrorData> {
        let round = || {
            let bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
            let (tag, text) = bytes.split_at_checked(hmac::HMAC_SHA256.digest_algorithm().output_len())?;
            hmac::verify(&self.key, text, tag).ok()?;
            let text = str::from_utf8(text).ok()?;
            text.strip_prefix(name)?.trim_start().parse().ok()
        };
        round().ok_or_else(|| ErrorData::invalid_params("the requestState is none of ours", None))
    }
}

fn can_answer(capabilities: &ClientCapabilities, question: &InputRequest) -> bool {
    match question {
        InputRequest::CreateMessage(_) => capabilities.sampling.is_some(),
        InputRequest::Elicitation(_) => capabilities.elicitation.is_some(),
        InputRequest::ListRoots(_) => capabilities.roots.is_some(),
        _ => false,
    }
}
