//! The errors of actix-web about bodies, forms and queries as errors of endpoints.

use actix_web::error::{JsonPayloadError, PayloadError, QueryPayloadError, UrlencodedError};
use serde_json::error::Category;

use super::api_error::ApiError;

impl From<JsonPayloadError> for ApiError {
    fn from(error: JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::ContentType => Self::WrongContentType,
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => Self::TooLarge,
            JsonPayloadError::Payload(error) => error.into(),
            JsonPayloadError::Deserialize(error) => Self::BadRequest(describe_json_error(&error)),
            _ => Self::BadRequest("The body could not be read.".to_owned()),
        }
    }
}

/// Describes why a body is not the JSON that was expected. The messages about members come from [`domain::member`].
///
/// [`domain::member`]: crate::domain::member
fn describe_json_error(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "The JSON in the body is incomplete.".to_owned(),
        Category::Syntax | Category::Io => {
            format!(
                "The body is not valid JSON: the first error is in line {}, column {}.",
                error.line(),
                error.column()
            )
        }
        Category::Data => {
            let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
            let words = text.strip_suffix(&place).unwrap_or(&text);
            format!("The body is not valid for this endpoint: {words}.")
        }
    }
}

impl From<PayloadError> for ApiError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Overflow => Self::TooLarge,
            _ => Self::BadRequest("The body could not be read.".to_owned()),
        }
    }
}

impl From<UrlencodedError> for ApiError {
    fn from(error: UrlencodedError) -> Self {
        match error {
            UrlencodedError::Overflow { .. } => Self::TooLarge,
            UrlencodedError::ContentType => Self::WrongContentType,
            _ => Self::BadRequest("The form could not be read.".to_owned()),
        }
    }
}

impl From<QueryPayloadError> for ApiError {
    fn from(_: QueryPayloadError) -> Self {
        Self::BadRequest("The query of this URL is not valid.".to_owned())
    }
}
