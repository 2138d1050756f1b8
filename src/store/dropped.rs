//! Where a call to the database ends that is given up half way.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Work that is dropped within a runtime, whoever drops it.
///
/// sqlx gives a connection back by a task, and panics where there is no runtime for it. That is so where an arbiter or a
/// worker of the server ends with calls under way: it drops what it ran after its runtime has stopped. Two such calls of
/// one actor would panic within a panic, and the process would abort instead of coming to its orderly end.
pub(super) struct DroppedIn<F> {
    runtime: Handle,
    /// There until it is dropped.
    work: Option<Pin<Box<F>>>,
}

impl<F: Future> DroppedIn<F> {
    pub(super) fn new(runtime: &Handle, work: F) -> Self {
        Self { runtime: runtime.clone(), work: Some(Box::pin(work)) }
    }
}

impl<F: Future> Future for DroppedIn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.work {
            Some(work) => work.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for DroppedIn<F> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.work = None;
    }
}
