//! `clients:`, the ways by which clients reach V1.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::quantity::Span;
use super::secret::Variable;

/// How clients reach V1.
#[derive(Debug, Default, PartialEq)]
pub enum Clients {
    /// Found: every network alias and every published port.
    #[default]
    Auto,
    These(Vec<Way>),
}

/// One way of clients. A new one is a variant here and a file in `src/clients/`.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    NetworkAlias(NetworkAlias),
    PublishedPort(PublishedPort),
    Haproxy(Haproxy),
    Pgbouncer(Box<Pgbouncer>),
    Hook(Box<Hook>),
}

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkAlias {
    pub network: String,
    /// One of V1's aliases there; without it all of them.
    pub alias: Option<String>,
}

/// All of V1's published ports.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedPort {}

/// HAProxy, which is told by its runtime API. The API is at one of `socket`, `tcp`, or `container` and `port`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Haproxy {
    /// A socket on this host.
    pub socket: Option<PathBuf>,
    /// `HOST:PORT`, as this host reaches it.
    pub tcp: Option<String>,
    /// HAProxy's container …
    pub container: Option<String>,
    /// … and the port of the API inside it.
    pub port: Option<u16>,
    pub backend: String,
    /// The `server` line that V1 stands on; needed where the backend has several that could be it.
    pub v1: Option<String>,
    /// The one that V2 shall stand on; without it V1's, which gets V2's address.
    pub v2: Option<String>,
    /// Where clients come in; needed where several could be it.
    pub frontend: Option<String>,
    /// `HOST:PORT` that clients connect to, to prove a write there.
    pub clients: Option<String>,
}

/// PgBouncer, which is told by its console and its file. The console is at `admin`, or inside `container`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pgbouncer {
    /// `postgres://USER@HOST:PORT/pgbouncer`, as this host reaches it; without a password.
    pub admin: Option<String>,
    /// PgBouncer's container: its file is in there, and its console too, if `admin` says nothing else.
    pub container: Option<String>,
    /// Of the console inside the container; 6432.
    pub port: Option<u16>,
    /// The same; `pgbouncer`.
    pub user: Option<String>,
    pub password: Option<Variable>,
    #[serde(alias = "password_file")]
    pub password_file: Option<PathBuf>,
    /// Those that are moved; without it every one that is V1's.
    #[serde(default)]
    pub databases: Vec<String>,
    /// PgBouncer's configuration, in its container or on this host; `/etc/pgbouncer/pgbouncer.ini`.
    pub file: Option<PathBuf>,
}

/// Programs of the owner's that tell whatever stands in front of V1, each by its arguments.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// Ends well where clients are led to V1.
    pub check: Vec<String>,
    /// Returns when clients wait.
    #[serde(default)]
    pub hold: Vec<String>,
    /// Leads clients to V2.
    pub r#move: Vec<String>,
    /// Lets those run that wait.
    #[serde(default)]
    pub release: Vec<String>,
    /// Puts back what was done before a run turned back.
    #[serde(default)]
    pub undo: Vec<String>,
    /// For each of them to end; 5 s.
    pub within: Option<Span>,
    /// Where the sides are reached; without it every way that is found is moved along.
    pub network: Option<String>,
}

impl<'de> Deserialize<'de> for Clients {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AutoOrList;
        impl<'de> Visitor<'de> for AutoOrList {
            type Value = Clients;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`auto` or a list of ways, as in `- network-alias: { network: shop, alias: db }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Clients, E> {
                match text {
                    "auto" => Ok(Clients::Auto),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Clients, A::Error> {
                let mut ways = Vec::new();
                while let Some(way) = list.next_element()? {
                    ways.push(way);
                }
                Ok(Clients::These(ways))
            }
        }
        deserializer.deserialize_any(AutoOrList)
    }
}
