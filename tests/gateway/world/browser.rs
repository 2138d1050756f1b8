//! A browser with a cookie jar, as far as the gateway's pages need one.

use awc::{cookie::Cookie, http::header};
use futures_util::future::join;
use url::{Url, form_urlencoded};

/// The browser of one user. Other users have other browsers, with other cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    http: awc::Client,
    /// Names and values, in the order in which they were created, which is the order in which they are sent.
    cookies: Vec<(String, String)>,
    /// The address that a proxy reports for it.
    source: Option<String>,
}

/// A page as the browser gets it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Page {
    /// Returns a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the redirect target.
    pub(crate) fn location(&self) -> String {
        self.header("location").expect("a redirect").to_owned()
    }

    /// Returns the value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!(r#"name="{name}" value=""#))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    }
}

impl Browser {
    /// Returns a browser without cookies.
    pub(crate) fn new() -> Self {
        let http = awc::Client::builder().disable_timeout().disable_redirects().finish();
        Self { http, cookies: Vec::new(), source: None }
    }

    /// Returns one at this address; the gateway must trust its proxy.
    pub(crate) fn at(source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..Self::new() }
    }

    /// Opens a page; redirects are not followed.
    pub(crate) async fn open(&mut self, url: &str) -> Page {
        let request = self.http.get(url);
        self.show(request, None).await
    }

    /// Submits a form.
    pub(crate) async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.submit_with(url, fields, &[("origin", "null"), ("sec-fetch-site", "same-origin")]).await
    }

    /// Submits a form with the given headers.
    pub(crate) async fn submit_with(&mut self, url: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let mut request =
            self.http.post(url).insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.show(request, Some(body)).await
    }

    /// Opens a connect link and enters a key.
    pub(crate) async fn give_key(&mut self, link: &str, key: &str) -> Page {
        let page = self.open(link).await;
        let (Some(state), Some(csrf)) = (page.hidden("state"), page.hidden("csrf")) else {
            return page;
        };
        let mut action = Url::parse(link).unwrap();
        action.set_query(None);
        self.submit(action.as_str(), &[("state", &state), ("csrf", &csrf), ("api_key", key)]).await
    }

    /// Opens two pages at once; neither request has the cookies that the other response sets.
    pub(crate) async fn open_both(&mut self, urls: [&str; 2]) -> [Page; 2] {
        let mut other = self.clone();
        let (first, second) = join(self.open(urls[0]), other.open(urls[1])).await;
        for (name, value) in other.cookies {
            self.keep(&name, &value);
        }
        [first, second]
    }

    /// Returns the names of its cookies that begin like this.
    pub(crate) fn cookies(&self, beginning: &str) -> Vec<&str> {
        self.cookies.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with(beginning)).collect()
    }

    fn keep(&mut self, name: &str, value: &str) {
        match self.cookies.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.cookies.push((name.to_owned(), value.to_owned())),
        }
    }

    async fn show(&mut self, mut request: awc::ClientRequest, body: Option<String>) -> Page {
        if let Some(source) = &self.source {
            request = request.insert_header(("x-forwarded-for", source.as_str()));
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            // Set manually, because the client would reorder them.
            request = request.insert_header((header::COOKIE, cookies.join("; ")));
        }
        let sent = match body {
            Some(body) => request.send_body(body),
            None => request.send(),
        };
        let mut response = sent.await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = Cookie::parse(cookie.to_str().unwrap()).unwrap();
            if cookie.value().is_empty() {
                self.cookies.retain(|(known, _)| known != cookie.name());
            } else {
                self.keep(cookie.name(), cookie.value());
            }
        }
        let body = response.body().await.unwrap();
        let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Page {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
