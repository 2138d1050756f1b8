//! Permits taken from OwnerRez's allowance. They are stored before they are used, so that a process that starts after a
//! crash knows how many requests the crashed process may have sent.
//!
//! A slot is a share of the allowance with one holder at a time. Its epoch is a fencing token: a holder that was
//! replaced without noticing (the connection of its lock broke, its machine was suspended) cannot reserve more permits,
//! and its earlier reservations are visible to its successor.
//!
//! An operator command takes single permits from a share that a running gateway holds. Their rows have a separate slot
//! number (`command_slot`), so that the gateway can distinguish them from its own. They are stored as closed, because
//! the command has no epoch and the gateway does not wait for it.

use chrono::{DateTime, Utc};
use entity::{Moment, allowance_blocks as blocks, allowance_slots as slots};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, LockType, OnConflict, Query},
};
use uuid::Uuid;

use super::{database::Store, error::StoreError};
use crate::allowance::{Block, ClosedBlock};

impl TryFrom<blocks::Model> for Block {
    type Error = StoreError;

    fn try_from(row: blocks::Model) -> Result<Self, StoreError> {
        let blocks::Model { id, slot: _, permits, reserved_at, closed_at, used } = row;
        let count = |number: i32| u32::try_from(number).map_err(|_| StoreError::corrupt("a count is negative"));
        Ok(Block {
            id,
            permits: count(permits)?,
            reserved_at: reserved_at.into(),
            closed_at: closed_at.map(Into::into),
            used: used.map(count).transpose()?,
        })
    }
}

impl Store {
    /// Makes the caller the holder of the slot and returns the new epoch. From now on every earlier holder is fenced
    /// off.
    pub async fn claim_slot(&self, slot: i32) -> Result<i64, StoreError> {
        let claim = slots::Entity::insert(slots::ActiveModel { slot: Set(slot), epoch: Set(1) })
            .on_conflict(
                OnConflict::column(slots::Column::Slot)
                    .value(slots::Column::Epoch, Expr::col((slots::Entity, slots::Column::Epoch)).add(1))
                    .to_owned(),
            )
            .into_query()
            .returning_col(slots::Column::Epoch)
            .take();
        self.run(async {
            let row = self.db.query_one(&claim).await?;
            row.ok_or(DbErr::RecordNotInserted)?.try_get("", "epoch")
        })
        .await
    }

    /// Reserves permits if the slot is still held under this epoch. Returns `false` if the caller was replaced; then
    /// nothing may be sent.
    pub async fn reserve_block(
        &self,
        slot: i32,
        epoch: i64,
        block: Uuid,
        permits: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        // The shared lock serializes a claim and a concurrent reservation. Without it a reservation could read the old
        // epoch, and commit after the new holder has read the blocks.
        let if_held = Query::select()
            .expr(Expr::value(block))
            .expr(Expr::col(slots::Column::Slot))
            .expr(Expr::value(i32::try_from(permits).unwrap_or(i32::MAX)))
            .expr(Expr::value(Moment::from(now)))
            .from(slots::Entity)
            .and_where(Expr::col(slots::Column::Slot).eq(slot))
            .and_where(Expr::col(slots::Column::Epoch).eq(epoch))
            .lock(LockType::Share)
            .take();
        let mut insert = Query::insert();
        insert.into_table(blocks::Entity).columns([
            blocks::Column::Id,
            blocks::Column::Slot,
            blocks::Column::Permits,
            blocks::Column::ReservedAt,
        ]);
        self.run(async {
            insert.select_from(if_held).map_err(|error| DbErr::Custom(error.to_string()))?;
            Ok(self.db.execute(&insert).await?.rows_affected() > 0)
        })
        .await
    }

    /// Records the outcome of blocks, all or none. Blocks without a sent request are deleted.
    pub async fn close_blocks(&self, slot: i32, closed: &[ClosedBlock]) -> Result<(), StoreError> {
        if closed.is_empty() {
            return Ok(());
        }
        self.run(async {
            let transaction = self.begin().await?;
            for &ClosedBlock { id, used, closed_at } in closed {
                if used == 0 {
                    blocks::Entity::delete_by_id(id).filter(blocks::Column::Slot.eq(slot)).exec(&transaction).await?;
                } else {
                    blocks::Entity::update_many()
                        .col_expr(blocks::Column::Used, Expr::value(i32::try_from(used).unwrap_or(i32::MAX)))
                        .col_expr(blocks::Column::ClosedAt, Expr::value(Moment::from(closed_at)))
                        .filter(blocks::Column::Id.eq(id))
                        .filter(blocks::Column::Slot.eq(slot))
                        .exec(&transaction)
                        .await?;
                }
            }
            transaction.commit().await
        })
        .await
    }

    /// Returns the slot's blocks, oldest first, including those that commands took from it.
    pub async fn blocks(&self, slot: i32) -> Result<Vec<Block>, StoreError> {
        let rows = self.run(blocks_of(&[slot, command_slot(slot)]).all(&self.db)).await?;
        rows.into_iter().map(Block::try_from).collect()
    }

    /// Returns the blocks that commands took from the slot, oldest first.
    pub async fn command_blocks(&self, slot: i32) -> Result<Vec<Block>, StoreError> {
        let rows = self.run(blocks_of(&[command_slot(slot)]).all(&self.db)).await?;
        rows.into_iter().map(Block::try_from).collect()
    }

    /// Takes one permit from a slot that another process may hold, if `fits` accepts the slot's blocks. `closed_at` is
    /// the time at which its request has been answered or given up.
    pub async fn reserve_for_command(
        &self,
        slot: i32,
        now: DateTime<Utc>,
        closed_at: DateTime<Utc>,
        fits: impl FnOnce(&[Block]) -> bool,
    ) -> Result<bool, StoreError> {
        // The write to the slot's row serializes commands and reservations of the holder.
        let lock = slots::Entity::insert(slots::ActiveModel { slot: Set(slot), epoch: Set(0) }).on_conflict(
            OnConflict::column(slots::Column::Slot)
                .value(slots::Column::Epoch, Expr::col((slots::Entity, slots::Column::Epoch)))
                .to_owned(),
        );
        let block = blocks::ActiveModel {
            id: Set(Uuid::now_v7()),
            slot: Set(command_slot(slot)),
            permits: Set(1),
            reserved_at: Set(now.into()),
            closed_at: Set(Some(closed_at.into())),
            used: Set(Some(1)),
        };
        let lock = lock.into_query();
        self.run(async {
            let transaction = self.begin().await?;
            transaction.execute(&lock).await?;
            let rows = blocks_of(&[slot, command_slot(slot)]).all(&transaction).await?;
            let known: Result<Vec<Block>, StoreError> = rows.into_iter().map(Block::try_from).collect();
            let decided = known.map(|known| fits(&known));
            if matches!(decided, Ok(true)) {
                blocks::Entity::insert(block).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(decided)
        })
        .await?
    }

    /// Deletes blocks closed before this time and returns their number. Blocks that were never closed stay.
    pub async fn forget_blocks(&self, slot: i32, closed_before: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = blocks::Entity::delete_many()
            .filter(blocks::Column::Slot.is_in([slot, command_slot(slot)]))
            .filter(blocks::Column::ClosedAt.lt(Moment::from(closed_before)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}

/// Returns the slot number of the permits that commands take from a slot.
fn command_slot(slot: i32) -> i32 {
    -1 - slot
}

fn blocks_of(slots: &[i32]) -> Select<blocks::Entity> {
    blocks::Entity::find()
        .filter(blocks::Column::Slot.is_in(slots.iter().copied()))
        .order_by_asc(blocks::Column::ReservedAt)
        .order_by_asc(blocks::Column::Id)
}
