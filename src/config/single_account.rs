//! The credentials of the one account that a process with a single user serves.

use secrecy::SecretString;

use super::{
    errors::{ConfigErrors, Problem},
    layers::Layers,
    sources::Sources,
};

const ACCESS_TOKEN: &str = "an access token, like at_…";
const PERSONAL_TOKEN: &str = "a personal access token, like pt_…";

/// The credentials of the one account.
#[derive(Clone, Debug)]
pub enum SingleAccount {
    /// An access token of an OAuth app.
    Bearer(SecretString),
    /// A personal access token.
    Basic {
        /// The e-mail address of its owner.
        email: String,
        /// The token.
        token: SecretString,
    },
}

impl SingleAccount {
    /// Reads the credentials of one account, whatever the transport; `None` if the settings contain none, or two.
    ///
    /// # Errors
    /// The mistakes in these settings.
    pub fn from_sources(sources: Sources) -> Result<Option<Self>, ConfigErrors> {
        let mut layers = Layers::of(sources);
        let account = match own_account(&mut layers) {
            (Some(access), None, None) => Some(Self::Bearer(access)),
            (None, Some(email), Some(token)) => Some(Self::Basic { email, token }),
            _ => None,
        };
        let errors = layers.finish();
        if errors.is_empty() { Ok(account) } else { Err(ConfigErrors(errors)) }
    }

    /// Parses an access token, or an e-mail address and a personal access token with a colon between them. Returns
    /// `None` if the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().split_once(':') {
            None => visible(text.trim(), ACCESS_TOKEN).ok().filter(|_| !text.trim().is_empty()).map(Self::Bearer),
            Some((address, token)) => {
                let token = visible(token, PERSONAL_TOKEN).ok().filter(|_| !token.is_empty())?;
                Some(Self::Basic { email: email(address).ok()?, token })
            }
        }
    }
}

/// Reads the credentials of one account: an access token, an e-mail address, a personal access token.
pub(super) fn own_account(layers: &mut Layers) -> (Option<SecretString>, Option<String>, Option<SecretString>) {
    let access = layers.text("own_account.access_token", |text| visible(text, ACCESS_TOKEN));
    let email = layers.text("own_account.username", email);
    (access, email, layers.text("own_account.token", |text| visible(text, PERSONAL_TOKEN)))
}

fn email(text: &str) -> Result<String, Problem> {
    let good = text.contains('@') && !text.contains(':') && !text.contains(char::is_control);
    let remedy = "set it to the e-mail address that you sign in to OwnerRez with";
    if good { Ok(text.to_owned()) } else { Err(Problem::new("it is not an e-mail address", remedy)) }
}

fn visible(text: &str, what: &'static str) -> Result<SecretString, Problem> {
    let good = text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text.into()) } else { Err(Problem::new("it is not a valid header value", format!("use {what}"))) }
}
