//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): the client id is the URL of the
//! client's metadata.

use url::Url;

use super::{
    client_authentication::ClientAuthentication, document_cache::ParseContext, document_problem::DocumentProblem,
    metadata::Metadata, metadata_problem::MetadataProblem,
};
use crate::domain::RedirectUri;

/// The parsed metadata of a document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) redirect_uris: Vec<RedirectUri>,
    pub(super) authentication: ClientAuthentication,
    pub(super) refreshes: bool,
}

/// Parses a document that was fetched from `url`.
///
/// Redirect URIs that cannot be used here are ignored instead of rejecting the document: a document is written for many
/// servers, and an ignored URI matches no request.
pub(super) fn read(context: &ParseContext, url: &Url, body: &[u8]) -> Result<Document, DocumentProblem> {
    // serde would also read an array, as the fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(MetadataProblem::Form.into());
    }
    let metadata: Metadata = serde_json::from_slice(body).map_err(|_| MetadataProblem::Form)?;
    if metadata.client_id.as_deref() != Some(url.as_str()) {
        return Err(DocumentProblem::OtherClientId);
    }
    if metadata.client_secret.is_some() {
        return Err(MetadataProblem::Secret.into());
    }
    metadata.check_flow()?;
    let (mut redirect_uris, mut first_bad) = (Vec::new(), None);
    for uri in metadata.redirect_uris(&context.policy)? {
        match uri {
            Ok(uri) => redirect_uris.push(uri),
            Err(bad) => first_bad = first_bad.or(Some(bad)),
        }
    }
    if let (true, Some(bad)) = (redirect_uris.is_empty(), first_bad) {
        return Err(MetadataProblem::RedirectUri(bad).into());
    }
    let name = metadata.name().unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let authentication = metadata.authentication(false)?;
    Ok(Document { name, redirect_uris, authentication, refreshes: metadata.refreshes() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::RedirectPolicy;

    const URL: &str = "https://client.example.com/client.json";

    fn read_json(json: Value) -> Result<Document, DocumentProblem> {
        let app_uris = vec![RedirectUri::of_app("cursor://app/cb").unwrap()];
        let context = ParseContext { policy: Arc::new(RedirectPolicy { app_uris, own_url: None }) };
        read(&context, &Url::parse(URL).unwrap(), json.to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document =
            json!({"client_id": URL, "client_name": "Client", "redirect_uris": ["https://client.example.com/cb"]});
        document[name] = value;
        document
    }

    #[test]
    fn documents_that_do_not_do() {
        for (document, expected) in [
            (json!([]), MetadataProblem::Form.into()),
            (with("redirect_uris", json!("https://client.example.com/cb")), MetadataProblem::Form.into()),
            (with("client_id", json!("https://other.example.com/client.json")), DocumentProblem::OtherClientId),
            (with("client_id", json!(null)), DocumentProblem::OtherClientId),
            (with("client_id", json!(format!("{URL}/"))), DocumentProblem::OtherClientId),
            (with("client_secret", json!("s")), MetadataProblem::Secret.into()),
            (with("redirect_uris", json!([])), MetadataProblem::NoRedirectUris.into()),
            (with("grant_types", json!(["client_credentials"])), MetadataProblem::GrantTypes.into()),
            (with("response_types", json!(["token"])), MetadataProblem::ResponseTypes.into()),
            (with("token_endpoint_auth_method", json!("client_secret_basic")), MetadataProblem::Authentication.into()),
            (
                with("redirect_uris", json!(["javascript:alert(1)"])),
                MetadataProblem::RedirectUri(crate::domain::BadRedirectUri::Scheme).into(),
            ),
        ] {
            assert_eq!(read_json(document.clone()).map(drop), Err(expected), "{document}");
        }
        let twice = format!(
            r#"{{"client_id": "https://other.example.com/", "client_id": "{URL}", "redirect_uris": ["https://a.example/cb"]}}"#
        );
        let context = ParseContext { policy: Arc::default() };
        let read = read(&context, &Url::parse(URL).unwrap(), twice.as_bytes());
        assert_eq!(
            read.map(drop),
            Err(MetadataProblem::Form.into()),
            "one reader may take the first, another the last"
        );
    }

    #[test]
    fn a_redirect_uri_that_cannot_be_used_leaves_the_others() {
        let uris = json!(["other://app/cb", "cursor://app/cb", "https://client.example.com/cb"]);
        let document = read_json(with("redirect_uris", uris)).unwrap();
        let left: Vec<_> = document.redirect_uris.iter().map(RedirectUri::as_str).collect();
        assert_eq!(left, ["cursor://app/cb", "https://client.example.com/cb"]);
    }

    #[test]
    fn a_client_without_a_name_is_called_after_its_host() {
        assert_eq!(read_json(with("client_name", json!(" "))).unwrap().name, "client.example.com");
    }
}
