//! Handler arguments that require a key.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use zeroize::Zeroizing;

use super::bearer::bearer;
use crate::{
    auth::KeyCaller,
    domain::Scope,
    http::{error::ApiError, middleware::request_logger::RequestContext, state::HttpState},
    oauth::AccessTokenValidator,
};

/// Any caller with a key. A handler with this argument is reached only with a valid key. Access tokens are only for
/// `/mcp` and are rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AnyCaller(pub(crate) KeyCaller);

/// A caller whose key has the full scope, which managing keys and the connection requires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FullCaller(pub(crate) KeyCaller);

impl FromRequest for FullCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = AnyCaller::from_request(request, payload);
        Box::pin(async move {
            let AnyCaller(caller) = caller.await?;
            if caller.scope == Scope::Full { Ok(Self(caller)) } else { Err(ApiError::InsufficientScope) }
        })
    }
}

impl FromRequest for AnyCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<HttpState>>().cloned();
        let context = RequestContext::of(request);
        let source = state.as_ref().map(|state| state.settings.source_of(request));
        let text = bearer(request).map(|text| Zeroizing::new(text.to_owned()));
        Box::pin(async move {
            let text = text?;
            if AccessTokenValidator::is_token(&text) {
                return Err(ApiError::AccessTokenNotHere);
            }
            let (state, source) = state.zip(source).ok_or(ApiError::NotFound)?;
            let caller = state.keys.authenticate(&text, source).await?;
            if let Some(context) = context {
                context.caller(&caller);
            }
            Ok(Self(caller))
        })
    }
}
