//! The method `logical`: V2 is a server of its own that is written to as V1 is. Any newer version, any library.
//!
//! Words: a *publication* on the leader says which tables are carried, a *slot* keeps the log a follower lacks, a
//! *subscription* on the follower applies it. Each database has one of each. In this order, or changes are missed:
//! publication, slot, copy by the slot's own snapshot, subscription.

mod columns;
mod databases;
mod ddl;
mod follow;
mod found;
mod large;
mod polish;
mod promote;
mod publish;
mod restart;
mod schema;
mod seed;
mod sequences;
mod server;
mod settings;
mod triggers;
mod unlogged;
mod views;
mod way_back;

pub(super) use follow::why_it_applies_nothing;
pub(super) use found::{Cluster, Identity, InDatabase, cluster, in_database};
#[cfg(test)]
pub(super) use found::{Extension, Marked};
pub(super) use server::LogicalServer;
pub(super) use unlogged::{ALLOWED as UNLOGGED_ALLOWED, MOST as MOST_UNLOGGED};
