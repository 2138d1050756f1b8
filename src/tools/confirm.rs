//! Whether a person agreed to a write that removes something for good or reaches a guest.
//!
//! A client that can ask its person does so, by an input-required result (revision 2026-07-28); what it sends back names
//! the write that was asked about. With others, and where the connection chose so, it takes two steps: the first call is answered with what would happen and a
//! token, the second gives the token. Tokens are sealed for their user, name one request exactly, and end soon.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema, InputRequest, InputRequiredResult,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    crypto::{self, CryptoError, KeyRing, SealedFor},
    domain::{Sealed, UserId},
};

/// The name under which the question and its answer travel.
pub const QUESTION: &str = "consent";
/// The same for a page that they are sent to.
pub const ERRAND: &str = "connect";
/// A person answers a question, or a model asks theirs, within this time.
const CONFIRMATION_LIFE: TimeDelta = TimeDelta::minutes(10);
/// A draft may wait for its person a little longer.
const DRAFT_LIFE: TimeDelta = TimeDelta::minutes(30);

/// What the client brings of the person in front of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// The client can show them a question.
    pub can_be_asked: bool,
    /// The client can send them to a web page, and did not do so for an earlier try of this call.
    pub can_be_sent: bool,
    /// Their answer to the question that an earlier call was answered with.
    pub reply: Option<PersonReply>,
}

/// What a person said to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonReply {
    /// The state that travelled with the question.
    pub state: String,
    /// What they did with it. Only `accept` is consent: clients without a person answer the others by themselves.
    pub action: ElicitationAction,
}

/// How a token came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// As a draft, which the model shows its person.
    Draft,
    /// With the answer to a first call.
    Told,
    /// With a question to the person.
    Asked,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Token {
    way: Way,
    /// Makes two tokens for the same request two.
    nonce: String,
    /// Unix time.
    until: i64,
    /// Digest of the request that it is for.
    request: String,
    /// Of a draft: what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<Map<String, Value>>,
}

/// A token that is good.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Consent {
    /// Digest of the request that it is for.
    pub request: String,
    /// Names this token among all; a write is recorded under it, so that it allows one.
    pub permit: String,
    /// Of a draft: what it says.
    pub arguments: Map<String, Value>,
}

/// Why a token, or a person, allows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The question was answered with no.
    Declined,
    /// The question was closed without an answer.
    Cancelled,
    /// It is older than it may be.
    Expired,
    /// It was altered, belongs to another user, or is no such token.
    NotGood,
    /// It is for another tool or other arguments.
    OtherCall,
}

impl Refusal {
    /// The stable code: in logs and in counters.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Cancelled => "not_answered",
            Self::Expired => "consent_expired",
            Self::NotGood | Self::OtherCall => "consent_refused",
        }
    }
}

/// Makes a token for a request; says until when it is good.
pub(super) fn seal(
    ring: &KeyRing,
    user: UserId,
    way: Way,
    request: &str,
    arguments: Option<Map<String, Value>>,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), CryptoError> {
    let until = (now + if way == Way::Draft { DRAFT_LIFE } else { CONFIRMATION_LIFE }).trunc_subsecs(0);
    let nonce = crypto::random_token()?.expose_secret().chars().take(16).collect();
    let token = Token { way, nonce, until: until.timestamp(), request: request.to_owned(), arguments };
    let text = serde_json::to_string(&token).map_err(|_| CryptoError::Corrupt)?;
    let Sealed(sealed) = ring.seal(SealedFor::Consent(user), &text.into())?;
    Ok((sealed, until))
}

/// Reads a token of this user's.
pub(super) fn open(
    ring: &KeyRing,
    user: UserId,
    way: Way,
    sealed: &str,
    now: DateTime<Utc>,
) -> Result<Consent, Refusal> {
    let opened = ring.open(SealedFor::Consent(user), &Sealed(sealed.to_owned())).map_err(|_| Refusal::NotGood)?;
    let text = opened.expose_secret();
    let token: Token = serde_json::from_str(text).map_err(|_| Refusal::NotGood)?;
    if token.way != way {
        return Err(Refusal::NotGood);
    }
    if token.until <= now.timestamp() {
        return Err(Refusal::Expired);
    }
    let arguments = token.arguments.unwrap_or_default();
    Ok(Consent { request: token.request, permit: crypto::digest_hex(text), arguments })
}

/// Sends the person to a web page; the same call comes again when they are back, or do not want to go.
pub(super) fn errand(message: String, url: String) -> InputRequiredResult {
    let page = ElicitRequestParams::UrlElicitationParams { meta: None, message, url, elicitation_id: String::new() };
    let requests = [(ERRAND.to_owned(), InputRequest::Elicitation(ElicitRequest::new(page)))];
    InputRequiredResult::new(Some(requests.into()), None)
}

/// A question to the person, to be answered with the same call and this state.
pub(super) fn question(message: String, state: String) -> InputRequiredResult {
    // Nothing to fill in: to agree or not is the answer.
    let requested_schema = ElicitationSchema::new(Default::default());
    let form = ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
    let requests = [(QUESTION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(form)))];
    InputRequiredResult::new(Some(requests.into()), Some(state))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;
    use uuid::Uuid;

    use super::*;

    fn ring() -> KeyRing {
        KeyRing::new(&SecretBox::new(Box::new([7; 32]))).unwrap()
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn a_token_is_good_for_its_user_its_way_and_its_time() {
        for (way, life) in [(Way::Draft, 30), (Way::Told, 10), (Way::Asked, 10)] {
            let (token, until) = seal(&ring(), user(1), way, "digest", None, NOW).unwrap();
            assert_eq!(until, NOW + TimeDelta::minutes(life));
            let opened = open(&ring(), user(1), way, &token, until - TimeDelta::seconds(1)).unwrap();
            assert_eq!(opened.request, "digest");
            assert_eq!(open(&ring(), user(1), way, &token, until), Err(Refusal::Expired));
            assert_eq!(open(&ring(), user(2), way, &token, NOW), Err(Refusal::NotGood));
            for other in [Way::Draft, Way::Told, Way::Asked].into_iter().filter(|other| *other != way) {
                assert_eq!(open(&ring(), user(1), other, &token, NOW), Err(Refusal::NotGood));
            }
        }
    }

    #[test]
    fn each_token_allows_a_write_of_its_own() {
        let permit = || {
            let (token, _) = seal(&ring(), user(1), Way::Told, "digest", None, NOW).unwrap();
            open(&ring(), user(1), Way::Told, &token, NOW).unwrap().permit
        };
        assert_ne!(permit(), permit());
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in ".{0,120}", at in 0usize..400) {
            prop_assert_eq!(open(&ring(), user(1), Way::Told, &text, NOW), Err(Refusal::NotGood));
            let (token, _) = seal(&ring(), user(1), Way::Told, "digest", None, NOW).unwrap();
            let mut bytes = token.into_bytes();
            let at = at % bytes.len();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(open(&ring(), user(1), Way::Told, &altered, NOW), Err(Refusal::NotGood));
        }
    }
}
