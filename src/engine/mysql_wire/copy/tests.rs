//! Copies between real servers: what is there on the one is on the other, whatever it is.

mod filling;
mod mariadb;
mod mysql;
mod server;
mod speed;
