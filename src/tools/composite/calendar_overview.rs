//! The calendars of many properties: `calendar_overview`.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    days::{Days, Nights, free, taken_nights},
    property_set::PropertySet,
    query_context::{CompositeError, QueryContext},
    stay::Stay,
};

const COUNTING_RULES: &str = "Nights from `from_date` to `to_date`, both included, each counted once. `guest_nights` are those of active \
bookings; `other_nights` only those of owner stays, blocks and pending bookings. `occupancy_percent` is guest nights of \
all nights. `gaps` are all free stretches, `departure` being the day the next stay begins; `may_continue` says at \
which end of the days asked for a stretch may be longer. Inactive properties count as well.";

#[derive(Deserialize)]
pub(super) struct Arguments {
    from_date: NaiveDate,
    to_date: NaiveDate,
    property_ids: Option<Vec<i64>>,
}

/// Returns taken and free nights, gaps and occupancy of each property and of all. Three requests for up to a hundred
/// properties and a hundred bookings.
pub(super) async fn calendar_overview(
    context: &mut QueryContext<'_>,
    arguments: Arguments,
) -> Result<Value, CompositeError> {
    let mut property_set = PropertySet::read(context, arguments.property_ids.as_deref()).await?;
    let days = Days { first: arguments.from_date, last: arguments.to_date };
    let stays = Stay::within(context, &mut property_set, days, &json!({})).await?;
    let within = days.nights();
    let (mut all, mut of_guests) = (0, 0);
    let properties: Vec<Value> = property_set
        .properties
        .iter()
        .map(|property| {
            let own: Vec<&Stay> = stays.iter().filter(|stay| stay.property == property.id).collect();
            let nights = Occupancy::of(within, &own);
            all += within.count();
            of_guests += nights.guests;
            json!({
                "property_id": property.id,
                "property": property.name,
                "guest_nights": nights.guests,
                "other_nights": nights.others,
                "free_nights": nights.free,
                "occupancy_percent": percent(nights.guests, within.count()),
                "gaps": nights.gaps.iter().copied().map(Gap::to_json).collect::<Vec<_>>(),
                "next_free": nights.next_free,
            })
        })
        .collect();
    let answer = json!({
        "all": {"nights": all, "guest_nights": of_guests, "occupancy_percent": percent(of_guests, all)},
        "properties": properties,
        "counted": COUNTING_RULES,
    });
    Ok(context.finish(property_set.covered(days), answer))
}

/// The nights of one property.
struct Occupancy {
    guests: i64,
    others: i64,
    free: i64,
    /// All free stretches, in order.
    gaps: Vec<Gap>,
    next_free: Option<NaiveDate>,
}

/// A free stretch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Gap {
    nights: Nights,
    /// The end at which it may continue beyond the requested days.
    may_continue: Option<OpenEnd>,
}

/// An end of a free stretch without an adjacent stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum OpenEnd {
    Before,
    After,
    Both,
}

impl Gap {
    fn to_json(self) -> Value {
        let nights = self.nights;
        let mut object = json!({"arrival": nights.arrival, "departure": nights.departure, "nights": nights.count()});
        if let Some(end) = self.may_continue {
            object["may_continue"] = json!(end);
        }
        object
    }
}

impl Occupancy {
    fn of(within: Nights, stays: &[&Stay]) -> Self {
        let nights = |wanted: &dyn Fn(&Stay) -> bool| -> Vec<Nights> {
            stays.iter().filter(|stay| stay.takes_nights() && wanted(stay)).map(|stay| stay.nights).collect()
        };
        let (all, of_guests) = (nights(&|_| true), nights(&|stay: &Stay| stay.is_guest()));
        let stretches = free(within, &all);
        let guests = taken_nights(within, &of_guests);
        let gap = |nights: &Nights| Gap {
            nights: *nights,
            // At an end of the requested days, only an adjacent stay shows that the stretch ends there.
            may_continue: match (
                all.iter().any(|one| one.departure == nights.arrival),
                all.iter().any(|one| one.arrival == nights.departure),
            ) {
                (true, true) => None,
                (false, true) => Some(OpenEnd::Before),
                (true, false) => Some(OpenEnd::After),
                (false, false) => Some(OpenEnd::Both),
            },
        };
        Self {
            guests,
            others: taken_nights(within, &all) - guests,
            free: stretches.iter().map(|one| one.count()).sum(),
            gaps: stretches.iter().map(gap).collect(),
            next_free: stretches.first().map(|one| one.arrival),
        }
    }
}

/// Returns a percentage with one decimal.
fn percent(part: i64, whole: i64) -> Value {
    if whole == 0 { Value::Null } else { json!((part as f64 * 1000.0 / whole as f64).round() / 10.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::days::later, *};

    fn day(number: u64) -> NaiveDate {
        later(NaiveDate::from_ymd_opt(2026, 6, 1).unwrap(), number)
    }

    fn stay(id: i64, kind: &str, status: &str, from: u64, to: u64) -> Stay {
        let record = json!({"id": id, "property_id": 1, "type": kind, "status": status, "arrival": day(from), "departure": day(to)});
        Stay::read(record).unwrap()
    }

    fn occupancy(stays: &[Stay]) -> Occupancy {
        let within = Nights { arrival: day(0), departure: day(10) };
        Occupancy::of(within, &stays.iter().collect::<Vec<_>>())
    }

    #[test]
    fn nights_and_gaps_are_counted() {
        let nights = occupancy(&[
            stay(1, "booking", "active", 0, 3),
            stay(2, "booking", "canceled", 3, 5),
            stay(3, "owner", "active", 5, 6),
            stay(4, "booking", "active", 6, 8),
        ]);
        assert_eq!((nights.guests, nights.others, nights.free), (5, 1, 4));
        let gap =
            |from, to, may_continue| Gap { nights: Nights { arrival: day(from), departure: day(to) }, may_continue };
        assert_eq!(nights.gaps, [gap(3, 5, None), gap(8, 10, Some(OpenEnd::After))]);
        assert_eq!(occupancy(&[]).gaps, [gap(0, 10, Some(OpenEnd::Both))]);
        assert_eq!(occupancy(&[stay(1, "booking", "active", 4, 12)]).gaps, [gap(0, 4, Some(OpenEnd::Before))]);
        assert_eq!(nights.next_free, Some(day(3)));
        assert_eq!(percent(5, 10), json!(50.0));
        assert_eq!((percent(1, 3), percent(0, 0)), (json!(33.3), Value::Null));
    }

    proptest! {
        #[test]
        fn every_night_is_counted_once(spans in prop::collection::vec((0u64..14, 1u64..6, 0usize..4), 0..8)) {
            let kinds = [("booking", "active"), ("booking", "pending"), ("block", "active"), ("booking", "canceled")];
            let stays: Vec<Stay> = (1i64..).zip(&spans).map(|(id, (from, nights, kind))| {
                stay(id, kinds[*kind].0, kinds[*kind].1, *from, from + nights)
            }).collect();
            let nights = occupancy(&stays);
            prop_assert_eq!(nights.guests + nights.others + nights.free, 10);
            prop_assert!(nights.guests >= 0 && nights.others >= 0);
            prop_assert_eq!(nights.gaps.iter().map(|gap| gap.nights.count()).sum::<i64>(), nights.free);
        }
    }
}
