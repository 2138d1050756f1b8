//! The pages of a list.

use super::arguments::Arguments;

/// The offset and the maximum length of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Span {
    /// Parses `limit` and `offset`. `limit` is 20 by default and at most 100.
    pub(super) fn asked(arguments: &Arguments) -> Result<Self, Vec<String>> {
        let complaint = |name: &str| vec![format!("The value is not valid for {name}: it is too small.")];
        let limit = arguments.integer("limit").unwrap_or(20);
        let offset = arguments.integer("offset").unwrap_or(0);
        let offset = usize::try_from(offset).map_err(|_| complaint("offset"))?;
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => Ok(Span { limit: limit.min(100), offset }),
            _ => Err(complaint("limit")),
        }
    }

    /// Returns the URL of the next page: the same query with the next offset.
    pub(super) fn next_url(self, origin: &str, path: &str, query: &[(String, String)]) -> String {
        let kept = query.iter().filter(|(name, _)| name != "limit" && name != "offset");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("limit", &self.limit.to_string())
            .append_pair("offset", &(self.offset + self.limit).to_string())
            .finish();
        format!("{origin}{path}?{query}")
    }
}
