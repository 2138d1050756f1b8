//! Signing in with OwnerRez: who is who there, sign-ins under way, codes, grants and their refresh tokens. Secrets are
//! kept as digests only.

use sea_orm_migration::{async_trait::async_trait, prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Every process hears of grants that ended, as it hears of keys: the function and its channel are those of keys.
const UP: &str = "
CREATE TRIGGER ownerrez_gateway_keys_changed
    AFTER DELETE OR TRUNCATE OR UPDATE OF user_id, client_id, scope, resource ON oauth_grants
    FOR EACH STATEMENT EXECUTE FUNCTION ownerrez_gateway_keys_changed();
";

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [identities(), sign_in_requests(), oauth_grants(), authorization_codes(), refresh_tokens()] {
            manager.create_table(table).await?;
        }
        for (table, column) in INDEXES {
            let name = format!("idx_{table}_{column}");
            manager.create_index(Index::create().name(name).table(table).col(column).take()).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(UP).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connections = Index::drop().name("idx_ownerrez_connections_user_id_ownerrez").to_owned();
        manager.drop_index(connections).await?;
        for table in ["refresh_tokens", "authorization_codes", "oauth_grants", "sign_in_requests", "identities"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

const INDEXES: [(&str, &str); 8] = [
    ("identities", "user_id"),
    ("sign_in_requests", "expires_at"),
    ("oauth_grants", "user_id"),
    ("oauth_grants", "expires_at"),
    ("authorization_codes", "grant_id"),
    ("authorization_codes", "expires_at"),
    ("refresh_tokens", "grant_id"),
    // Who else reaches an account.
    ("ownerrez_connections", "user_id_ownerrez"),
];

fn identities() -> TableCreateStatement {
    Table::create()
        .table("identities")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("issuer").text().not_null())
        .col(ColumnDef::new("subject").text().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("last_sign_in_at").timestamp_with_time_zone().not_null())
        .index(Index::create().unique().name("identities_issuer_subject_key").col("issuer").col("subject"))
        .foreign_key(&mut goes_with("identities", "user_id", "users"))
        .take()
}

fn sign_in_requests() -> TableCreateStatement {
    Table::create()
        .table("sign_in_requests")
        .col(ColumnDef::new("state_hash").text().not_null().primary_key())
        .col(ColumnDef::new("browser_hash").text().not_null())
        .col(ColumnDef::new("request").text().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
        .take()
}

fn oauth_grants() -> TableCreateStatement {
    Table::create()
        .table("oauth_grants")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("client_id").text().not_null())
        .col(ColumnDef::new("client_name").text().not_null())
        .col(ColumnDef::new("scope").text().not_null())
        .col(ColumnDef::new("resource").text().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("last_used_at").timestamp_with_time_zone().null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("confirmed_generation").big_integer().not_null())
        .col(ColumnDef::new("confirmed_hash").text().null())
        .foreign_key(&mut goes_with("oauth_grants", "user_id", "users"))
        .take()
}

fn authorization_codes() -> TableCreateStatement {
    Table::create()
        .table("authorization_codes")
        .col(ColumnDef::new("code_hash").text().not_null().primary_key())
        .col(ColumnDef::new("grant_id").uuid().not_null())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("client_id").text().not_null())
        .col(ColumnDef::new("redirect_uri").text().not_null())
        .col(ColumnDef::new("code_challenge").text().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("used_at").timestamp_with_time_zone().null())
        .foreign_key(&mut goes_with("authorization_codes", "grant_id", "oauth_grants"))
        .take()
}

fn refresh_tokens() -> TableCreateStatement {
    Table::create()
        .table("refresh_tokens")
        .col(ColumnDef::new("token_hash").text().not_null().primary_key())
        .col(ColumnDef::new("grant_id").uuid().not_null())
        .col(ColumnDef::new("generation").big_integer().not_null())
        .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
        .foreign_key(&mut goes_with("refresh_tokens", "grant_id", "oauth_grants"))
        .take()
}

/// A foreign key to another table's `id` whose rows vanish together with the row that they name.
fn goes_with(table: &'static str, column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_{column}_fkey"))
        .from(table, column)
        .to(parent, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
