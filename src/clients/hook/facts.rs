//! What a program of the owner's is told. No secret is among it.

use serde_json::{Value, json};

use crate::engine::Side;
use crate::plan::{HookAct, Names, Plan, SidePlan};
use crate::runtime::Container;

/// Of a run, whichever act is asked for.
pub(super) struct Told {
    pub(super) run: String,
    pub(super) name: String,
    pub(super) engine: String,
    pub(super) network: String,
    pub(super) v1: OfSide,
    pub(super) v2: OfSide,
}

/// Of a side as it stands now.
pub(super) struct OfSide {
    pub(super) container: String,
    pub(super) version: String,
    pub(super) port: u16,
    /// On the network over which the sides are reached; `None`: it is not there.
    pub(super) address: Option<String>,
}

impl Told {
    pub(super) fn of_plan(plan: &Plan, network: &str, v1: OfSide, v2: OfSide) -> Told {
        let (run, name, engine) = (plan.run.clone(), plan.name.clone(), plan.engine.clone());
        Told { run, name, engine, network: network.to_owned(), v1, v2 }
    }

    /// Before there is a plan.
    pub(super) fn of_names(names: &Names, engine: &str, network: &str, v1: OfSide, v2: OfSide) -> Told {
        let (run, name, engine) = (names.run.clone(), names.name.clone(), engine.to_owned());
        Told { run, name, engine, network: network.to_owned(), v1, v2 }
    }

    pub(super) fn of(&self, side: Side) -> &OfSide {
        match side {
            Side::V1 => &self.v1,
            Side::V2 => &self.v2,
        }
    }

    /// `serving` is the side that serves once the act is done; who only looks is not told.
    pub(super) fn facts(&self, act: HookAct, serving: Option<Side>) -> Value {
        json!({
            "act": act.name(),
            "name": self.name,
            "run": self.run,
            "engine": self.engine,
            "side": serving.map(in_lower_case),
            "network": self.network,
            "v1": self.v1.facts(),
            "v2": self.v2.facts(),
        })
    }
}

impl OfSide {
    /// Names move from one side to the other: a container that is there says itself what it is called.
    pub(super) fn new(side: &SidePlan, found: Option<&Container>, network: &str) -> OfSide {
        OfSide {
            container: found.map_or_else(|| side.container.clone(), |found| found.name.clone()),
            version: side.version.clone(),
            port: side.port,
            address: found.and_then(|found| address_on(found, network)),
        }
    }

    fn facts(&self) -> Value {
        json!({
            "container": self.container,
            "version": self.version,
            "port": self.port,
            "address": self.address,
        })
    }
}

pub(super) fn address_on(container: &Container, network: &str) -> Option<String> {
    container.networks.iter().find(|on| on.network == network).and_then(|on| on.address.clone())
}

fn in_lower_case(side: Side) -> &'static str {
    match side {
        Side::V1 => "v1",
        Side::V2 => "v2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{any_plan, container};
    use crate::runtime::Attachment;

    #[test]
    fn a_side_is_told_as_it_stands_now() {
        let plan = any_plan();
        let on = Attachment { network: "app".into(), address: Some("10.0.0.2".into()), ..Attachment::default() };
        let renamed = Container { name: "shop-db-v1".into(), networks: vec![on], ..container() };
        let v1 = OfSide::new(&plan.v1, Some(&renamed), "app");
        let v2 = OfSide::new(&plan.v2, None, "app");
        let facts = Told::of_plan(&plan, "app", v1, v2).facts(HookAct::Move, Some(Side::V2));
        assert_eq!((&facts["act"], &facts["side"], &facts["network"]), (&json!("move"), &json!("v2"), &json!("app")));
        let v1 = json!({ "container": "shop-db-v1", "version": "1", "port": 5432, "address": "10.0.0.2" });
        let v2 = json!({ "container": "shop-db-v2", "version": "1", "port": 5432, "address": null });
        assert_eq!((&facts["v1"], &facts["v2"]), (&v1, &v2));
    }
}
