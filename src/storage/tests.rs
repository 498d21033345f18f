use std::collections::BTreeMap;

use super::*;
use crate::runtime::State;

const PG: &str = "/var/lib/postgresql/data";

fn container(mounts: Vec<Mount>) -> Container {
    Container {
        id: "1".into(),
        name: "db".into(),
        image: String::new(),
        image_id: String::new(),
        state: State::Running,
        started_at: String::new(),
        host_pid: None,
        command: vec![],
        entrypoint: vec![],
        user: String::new(),
        stop_signal: String::new(),
        init: false,
        auto_remove: false,
        health_check: None,
        restart_policy: "no".into(),
        network_mode: "default".into(),
        mounts,
        networks: vec![],
        ports: vec![],
        labels: BTreeMap::default(),
        settings: BTreeMap::default(),
    }
}

fn image(volumes: &[&str]) -> Image {
    Image {
        reference: String::new(),
        id: String::new(),
        digests: Vec::new(),
        architecture: String::new(),
        user: String::new(),
        command: vec![],
        entrypoint: vec![],
        volumes: volumes.iter().map(|&v| v.to_owned()).collect(),
        environment: BTreeMap::default(),
        labels: BTreeMap::default(),
    }
}

fn mount(kind: MountKind, destination: &str) -> Mount {
    Mount { kind, source: "src".into(), destination: destination.into(), read_only: false }
}

fn plan(mounts: Vec<Mount>, v2_data: &str, volumes: &[&str], more: &[&str]) -> StoragePlan {
    let more: Vec<String> = more.iter().map(|&m| m.to_owned()).collect();
    for_v2(&container(mounts), PG, &image(volumes), v2_data, &more, "db-v2").unwrap()
}

fn places(plan: &StoragePlan) -> Vec<(&str, &str)> {
    plan.v2_volumes.iter().map(|(volume, place)| (volume.as_str(), place.as_str())).collect()
}

#[test]
fn every_pattern_is_told_apart_with_what_it_outlives() {
    let of = |mounts| {
        let plan = plan(mounts, PG, &[], &[]);
        (plan.pattern, plan.persistence)
    };
    let at = |kind| of(vec![mount(kind, PG)]);
    assert_eq!(of(vec![]), (Pattern::ContainerLayer, Persistence::UntilRemoved));
    assert_eq!(at(MountKind::AnonymousVolume), (Pattern::AnonymousVolume, Persistence::HardToFind));
    assert_eq!(at(MountKind::Volume), (Pattern::NamedVolume, Persistence::OutlivesContainer));
    assert_eq!(at(MountKind::Bind), (Pattern::HostDirectory, Persistence::OutlivesEngine));
    assert_eq!(at(MountKind::Tmpfs), (Pattern::Tmpfs, Persistence::UntilStopped));
}

#[test]
fn the_volume_goes_where_v1_has_its_mount() {
    let above = plan(vec![mount(MountKind::Volume, "/var/lib/postgresql/")], PG, &[PG], &[]);
    assert_eq!(places(&above), [("db-v2", "/var/lib/postgresql")]);
    assert_eq!(above.v1_data_mounts, ["/var/lib/postgresql/"]);
}

#[test]
fn a_newer_image_with_another_layout_gets_its_own_place_and_nothing_of_v1s() {
    let plan = plan(
        vec![mount(MountKind::Volume, PG)],
        "/var/lib/postgresql/18/docker",
        &["/var/lib/postgresql", "/var/lib"],
        &[],
    );
    assert_eq!(places(&plan), [("db-v2", "/var/lib/postgresql")]);
    assert_eq!(plan.v1_data_mounts, [PG]);
}

#[test]
fn without_a_mount_the_images_volume_or_the_directory_itself() {
    assert_eq!(places(&plan(vec![], PG, &[PG], &[])), [("db-v2", PG)]);
    assert_eq!(places(&plan(vec![], "/srv/pg", &[PG], &[])), [("db-v2", "/srv/pg")]);
}

#[test]
fn data_elsewhere_gets_volumes_of_its_own_and_data_inside_does_not() {
    let mounts = vec![mount(MountKind::Volume, PG), mount(MountKind::Bind, "/fast")];
    let plan = plan(mounts, PG, &[PG], &["/fast/ts1", "/fast/ts2", "/slow", "/var/lib/postgresql/data/x"]);
    assert_eq!(places(&plan), [("db-v2", PG), ("db-v2-1", "/fast"), ("db-v2-2", "/slow")]);
    assert_eq!(plan.v1_data_mounts, [PG, "/fast"]);
}

#[test]
fn similar_names_are_not_inside_each_other() {
    let plan = plan(vec![mount(MountKind::Volume, "/var/lib/postgresql/data2")], PG, &[], &[]);
    assert_eq!((plan.pattern, plan.v1_data_mounts.len()), (Pattern::ContainerLayer, 0));
}

#[test]
fn what_is_mounted_inside_the_data_is_copied_unless_it_is_read_only() {
    let conf = Mount { read_only: true, ..mount(MountKind::Bind, "/var/lib/postgresql/data/postgresql.conf") };
    let wal = mount(MountKind::Volume, "/var/lib/postgresql/data/pg_wal");
    let plan = plan(vec![mount(MountKind::Volume, PG), wal, conf], PG, &[], &[]);
    assert_eq!(plan.v1_data_mounts, [PG, "/var/lib/postgresql/data/pg_wal"]);
    assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
}

#[test]
fn read_only_data_is_refused() {
    let data = Mount { read_only: true, ..mount(MountKind::Volume, PG) };
    let refused = for_v2(&container(vec![data]), PG, &image(&[]), PG, &[], "v").unwrap_err();
    assert_eq!(refused.kind, crate::trouble::Kind::Refused);
}
