//! A record of the table, as written.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::record::RecordSchema;
use crate::domain::Method;

/// An operation of OwnerRez and the tool made of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationSpec {
    /// Name of the tool.
    pub tool: String,
    /// Its subject.
    pub group: String,
    pub toolset: Toolset,
    /// Whether it is listed by default. Other operations can be called, too.
    pub default: bool,
    pub method: Method,
    /// Template of the path: `{name}` as a whole segment is a path parameter.
    pub path: String,
    pub title: String,
    /// For models: what it does, and what the response of OwnerRez does not say.
    pub description: String,
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
    pub answer: ResponseKind,
    /// The kind of its records, if it is in the table of kinds.
    #[serde(default)]
    pub record: Option<String>,
    /// Members of a page in addition to those that every page has.
    #[serde(default)]
    pub page_members: Vec<String>,
    /// Members that are always sent, although other operations of the same kind add them only on a parameter.
    #[serde(default)]
    pub shows: Vec<String>,
    /// Whether the content of the response is not confirmed: then the tool has no output schema.
    #[serde(default)]
    pub answer_unconfirmed: bool,
    /// How long a response may be served from the cache, in seconds: for data that rarely changes. Reads only.
    #[serde(default)]
    pub fresh_seconds: Option<u32>,
    /// The arguments that disable `fresh_seconds`, because they add data that does change.
    #[serde(default)]
    pub fresh_unless: Vec<String>,
    /// The argument whose text OwnerRez searches in each member of a guest separately: several words find nothing.
    #[serde(default)]
    pub searches_one_text: Option<String>,
    /// Path and query parameters.
    pub parameters: Vec<ParameterSpec>,
    /// JSON Schema of the body; an object's members become arguments.
    #[serde(default)]
    pub body: Option<Value>,
    /// The name of the argument for the whole body, if the body is one argument (a list, for some operations).
    #[serde(default)]
    pub body_argument: Option<String>,
    /// Whether OwnerRez does not document all members of this body: those that `body` does not name are given in an
    /// argument `data` and sent unchanged.
    #[serde(default)]
    pub open_body: bool,
    /// Groups of arguments of which at least one must be given. Not an `anyOf` in the schema, because many clients
    /// reject that at the top level.
    #[serde(default)]
    pub one_of_required: Vec<Vec<String>>,
    /// The members of the body (of each entry, if the body is a list) that OwnerRez clears on null, or on empty text
    /// for free text. The argument `clear` names them, because null and empty text in an argument mean that it was not
    /// given.
    #[serde(default)]
    pub clears: Vec<String>,
    /// The reason for `one_of_required`, for its error text.
    #[serde(default, rename = "one_of_why")]
    pub one_of_reason: Option<String>,
    #[serde(default)]
    pub ranges: Vec<RangeSpec>,
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    #[serde(default)]
    pub synonyms: Vec<SynonymSpec>,
    /// Whether it reaches a guest.
    #[serde(default)]
    pub guest_visible: GuestVisible,
    /// The argument that, if true, makes OwnerRez only calculate and store nothing.
    #[serde(default)]
    pub dry_run: Option<String>,
    /// The tool that drafts what this operation sends. If there is one, `tools/list` shows only the draft id of this
    /// operation's arguments; the others are accepted, too.
    #[serde(default)]
    pub draft: Option<DraftSpec>,
    /// Records that a write changes in addition to the one in its path and the one it creates, as templates such as
    /// `{entity_type}s/{entity_id}` over its arguments, or over each entry if the body is a list.
    #[serde(default)]
    pub touches: Vec<String>,
}

impl OperationSpec {
    /// Returns whether its response can be formatted as a table.
    pub(super) fn takes_format(&self, kind: &RecordSchema) -> bool {
        self.read_only && (self.answer.is_page() || self.answer == ResponseKind::List || kind.rows.is_some())
    }
}

/// When an operation reaches a guest.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum GuestVisible {
    /// Always, or never.
    Always(bool),
    /// When this argument is true.
    If(String),
}

impl Default for GuestVisible {
    fn default() -> Self {
        GuestVisible::Always(false)
    }
}

/// A tool that shows what an operation would send, and sends nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftSpec {
    pub tool: String,
    pub title: String,
    pub description: String,
}

/// A group of tools that is selected together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toolset {
    /// Bookings, and what comes before one: quotes and inquiries.
    Bookings,
    /// Guests, with their addresses.
    Guests,
    /// Properties, their calendars and nightly rates.
    Properties,
    /// Private messages with guests.
    Messaging,
    /// Payments, payouts, and the rules for charges.
    Money,
    /// Listings, reviews, tags and custom fields.
    Content,
    /// The structure of the account: users, owners, channels, definitions.
    Settings,
    /// Webhook subscriptions.
    Webhooks,
    /// Search over all records and reading of its results, for the research mode of ChatGPT. It contains no operation.
    Research,
}

impl Toolset {
    /// All toolsets, in the order of error texts.
    pub const ALL: [Toolset; 9] = [
        Toolset::Bookings,
        Toolset::Guests,
        Toolset::Properties,
        Toolset::Messaging,
        Toolset::Money,
        Toolset::Content,
        Toolset::Settings,
        Toolset::Webhooks,
        Toolset::Research,
    ];

    /// Returns its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Toolset::Bookings => "bookings",
            Toolset::Guests => "guests",
            Toolset::Properties => "properties",
            Toolset::Messaging => "messaging",
            Toolset::Money => "money",
            Toolset::Content => "content",
            Toolset::Settings => "settings",
            Toolset::Webhooks => "webhooks",
            Toolset::Research => "research",
        }
    }
}

/// The envelope of a successful response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseKind {
    /// One object.
    Record,
    /// `{items, limit, offset, next_page_url}`.
    Page,
    /// A page with `count`, the total.
    CountedPage,
    /// Records without an envelope.
    List,
    /// No content of interest.
    None,
}

impl ResponseKind {
    pub(super) fn is_page(self) -> bool {
        matches!(self, ResponseKind::Page | ResponseKind::CountedPage)
    }
}

/// A parameter in the path or the query. The rest of the record is its JSON Schema, with one addition: the format
/// `csv-int` is a list of integers that is sent as `1,2,3`.
#[derive(Deserialize)]
pub(super) struct ParameterSpec {
    /// Name of the argument.
    pub name: String,
    /// The name at OwnerRez, if it differs.
    #[serde(default)]
    pub wire: Option<String>,
    #[serde(rename = "in")]
    pub location: ParameterLocation,
    pub required: bool,
    #[serde(default)]
    pub style: Option<Style>,
    /// The member that it adds to records, if its name does not state it.
    #[serde(default)]
    pub adds: Option<String>,
    #[serde(flatten)]
    pub schema: Map<String, Value>,
}

impl ParameterSpec {
    /// Returns the name that is sent.
    pub(super) fn wire_name(&self) -> &str {
        self.wire.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn is_csv(&self) -> bool {
        self.schema.get("format").is_some_and(|format| format == "csv-int")
    }
}

/// The place of a parameter in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ParameterLocation {
    Path,
    Query,
}

/// The encoding of a list in the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Style {
    /// `name[0]=…&name[1]=…`
    Indexed,
}

/// Two arguments that must be in order: dates or numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeSpec {
    pub from: String,
    pub to: String,
    /// For dates: 1 if the end must be a later day. By default both may be equal.
    #[serde(default)]
    pub min_days: i64,
    /// For dates: the largest difference.
    #[serde(default)]
    pub max_days: Option<i64>,
}

/// A rule between arguments that is not in the published schema; breaking it is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckSpec {
    /// The argument that the error names.
    pub argument: String,
    /// JSON Schema over all arguments.
    pub holds: Value,
    /// What to do, for the error text.
    pub explain: String,
}

/// An older or likely name of an argument, which is accepted but not published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SynonymSpec {
    pub name: String,
    /// The argument it means.
    pub argument: String,
    /// If that argument is a list of objects: the member of its only entry.
    #[serde(default)]
    pub member: Option<String>,
    /// The new values of renamed values, written as text. Null omits the argument.
    #[serde(default)]
    pub values: Option<Map<String, Value>>,
}

/// A segment of a path template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Segment<'a> {
    /// Fixed text.
    Literal(&'a str),
    /// The path parameter of this name.
    Placeholder(&'a str),
}

/// Returns the segments of a path template.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split('/').skip(1).map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => Segment::Placeholder(name),
        None => Segment::Literal(segment),
    })
}
