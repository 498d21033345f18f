//! Back to the side that served before, while it follows: the story's rows from `ready` on, with the sides exchanged.
//!
//! In the plan of a switchback `v1` is the side that serves when it begins (V2 to people) and `v2` the side that
//! follows (their V1); whoever tells a person something exchanges the words (`tell::Exchanged`). It keeps the id of the
//! run it undoes, as roles, slots, labels and networks derive from it and are the same ones; its journal has an own.

use crate::facts::Fact;
use crate::plan::{Plan, SidePlan};
use crate::runtime::Container;
use crate::saga::Line;
use crate::switchover::{Run, SWITCHOVER};

/// From the resting point `ready` on: everything above it is true already.
pub fn story() -> &'static [Line<Run, Fact>] {
    let ready = SWITCHOVER.iter().position(|line| matches!(line, Line::Resting("ready")));
    &SWITCHOVER[ready.unwrap_or_default()..]
}

/// The plan of a run that undoes another one. `serving` and `following` are the containers of the two sides now.
pub fn plan(undone: &Plan, serving: &Container, following: &Container) -> Plan {
    let side = |was: &SidePlan, now: &Container, final_name: &str| SidePlan {
        // The id, as the name changes hands.
        container: now.id.clone(),
        id: now.id.clone(),
        final_name: final_name.to_owned(),
        ..was.clone()
    };
    Plan {
        v1: side(&undone.v2, serving, &spare_name(undone)),
        v2: side(&undone.v1, following, &serving.name),
        ..undone.clone()
    }
}

/// What the side is called that gives the name back.
fn spare_name(undone: &Plan) -> String {
    let first = format!("{}-v1", undone.name);
    if undone.v1.final_name == first { format!("{}-v2", undone.name) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{any_plan, container};

    #[test]
    fn it_begins_at_ready() {
        assert!(matches!(story()[0], Line::Resting("ready")));
        assert_eq!(story()[1].id(), Some("ready"));
    }

    #[test]
    fn the_sides_are_exchanged_and_the_names_stay_bound_to_them() {
        let undone = any_plan();
        let serving = Container { id: "bb22".into(), name: "shop-db".into(), ..container() };
        let following = Container { id: "aa11".into(), name: "shop-db-v1".into(), ..container() };
        let back = plan(&undone, &serving, &following);
        assert_eq!(back.run, undone.run);
        assert_eq!((back.v1.id.as_str(), back.v1.final_name.as_str()), ("bb22", "shop-db-v2"));
        assert_eq!((back.v2.id.as_str(), back.v2.final_name.as_str()), ("aa11", "shop-db"));
        assert_eq!(back.v1.image, undone.v2.image);
        // And back once more.
        let serving = Container { id: "aa11".into(), name: "shop-db".into(), ..container() };
        let following = Container { id: "bb22".into(), name: "shop-db-v2".into(), ..container() };
        let again = plan(&back, &serving, &following);
        assert_eq!((again.v1.id.as_str(), again.v1.final_name.as_str()), ("aa11", "shop-db-v1"));
        assert_eq!((again.v2.id.as_str(), again.v2.final_name.as_str()), ("bb22", "shop-db"));
    }
}
