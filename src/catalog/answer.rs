//! From OwnerRez's success reply to what the model gets: always a JSON object, pages always of one shape.

use super::{
    data::{AnswerKind, OperationData},
    request::{path_values, query_number},
    tree::{Members, Node},
};
use crate::domain::UpstreamRequest;

/// The page size OwnerRez takes where none is asked for.
const DEFAULT_LIMIT: u64 = 20;

pub(super) fn answer<'a>(data: &OperationData, request: &UpstreamRequest, status: u16, body: Node<'a>) -> Node<'a> {
    match (data.answer, body) {
        (AnswerKind::Page | AnswerKind::CountedPage, body) => page(request, body),
        (AnswerKind::List, items @ Node::List(_)) => only("items", items),
        (AnswerKind::List, Node::Null) => only("items", Node::List(Vec::new())),
        (AnswerKind::None, body) => done(data, request, &body),
        (AnswerKind::Record | AnswerKind::List, body) if status == 204 || body == Node::Null => {
            done(data, request, &body)
        }
        (AnswerKind::Record | AnswerKind::List, record @ Node::Object(_)) => record,
        (AnswerKind::Record | AnswerKind::List, other) => only("value", other),
    }
}

fn only<'a>(name: &'static str, node: Node<'a>) -> Node<'a> {
    Node::Object([(name.into(), node)].into_iter().collect())
}

/// Says what was done to which record. OwnerRez answers a deletion with 204, or (by one description) with
/// `{id, success}`.
fn done<'a>(data: &OperationData, request: &UpstreamRequest, body: &Node<'_>) -> Node<'a> {
    let says_no = matches!(body, Node::Object(members) if members.get("success") == Some(&Node::Bool(false)));
    let values = path_values(data, request).into_iter().map(|(name, value)| (name.into(), value.into()));
    let mut answer: Members<'_> = values.collect();
    answer.insert("done", (!says_no).into());
    Node::Object(answer)
}

/// One page. OwnerRez leaves `items` out when a page is empty, and names the next page by an address of its own; a
/// model gets a list in any case, and the `offset` to ask for next.
fn page<'a>(request: &UpstreamRequest, body: Node<'a>) -> Node<'a> {
    let mut page = match body {
        Node::Object(page) => page,
        Node::Null => Members::default(),
        // Whether this is all of it, only the envelope would tell.
        items @ Node::List(_) => return only("items", items),
        bare => [("items".into(), bare)].into_iter().collect(),
    };
    let items = match page.remove("items") {
        Some(Node::List(items)) => items,
        None | Some(Node::Null) => Vec::new(),
        Some(single) => vec![single],
    };
    let number = |page: &Members<'_>, name: &str| page.get(name).and_then(Node::as_u64);
    let limit = number(&page, "limit").or_else(|| query_number(request, "limit")).unwrap_or(DEFAULT_LIMIT);
    let offset = number(&page, "offset").or_else(|| query_number(request, "offset")).unwrap_or(0);
    let more = page.remove("next_page_url").is_some_and(|url| matches!(url, Node::Text(url) if !url.is_empty()));
    // An empty page is the end whatever it says: its "next" offset would be its own, for ever.
    let next = offset.saturating_add(items.len() as u64);
    if more && !items.is_empty() && number(&page, "count").is_none_or(|count| next < count) {
        page.insert("next_offset", next.into());
    }
    page.insert("items", Node::List(items));
    page.insert("limit", limit.into());
    page.insert("offset", offset.into());
    Node::Object(page)
}
