//! Who is on a server, as its own list of sessions has them.

use serde::{Deserialize, Serialize};

/// A client's session that came over a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientSession {
    /// Where it comes from, without a port; a name where the server looks names up.
    pub address: String,
    /// As it calls itself; empty where it does not, or the server does not tell.
    pub application: String,
    pub user: String,
}
