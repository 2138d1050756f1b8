//! Where a cancelled database call is dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// A future that is always dropped within a runtime.
///
/// sqlx returns a connection to its pool in a task, and panics if there is no runtime for it. That happens when an
/// arbiter or a server worker ends with calls in progress: it drops its futures after its runtime has stopped. Two such
/// calls of one actor would panic within a panic, and the process would abort instead of shutting down in order.
pub(super) struct DropInRuntime<F> {
    runtime: Handle,
    /// `Some` until it is dropped.
    work: Option<Pin<Box<F>>>,
}

impl<F: Future> DropInRuntime<F> {
    pub(super) fn new(runtime: &Handle, work: F) -> Self {
        Self { runtime: runtime.clone(), work: Some(Box::pin(work)) }
    }
}

impl<F: Future> Future for DropInRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.work {
            Some(work) => work.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for DropInRuntime<F> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.work = None;
    }
}
