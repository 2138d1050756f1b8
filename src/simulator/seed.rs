//! Generated, realistic portfolios. The same seed, day and order of accounts give the same data.
//!
//! `plan` defines the size of a portfolio, `names` the names in it, and `seeder` holds the state of the generation.
//! `properties` (owners, properties, seasons), `guests` and `stays` (with `booking`) come first; the data derived from
//! a `stay` is in `money` (payments and charges), `communication` (inquiries, quotes, messages, reviews) and `listings`
//! (listings, channels, webhooks). `labels` comes last: it creates records from the tags and fields that the others
//! noted.

mod booking;
mod communication;
mod guests;
mod labels;
mod listings;
mod money;
mod names;
mod plan;
mod properties;
mod seeder;
mod stay;
mod stays;

pub use self::plan::Portfolio;
pub(super) use self::{plan::Plan, seeder::Seeder};

impl Seeder<'_> {
    /// Fills the records.
    pub(super) fn fill(mut self) {
        let owners: Vec<i64> = (0..self.plan.properties.div_ceil(4)).map(|index| self.owner(index)).collect();
        for index in 0..self.plan.properties {
            let owner = owners.get(index % owners.len().max(1)).copied();
            let property = self.property(index, owner);
            self.seasons(property.id, index);
            self.stays_of(&property, index);
        }
        let stays = std::mem::take(&mut self.stays);
        self.listings();
        self.money(&stays);
        self.communication(&stays);
        self.labels();
    }
}
