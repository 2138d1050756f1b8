use crate::Moment;
use sea_orm::entity::prelude::*;

/// The one OwnerRez account that a user has connected.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ownerrez_connections")]
pub struct Model {
    /// Changes with every new authorization, so that work on an old connection cannot modify the new one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The owner; one connection per user. The row is deleted with the user.
    pub user_id: Uuid,
    /// Encrypted.
    #[sea_orm(column_type = "Text")]
    pub access_token: String,
    /// Encrypted; absent for tokens that never expire, and once OwnerRez has rejected it.
    #[sea_orm(column_type = "Text", nullable)]
    pub refresh_token: Option<String>,
    /// Always `bearer` so far.
    #[sea_orm(column_type = "Text")]
    pub token_type: String,
    /// OwnerRez's number for the account, if known.
    pub user_id_ownerrez: Option<i64>,
    /// The expiry time of the access token, if known.
    pub expires_at: Option<Moment>,
    /// When the account was connected.
    pub created_at: Moment,
    /// When any column of the row last changed.
    pub updated_at: Moment,
    /// When the gateway obtained the access token.
    pub obtained_at: Moment,
    /// When the background sweep may refresh the tokens; absent if there is no refresh token.
    pub renew_at: Option<Moment>,
    /// When OwnerRez rejected the grant.
    pub rejected_at: Option<Moment>,
    /// When OwnerRez reported that the grant is read-only.
    pub read_only_at: Option<Moment>,
    /// Counts changes of the tokens. Every update of the tokens names the version that it replaces.
    pub version: i64,
    /// The session that is refreshing the tokens.
    pub lease_holder: Option<Uuid>,
    /// Until then, other sessions do not refresh the tokens.
    pub lease_until: Option<Moment>,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
