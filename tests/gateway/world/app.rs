//! An MCP client that users sign in to.

use std::collections::HashMap;

use awc::http::header;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ownerrez_gateway::{crypto, domain::AccountId};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Browser, Gateway, Page, Person, Reply};

/// A client that has registered itself.
#[derive(Clone)]
pub(crate) struct ClientApp {
    person: Person,
    /// The address that it uses.
    url: String,
    /// The gateway's public URL.
    public_url: String,
    pub(crate) id: String,
    pub(crate) redirect_uri: String,
    pub(crate) verifier: String,
}

/// The parameters of a redirect back to the client.
#[derive(Clone, Debug)]
pub(crate) struct Landing(pub(crate) HashMap<String, String>);

impl Landing {
    /// Returns the parameters of the address that a page redirects to, which must be the client's own.
    pub(crate) fn of(page: &Page, redirect_uri: &str) -> Self {
        assert_eq!(page.status, 303, "{}", page.body);
        let location = page.location();
        assert!(location.starts_with(redirect_uri), "{location}");
        let url = Url::parse(&location).unwrap();
        Self(url.query_pairs().into_owned().collect())
    }

    /// Does the same for a page without a redirect: uses the address of its button.
    pub(crate) fn offered(page: &Page, redirect_uri: &str) -> Self {
        assert_eq!((page.status / 100, page.header("location")), (4, None), "{}", page.body);
        let (_, rest) = page.body.split_once(r#"class="button" href=""#).unwrap_or_else(|| panic!("{}", page.body));
        let address = rest.split_once('"').unwrap().0.replace("&amp;", "&");
        assert!(address.starts_with(redirect_uri), "{address}");
        Self(Url::parse(&address).unwrap().query_pairs().into_owned().collect())
    }

    /// Returns one parameter.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl ClientApp {
    /// Registers a client with the redirect URI of a web site.
    pub(crate) async fn register(gateway: &Gateway, name: &str) -> Self {
        Self::register_with(gateway, name, "https://app.example/callback").await
    }

    /// Does the same with another redirect URI.
    pub(crate) async fn register_with(gateway: &Gateway, name: &str, redirect_uri: &str) -> Self {
        let person = Person::visitor(&format!("http://{}", gateway.app().address()));
        let metadata = json!({"client_name": name, "redirect_uris": [redirect_uri]});
        Self::registered(gateway, &metadata, &person).await
    }

    /// Registers a client with this metadata; it uses the first of its redirect URIs.
    pub(crate) async fn register_as(gateway: &Gateway, metadata: &Value) -> Self {
        let person = Person::visitor(&format!("http://{}", gateway.app().address()));
        Self::registered(gateway, metadata, &person).await
    }

    async fn registered(gateway: &Gateway, metadata: &Value, person: &Person) -> Self {
        let reply = person.post("/register", metadata).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let redirect_uri = metadata["redirect_uris"][0].as_str().unwrap();
        Self::known(gateway, reply.body["client_id"].as_str().unwrap(), redirect_uri)
    }

    /// Returns a client that is already known.
    pub(crate) fn known(gateway: &Gateway, id: &str, redirect_uri: &str) -> Self {
        Self {
            person: Person::visitor(&format!("http://{}", gateway.app().address())),
            url: format!("http://{}", gateway.app().address()),
            public_url: gateway.url.clone(),
            id: id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            verifier: format!("{:A<50}", "verifier-of-the-story"),
        }
    }

    /// Returns a client of a gateway that runs as a program at this address.
    pub(crate) fn of_program(url: &str, id: &str, redirect_uri: &str) -> Self {
        Self {
            person: Person::visitor(url),
            url: url.to_owned(),
            public_url: url.to_owned(),
            id: id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            verifier: format!("{:B<50}", "verifier-of-the-program"),
        }
    }

    /// Returns the same client with requests to a process at this address, independent of the public URL.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { person: self.person.at(url), url: url.to_owned(), ..self.clone() }
    }

    /// Returns the authorization URL, with these parameters in place of the defaults; empty ones are left out.
    pub(crate) fn authorize_url(&self, changed: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(crypto::sha256(self.verifier.as_bytes()));
        let resource = format!("{}/mcp", self.public_url);
        let usual = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("state", "state of the client"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
        ];
        let kept = usual.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let all = kept.chain(changed.iter().filter(|(_, value)| !value.is_empty()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        format!("{}/authorize?{query}", self.url)
    }

    /// Opens the consent page and decides.
    pub(crate) async fn decide(&self, browser: &mut Browser, changed: &[(&str, &str)], decision: &str) -> Page {
        let page = browser.open(&self.authorize_url(changed)).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let (request, csrf) = (page.field("request"), page.field("csrf"));
        let fields = [("request", request.as_str()), ("csrf", csrf.as_str()), ("decision", decision)];
        browser.submit(&format!("{}/authorize", self.url), &fields).await
    }

    /// Consents and approves at OwnerRez; returns the page after the callback.
    pub(crate) async fn approved(
        &self,
        gateway: &Gateway,
        browser: &mut Browser,
        account: AccountId,
        changed: &[(&str, &str)],
    ) -> Page {
        let to_ownerrez = self.decide(browser, changed, "allow").await;
        assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).expect("the simulated consent page");
        browser.open(&back.replacen(&self.public_url, &self.url, 1)).await
    }

    /// Performs a complete sign-in in a new browser; returns the redirect parameters. Revokes no other access to the
    /// account.
    pub(crate) async fn sign_in(&self, gateway: &Gateway, account: AccountId, changed: &[(&str, &str)]) -> Landing {
        let mut browser = Browser::new();
        let mut page = self.approved(gateway, &mut browser, account, changed).await;
        if page.status == 303 && page.location().contains("/authorize/continue") {
            let look = browser.open(&page.location().replacen(&self.public_url, &self.url, 1)).await;
            page = look.send_others(&mut browser, &self.url, &[]).await;
        }
        Landing::of(&page, &self.redirect_uri)
    }

    /// Does the same and redeems the code for tokens.
    pub(crate) async fn tokens(&self, gateway: &Gateway, account: AccountId, changed: &[(&str, &str)]) -> Value {
        let landing = self.sign_in(gateway, account, changed).await;
        let reply = self.redeem(landing.get("code"), &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    /// Redeems a code, with these parameters in place of the defaults.
    pub(crate) async fn redeem(&self, code: &str, changed: &[(&str, &str)]) -> Reply {
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", &*self.id),
            ("code", code),
            ("redirect_uri", &*self.redirect_uri),
            ("code_verifier", &*self.verifier),
        ];
        self.ask("/token", &usual, changed).await
    }

    /// Uses a refresh token.
    pub(crate) async fn refresh(&self, token: &Value, changed: &[(&str, &str)]) -> Reply {
        let usual = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.id),
            ("refresh_token", token.as_str().expect("a refresh token")),
        ];
        self.ask("/token", &usual, changed).await
    }

    /// Revokes a token.
    pub(crate) async fn revoke(&self, token: &Value) -> Reply {
        self.revoke_with(token, &[]).await
    }

    /// Does the same with additional parameters.
    pub(crate) async fn revoke_with(&self, token: &Value, changed: &[(&str, &str)]) -> Reply {
        self.ask("/revoke", &[("client_id", &*self.id), ("token", token.as_str().unwrap())], changed).await
    }

    async fn ask(&self, path: &str, usual: &[(&str, &str)], changed: &[(&str, &str)]) -> Reply {
        let kept = usual.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let all = kept.chain(changed.iter().filter(|(_, value)| !value.is_empty()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        let form = [(header::CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
        self.person.send("POST", path, &form, Some(body)).await
    }

    /// Returns a caller of `/mcp` with an access token.
    pub(crate) fn caller(&self, tokens: &Value) -> Person {
        self.person.with_key(tokens["access_token"].as_str().expect("an access token"), "")
    }
}

impl Page {
    /// Returns the value of a hidden field, as the browser sends it.
    pub(crate) fn field(&self, name: &str) -> String {
        let value = self.hidden(name).unwrap_or_else(|| panic!("no {name} in {}", self.body));
        value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    }

    /// Submits the form of the page about other access, with more fields; without any to continue.
    pub(crate) async fn send_others(&self, browser: &mut Browser, url: &str, more: &[(&str, &str)]) -> Page {
        let (state, csrf) = (self.field("state"), self.field("csrf"));
        let own = [("state", state.as_str()), ("csrf", csrf.as_str())];
        let fields: Vec<(&str, &str)> = own.iter().chain(more).copied().collect();
        browser.submit(&format!("{url}/authorize/continue"), &fields).await
    }
}
