//! Moves a live database to a new container by replication.
//!
//! Start reading at [`switchover`]: its table is the product. `ARCHITECTURE.md` has the map and who may use whom.

pub mod cli;
pub mod clients;
pub mod commands;
pub mod compose;
pub mod config;
pub mod engine;
pub mod facts;
pub mod gate;
pub mod guard;
pub mod hooks;
pub mod metrics;
pub mod plan;
pub mod process;
pub mod retire;
pub mod run;
pub mod runtime;
pub mod saga;
pub mod scenario;
mod service;
pub mod standing;
pub mod state;
pub mod storage;
pub mod switchback;
pub mod switchover;
pub mod target;
pub mod tell;
pub mod trouble;
pub mod verify;
pub mod wait;
