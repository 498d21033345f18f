//! Every precheck: an id that never changes, a verdict, what was found, and what to do about it. Pure.

use super::before::Before;
use super::logical::{Cluster, InDatabase};
use super::machine::Machine;
use super::said::{Fixed, Inside, Moving};
use crate::config::Limits;
use crate::engine::Check;
use crate::engine::check::{noted, passed, refused, some, unless_allowed};
use crate::plan::Plan;
use crate::runtime::{Container, Image};

mod fixed;
mod image;
mod logical;
mod moving;
mod room;
mod seed;

pub(super) use fixed::outside_files;
pub(super) use image::{is_same_order, libraries_of};
pub(super) use logical::for_another_version;
pub(super) use seed::{is_in_mounts, seed, seed_time};

/// All that was found, of both sides.
pub(super) struct Found<'a> {
    pub(super) container: &'a Container,
    pub(super) v1_image: Option<&'a Image>,
    pub(super) v2_image: &'a Image,
    pub(super) moving: &'a Moving,
    pub(super) fixed: &'a Fixed,
    pub(super) inside: &'a [(String, Inside)],
    /// Under the same names; looked at for the method `logical`.
    pub(super) in_databases: &'a [(String, InDatabase)],
    pub(super) cluster: &'a Cluster,
    pub(super) v1: &'a Machine,
    pub(super) v2: &'a Machine,
    pub(super) v1_free: Option<u64>,
    /// Bytes a second, as measured.
    pub(super) write_rate: Option<u64>,
    pub(super) wal_directory: Option<&'a str>,
    /// Its access rules and altered settings can be read as text.
    pub(super) text: bool,
    pub(super) allow: &'a [String],
    pub(super) limits: &'a Limits,
    /// The seed that was asked for.
    pub(super) seed: Option<&'a str>,
}

impl Found<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.fixed.databases.iter().map(|database| database.bytes).sum()
    }
}

/// How V2 can be made to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Its log is V1's: the same major version, and the same order of text.
    Physical,
    /// It is written to as V1 is: any newer version, any library.
    Logical,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Physical => "physical",
            Method::Logical => LOGICAL,
        }
    }
    pub(super) fn of(plan: &Plan) -> Method {
        if plan.method == LOGICAL { Method::Logical } else { Method::Physical }
    }
}

const LOGICAL: &str = "logical";

/// Streaming where it is possible: it carries everything there is.
pub(super) fn method(found: &Found<'_>) -> Method {
    if image::is_same_major(found) && image::is_same_order(found) { Method::Physical } else { Method::Logical }
}

/// The whole list, for `plan`.
pub(super) fn all(found: &Found<'_>) -> Vec<Check> {
    let method = method(found);
    let mut checks = image::checks(found);
    checks.extend(fixed::checks(found));
    checks.extend(moving::checks(found.moving, None, found.allow, method, found.fixed.databases.len()));
    checks.extend(room::checks(found));
    checks.push(seed::check(found));
    if method == Method::Logical {
        checks.retain(|check| !logical::NOT_ASKED.contains(&check.id.as_str()));
        checks.splice(0..0, logical::checks(found));
    }
    checks
}

/// Those that may have changed since; what this run itself made is not held against V1.
pub(super) fn again(moving: &Moving, plan: &Plan) -> Vec<Check> {
    let databases = Before::logical(plan).map_or(1, |logical| logical.databases.len());
    let mut checks = moving::checks(moving, Some(plan), &plan.allow, Method::of(plan), databases);
    if Method::of(plan) == Method::Logical {
        checks.retain(|check| !logical::NOT_ASKED.contains(&check.id.as_str()));
    }
    checks
}

/// `1 slot`, `3 slots`.
fn count(n: u32, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

#[cfg(test)]
mod tests;
