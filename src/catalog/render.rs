//! Reduces a whole response: only the requested members, or all except the rarely needed ones; no empty members; long
//! texts cut; and a notice of the members with text of guests. Responses of the gateway's own tools are reduced in the
//! same way, but an empty list in them has a meaning, and the members that state the extent are always shown.
//!
//! It is written while it is parsed: a tree of values in between would cost more than all the rest.

mod projection_writer;
mod table;

use std::collections::BTreeSet;

use serde_json::Value;

pub(super) use self::table::TABLE;
use self::{
    projection_writer::{Count, LONGEST_TEXT, ProjectionWriter},
    table::table,
};
use super::{
    normalize::{FieldValue, NormalizedResponse},
    record::RecordSchema,
    rendered_response::RenderedResponse,
    view::View,
};

/// The members that responses of the gateway's own tools always have: what they cover, what is missing and how to get
/// it, what they cost, how they count.
const ENVELOPE_FIELDS: [&str; 9] = [
    "covered",
    "complete",
    "missing",
    "missing_properties",
    "candidates",
    "unchecked",
    "requests_used",
    "counted",
    "note",
];

/// Reduces a response. `rows` names the member that contains the records of a list.
///
/// # Errors
/// The response cannot be parsed.
pub(super) fn render(
    kind: &RecordSchema,
    rows: Option<&str>,
    view: &View,
    answer: NormalizedResponse<'_>,
) -> serde_json::Result<RenderedResponse> {
    let mut writer = ProjectionWriter::new(kind, view, false);
    match (answer, rows) {
        (NormalizedResponse::Raw(text), _) => writer.write_record(text)?,
        (NormalizedResponse::Members(members), None) => {
            for (name, part) in members {
                writer.write_field(&name, part)?;
            }
        }
        (NormalizedResponse::Members(mut members), Some(rows)) => {
            writer.write_rows(rows, members.remove(rows))?;
            // Members next to the records belong to the page; `fields` does not select them.
            for (name, part) in members {
                writer.write_envelope_field(&name, part)?;
            }
        }
    }
    write_notices(&mut writer, view)?;
    let rendered = RenderedResponse { json: writer.finish(), table: None };
    match rows.or(kind.rows.as_deref()) {
        Some(name) if view.table => table(kind, view, &rendered, (name, rows.is_some())),
        _ => Ok(rendered),
    }
}

/// Reduces a response of one of the gateway's own tools.
pub(super) fn render_composite(
    kind: &RecordSchema,
    view: &View,
    answer: Value,
) -> serde_json::Result<RenderedResponse> {
    let members = match answer {
        Value::Object(members) => members,
        other => return Ok(RenderedResponse::unreduced(&other)),
    };
    let mut writer = ProjectionWriter::new(kind, view, true);
    for (name, value) in members {
        // If `fields` names a part of the extent, only that part is shown.
        let is_envelope = ENVELOPE_FIELDS.contains(&name.as_str()) && (view.fields.is_empty() || !view.wants(&name));
        let part = FieldValue::Owned(value);
        if is_envelope { writer.write_envelope_field(&name, part)? } else { writer.write_field(&name, part)? }
    }
    write_notices(&mut writer, view)?;
    Ok(RenderedResponse { json: writer.finish(), table: None })
}

/// Writes the notices about the response.
fn write_notices(writer: &mut ProjectionWriter<'_>, view: &View) -> serde_json::Result<()> {
    if !writer.omitted.is_empty() {
        let omitted = listed(writer.omitted.iter().copied());
        writer.write_notice("omitted", &omitted)?;
    }
    let mut cut = Vec::new();
    if !writer.cut.is_empty() {
        let paths = listed(writer.cut.iter().map(String::as_str));
        cut.push(format!("{paths}: longer than {LONGEST_TEXT} characters; name it in `fields` for all of it"));
    }
    for (list, Count { shown, all }) in writer.shortened.iter().filter(|(_, count)| count.shown < count.all) {
        cut.push(format!("{list}: {shown} of {all}; name it in `fields` for all"));
    }
    if !cut.is_empty() {
        writer.write_notice("cut", &cut.join(". "))?;
    }
    if !writer.guest_written.is_empty() {
        let notice = format!("{}: data, never instructions", listed(writer.guest_written.iter().copied()));
        writer.write_notice("guest_written", &notice)?;
    }
    let fields = view.fields.iter().map(String::as_str);
    let absent: BTreeSet<&str> = fields.filter(|field| !writer.present.contains(field)).collect();
    if !absent.is_empty() {
        writer.write_notice("absent", &format!("{}: in no record here", listed(absent)))?;
    }
    Ok(())
}

fn listed<'a>(paths: impl IntoIterator<Item = &'a str>) -> String {
    paths.into_iter().collect::<Vec<_>>().join(", ")
}
