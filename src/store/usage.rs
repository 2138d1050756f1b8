//! Use of the allowance: sums per user and time span, for operators to read. Nothing depends on them.

use chrono::{DateTime, Utc};
use entity::{Moment, allowance_use as rows, users};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict, Query},
};
use uuid::Uuid;

use super::{database::Store, error::StoreError};
use crate::domain::UserId;

/// Requests that one user sent within one time span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used {
    /// The user.
    pub user: UserId,
    /// The start of the time span.
    pub since: DateTime<Utc>,
    /// The number of requests.
    pub requests: u32,
}

impl Store {
    /// Adds to the sums, all or nothing; entries of deleted users are left out. All callers must give the entries in
    /// the same order: otherwise processes that write at the same time could deadlock.
    pub async fn add_use(&self, used: &[Used]) -> Result<(), StoreError> {
        if used.is_empty() {
            return Ok(());
        }
        self.run(async {
            let transaction = self.begin().await?;
            for &Used { user, since, requests } in used {
                let if_there = Query::select()
                    .expr(Expr::col(users::Column::Id))
                    .expr(Expr::value(Moment::from(since)))
                    .expr(Expr::value(i32::try_from(requests).unwrap_or(i32::MAX)))
                    .from(users::Entity)
                    .and_where(Expr::col(users::Column::Id).eq(user.0))
                    .take();
                let sum = Expr::col((rows::Entity, rows::Column::Requests))
                    .add(Expr::col(("excluded", rows::Column::Requests)));
                let insert = Query::insert()
                    .into_table(rows::Entity)
                    .columns([rows::Column::UserId, rows::Column::Since, rows::Column::Requests])
                    .select_from(if_there)
                    .map_err(|error| DbErr::Custom(error.to_string()))?
                    .on_conflict(
                        OnConflict::columns([rows::Column::UserId, rows::Column::Since])
                            .value(rows::Column::Requests, sum)
                            .to_owned(),
                    )
                    .take();
                transaction.execute(&insert).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// Returns the number of requests of each user in the time spans that began at this time or later.
    pub async fn use_since(&self, since: DateTime<Utc>) -> Result<Vec<(UserId, u64)>, StoreError> {
        let query = rows::Entity::find()
            .select_only()
            .column(rows::Column::UserId)
            .column_as(rows::Column::Requests.sum(), "sum")
            .filter(rows::Column::Since.gte(Moment::from(since)))
            .group_by(rows::Column::UserId)
            .into_tuple::<(Uuid, i64)>();
        let sums = self.run(query.all(&self.db)).await?;
        Ok(sums.into_iter().map(|(user, sum)| (UserId(user), u64::try_from(sum).unwrap_or(0))).collect())
    }

    /// Deletes time spans that began before this time.
    pub async fn forget_use(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = rows::Entity::delete_many().filter(rows::Column::Since.lt(Moment::from(before)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}
