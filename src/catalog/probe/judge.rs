//! Comparison of the observations with the catalogue. No I/O.
//!
//! OwnerRez leaves out members that are null. So an absent member contradicts the catalogue only if
//! `config/records.json` lists it in `always`. Listed there are ids, and members that the documentation describes as
//! always present.

use std::collections::BTreeSet;

use super::{
    super::{
        record::{Member, RecordSchema},
        spec::ResponseKind,
    },
    found::{Found, NextPage, TextFormat, ValueType},
    observe::{Expected, ITEMS, Observed, SeenMember},
    report::{Entry, ObservationKind},
    shown::MemberPath,
};

/// The format of members whose names end in `_utc`.
const UTC: TextFormat = TextFormat::MomentUtc;

/// Findings and remarks about one operation.
#[derive(Default)]
pub(super) struct Judgement {
    pub findings: Vec<Entry>,
    pub remarks: Vec<Entry>,
}

impl Judgement {
    /// Compares the observations of an operation with the catalogue. `not_asked` are the members that are present only
    /// on request, and that no parameter requested.
    pub(super) fn of(
        operation: &str,
        expected: &Expected<'_>,
        not_asked: &BTreeSet<String>,
        observed: &Observed,
    ) -> Self {
        let mut judge = Judge { operation, expected, not_asked, observed, judgement: Self::default() };
        judge.envelope();
        if expected.kind.members.is_empty() {
            judge.undescribed();
        } else {
            judge.known_members();
            judge.unknown_members();
        }
        judge.always();
        judge.unasked();
        judge.words();
        judge.formats();
        let mut judgement = judge.judgement;
        for entries in [&mut judgement.findings, &mut judgement.remarks] {
            entries.sort_by(|one, other| (one.what, &one.member).cmp(&(other.what, &other.member)));
        }
        judgement
    }
}

struct Judge<'a> {
    operation: &'a str,
    expected: &'a Expected<'a>,
    not_asked: &'a BTreeSet<String>,
    observed: &'a Observed,
    judgement: Judgement,
}

impl Judge<'_> {
    fn finding(&mut self, what: ObservationKind, count: u32, of: u32, more: impl FnOnce(Entry) -> Entry) {
        self.judgement.findings.push(more(Entry::new(self.operation, what, count, of)));
    }

    fn remark(&mut self, what: ObservationKind, count: u32, of: u32, more: impl FnOnce(Entry) -> Entry) {
        self.judgement.remarks.push(more(Entry::new(self.operation, what, count, of)));
    }

    fn envelope(&mut self) {
        let observed = self.observed;
        let envelope = &observed.envelope;
        let of = envelope.responses;
        let whole = match self.expected.answer {
            ResponseKind::Record => "an object",
            ResponseKind::List => "a list",
            ResponseKind::Page => "a page",
            ResponseKind::CountedPage => "a page with count",
            ResponseKind::None => "nothing",
        };
        for (found, count) in &envelope.other {
            self.finding(ObservationKind::OtherEnvelope, *count, of, |entry| entry.expected(whole).found([*found]));
        }
        for (name, count) in &envelope.missing {
            let member = MemberPath::of_catalogue(name);
            self.finding(ObservationKind::OtherEnvelope, *count, of, |entry| {
                entry.member(member).expected("present").found([Found::Absent])
            });
        }
        for ((name, found), count) in &envelope.other_types {
            let (member, expected) =
                (MemberPath::of_catalogue(name), if *name == ITEMS { "a list" } else { "integer" });
            self.finding(ObservationKind::OtherEnvelope, *count, of, |entry| {
                entry.member(member).expected(expected).found([Found::One(*found)])
            });
        }
        for (member, count) in &envelope.unknown {
            self.finding(ObservationKind::OtherEnvelope, *count, of, |entry| {
                entry.member(member.clone()).expected("absent").found([Found::Present])
            });
        }
        for (form, count) in &envelope.next_page {
            let found = [Found::NextPage(*form)];
            match form {
                NextPage::Absent => {}
                NextPage::Other => {
                    self.finding(ObservationKind::NextPageUrl, *count, of, |entry| {
                        entry.expected("an address").found(found)
                    });
                }
                _ => self.remark(ObservationKind::NextPageUrl, *count, of, |entry| entry.found(found)),
            }
        }
        if envelope.without_items > 0 {
            self.remark(
                ObservationKind::EmptyPageWithoutItems,
                envelope.without_items,
                envelope.empty_pages,
                |entry| entry,
            );
        }
    }

    /// Returns the number of objects that could have contained this member.
    fn objects(&self, member: &MemberPath) -> u32 {
        self.observed.objects.get(&member.parent()).copied().unwrap_or(0)
    }

    fn seen(&self, member: &MemberPath) -> Option<&SeenMember> {
        self.observed.members.get(member)
    }

    fn known_members(&mut self) {
        let kind = self.expected.kind;
        for member in &kind.members {
            let path = MemberPath::of_catalogue(&member.path);
            let (of, seen) = (self.objects(&path), self.seen(&path).cloned().unwrap_or_default());
            let others: Vec<_> = seen.types.iter().copied().filter(|found| !fits(member, *found)).collect();
            if !others.is_empty() {
                let expected = if member.many { format!("{}[]", member.type_name) } else { member.type_name.clone() };
                self.finding(ObservationKind::OtherType, seen.seen, of, |entry| {
                    entry.member(path.clone()).expected(expected).found(others)
                });
            }
            if seen.nulls > 0 {
                self.remark(ObservationKind::NullMember, seen.nulls, of, |entry| entry.member(path.clone()));
            }
            let is_expected = !kind.always.contains(&member.path) && !self.not_asked.contains(&member.path);
            if of > 0 && seen.seen < of && is_expected {
                let what = if seen.seen == 0 { ObservationKind::NeverSeen } else { ObservationKind::SometimesAbsent };
                self.remark(what, of - seen.seen, of, |entry| entry.member(path));
            }
        }
    }

    fn unknown_members(&mut self) {
        let observed = self.observed;
        for (path, seen) in observed.members.iter().filter(|(_, seen)| !seen.known) {
            let of = self.objects(path);
            self.finding(ObservationKind::UnknownMember, seen.seen + seen.nulls, of, |entry| {
                entry.member(path.clone()).found(seen.types.iter().copied())
            });
        }
    }

    fn undescribed(&mut self) {
        let observed = self.observed;
        for (path, seen) in &observed.members {
            let of = self.objects(path);
            self.remark(ObservationKind::UndescribedMember, seen.seen, of, |entry| {
                entry.member(path.clone()).found(seen.types.iter().copied())
            });
        }
    }

    fn always(&mut self) {
        let kind = self.expected.kind;
        for name in &kind.always {
            let path = MemberPath::of_catalogue(name);
            let (of, seen) = (self.objects(&path), self.seen(&path).map_or(0, |seen| seen.seen));
            if seen < of && !self.not_asked.contains(name) {
                self.finding(ObservationKind::MissingMember, of - seen, of, |entry| entry.member(path));
            }
        }
    }

    fn unasked(&mut self) {
        let not_asked = self.not_asked;
        for name in not_asked {
            let path = MemberPath::of_catalogue(name);
            if let Some(seen) = self.seen(&path).map(|seen| seen.seen).filter(|seen| *seen > 0) {
                let of = self.objects(&path);
                self.finding(ObservationKind::UnaskedMember, seen, of, |entry| entry.member(path));
            }
        }
    }

    fn words(&mut self) {
        let words = &self.expected.kind.words;
        let observed = self.observed;
        for (path, seen) in &observed.members {
            let of = self.objects(path);
            if !seen.words.is_empty() {
                self.remark(ObservationKind::Words, seen.seen, of, |entry| {
                    entry.member(path.clone()).words(seen.words.iter().cloned())
                });
            }
            let Some(known) = words.get(path.as_str()).filter(|known| !known.is_empty()) else { continue };
            let unknown = seen.words.iter().filter(|word| !known.iter().any(|known| known == word.as_str()));
            let unknown: Vec<_> = unknown.cloned().collect();
            if !unknown.is_empty() || seen.other_words > 0 {
                let others = (seen.other_words > 0).then_some(Found::NoWord);
                self.finding(ObservationKind::UnknownWord, seen.seen, of, |entry| {
                    entry.member(path.clone()).words(unknown).found(others)
                });
            }
        }
    }

    fn formats(&mut self) {
        let observed = self.observed;
        for (path, seen) in observed.members.iter().filter(|(_, seen)| !seen.formats.is_empty()) {
            let of = self.objects(path);
            let found = seen.formats.iter().copied().map(Found::Format);
            self.remark(ObservationKind::Formats, seen.seen, of, |entry| {
                entry.member(path.clone()).found(found.clone())
            });
            if path.name().ends_with("_utc") && seen.formats.iter().any(|format| *format != UTC) {
                self.finding(ObservationKind::OtherFormat, seen.seen, of, |entry| {
                    entry
                        .member(path.clone())
                        .expected(UTC.name())
                        .found(found.filter(|found| *found != Found::Format(UTC)))
                });
            }
        }
    }
}

/// Returns whether a type is the one in the catalogue. An integer is also a number, and an empty list matches any list.
fn fits(member: &Member, found: Found) -> bool {
    let (found, many) = match found {
        Found::One(found) => (found, false),
        Found::ListOf(item) => (item, true),
        _ => return member.many || member.type_name == "any",
    };
    let holds = match member.type_name.as_str() {
        "boolean" => ValueType::Boolean,
        "integer" => ValueType::Integer,
        "number" => ValueType::Number,
        "object" => ValueType::Object,
        "string" => ValueType::String,
        // The catalogue does not specify its type.
        _ => return true,
    };
    many == member.many && (found == holds || (found == ValueType::Integer && holds == ValueType::Number))
}

/// Returns the members that parameters add to such records, except those requested or always present.
pub(super) fn not_asked(
    kind: &RecordSchema,
    added: &BTreeSet<String>,
    asked: &BTreeSet<String>,
    shows: &[String],
) -> BTreeSet<String> {
    let is_described = |name: &&String| kind.members.is_empty() || kind.has(name);
    let others = added.iter().filter(is_described).filter(|name| !asked.contains(*name) && !shows.contains(name));
    others.cloned().collect()
}
