//! What a run makes and does alike on MySQL and on MariaDB: its accounts, how it gets in, how it looks, how it ends others'
//! sessions. Where replication, words and fences differ, each has its own folder.

pub(in crate::engine) mod accounts;
pub(in crate::engine) mod checks;
pub(in crate::engine) mod client_file;
pub(in crate::engine) mod connect;
pub(in crate::engine) mod container;
pub(in crate::engine) mod copier;
pub(in crate::engine) mod directory;
pub(in crate::engine) mod door;
pub(in crate::engine) mod dump;
pub(in crate::engine) mod events;
pub(in crate::engine) mod files;
pub(in crate::engine) mod give_back;
pub(in crate::engine) mod locks;
pub(in crate::engine) mod machine;
pub(in crate::engine) mod made;
pub(in crate::engine) mod mark;
pub(in crate::engine) mod names;
pub(in crate::engine) mod near;
#[cfg(test)]
pub(in crate::engine) mod on_a_server;
pub(in crate::engine) mod one_run;
pub(in crate::engine) mod probe;
pub(in crate::engine) mod running;
pub(in crate::engine) mod said;
pub(in crate::engine) mod seed;
pub(in crate::engine) mod sessions;
pub(in crate::engine) mod settings;
pub(in crate::engine) mod switch;
pub(in crate::engine) mod upgrade;
pub(in crate::engine) mod warm;
