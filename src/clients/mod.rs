//! One way of pointing clients at a side, a file each.
//!
//! In no order of acts may a client reach a writable V1 after the fence. A way never decides whether to go on: it
//! is asked to hold, stand by, move, release or let go, and each may be asked again after a crash.

use async_trait::async_trait;

use crate::engine::{Address, Side};
use crate::trouble::Trouble;

pub mod network_alias;
pub mod published_port;

/// The ways of a plan.
pub fn ways(
    _plan: &std::rc::Rc<crate::plan::Plan>,
    _runtime: &std::rc::Rc<dyn crate::runtime::Runtime>,
) -> Vec<Box<dyn ClientsWay>> {
    Vec::new()
}

#[async_trait(?Send)]
pub trait ClientsWay {
    /// As in `network alias db on shop_default`.
    fn describe(&self) -> String;
    /// It can be moved, and points at V1: asked before the window.
    async fn check(&self) -> Result<(), Trouble>;
    /// Where it points now; `None`: at neither, or it cannot be said.
    async fn pointing_at(&self) -> Result<Option<Side>, Trouble>;
    /// Clients wait, their transactions finished. `false`: this way cannot hold anybody.
    async fn ensure_held(&self) -> Result<bool, Trouble> {
        Ok(false)
    }
    /// What can be done before the fence: V2, closed, stands where clients will look for it. `false`: nothing.
    async fn ensure_stand_by(&self) -> Result<bool, Trouble> {
        Ok(false)
    }
    /// Undoes [`ClientsWay::ensure_stand_by`].
    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Clients reach `side` and not the other one.
    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble>;
    /// Held clients run.
    async fn ensure_released(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Where a client would connect, to prove a write.
    fn address(&self) -> Option<Address>;
}
