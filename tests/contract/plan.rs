//! A plan with nothing in it, for a test to fill.

use switchover::config::{Limits, OnFailure};
use switchover::plan::{Plan, SidePlan};

pub(super) fn empty_plan(name: &str, tag: &str) -> Plan {
    let side = |container: &str| SidePlan {
        container: container.into(),
        id: String::new(),
        final_name: String::new(),
        image: String::new(),
        image_id: String::new(),
        digest: None,
        version: String::new(),
        data: String::new(),
        port: 5432,
    };
    Plan {
        run: format!("01930b2e-7a51-7cc0-9f00-0000{tag}"),
        name: name.into(),
        engine: "postgresql".into(),
        method: "physical".into(),
        seed: "copy".into(),
        seed_ms: None,
        v1: side("v1"),
        v2: side("v2"),
        v2_volumes: Vec::new(),
        v1_data_mounts: Vec::new(),
        private_network: format!("{name}-private"),
        ways: Vec::new(),
        compose: None,
        limits: Limits::default(),
        allow: Vec::new(),
        hold: None,
        window: None,
        on_failure: OnFailure::Keep,
        verify: true,
        verify_whole: false,
        v1_networks: Vec::new(),
        v1_restart_policy: "no".into(),
        before: serde_json::Value::Null,
        bytes: 0,
    }
}
