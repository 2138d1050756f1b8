//! Records which response contains which secret: all responses of a gateway, and the search for secrets in every
//! encoding.

use std::{cell::RefCell, collections::BTreeSet};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use url::form_urlencoded;

use crate::world::{Page, Reply};

/// All secrets and all responses.
#[derive(Default)]
pub(super) struct SecretScanner {
    secrets: RefCell<Vec<Secret>>,
    answers: RefCell<Vec<(String, String)>>,
    /// Responses and the secrets that they are meant to contain.
    expected: RefCell<BTreeSet<(String, String)>>,
}

struct Secret {
    name: String,
    forms: Vec<String>,
}

impl SecretScanner {
    /// Registers a secret.
    pub(super) fn secret(&self, name: &str, value: impl AsRef<[u8]>) {
        let forms = forms(value.as_ref());
        assert!(self.secrets.borrow().iter().all(|secret| secret.name != name), "{name} is there already");
        self.secrets.borrow_mut().push(Secret { name: name.to_owned(), forms });
    }

    /// Registers the key of a user, whose prefix is not secret.
    pub(super) fn key(&self, name: &str, key: &str) {
        self.secret(name, &key[24..56]);
    }

    /// Records a REST or MCP response, and the secrets that it is meant to contain.
    pub(super) fn reply(&self, what: &str, reply: &Reply, expected: &[&str]) {
        let body = reply.body.as_str().map_or_else(|| reply.body.to_string(), str::to_owned);
        self.answer(what, &reply.headers, &body, expected);
    }

    /// Does the same for a page.
    pub(super) fn page(&self, what: &str, page: &Page, expected: &[&str]) {
        self.answer(what, &page.headers, &page.body, expected);
    }

    fn answer(&self, what: &str, headers: &[(String, String)], body: &str, expected: &[&str]) {
        let mut text: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        text.push(body.to_owned());
        self.answers.borrow_mut().push((what.to_owned(), latin(text.join("\n").as_bytes())));
        self.expected.borrow_mut().extend(expected.iter().map(|name| (what.to_owned(), (*name).to_owned())));
    }

    /// Checks that each response contains its expected secrets and no others. Finding the expected ones shows that the
    /// search works.
    pub(super) fn check_responses(&self) {
        let mut told = BTreeSet::new();
        for (what, text) in &*self.answers.borrow() {
            told.extend(self.found_in(text).into_iter().map(|name| (what.clone(), name)));
        }
        let expected = self.expected.borrow();
        let [leaked, missed] = [&told - &expected, &*expected - &told];
        assert!(leaked.is_empty() && missed.is_empty(), "told: {leaked:?}; not told: {missed:?}");
    }

    /// Checks that no secret is in these bytes.
    pub(super) fn check_absent(&self, what: &str, bytes: &[u8]) {
        let text = latin(bytes);
        assert_eq!(self.found_in(&text), Vec::<String>::new(), "in {what}: {:?}", self.around(&text));
    }

    fn found_in(&self, text: &str) -> Vec<String> {
        let secrets = self.secrets.borrow();
        let found = secrets.iter().filter(|secret| secret.forms.iter().any(|form| text.contains(form)));
        found.map(|secret| secret.name.clone()).collect()
    }

    /// Returns the lines with a secret in them, shortened: a failure must show where they come from.
    fn around(&self, text: &str) -> BTreeSet<String> {
        let secrets = self.secrets.borrow();
        let forms: Vec<&String> = secrets.iter().flat_map(|secret| &secret.forms).collect();
        let lines = text.lines().filter(|line| forms.iter().any(|form| line.contains(*form)));
        lines.map(|line| line.chars().take(400).collect()).take(20).collect()
    }
}

/// Maps each byte to one character, so that bytes that are not text can be searched as well.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Returns a secret verbatim and in the encodings that libraries use.
fn forms(value: &[u8]) -> Vec<String> {
    assert!(value.len() >= 8, "what is so short would be found by chance");
    let each = |write: fn(&u8) -> String| value.iter().map(write).collect::<Vec<_>>();
    let percent: String = form_urlencoded::byte_serialize(value).collect();
    let mut forms = BTreeSet::from([
        latin(value),
        value.escape_ascii().to_string(),
        each(|byte| format!("{byte:02x}")).concat(),
        each(|byte| format!("{byte:02X}")).concat(),
        each(u8::to_string).join(", "),
        percent.replace('+', "%20"),
        each(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte).into() } else { format!("%{byte:02x}") })
            .concat(),
        percent,
    ]);
    // Within a longer text a secret has three forms in base64, depending on its offset.
    for before in 0..3 {
        let text = [&vec![0; before], value].concat();
        let own = (before * 8).div_ceil(6)..text.len() * 8 / 6;
        forms.extend([
            STANDARD_NO_PAD.encode(&text)[own.clone()].to_owned(),
            URL_SAFE_NO_PAD.encode(&text)[own].to_owned(),
        ]);
    }
    forms.into_iter().collect()
}
