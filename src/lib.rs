//! Moves a live database to a new container by replication.
//!
//! Start reading at [`switchover`]: its table is the product. `ARCHITECTURE.md` has the map and who may use whom.

pub mod scenario;
pub mod tell;
pub mod trouble;
pub mod wait;
