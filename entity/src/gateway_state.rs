use crate::Moment;
use sea_orm::entity::prelude::*;

/// State of the gateway about the database itself. One row, with the id 1.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_state")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// When a probe last proved that the database accepts writes.
    pub written_at: Option<Moment>,
    /// The version of the program that applied the newest migration.
    pub schema_version: Option<String>,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
