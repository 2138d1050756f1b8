use crate::Moment;
use sea_orm::entity::prelude::*;

/// The one OwnerRez account that a user has connected.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ownerrez_connections")]
pub struct Model {
    /// Changes with every new authorization, so that work on an old one cannot touch its successor.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose it is; one per user; goes with the user.
    pub user_id: Uuid,
    /// Sealed.
    #[sea_orm(column_type = "Text")]
    pub access_token: String,
    /// Sealed; absent for tokens that never expire, and once OwnerRez has said that it is of no use.
    #[sea_orm(column_type = "Text", nullable)]
    pub refresh_token: Option<String>,
    /// Always `bearer` so far.
    #[sea_orm(column_type = "Text")]
    pub token_type: String,
    /// OwnerRez's number for the account, where known.
    pub user_id_ownerrez: Option<i64>,
    /// End of the access token's life, where known.
    pub expires_at: Option<Moment>,
    /// When the account was connected.
    pub created_at: Moment,
    /// When anything here last changed.
    pub updated_at: Moment,
    /// When the access token was issued to us.
    pub obtained_at: Moment,
    /// From when on the background sweep renews the tokens; absent when there is nothing to renew them with.
    pub renew_at: Option<Moment>,
    /// When OwnerRez said that the grant is no longer good.
    pub rejected_at: Option<Moment>,
    /// When OwnerRez said that the grant may read only.
    pub read_only_at: Option<Moment>,
    /// Counts changes of the tokens; whoever writes tokens names the version that they replace.
    pub version: i64,
    /// The session that is refreshing the tokens.
    pub lease_holder: Option<Uuid>,
    /// Until when the others leave it alone.
    pub lease_until: Option<Moment>,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
