//! Payments, refunds and payouts, and the rules of charges. All amounts agree with the bookings' totals.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{properties::base_rate, seeder::Seeder, stay::Stay};
use crate::simulator::{
    bookings::money,
    records::{Record, id, number},
    timestamp::utc,
    value_kind::instant,
};

/// The processor's fee for a card payment.
const PROCESSING: f64 = 0.029;

/// The payouts of one month.
#[derive(Default)]
struct Batch {
    payments: Vec<i64>,
    bookings: Vec<i64>,
    total: f64,
    fees: f64,
}

impl Seeder<'_> {
    pub(super) fn money(&mut self, stays: &[Stay]) {
        self.rules();
        self.spot_rates();
        let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
        for stay in stays.iter().filter(|stay| stay.paid > 0.0) {
            let payment = self.payment(stay);
            if stay.refunded > 0.0 {
                self.refund(stay, payment);
            } else if stay.departure <= self.now.date_naive() {
                let batch = batches.entry(stay.departure.format("%Y-%m").to_string()).or_default();
                batch.payments.push(payment);
                batch.bookings.push(stay.id);
                batch.total += stay.paid;
                batch.fees += fee_of(stay);
            }
        }
        for (month, batch) in batches {
            self.deposit(&month, &batch);
        }
    }

    fn payment(&mut self, stay: &Stay) -> i64 {
        let direct = stay.channel == "Direct";
        let fee = fee_of(stay);
        let from = if direct { "Visa ending in 4242".to_owned() } else { format!("Collected by {}", stay.channel) };
        let record = json!({
            "id": self.id(),
            "booking_id": stay.id,
            "amount": stay.paid,
            "description": from,
            "type": if direct { "credit_card" } else { "channel" },
            "collected_utc": utc(stay.booked),
            "is_deposited": false,
            "total_fees": money(fee),
            "deposits": [],
        });
        let payment = self.put("payments", record);
        if fee > 0.0 {
            let fee = json!({
                "id": self.id(),
                "booking_id": stay.id,
                "amount": money(fee),
                "description": "Card processing",
                "payment_id": payment,
                "_created_utc": utc(stay.booked),
            });
            self.put("fees", fee);
        }
        payment
    }

    fn refund(&mut self, stay: &Stay, payment: i64) {
        let record = json!({
            "id": self.id(),
            "booking_id": stay.id,
            "amount": stay.refunded,
            "description": format!("Cancellation at {}", self.plan.tenant_label),
            "type": "credit_card",
            "linked_payment_id": payment,
            "paid_utc": stay.canceled.map(utc),
            "is_deposited": false,
            "total_fees": 0.0,
        });
        self.put("refunds", record);
    }

    fn deposit(&mut self, month: &str, batch: &Batch) {
        // On the fifth of the following month; the newest payout may still be in transit.
        let first = instant(&format!("{month}-01")).unwrap_or(self.now);
        let at = (first + TimeDelta::days(35)).min(self.now);
        let deposit = self.id();
        let record = json!({
            "id": deposit,
            "deposited_utc": utc(at),
            "processor": "stripe",
            "processing_status": "processed",
            "external_status": if at == self.now { "in_transit" } else { "paid" },
            "external_deposit_number": format!("po_{}_{deposit}", self.handle()),
            "total_deposited": money(batch.total - batch.fees),
            "total_fees": money(batch.fees),
            "total_adjustments": 0.0,
            "total_transactions": money(batch.total),
            "_booking_ids": batch.bookings,
        });
        self.put("deposits", record);
        for payment in &batch.payments {
            if let Some(payment) = self.records.get_mut("payments", *payment) {
                payment.insert("is_deposited".into(), true.into());
                payment.insert("deposits".into(), json!([{"id": deposit}]));
            }
        }
    }

    fn rules(&mut self) {
        let now: DateTime<Utc> = self.now;
        let properties: Vec<(i64, bool)> = self
            .records
            .all("properties")
            .filter_map(|one| Some((id(one)?, one.get("_pets_allowed") == Some(&Value::Bool(true)))))
            .collect();
        for (property, pets) in properties {
            let changed = utc(now - TimeDelta::days(self.rng.i64(1..200)));
            let weekly = json!({
                "id": self.id(), "property_id": property, "name": format!("{} week", self.plan.tenant_label),
                "amount": 10, "is_percent": true, "min_nights": 7, "active": true, "_updated_utc": changed,
            });
            self.put("discounts", weekly);
            let pet_fee = pets.then_some(("Pet fee", 40));
            for (name, amount) in [Some(("Cleaning", 95)), pet_fee].into_iter().flatten() {
                let record = json!({
                    "id": self.id(), "property_id": property, "name": name,
                    "amount": amount, "is_percent": false, "active": true, "_updated_utc": changed,
                });
                self.put("surcharges", record);
            }
        }
    }

    /// Creates a more expensive long weekend in two months.
    fn spot_rates(&mut self) {
        let houses: Vec<Record> = self.records.all("properties").cloned().collect();
        for (index, house) in houses.iter().enumerate() {
            for day in 60..63 {
                let key = self.id();
                let record = json!({
                    "_key": key,
                    "property_id": number(house, "id"),
                    "date": self.now.date_naive() + TimeDelta::days(day),
                    "amount": base_rate(index) * 2,
                    "currency": house.get("currency_code"),
                    "min_nights": 3,
                });
                if let Value::Object(record) = record {
                    self.records.put("spot_rates", key, record);
                }
            }
        }
    }
}

fn fee_of(stay: &Stay) -> f64 {
    if stay.channel == "Direct" { money(stay.paid * PROCESSING) } else { 0.0 }
}
