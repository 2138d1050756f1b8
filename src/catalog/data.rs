//! One record of the table, as it is written.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::record::RecordData;
use crate::domain::Method;

/// An operation of OwnerRez and the tool made of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationData {
    /// Name of the tool.
    pub tool: String,
    /// The subject it belongs to.
    pub group: String,
    pub toolset: Toolset,
    /// Whether it is listed without being asked for. What is not can be called all the same.
    pub default: bool,
    pub method: Method,
    /// Template of the path: `{name}` as a whole segment stands for a path parameter.
    pub path: String,
    pub title: String,
    /// Written for a model: what it does and what OwnerRez does not say in its reply.
    pub description: String,
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
    pub answer: AnswerKind,
    /// The kind of its records, where something is known of them.
    #[serde(default)]
    pub record: Option<String>,
    /// Members of a page besides those that every page has.
    #[serde(default)]
    pub page_members: Vec<String>,
    /// Members that come although other operations of the same kind add them only if a parameter asks for them.
    #[serde(default)]
    pub shows: Vec<String>,
    /// Whether only some source of ours says what the answer holds: then clients are promised nothing.
    #[serde(default)]
    pub answer_unconfirmed: bool,
    /// So long, in seconds, an earlier answer to the same request will do: for what hardly changes. Reads only.
    #[serde(default)]
    pub fresh_seconds: Option<u32>,
    /// Not with these arguments, which bring in what does change.
    #[serde(default)]
    pub fresh_unless: Vec<String>,
    /// The argument whose text OwnerRez looks for in each member of a guest by itself, so that several words find nothing.
    #[serde(default)]
    pub searches_one_text: Option<String>,
    /// Path and query parameters.
    pub parameters: Vec<ParameterData>,
    /// JSON Schema of the body; an object's members become arguments.
    #[serde(default)]
    pub body: Option<Value>,
    /// Where the whole body is one argument (OwnerRez takes a list for some operations), that argument's name.
    #[serde(default)]
    pub body_argument: Option<String>,
    /// OwnerRez does not say which members this body may have: those that `body` does not name travel in an argument
    /// `data` and are sent as they are.
    #[serde(default)]
    pub open_body: bool,
    /// Of each group, at least one argument must be given. Stated here and not as `anyOf` in the schema, which many
    /// clients refuse at the top level.
    #[serde(default)]
    pub one_of_required: Vec<Vec<String>>,
    /// The members of the body that OwnerRez empties, of each entry where the body is a list: by null, or free text by empty
    /// text. The argument `clear` names them, because null and empty text in an argument mean that it was not given.
    #[serde(default)]
    pub clears: Vec<String>,
    /// Why, as the error tells it.
    #[serde(default)]
    pub one_of_why: Option<String>,
    #[serde(default)]
    pub ranges: Vec<RangeData>,
    #[serde(default)]
    pub checks: Vec<CheckData>,
    #[serde(default)]
    pub synonyms: Vec<SynonymData>,
    /// Whether guests notice the outcome.
    #[serde(default)]
    pub guest_visible: GuestVisible,
    /// The argument that, when true, makes OwnerRez only reckon and store nothing.
    #[serde(default)]
    pub dry_run: Option<String>,
    /// The tool that drafts what this operation sends. Where there is one, `tools/list` shows of this operation's
    /// arguments the draft's id only; the others are taken all the same.
    #[serde(default)]
    pub draft: Option<DraftData>,
    /// Records that a write changes besides the one its path names and the one it creates, as templates such as
    /// `{entity_type}s/{entity_id}` over its arguments, or over each entry where the body is a list.
    #[serde(default)]
    pub touches: Vec<String>,
}

impl OperationData {
    /// Whether its answer can be had as a table.
    pub(super) fn takes_format(&self, kind: &RecordData) -> bool {
        self.read_only && (self.answer.is_page() || self.answer == AnswerKind::List || kind.rows.is_some())
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
pub(super) struct DraftData {
    pub tool: String,
    pub title: String,
    pub description: String,
}

/// What a user turns on and off as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toolset {
    /// Bookings, and what comes before one: quotes and inquiries.
    Bookings,
    /// The people who stay, with their addresses.
    Guests,
    /// Properties, their calendars and nightly rates.
    Properties,
    /// Private messages with guests.
    Messaging,
    /// Payments and payouts, and the rules of what is charged.
    Money,
    /// What is said and noted about records: listings, reviews, tags, custom fields.
    Content,
    /// What the account is made of: users, owners, channels, definitions.
    Settings,
    /// Who hears of changes.
    Webhooks,
    /// Search over all records and reading what it found: what ChatGPT's research needs. No operation is in it.
    Research,
}

impl Toolset {
    /// Every set, in the order in which they are told.
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

    /// Its name in settings.
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

/// The envelope of a successful reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AnswerKind {
    /// One object.
    Record,
    /// `{items, limit, offset, next_page_url}`.
    Page,
    /// A page with `count`, the total.
    CountedPage,
    /// Records without an envelope.
    List,
    /// Nothing worth showing.
    None,
}

impl AnswerKind {
    pub(super) fn is_page(self) -> bool {
        matches!(self, AnswerKind::Page | AnswerKind::CountedPage)
    }
}

/// A parameter in the path or the query. What remains of the record is its JSON Schema, with one addition: the format
/// `csv-int` is a list of integers that travels as `1,2,3`.
#[derive(Deserialize)]
pub(super) struct ParameterData {
    /// Name of the argument.
    pub name: String,
    /// OwnerRez's name, where the argument has another one.
    #[serde(default)]
    pub wire: Option<String>,
    #[serde(rename = "in")]
    pub place: Place,
    pub required: bool,
    #[serde(default)]
    pub style: Option<Style>,
    /// The member that it adds to records, where its name does not say so.
    #[serde(default)]
    pub adds: Option<String>,
    #[serde(flatten)]
    pub schema: Map<String, Value>,
}

impl ParameterData {
    /// The name under which it travels.
    pub(super) fn wire_name(&self) -> &str {
        self.wire.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn is_csv(&self) -> bool {
        self.schema.get("format").is_some_and(|format| format == "csv-int")
    }
}

/// Where a parameter travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Path,
    Query,
}

/// How a list travels in the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Style {
    /// `name[0]=…&name[1]=…`
    Indexed,
}

/// Two arguments in order: dates or numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeData {
    pub from: String,
    pub to: String,
    /// For dates: 1 where the end must be a later day. Unset, both may be equal.
    #[serde(default)]
    pub min_days: i64,
    /// For dates: how far apart they may be.
    #[serde(default)]
    pub max_days: Option<i64>,
}

/// A rule between arguments that clients do not see as schema: it is told when it is broken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckData {
    /// The argument it is about.
    pub argument: String,
    /// JSON Schema over all arguments.
    pub holds: Value,
    /// What to do about it.
    pub explain: String,
}

/// An older or likely name of an argument, which is understood but not published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SynonymData {
    pub name: String,
    /// The argument that is meant.
    pub argument: String,
    /// Where that argument is a list of objects: the member of its only entry.
    #[serde(default)]
    pub member: Option<String>,
    /// Where only some values were other ones, written as text: what they are now. Null leaves the argument out.
    #[serde(default)]
    pub values: Option<Map<String, Value>>,
}

/// A piece of a path template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Segment<'a> {
    /// Stands in the path as it is.
    Literal(&'a str),
    /// Stands for the path parameter of this name.
    Placeholder(&'a str),
}

/// The pieces of a path template, between its slashes.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split('/').skip(1).map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => Segment::Placeholder(name),
        None => Segment::Literal(segment),
    })
}
