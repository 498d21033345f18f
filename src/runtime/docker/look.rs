//! What the engine says of containers and networks, in our words.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, EndpointSettings, HealthConfig, HostConfig,
    MountPoint, NetworkSettings, RestartPolicy,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;

use super::ports::ports;
use super::{Call, Container, Docker, said};
use crate::runtime::{Attachment, HealthCheck, LABEL_CONTAINER, LABEL_RUN, Mount, MountKind, State};
use crate::trouble::Trouble;

/// The environment variables whose values are no secret and that engines ask for.
const SETTINGS: &[&str] = &[
    "PGDATA",
    "PG_MAJOR",
    "PG_VERSION",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRESQL_DATABASE",
    "POSTGRESQL_USERNAME",
    "MYSQL_DATABASE",
    "MYSQL_USER",
    "MYSQL_VERSION",
    "MARIADB_DATABASE",
    "MARIADB_USER",
    "MARIADB_VERSION",
];

/// One line an interface: hardware address, packets received.
const INTERFACES: &str =
    r#"for i in /sys/class/net/*; do echo "$(cat "$i/address") $(cat "$i/statistics/rx_packets")"; done"#;

impl Docker {
    pub(super) async fn look_at_container(&self, name: &str) -> Result<Option<Container>, Trouble> {
        Ok(self.inspect(name).await?.map(container))
    }

    /// Everything the engine knows, environment included: for this folder only.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>, Trouble> {
        if !could_be_a_container(name) {
            return Ok(None);
        }
        let api = &self.engine.api;
        match self.on(name, async |id| api.inspect_container(&id, None::<InspectContainerOptions>).await).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if said::status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.engine.trouble(format!("cannot look at container {name}"), error)),
        }
    }

    /// Acts on a container by name or id. One of the adopted run is also found by the name it was made under, which it
    /// may have exchanged for another one since.
    pub(super) async fn on<T>(
        &self,
        name: &str,
        act: impl AsyncFn(String) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, bollard::errors::Error> {
        let is_gone = |error: &bollard::errors::Error| said::message(error).contains("No such container");
        let known = self.made.borrow().get(name).cloned();
        if let Some(known) = known {
            match act(known).await {
                Err(error) if is_gone(&error) => {}
                result => return result,
            }
        }
        match act(name.to_owned()).await {
            Err(error) if is_gone(&error) => {
                // What was found so is gone, or was made anew under the same first name.
                self.made.borrow_mut().remove(name);
                match self.made_under(name).await? {
                    None => Err(error),
                    Some(id) => act(id).await,
                }
            }
            result => result,
        }
    }

    /// The adopted run's container of this first name.
    async fn made_under(&self, name: &str) -> Result<Option<String>, bollard::errors::Error> {
        let Some(run) = self.run.borrow().clone() else { return Ok(None) };
        let labels = vec![format!("{LABEL_CONTAINER}={name}"), format!("{LABEL_RUN}={run}")];
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.engine.api.list_containers(Some(options)).await?.pop().and_then(|container| container.id);
        if let Some(id) = &found {
            self.made.borrow_mut().insert(name.to_owned(), id.clone());
        }
        Ok(found)
    }

    /// The last lines of its log, without passwords that an image prints when it makes a database.
    pub(super) async fn last_log_lines(&self, container: &str, lines: usize) -> Result<String, Trouble> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let Some(found) = self.inspect(container).await? else { return Ok(String::new()) };
        let mut log = self.engine.api.logs(found.id.as_deref().unwrap_or(container), Some(options));
        let mut text = Vec::new();
        while let Some(part) = log.next().await {
            match part {
                Ok(part) => text.extend_from_slice(part.as_ref()),
                Err(error) => return Ok(format!("(no log to be had: {})", said::message(&error))),
            }
        }
        let text = String::from_utf8_lossy(&text);
        let public = |line: &&str| !line.to_uppercase().contains("PASSWORD:");
        Ok(text.lines().filter(public).collect::<Vec<_>>().join("\n"))
    }

    /// Read inside: the engine's own statistics take a second and do not say which network an interface is on.
    pub(super) async fn packets_from(&self, container: &str, network: &str) -> Result<Option<u64>, Trouble> {
        let Some(found) = self.inspect(container).await? else { return Ok(None) };
        let networks = found.network_settings.and_then(|net| net.networks).unwrap_or_default();
        let Some(hardware) = networks.get(network).and_then(|end| end.mac_address.clone()) else { return Ok(None) };
        let call = Call { argv: &["sh", "-c", INTERFACES], ..Call::default() };
        let Ok(output) = self.run_inside(container, &call).await else { return Ok(None) };
        Ok(packets_of(&hardware, &String::from_utf8_lossy(&output.stdout)))
    }

    pub(super) async fn free_bytes_at(&self, container: &str, path: &str) -> Result<Option<u64>, Trouble> {
        let output = self.run_inside(container, &Call { argv: &["df", "-P", "-k", path], ..Call::default() }).await?;
        Ok(free_kib(&String::from_utf8_lossy(&output.stdout)).map(|kib| kib * 1024))
    }
}

fn packets_of(hardware: &str, interfaces: &str) -> Option<u64> {
    let pairs = interfaces.lines().filter_map(|line| line.split_once(' '));
    pairs.filter(|(address, _)| *address == hardware).find_map(|(_, packets)| packets.trim().parse().ok())
}

/// The `Available` column of `df -P`: the one before the percentage. The device's name may hold spaces.
fn free_kib(df: &str) -> Option<u64> {
    let words: Vec<&str> = df.lines().last()?.split_whitespace().collect();
    let percent = words.iter().position(|word| word.strip_suffix('%').is_some_and(|n| n.parse::<u8>().is_ok()))?;
    words.get(percent.checked_sub(1)?)?.parse().ok()
}

/// A name with other characters cannot exist; it must not reach the path of a request.
pub(super) fn could_be_a_container(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn container(found: ContainerInspectResponse) -> Container {
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let net = found.network_settings.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let id = found.id.unwrap_or_default();
    Container {
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        host_pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        started_at: state.started_at.clone().unwrap_or_default(),
        state: what_it_does(&state),
        command: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        init: host.init.unwrap_or_default(),
        auto_remove: host.auto_remove.unwrap_or_default(),
        restart_policy: policy(host.restart_policy.as_ref()),
        mounts: mounts(found.mounts.unwrap_or_default(), &host),
        networks: attachments(&id, host.network_mode.as_deref().unwrap_or_default(), &net),
        ports: ports(&host, &net),
        network_mode: host.network_mode.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        settings: settings(&config.env.unwrap_or_default()),
        health_check: config.healthcheck.and_then(|check| health_check(check, config.shell)),
        id,
    }
}

fn what_it_does(state: &ContainerState) -> State {
    let code = state.exit_code.unwrap_or_default();
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited(code),
        Some(ContainerStateStatusEnum::CREATED) => State::Created,
        _ => State::Dead,
    }
}

/// As in `docker run --restart`.
fn policy(policy: Option<&RestartPolicy>) -> String {
    let Some(policy) = policy else { return "no".into() };
    let name = policy.name.map(|name| name.to_string()).unwrap_or_default();
    match (name.as_str(), policy.maximum_retry_count) {
        ("", _) => "no".into(),
        ("on-failure", Some(times)) if times > 0 => format!("on-failure:{times}"),
        _ => name,
    }
}

fn settings(environment: &[String]) -> BTreeMap<String, String> {
    let split = environment.iter().filter_map(|entry| entry.split_once('='));
    split.filter(|(key, _)| SETTINGS.contains(key)).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// As the engine runs it, with its defaults (Docker's reference, HEALTHCHECK).
fn health_check(check: HealthConfig, shell: Option<Vec<String>>) -> Option<HealthCheck> {
    let test = check.test.unwrap_or_default();
    let argv = match test.split_first() {
        Some((how, argv)) if how == "CMD" => argv.to_vec(),
        Some((how, argv)) if how == "CMD-SHELL" => {
            let shell = shell.filter(|shell| !shell.is_empty());
            let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            [&shell[..], argv].concat()
        }
        _ => return None,
    };
    let nanoseconds = |said: Option<i64>| said.and_then(|ns| u64::try_from(ns).ok()).filter(|ns| *ns > 0);
    let time = |said, default| nanoseconds(said).map_or(Duration::from_secs(default), Duration::from_nanos);
    Some(HealthCheck {
        argv,
        every: time(check.interval, 30),
        timeout: time(check.timeout, 30),
        retries: check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|n| *n > 0).unwrap_or(3),
        start_period: time(check.start_period, 0),
    })
}

fn mounts(points: Vec<MountPoint>, host: &HostConfig) -> Vec<Mount> {
    let mut all: Vec<Mount> = points.into_iter().map(mount).collect();
    // `--tmpfs` shows up here only, `--mount type=tmpfs` in both places.
    for destination in host.tmpfs.iter().flat_map(HashMap::keys) {
        if !all.iter().any(|mount| mount.destination == *destination) {
            let (source, destination) = (String::new(), destination.clone());
            all.push(Mount { kind: MountKind::Tmpfs, source, destination, read_only: false });
        }
    }
    all.sort_by(|a, b| a.destination.cmp(&b.destination));
    all
}

fn mount(point: MountPoint) -> Mount {
    let name = point.name.unwrap_or_default();
    let kind = match point.typ.as_deref() {
        Some("volume") if is_anonymous(&name) => MountKind::AnonymousVolume,
        Some("volume") => MountKind::Volume,
        Some("bind") => MountKind::Bind,
        Some("tmpfs") => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mount {
        kind,
        source: if name.is_empty() { point.source.unwrap_or_default() } else { name },
        destination: point.destination.unwrap_or_default(),
        read_only: point.rw == Some(false),
    }
}

/// The engine names the volumes nobody named by 64 hexadecimal digits.
pub(super) fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Its own network first, then by name.
fn attachments(id: &str, network_mode: &str, net: &NetworkSettings) -> Vec<Attachment> {
    let networks = net.networks.iter().flatten();
    let mut all: Vec<Attachment> = networks.map(|(network, end)| attachment(id, network, end)).collect();
    let own = if network_mode == "default" { "bridge" } else { network_mode };
    all.sort_by_key(|at| (at.network != own, at.network.clone()));
    all
}

fn attachment(id: &str, network: &str, end: &EndpointSettings) -> Attachment {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let fixed = end.ipam_config.as_ref();
    let aliases = end.aliases.iter().flatten().filter(|alias| !(alias.len() == 12 && id.starts_with(alias.as_str())));
    Attachment {
        network: network.to_owned(),
        aliases: aliases.cloned().collect(),
        address: said(&end.ip_address).or_else(|| said(&end.global_ipv6_address)),
        fixed_ipv4: fixed.and_then(|fixed| said(&fixed.ipv4_address)),
        fixed_ipv6: fixed.and_then(|fixed| said(&fixed.ipv6_address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_found_whatever_the_device_is_called() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        let df = |line: &str| free_kib(&format!("{head}{line}\n"));
        assert_eq!(df("/dev/vda1 100 40 60 40% /var/lib/postgresql/data"), Some(60));
        assert_eq!(df("my server:/a b 100 40 61 40% /with 100% blank"), Some(61));
        assert_eq!(df("df: /nowhere: No such file or directory"), None);
    }

    #[test]
    fn packets_are_counted_for_the_right_interface() {
        let interfaces = "02:42:ac:11:00:02 12\n02:42:ac:12:00:02 345\n00:00:00:00:00:00 7\n";
        assert_eq!(packets_of("02:42:ac:12:00:02", interfaces), Some(345));
        assert_eq!(packets_of("02:42:ac:13:00:02", interfaces), None);
    }
}
