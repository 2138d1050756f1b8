//! Revenue: `revenue_summary`.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    days::{Days, Nights},
    money::{amount, cents_of},
    property_set::PropertySet,
    query_context::{CompositeError, QueryContext},
    stay::Stay,
};

#[derive(Deserialize)]
pub(super) struct Arguments {
    from_date: NaiveDate,
    to_date: NaiveDate,
    #[serde(default)]
    count_by: CountBy,
    property_ids: Option<Vec<i64>>,
}

/// The day that an amount is counted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CountBy {
    /// The whole amount on the day of arrival.
    #[default]
    Arrival,
    /// An equal part on each night.
    Night,
}

impl CountBy {
    fn in_words(self) -> &'static str {
        match self {
            Self::Arrival => {
                "Active bookings whose arrival is within the days, each with its whole amount in the month \
                              of arrival."
            }
            Self::Night => {
                "Active bookings with nights within the days; each night counts with an equal part of the \
                            booking's amount, in its month."
            }
        }
    }
}

/// Returns sums by property, month and channel, for each currency. Three requests for up to a hundred properties and a
/// hundred bookings, one more for each further hundred.
pub(super) async fn revenue_summary(
    context: &mut QueryContext<'_>,
    arguments: Arguments,
) -> Result<Value, CompositeError> {
    let mut property_set = PropertySet::read(context, arguments.property_ids.as_deref()).await?;
    let days = Days { first: arguments.from_date, last: arguments.to_date };
    let filters = json!({"status": "active", "include_charges": true});
    let stays = Stay::within(context, &mut property_set, days, &filters).await?;
    let mut all: BTreeMap<String, Currency> = BTreeMap::new();
    for stay in stays.iter().filter(|stay| stay.is_guest()) {
        let money = Money::of(&stay.record);
        for (month, part) in parts(stay.nights, days, arguments.count_by, money) {
            let currency = stay.record["currency_code"].as_str().unwrap_or("not stated").to_owned();
            all.entry(currency).or_default().add(stay, &month, part);
        }
    }
    let currencies: Vec<Value> = all.iter().map(|(code, sums)| sums.to_json(code, &property_set)).collect();
    let answer = json!({
        "currencies": currencies,
        "counted": format!(
            "{} `total` is what the guest is charged; `rent`, `taxes` and `other` (fees, surcharges, discounts) are its \
             parts. Channel commissions and payment fees are not deducted. Inactive properties count as \
             well. Pending and canceled bookings, owner stays and blocks are left out.",
            arguments.count_by.in_words()
        ),
    });
    Ok(context.finish(property_set.covered(days), answer))
}

/// An amount and its parts, in cents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Money {
    total: i64,
    rent: i64,
    taxes: i64,
}

impl Money {
    /// Returns the sum of the charges, or the total if there are no charges.
    fn of(record: &Value) -> Self {
        let Some(charges) = record["charges"].as_array().filter(|charges| !charges.is_empty()) else {
            return Self { total: cents_of(record, "total_amount"), ..Self::default() };
        };
        let sum = |wanted: &dyn Fn(&str) -> bool| {
            let lines = charges.iter().filter(|line| wanted(line["type"].as_str().unwrap_or_default()));
            lines.map(|line| cents_of(line, "amount")).sum()
        };
        let (rent, taxes) = (sum(&|kind| kind == "rent"), sum(&|kind| kind.starts_with("tax")));
        Self { total: sum(&|_| true), rent, taxes }
    }

    /// Returns the part for the nights `from` to `to` (exclusive) of `all`. The parts add up to the whole exactly.
    fn part(self, from: i64, to: i64, all: i64) -> Self {
        let upto = |amount: i64, night: i64| amount * night / all.max(1);
        let part = |amount: i64| upto(amount, to) - upto(amount, from);
        Self { total: part(self.total), rent: part(self.rent), taxes: part(self.taxes) }
    }

    fn add(&mut self, other: Money) {
        self.total += other.total;
        self.rent += other.rent;
        self.taxes += other.taxes;
    }
}

/// The part of a stay in one month.
#[derive(Clone, Copy, Debug, Default)]
struct StayShare {
    money: Money,
    nights: i64,
    /// 1 in the first month of a stay, otherwise 0.
    bookings: i64,
}

/// Distributes a stay over the months within some days.
fn parts(nights: Nights, days: Days, count_by: CountBy, money: Money) -> Vec<(String, StayShare)> {
    let month = |day: NaiveDate| format!("{:04}-{:02}", day.year(), day.month());
    if count_by == CountBy::Arrival {
        let part = StayShare { money, nights: nights.count(), bookings: 1 };
        return if days.contains(nights.arrival) { vec![(month(nights.arrival), part)] } else { Vec::new() };
    }
    let Some(counted) = nights.common(days.nights()) else { return Vec::new() };
    let mut months: BTreeMap<String, StayShare> = BTreeMap::new();
    for (index, night) in
        (0..).zip(nights.each()).filter(|(_, night)| counted.arrival <= *night && *night < counted.departure)
    {
        let part = months.entry(month(night)).or_default();
        part.money.add(money.part(index, index + 1, nights.count()));
        part.nights += 1;
        part.bookings += i64::from(night == counted.arrival);
    }
    months.into_iter().collect()
}

/// The sums in one currency.
#[derive(Default)]
struct Currency {
    all: StayShare,
    properties: BTreeMap<i64, StayShare>,
    months: BTreeMap<String, StayShare>,
    channels: BTreeMap<String, StayShare>,
}

impl Currency {
    fn add(&mut self, stay: &Stay, month: &str, part: StayShare) {
        let sums = [
            &mut self.all,
            self.properties.entry(stay.property).or_default(),
            self.months.entry(month.to_owned()).or_default(),
            self.channels.entry(stay.channel().to_owned()).or_default(),
        ];
        for sum in sums {
            sum.money.add(part.money);
            sum.nights += part.nights;
            sum.bookings += part.bookings;
        }
    }

    fn to_json(&self, code: &str, property_set: &PropertySet) -> Value {
        let properties = self
            .properties
            .iter()
            .map(|(id, part)| part.to_json(&[("property_id", json!(id)), ("property", json!(property_set.name(*id)))]));
        json!({
            "currency": code,
            "all": self.all.to_json(&[]),
            "by_property": properties.collect::<Vec<_>>(),
            "by_month": self.months.iter().map(|(month, part)| part.to_json(&[("month", json!(month))])).collect::<Vec<_>>(),
            "by_channel": self.channels.iter().map(|(name, part)| part.to_json(&[("channel", json!(name))])).collect::<Vec<_>>(),
        })
    }
}

impl StayShare {
    fn to_json(self, of: &[(&str, Value)]) -> Value {
        let Money { total, rent, taxes } = self.money;
        let mut object = json!({
            "bookings": self.bookings, "nights": self.nights, "total": amount(total), "rent": amount(rent),
            "taxes": amount(taxes), "other": amount(total - rent - taxes),
        });
        for (name, value) in of {
            object[*name] = value.clone();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::days::later, *};

    fn day(number: u64) -> NaiveDate {
        later(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(), number)
    }

    proptest! {
        #[test]
        fn the_parts_of_a_stay_add_up_to_it(from in 0u64..60, length in 1u64..90, total in 0i64..10_000_000, rent in 0i64..10_000_000) {
            let nights = Nights { arrival: day(from), departure: day(from + length) };
            let money = Money { total, rent, taxes: 7 };
            let whole_year = Days { first: day(0), last: day(364) };
            for count_by in [CountBy::Arrival, CountBy::Night] {
                let parts = parts(nights, whole_year, count_by, money);
                let mut sum = Money::default();
                parts.iter().for_each(|(_, part)| sum.add(part.money));
                prop_assert_eq!(sum, money);
                prop_assert_eq!(parts.iter().map(|(_, part)| part.nights).sum::<i64>(), nights.count());
                prop_assert_eq!(parts.iter().map(|(_, part)| part.bookings).sum::<i64>(), 1);
            }
        }

        #[test]
        fn months_one_after_the_other_count_every_night_once(from in 0u64..80, length in 1u64..60, total in 0i64..1_000_000) {
            let nights = Nights { arrival: day(from), departure: day(from + length) };
            let money = Money { total, ..Money::default() };
            let mut sum = 0;
            for (first, last) in [(0, 30), (31, 58), (59, 150)] {
                let days = Days { first: day(first), last: day(last) };
                sum += parts(nights, days, CountBy::Night, money).iter().map(|(_, part)| part.money.total).sum::<i64>();
            }
            prop_assert_eq!(sum, total);
        }
    }

    #[test]
    fn charges_are_sorted_and_a_total_stands_in_for_them() {
        let charges = json!([{"type": "rent", "amount": 300.1}, {"type": "surcharge", "amount": 95}, {"type": "tax", "amount": 24.05},
            {"type": "tax_other", "amount": 1}, {"type": "discount", "amount": -10}]);
        let money = Money::of(&json!({"charges": charges, "total_amount": 1}));
        assert_eq!(money, Money { total: 41_015, rent: 30_010, taxes: 2_505 });
        assert_eq!(Money::of(&json!({"charges": [], "total_amount": 12.5})).total, 1_250);
    }
}
