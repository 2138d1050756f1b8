//! Slots and blocks of the allowance.

use futures_util::future::{join, join_all};
use uuid::Uuid;

use super::harness::{at, on_each};
use crate::allowance::{Block, ClosedBlock};

#[tokio::test]
async fn each_claim_is_a_new_epoch() {
    on_each(async |base| {
        let processes = base.processes(4).await;
        let claims = processes.iter().cycle().take(12).map(|store| store.claim_slot(3));
        let mut epochs: Vec<i64> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
        epochs.sort_unstable();
        assert_eq!(epochs, (1..=12).collect::<Vec<i64>>());
        assert_eq!(base.store.claim_slot(4).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn blocks_are_reserved_closed_and_forgotten() {
    on_each(async |base| {
        let store = &base.store;
        let epoch = store.claim_slot(0).await.unwrap();
        store.claim_slot(1).await.unwrap();
        let [one, two, three] = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
        for (second, block) in [(1, one), (2, two), (3, three)] {
            assert!(store.reserve_block(0, epoch, block, 10, at(second)).await.unwrap());
        }
        let open = |id, second| Block { id, permits: 10, reserved_at: at(second), closed_at: None, used: None };
        assert_eq!(store.blocks(0).await.unwrap(), [open(one, 1), open(two, 2), open(three, 3)]);
        assert!(store.blocks(1).await.unwrap().is_empty());

        let closed =
            [ClosedBlock { id: one, used: 7, closed_at: at(9) }, ClosedBlock { id: two, used: 0, closed_at: at(9) }];
        store.close_blocks(1, &closed).await.unwrap();
        assert_eq!(store.blocks(0).await.unwrap().len(), 3, "another slot's blocks are not touched");
        store.close_blocks(0, &closed).await.unwrap();
        let one_closed = Block { closed_at: Some(at(9)), used: Some(7), ..open(one, 1) };
        assert_eq!(store.blocks(0).await.unwrap(), [one_closed, open(three, 3)]);

        assert_eq!(store.forget_blocks(0, at(9)).await.unwrap(), 0);
        assert_eq!(store.forget_blocks(1, at(99)).await.unwrap(), 0);
        assert_eq!(store.forget_blocks(0, at(10)).await.unwrap(), 1);
        assert_eq!(store.blocks(0).await.unwrap(), [open(three, 3)], "never closed: stays");
    })
    .await;
}

#[tokio::test]
async fn a_replaced_holder_reserves_nothing() {
    on_each(async |base| {
        assert!(!base.store.reserve_block(0, 1, Uuid::new_v4(), 5, at(0)).await.unwrap(), "never claimed");
        let old = base.store.claim_slot(0).await.unwrap();
        let new = base.store.claim_slot(0).await.unwrap();
        assert!(!base.store.reserve_block(0, old, Uuid::new_v4(), 5, at(0)).await.unwrap());
        assert!(base.store.reserve_block(0, new, Uuid::new_v4(), 5, at(0)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_successor_sees_whatever_its_predecessor_was_granted() {
    on_each(async |base| {
        let processes = base.processes(2).await;
        let [predecessor, successor] = processes.as_slice() else { panic!("two processes") };
        let mut epoch = base.store.claim_slot(0).await.unwrap();
        for round in 0..100 {
            let block = Uuid::new_v4();
            let (granted, (new_epoch, seen)) = join(predecessor.reserve_block(0, epoch, block, 1, at(round)), async {
                (successor.claim_slot(0).await.unwrap(), successor.blocks(0).await.unwrap())
            })
            .await;
            assert_eq!(granted.unwrap(), seen.iter().any(|known| known.id == block));
            epoch = new_epoch;
        }
    })
    .await;
}

#[tokio::test]
async fn commands_take_permits_from_a_slot_that_another_process_holds() {
    on_each(async |base| {
        let store = &base.store;
        assert!(store.reserve_for_command(0, at(0), at(3), <[Block]>::is_empty).await.unwrap(), "before any holder");
        let epoch = store.claim_slot(0).await.unwrap();
        assert_eq!(epoch, 1);
        assert!(store.reserve_block(0, epoch, Uuid::new_v4(), 5, at(1)).await.unwrap(), "nobody is fenced");
        let seen = |blocks: &[Block]| blocks.iter().map(|block| block.permits).collect::<Vec<_>>();
        assert!(!store.reserve_for_command(0, at(2), at(4), |blocks| seen(blocks) != [1, 5]).await.unwrap());
        assert!(store.reserve_for_command(0, at(2), at(4), |blocks| seen(blocks) == [1, 5]).await.unwrap());
        assert!(store.reserve_for_command(1, at(2), at(4), <[Block]>::is_empty).await.unwrap(), "of another slot");

        let commands = store.command_blocks(0).await.unwrap();
        let shown: Vec<_> = commands.iter().map(|block| (block.used, block.reserved_at, block.closed_at)).collect();
        assert_eq!(shown, [(Some(1), at(0), Some(at(3))), (Some(1), at(2), Some(at(4)))]);
        assert_eq!(store.blocks(0).await.unwrap().len(), 3);
        assert_eq!(store.forget_blocks(0, at(4)).await.unwrap(), 1);
        assert_eq!(
            (store.command_blocks(0).await.unwrap().len(), store.command_blocks(1).await.unwrap().len()),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn commands_that_meet_take_turns() {
    on_each(async |base| {
        let processes = base.processes(4).await;
        let fits = |blocks: &[Block]| blocks.len() < 5;
        let wishes = processes.iter().cycle().take(12).map(|store| store.reserve_for_command(0, at(0), at(1), fits));
        let granted = join_all(wishes).await.into_iter().filter(|granted| *granted.as_ref().unwrap()).count();
        assert_eq!((granted, base.store.blocks(0).await.unwrap().len()), (5, 5));
    })
    .await;
}
