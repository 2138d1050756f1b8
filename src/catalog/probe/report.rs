//! The report: contradictions to the catalogue, variations within it, and what was not seen. It contains names of
//! members, types, counts and words of closed vocabularies, and no other values.

use std::fmt::Write;

use serde::Serialize;

use super::{
    found::Found,
    shown::{MemberPath, Word},
};

/// The result of a probe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProbeReport {
    /// Version of this program.
    pub gateway: &'static str,
    /// The day of the probe.
    pub day: String,
    /// How the requests were authorized.
    pub credential: ProbeCredential,
    /// The number of requests sent.
    pub requests: u32,
    /// How the probe ended.
    pub end: End,
    /// Contradictions between responses and the catalogue.
    pub findings: Vec<Entry>,
    /// Observations that the catalogue allows or does not describe.
    pub remarks: Vec<Entry>,
    /// The operations that returned records.
    pub seen: Vec<SeenOperation>,
    /// The operations that returned none.
    pub not_seen: Vec<NotSeen>,
}

/// How the requests of a probe were authorized.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeCredential {
    /// By an access token of an OAuth app.
    AccessToken,
    /// By a personal access token.
    PersonalToken,
    /// By the token of a connected user.
    ConnectedUser,
}

/// How a probe ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All possible requests were made.
    Complete,
    /// The maximum number of requests was reached first.
    MostRequests,
    /// OwnerRez rejected the token.
    TokenRefused,
    /// OwnerRez responded with 429.
    Throttled,
    /// OwnerRez failed several times in a row.
    Failing,
    /// The allowance of this deployment had no free permit within the time limit.
    AllowanceSpent,
}

/// The kind of observation of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationKind {
    /// A success with another status than 200, a rejection of a request that the catalogue allows, or a server error.
    OtherStatus,
    /// No usable response arrived, so nothing is known about this request.
    NoResponse,
    /// The structure around the records is not as in the catalogue.
    OtherEnvelope,
    /// A member that the catalogue does not name.
    UnknownMember,
    /// A member is absent that the catalogue lists as always present.
    MissingMember,
    /// A member has another type.
    OtherType,
    /// A member has another format.
    OtherFormat,
    /// A word that the catalogue does not list.
    UnknownWord,
    /// A member was present although no parameter requested it.
    UnaskedMember,
    /// A member that some records lack.
    SometimesAbsent,
    /// A member that no record had.
    NeverSeen,
    /// A member that was null instead of absent.
    NullMember,
    /// A member of a kind of record that the catalogue does not describe.
    UndescribedMember,
    /// The words that were seen.
    Words,
    /// The formats that were seen.
    Formats,
    /// The forms of the address of the next page.
    NextPageUrl,
    /// Empty pages that lack `items`.
    EmptyPageWithoutItems,
    /// A list leaves out inactive records unless a parameter requests them.
    InactiveHidden,
    /// A calendar lacks days of the requested range.
    DaysMissing,
}

/// One observation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// The operation, by the name of its tool.
    pub operation: String,
    /// The kind of observation.
    pub what: ObservationKind,
    /// The member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberPath>,
    /// The type in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Types, formats or forms that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Words that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The number of objects or responses with this observation.
    pub count: u32,
    /// The total number of objects or responses.
    pub of: u32,
}

impl Entry {
    /// Returns an entry with only its kind and its counts.
    pub(super) fn new(operation: &str, what: ObservationKind, count: u32, of: u32) -> Self {
        Self {
            operation: operation.to_owned(),
            what,
            member: None,
            expected: None,
            found: Vec::new(),
            words: Vec::new(),
            status: None,
            count,
            of,
        }
    }

    pub(super) fn member(self, member: MemberPath) -> Self {
        Self { member: Some(member), ..self }
    }

    pub(super) fn found(self, found: impl IntoIterator<Item = Found>) -> Self {
        Self { found: found.into_iter().collect(), ..self }
    }

    pub(super) fn words(self, words: impl IntoIterator<Item = Word>) -> Self {
        Self { words: words.into_iter().collect(), ..self }
    }

    /// Sets what the catalogue expects, in the terms of the catalogue.
    pub(super) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// Returns the text of the entry without its kind.
    fn details(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.member.as_ref().map(|member| format!("`{member}`")));
        parts.extend(self.expected.as_ref().map(|expected| format!("is {expected}, came as")));
        parts.extend(self.status.map(|status| status.to_string()));
        let words = self.words.iter().map(Word::to_string);
        let found = self.found.iter().map(Found::to_string).chain(words).collect::<Vec<_>>().join(", ");
        parts.extend((!found.is_empty()).then_some(found));
        parts.push(format!("({} of {})", self.count, self.of));
        parts.join(" ")
    }
}

impl ObservationKind {
    fn words(self) -> &'static str {
        match self {
            Self::OtherStatus => "other status",
            Self::NoResponse => "no response",
            Self::OtherEnvelope => "other envelope",
            Self::UnknownMember => "unknown member",
            Self::MissingMember => "missing member",
            Self::OtherType => "other type",
            Self::OtherFormat => "other format",
            Self::UnknownWord => "unknown word in",
            Self::UnaskedMember => "member without its parameter",
            Self::InactiveHidden => "inactive records only with active=false",
            Self::SometimesAbsent => "sometimes absent",
            Self::NeverSeen => "never seen",
            Self::NullMember => "null",
            Self::UndescribedMember => "not described",
            Self::Words => "words in",
            Self::Formats => "format of",
            Self::NextPageUrl => "next_page_url",
            Self::EmptyPageWithoutItems => "empty page without items",
            Self::DaysMissing => "days missing",
        }
    }
}

/// An operation that returned records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SeenOperation {
    /// The name of its tool.
    pub operation: String,
    /// The template of its path.
    pub path: String,
    /// The number of records.
    pub records: u32,
}

/// An operation that returned no records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NotSeen {
    /// The name of its tool.
    pub operation: String,
    /// The template of its path.
    pub path: String,
    /// The reason.
    pub why: NotSeenReason,
    /// HTTP status of the rejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// OwnerRez's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Word>,
}

/// Why an operation returned no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSeenReason {
    /// OwnerRez rejected it.
    Refused,
    /// The account has no such record.
    NoRecords,
    /// OwnerRez, or the connection to it, failed.
    Failed,
    /// Its arguments need an id that no response contained.
    NoId,
    /// The probe ended before.
    NotAsked,
}

impl ProbeReport {
    /// Returns whether nothing contradicts the catalogue and all requests were made.
    pub fn is_fine(&self) -> bool {
        self.findings.is_empty() && self.end == End::Complete
    }

    /// Returns the report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Returns the report as text.
    pub fn text(&self) -> String {
        let mut text = format!(
            "OwnerRez probe, ownerrez-gateway {}, {}: {} requests with {}. {}\nNames, types and counts only: no values but \
             words such as a status.\n",
            self.gateway,
            self.day,
            self.requests,
            self.credential.words(),
            self.end.words(),
        );
        let _ = writeln!(text, "\nFindings: {}", self.findings.len());
        entries(&mut text, &self.findings);
        let _ = writeln!(text, "\nRemarks: {}", self.remarks.len());
        entries(&mut text, &self.remarks);
        let _ = writeln!(text, "\nSeen: {}", self.seen.len());
        for SeenOperation { operation, path, records } in &self.seen {
            let _ = writeln!(text, "  {operation} (GET {path}): {records}");
        }
        let _ = writeln!(text, "\nNot seen: {}", self.not_seen.len());
        for NotSeen { operation, path, why, status, code } in &self.not_seen {
            let _ = write!(text, "  {operation} (GET {path}): {}", why.words());
            for part in status.map(|status| status.to_string()).into_iter().chain(code.as_ref().map(Word::to_string)) {
                let _ = write!(text, " {part}");
            }
            text.push('\n');
        }
        let end = text.trim_end().len();
        text.truncate(end);
        text
    }
}

/// Writes entries under the name of their operation, those of one kind on one line.
fn entries(text: &mut String, entries: &[Entry]) {
    for of_operation in entries.chunk_by(|one, next| one.operation == next.operation) {
        let operation = of_operation.first().map_or("", |entry| &*entry.operation);
        let _ = writeln!(text, "  {operation}");
        for of_sort in of_operation.chunk_by(|one, next| one.what == next.what) {
            let sort = of_sort.first().map_or("", |entry| entry.what.words());
            let details = of_sort.iter().map(Entry::details).collect::<Vec<_>>().join("; ");
            let _ = writeln!(text, "    {sort}: {details}");
        }
    }
}

impl ProbeCredential {
    fn words(self) -> &'static str {
        match self {
            Self::AccessToken => "an access token",
            Self::PersonalToken => "a personal access token",
            Self::ConnectedUser => "the token of a connected user",
        }
    }
}

impl End {
    fn words(self) -> &'static str {
        match self {
            Self::Complete => "Complete.",
            Self::MostRequests => "Ended at the limit of requests.",
            Self::TokenRefused => "Ended early: OwnerRez refused the token.",
            Self::Throttled => "Ended early: OwnerRez answered 429.",
            Self::Failing => "Ended early: OwnerRez failed several times in a row.",
            Self::AllowanceSpent => "Ended early: the allowance was used up.",
        }
    }
}

impl NotSeenReason {
    fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NoRecords => "no records",
            Self::Failed => "failed",
            Self::NoId => "no id to ask with",
            Self::NotAsked => "not asked",
        }
    }
}
