//! V2 is made like V1: what the user asked for is taken over, what V1's old image set by itself is not.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig, HostConfig,
    ImageConfig, Mount, MountPoint, MountType, NetworkingConfig, PortBinding, PortMap,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::look::{could_be_a_container, is_anonymous};
use super::{Container, Docker, Recipe, said};
use crate::runtime::{LABEL_CONTAINER, LABEL_RUN, Port, State};
use crate::trouble::Trouble;

impl Docker {
    pub(super) async fn have_created(&self, recipe: &Recipe) -> Result<Container, Trouble> {
        if !could_be_a_container(&recipe.name) {
            return Err(Trouble::usage(format!("`{}` cannot be the name of a container", recipe.name))
                .hint("letters, digits, `_`, `.` and `-` can"));
        }
        if self.look_at_container(&recipe.name).await?.is_none() {
            self.create(recipe).await?;
        }
        let made = self.container_of_this_run(recipe).await?;
        if matches!(made.state, State::Created | State::Exited(_)) {
            self.only_on(&made, &recipe.network).await?;
            return self.container_of_this_run(recipe).await;
        }
        Ok(made)
    }

    async fn container_of_this_run(&self, recipe: &Recipe) -> Result<Container, Trouble> {
        let made = self.look_at_container(&recipe.name).await?;
        let made = made.ok_or_else(|| Trouble::failed(format!("container {} vanished", recipe.name)))?;
        if made.labels.get(LABEL_RUN) == recipe.labels.get(LABEL_RUN) {
            return Ok(made);
        }
        Err(Trouble::refused(format!("a container that is not of this run is called {} already", recipe.name))
            .hint(format!("rename or remove it (`docker rename {} …`), or choose another name for V2", recipe.name)))
    }

    async fn create(&self, recipe: &Recipe) -> Result<(), Trouble> {
        let gone = || Trouble::failed(format!("the container to be copied, {}, is gone", recipe.like));
        let like = self.inspect(&recipe.like).await?.ok_or_else(gone)?;
        let image = like.image.clone().unwrap_or_default();
        // An image cannot be removed while a container of it runs, so V1's is there.
        let old = self.inspect_image(&image).await?.and_then(|image| image.config).unwrap_or_default();
        let body = body(recipe, &like, &old);
        let options = CreateContainerOptionsBuilder::default().name(&recipe.name).build();
        match self.engine.api.create_container(Some(options), body).await {
            Ok(_) => Ok(()),
            // Somebody was faster; whose it is, is looked at next.
            Err(error) if said::status(&error) == Some(409) => Ok(()),
            Err(error) => Err(self.engine.trouble(format!("cannot make container {}", recipe.name), error)),
        }
    }

    /// A container that is not started stands on that network and no other.
    async fn only_on(&self, container: &Container, network: &str) -> Result<(), Trouble> {
        for at in container.networks.iter().filter(|at| at.network != network) {
            self.have_left(&container.id, &at.network).await?;
        }
        if container.networks.iter().any(|at| at.network == network) {
            return Ok(());
        }
        let at = super::Attachment { network: network.to_owned(), ..Default::default() };
        self.have_joined(&container.id, &at).await
    }
}

fn body(recipe: &Recipe, like: &ContainerInspectResponse, old: &ImageConfig) -> ContainerCreateBody {
    let config = like.config.clone().unwrap_or_default();
    let replaced = Replaced::new(recipe);
    let command = command(&config, old);
    ContainerCreateBody {
        image: Some(recipe.image.clone()),
        hostname: hostname(&config, like.id.as_deref().unwrap_or_default()),
        domainname: filled(config.domainname),
        user: unlike(filled(config.user), filled(old.user.clone()).as_ref()),
        working_dir: unlike(filled(config.working_dir), filled(old.working_dir.clone()).as_ref()),
        env: without(config.env, old.env.as_deref()),
        entrypoint: command.0,
        cmd: command.1,
        healthcheck: unlike(config.healthcheck, old.healthcheck.as_ref()).filter(is_a_check),
        stop_signal: unlike(config.stop_signal, old.stop_signal.as_ref()),
        stop_timeout: config.stop_timeout,
        shell: unlike(config.shell, old.shell.as_ref()),
        exposed_ports: without(config.exposed_ports, old.exposed_ports.as_deref()),
        volumes: without(config.volumes, old.volumes.as_deref())
            .map(|all| all.into_iter().filter(|destination| !replaced.covers(destination)).collect()),
        labels: Some(labels(config.labels.unwrap_or_default(), old, recipe)),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        host_config: Some(host_config(recipe, &replaced, like)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(recipe.network.clone(), EndpointSettings::default())])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// The engine's own (first 12 digits of the id) is not taken over.
fn hostname(config: &ContainerConfig, id: &str) -> Option<String> {
    config.hostname.clone().filter(|name| !name.is_empty() && !id.starts_with(name.as_str()))
}

/// Entrypoint and command. Giving an entrypoint takes the image's command away, so then both are what V1 has.
fn command(config: &ContainerConfig, old: &ImageConfig) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let entrypoint = config.entrypoint.clone().unwrap_or_default();
    let command = config.cmd.clone().unwrap_or_default();
    let old_entrypoint = old.entrypoint.clone().unwrap_or_default();
    if entrypoint == old_entrypoint {
        let command = (Some(&command) != old.cmd.as_ref() && !command.is_empty()).then_some(command);
        return (None, command);
    }
    // As `--entrypoint ""`: the image's is not wanted.
    let entrypoint = if entrypoint.is_empty() { vec![String::new()] } else { entrypoint };
    (Some(entrypoint), Some(command))
}

fn labels(mut labels: HashMap<String, String>, old: &ImageConfig, recipe: &Recipe) -> HashMap<String, String> {
    let of_image = old.labels.clone().unwrap_or_default();
    labels.retain(|key, value| {
        // Compose takes a container with its labels for its own and replaces it at the next `up`.
        !key.starts_with("com.docker.compose.") && !key.starts_with("switchover.") && of_image.get(key) != Some(value)
    });
    labels.extend(recipe.labels.clone());
    labels.insert(LABEL_CONTAINER.to_owned(), recipe.in_place_of.clone().unwrap_or_else(|| recipe.name.clone()));
    labels
}

fn host_config(recipe: &Recipe, replaced: &Replaced, like: &ContainerInspectResponse) -> HostConfig {
    let mut host = like.host_config.clone().unwrap_or_default();
    let points = like.mounts.clone().unwrap_or_default();
    let inherited = inherited_mounts(&host, like.config.as_ref(), &points);
    let binds = host.binds.take().unwrap_or_default();
    host.binds = Some(binds.into_iter().filter(|bind| !replaced.takes_place_of(bind)).collect());
    let mut mounts = host.mounts.take().unwrap_or_default();
    mounts.extend(inherited);
    mounts.retain(|mount| {
        let to = mount.target.as_deref().unwrap_or_default();
        if reads_only(mount) { !replaced.is_at(to) } else { !replaced.covers(to) }
    });
    mounts.iter_mut().for_each(name_no_anonymous_volume);
    mounts.extend(recipe.volumes.iter().map(|(volume, destination)| own_volume(volume, destination)));
    host.mounts = Some(mounts);
    if let Some(tmpfs) = &mut host.tmpfs {
        tmpfs.retain(|destination, _| !replaced.is_at(destination));
    }
    host.port_bindings = Some(with_present_numbers(&host, like));
    // NetworkMode stays V1's own network although V2 stands on the private one only: it is what V2 falls back to when
    // it is on no network at all, and the private one will be gone by then. Tried on 20.10: the endpoints given at
    // creation decide, not the mode, also across restarts.
    host.volumes_from = None;
    host.container_id_file = None;
    // An engine that removed V2 when it stops would take the copy's container away during the seed.
    host.auto_remove = Some(false);
    // Links hold names of the default bridge's containers and are refused elsewhere.
    host.links = None;
    host
}

/// Ephemeral ports are given the number that V1 has now: clients that learned it find V2.
fn with_present_numbers(host: &HostConfig, like: &ContainerInspectResponse) -> PortMap {
    let net = like.network_settings.clone().unwrap_or_default();
    let mut bindings = PortMap::new();
    for port in super::ports::ports(host, &net) {
        bindings.entry(port.container.clone()).or_default().get_or_insert_default().push(binding(&port));
    }
    bindings
}

fn binding(port: &Port) -> PortBinding {
    PortBinding {
        host_ip: Some(port.host_ip.clone()),
        host_port: (port.host_port > 0).then(|| port.host_port.to_string()),
    }
}

/// The places where V2's own data, and nothing of V1's, is mounted.
struct Replaced {
    places: BTreeSet<String>,
    /// What is mounted inside of them stays as well.
    exactly: bool,
}

impl Replaced {
    fn new(recipe: &Recipe) -> Replaced {
        let own = recipe.volumes.iter().map(|(_, destination)| destination);
        let places = own.chain(&recipe.leave_out).map(|path| clean(path).to_owned()).collect();
        Replaced { places, exactly: recipe.in_place_of.is_some() }
    }

    /// At such a place or inside it: two servers never share a volume.
    fn covers(&self, destination: &str) -> bool {
        let destination = clean(destination);
        if self.exactly {
            return self.is_at(destination);
        }
        self.places.iter().any(|own| {
            destination.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn is_at(&self, destination: &str) -> bool {
        self.places.contains(clean(destination))
    }

    /// `source:destination[:options]`; paths of this form hold no colon. A nameless volume, which compose hands on in
    /// this form, belongs to V1 alone.
    fn takes_place_of(&self, bind: &str) -> bool {
        let (source, to) = (bind.split(':').next().unwrap_or_default(), bind_target(bind).unwrap_or_default());
        let reads_only = bind.split(':').nth(2).is_some_and(|options| options.split(',').any(|option| option == "ro"));
        is_anonymous(source) || if reads_only { self.is_at(to) } else { self.covers(to) }
    }
}

/// Such as a configuration file inside the data directory: no data, and shared without harm.
fn reads_only(mount: &Mount) -> bool {
    mount.read_only == Some(true) || mount.typ == Some(MountType::TMPFS)
}

fn clean(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn bind_target(bind: &str) -> Option<&str> {
    bind.split(':').nth(1)
}

/// What came by `--volumes-from`: in the list of mounts, but asked for nowhere else.
fn inherited_mounts(host: &HostConfig, config: Option<&ContainerConfig>, points: &[MountPoint]) -> Vec<Mount> {
    let asked: BTreeSet<&str> = (host.binds.iter().flatten().filter_map(|bind| bind_target(bind)))
        .chain(host.mounts.iter().flatten().filter_map(|mount| mount.target.as_deref()))
        .chain(config.iter().flat_map(|config| config.volumes.iter().flatten()).map(String::as_str))
        .map(clean)
        .collect();
    let others = points.iter().filter(|point| !asked.contains(clean(point.destination.as_deref().unwrap_or_default())));
    others.filter_map(as_mount).collect()
}

fn as_mount(point: &MountPoint) -> Option<Mount> {
    let (typ, source) = match point.typ.as_deref()? {
        "volume" => (MountType::VOLUME, point.name.clone()),
        "bind" => (MountType::BIND, point.source.clone()),
        _ => return None,
    };
    Some(Mount {
        typ: Some(typ),
        source,
        target: point.destination.clone(),
        read_only: point.rw.map(|writable| !writable),
        ..Mount::default()
    })
}

/// A volume that nobody named belongs to V1 alone: V2 gets one of its own at the same place.
fn name_no_anonymous_volume(mount: &mut Mount) {
    if mount.typ == Some(MountType::VOLUME) && mount.source.as_deref().is_some_and(is_anonymous) {
        mount.source = None;
    }
}

fn own_volume(volume: &str, destination: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(destination.to_owned()),
        ..Mount::default()
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn unlike<T: PartialEq>(asked: Option<T>, old: Option<&T>) -> Option<T> {
    asked.filter(|asked| Some(asked) != old)
}

fn without(asked: Option<Vec<String>>, old: Option<&[String]>) -> Option<Vec<String>> {
    asked.map(|asked| asked.into_iter().filter(|entry| !old.unwrap_or_default().contains(entry)).collect())
}

fn is_a_check(check: &HealthConfig) -> bool {
    check.test.as_ref().is_some_and(|test| !test.is_empty())
}
