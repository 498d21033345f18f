//! What MySQL and MariaDB share: their wire and what is alike in their SQL. Where their replication, words and fences
//! differ, each has its own folder, and nothing here knows of runs and plans.

mod columns;
pub(in crate::engine) mod copy;
pub(in crate::engine) mod quote;
pub(in crate::engine) mod session;
pub(in crate::engine) mod snapshot;
