//! The predecessor's four tables with its names and columns, and what the gateway keeps beside them: created in an
//! empty database, or made out of the predecessor's own tables (see [`predecessor`]). Both ways end in the same shape.
//!
//! No time has a default: times come from the caller's clock (SQLite's `CURRENT_TIMESTAMP` would sort wrongly
//! against the RFC 3339 text that the store writes).

use sea_orm_migration::{async_trait::async_trait, prelude::*};

use crate::predecessor;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if predecessor::is_here(manager).await? {
            predecessor::take_over(manager).await?;
        } else {
            manager.create_table(users()).await?;
            manager.create_table(api_keys()).await?;
            manager.create_table(ownerrez_connections()).await?;
            manager.create_table(oauth_states()).await?;
        }
        manager.create_table(pending_revocations()).await?;
        manager.create_table(allowance_slots()).await?;
        manager.create_table(allowance_blocks()).await?;

        for (table, column) in [
            ("api_keys", "user_id"),
            ("api_keys", "key_prefix"),
            ("api_keys", "key_digest"),
            ("ownerrez_connections", "renew_at"),
            ("oauth_states", "user_id"),
            ("oauth_states", "key_id"),
            ("oauth_states", "expires_at"),
            ("pending_revocations", "next_attempt_at"),
            ("allowance_blocks", "slot"),
        ] {
            let name = format!("idx_{table}_{column}");
            manager.create_index(Index::create().name(name).table(table).col(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        predecessor::refuse_to_drop(manager).await?;
        // Children before parents.
        for table in [
            "allowance_blocks",
            "allowance_slots",
            "pending_revocations",
            "oauth_states",
            "ownerrez_connections",
            "api_keys",
            "users",
        ] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn users() -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("first_connected_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("disabled_at").timestamp_with_time_zone().null())
        .take()
}

fn api_keys() -> TableCreateStatement {
    Table::create()
        .table("api_keys")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("key_hash").text().not_null())
        .col(ColumnDef::new("key_prefix").text().not_null())
        .col(ColumnDef::new("name").text().null())
        .col(ColumnDef::new("last_used_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("scope").text().not_null().default("full"))
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("key_digest").text().null())
        .foreign_key(&mut goes_with("api_keys", "user_id", "users"))
        .take()
}

fn ownerrez_connections() -> TableCreateStatement {
    Table::create()
        .table("ownerrez_connections")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null().unique_key())
        .col(ColumnDef::new("access_token").text().not_null())
        .col(ColumnDef::new("refresh_token").text().null())
        .col(ColumnDef::new("token_type").text().not_null().default("bearer"))
        .col(ColumnDef::new("user_id_ownerrez").big_integer().null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("updated_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("obtained_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("renew_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("rejected_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("version").big_integer().not_null().default(0))
        .col(ColumnDef::new("lease_holder").uuid().null())
        .col(ColumnDef::new("lease_until").timestamp_with_time_zone().null())
        .foreign_key(&mut goes_with("ownerrez_connections", "user_id", "users"))
        .take()
}

fn oauth_states() -> TableCreateStatement {
    Table::create()
        .table("oauth_states")
        .col(ColumnDef::new("state").text().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("key_id").uuid().not_null())
        .col(ColumnDef::new("browser_hash").text().null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
        .foreign_key(&mut goes_with("oauth_states", "user_id", "users"))
        .foreign_key(&mut goes_with("oauth_states", "key_id", "api_keys"))
        .take()
}

fn pending_revocations() -> TableCreateStatement {
    Table::create()
        .table("pending_revocations")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("access_token").text().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("attempts").integer().not_null())
        .col(ColumnDef::new("next_attempt_at").timestamp_with_time_zone().not_null())
        .take()
}

fn allowance_slots() -> TableCreateStatement {
    Table::create()
        .table("allowance_slots")
        .col(ColumnDef::new("slot").integer().not_null().primary_key())
        .col(ColumnDef::new("epoch").big_integer().not_null())
        .take()
}

fn allowance_blocks() -> TableCreateStatement {
    Table::create()
        .table("allowance_blocks")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("slot").integer().not_null())
        .col(ColumnDef::new("permits").integer().not_null())
        .col(ColumnDef::new("reserved_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("closed_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("used").integer().null())
        .take()
}

/// A foreign key to another table's `id` whose rows vanish together with the row that they name. Named as
/// PostgreSQL would name it, and as the predecessor's are.
fn goes_with(table: &'static str, column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_{column}_fkey"))
        .from(table, column)
        .to(parent, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
