//! A HAProxy that the user named, as it stands before a run.

use std::rc::Rc;

use super::api::Api;
use super::fit;
use super::said::{self, Frontend, Server};
use crate::clients::Around;
use crate::config;
use crate::engine::{Address, Check, Verdict};
use crate::plan::{Haproxy, HaproxyApi, HaproxyHold, Proxy, Route, WayPlan};
use crate::runtime::{Container, Runtime};
use crate::trouble::Trouble;

/// What the prechecks are called.
const ID: &str = "haproxy";

/// Looks at it over its API.
pub(in crate::clients) async fn find(said: &config::Haproxy, around: &Around<'_>) -> Proxy {
    match look(said, around).await {
        Ok((way, checks)) => {
            let addresses = around.addresses_of(said.container.as_deref()).await;
            Proxy { way: Some(WayPlan::Haproxy(way)), addresses, checks }
        }
        Err(trouble) => {
            let (found, hint) = (trouble.one_line(), trouble.hints.first().cloned());
            let checks = vec![Check { id: ID.into(), verdict: Verdict::Refused, found, hint }];
            Proxy { checks, ..Proxy::default() }
        }
    }
}

async fn look(said: &config::Haproxy, around: &Around<'_>) -> Result<(Haproxy, Vec<Check>), Trouble> {
    let Around { v1, port, runtime, .. } = *around;
    let place = place(said, v1, &**runtime).await?;
    let api = Api::new(place.clone(), Rc::clone(runtime));
    refuse_powerless(&api.ask("show cli level").await?, &api.name())?;
    let info = api.ask("show info").await?;
    let version = info.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default().trim();
    let servers = said::servers(&api.ask("show servers state").await?)?;
    let home = Home { v1, port };
    let found = choose(said, &servers, &home)?;
    let hold = match fit::can_hold(version) {
        true => Some(hold(said, &said::frontends(&api.ask("show stat -1 1 -1").await?)?)?),
        false => None,
    };
    let way = Haproxy {
        clients: clients(said, &place, port, &**runtime).await?,
        api: place,
        backend: said.backend.clone(),
        v1: found.v1.name.clone(),
        v2: found.v2,
        hold,
        route: found.route.clone(),
    };
    let at = (found.v1.host.clone(), found.v1.port);
    let theirs: Vec<Server> = servers.iter().filter(|server| server.backend == said.backend).cloned().collect();
    fit::refuse_unfit(&way, &theirs, way.hold.as_ref().map(|hold| hold.maxconn), Some(&at))?;
    let name = api.name();
    let mut checks = vec![passed(ID, format!("HAProxy at {name}: V1 is server {}/{}", way.backend, way.v1))];
    checks.push(held(&way, version));
    checks.push(read_anew(&way, found.v1, &theirs, &home));
    checks.extend(also_there(&way, &servers, &home));
    Ok((way, checks))
}

/// Exactly one place. The names go into commands, a line each.
async fn place(said: &config::Haproxy, v1: &Container, runtime: &dyn Runtime) -> Result<HaproxyApi, Trouble> {
    let names = [Some(&said.backend), said.v1.as_ref(), said.v2.as_ref(), said.frontend.as_ref()];
    if let Some(name) = names.into_iter().flatten().find(|name| !is_name(name)) {
        return Err(Trouble::refused(format!("`{}` is no name that HAProxy could have", name.escape_debug())));
    }
    match (&said.socket, &said.tcp, &said.container, said.port) {
        (Some(path), None, None, None) => Ok(HaproxyApi::Socket(path.clone())),
        (None, Some(address), None, None) => Ok(HaproxyApi::Tcp(address.clone())),
        (None, None, Some(name), Some(port)) => {
            let found = runtime.container(name).await?;
            let found = found.ok_or_else(|| Trouble::refused(format!("there is no container {name}")))?;
            let shared = |network: &str| v1.networks.iter().any(|on| on.network == network);
            let network = found.networks.iter().find(|on| shared(&on.network)).or(found.networks.first());
            let network = network.map(|on| on.network.clone()).ok_or_else(|| {
                Trouble::refused(format!("container {name} stands on no network"))
                    .hint("name its API by `tcp: HOST:PORT`")
            })?;
            Ok(HaproxyApi::Container { container: name.clone(), network, port })
        }
        _ => Err(Trouble::refused("where is HAProxy's runtime API?")
            .hint("one of `socket: PATH`, `tcp: HOST:PORT`, or `container: NAME` with `port: NUMBER`")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

fn refuse_powerless(level: &str, name: &str) -> Result<(), Trouble> {
    match level.trim() {
        "user" | "operator" => {
            Err(Trouble::refused(format!("HAProxy's API at {name} may look only, and change nothing"))
                .hint("`stats socket … level admin` in HAProxy's file"))
        }
        _ => Ok(()),
    }
}

/// Where V1 can be met.
struct Home<'a> {
    v1: &'a Container,
    port: u16,
}

impl Home<'_> {
    fn route_to(&self, server: &Server) -> Option<Route> {
        let on = self.v1.networks.iter().find(|on| on.address.as_deref() == Some(&server.host));
        if let Some(on) = on.filter(|_| server.port == self.port) {
            return Some(Route::Network(on.network.clone()));
        }
        let inside = format!("{}/tcp", self.port);
        let here = |host_ip: &str| server.host.starts_with("127.") || server.host == "::1" || server.host == host_ip;
        let published = self
            .v1
            .ports
            .iter()
            .any(|p| p.bound && p.container == inside && p.host_port == server.port && here(&p.host_ip));
        published.then(|| Route::Port { host: server.host.clone(), port: server.port })
    }

    fn in_words(&self) -> String {
        let on = self.v1.networks.iter();
        let on = on.filter_map(|on| Some(format!("{}:{} on {}", on.address.as_ref()?, self.port, on.network)));
        let ports = self.v1.ports.iter().filter(|port| port.bound);
        on.chain(ports.map(|port| format!("port {} of its host", port.host_port))).collect::<Vec<_>>().join(", ")
    }
}

struct Found<'a> {
    v1: &'a Server,
    v2: String,
    route: Route,
}

/// Which line V1 stands on. Two lines change places with every switchover: one file serves each of them.
fn choose<'a>(said: &config::Haproxy, servers: &'a [Server], home: &Home<'_>) -> Result<Found<'a>, Trouble> {
    let theirs: Vec<&Server> = servers.iter().filter(|server| server.backend == said.backend).collect();
    if theirs.is_empty() {
        return Err(Trouble::refused(format!("HAProxy has no backend {} with servers", said.backend)));
    }
    let named: Vec<&String> = said.v1.iter().chain(&said.v2).collect();
    if let Some(missing) = named.iter().find(|name| !theirs.iter().any(|server| server.name == ***name)) {
        return Err(Trouble::refused(format!("backend {} of HAProxy has no server {missing}", said.backend)));
    }
    let candidates = theirs.iter().filter(|server| named.is_empty() || named.contains(&&server.name));
    let mut at_home = candidates.filter_map(|server| Some((*server, home.route_to(server)?)));
    let Some((v1, route)) = at_home.next() else {
        let stand: Vec<String> =
            theirs.iter().map(|server| format!("{} at {}:{}", server.name, server.host, server.port)).collect();
        return Err(Trouble::refused(format!(
            "no server of HAProxy's backend {} stands at V1: {}",
            said.backend,
            stand.join(", ")
        ))
        .hint(format!("V1 is at {}", home.in_words())));
    };
    let other = named.iter().find(|name| ***name != v1.name);
    let v2 = other.map_or_else(|| v1.name.clone(), |name| (*name).clone());
    Ok(Found { v1, v2, route })
}

/// Of the frontend that leads to V1.
fn hold(said: &config::Haproxy, frontends: &[Frontend]) -> Result<HaproxyHold, Trouble> {
    let named = |name: &str| frontends.iter().find(|frontend| frontend.name == name);
    let of_tcp: Vec<&Frontend> = frontends.iter().filter(|frontend| frontend.mode == "tcp").collect();
    let found = match (&said.frontend, &of_tcp[..]) {
        (Some(name), _) => named(name),
        (None, [only]) => Some(*only),
        (None, _) => named(&said.backend),
    };
    let hold = |found: &Frontend| HaproxyHold { frontend: found.name.clone(), maxconn: found.maxconn };
    found.map(hold).ok_or_else(|| {
        let names: Vec<&str> = frontends.iter().map(|frontend| frontend.name.as_str()).collect();
        let wanted = said.frontend.as_ref().map_or_else(
            || format!("which frontend leads to HAProxy's backend {}?", said.backend),
            |name| format!("HAProxy has no frontend {name}"),
        );
        Trouble::refused(wanted).hint(format!("name it as `frontend:`; there are: {}", names.join(", ")))
    })
}

/// Where clients connect: as said, or where HAProxy's container listens under V1's own port.
async fn clients(
    said: &config::Haproxy,
    place: &HaproxyApi,
    port: u16,
    runtime: &dyn Runtime,
) -> Result<Option<Address>, Trouble> {
    let network = match place {
        HaproxyApi::Container { network, .. } => Some(network.clone()),
        _ => None,
    };
    if let Some(address) = &said.clients {
        let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parts.ok_or_else(|| Trouble::refused(format!("`clients: {address}` is not HOST:PORT")))?;
        return Ok(Some(Address { network, host: host.into(), port }));
    }
    let HaproxyApi::Container { container, network, .. } = place else { return Ok(None) };
    // On the default bridge nobody has a name.
    let listens = network != "bridge" && runtime.dial(container, network, port).await.is_ok();
    Ok(listens.then(|| Address { network: Some(network.clone()), host: container.clone(), port }))
}

fn held(way: &Haproxy, version: &str) -> Check {
    const ID: &str = "haproxy-hold";
    match &way.hold {
        Some(hold) => passed(ID, format!("new clients of frontend {} wait during the window", hold.frontend)),
        None => noted(
            ID,
            format!(
                "HAProxy {version} dies when a frontend that took nobody takes clients again (its bug 2726): new clients are \
                 refused during the window, and do not wait"
            ),
            "2.6.20, 2.8.12, 3.0.6 and what came later let them wait",
        ),
    }
}

/// HAProxy that is read anew after the switch begins with its file: does that lead to V2?
fn read_anew(way: &Haproxy, v1: &Server, servers: &[Server], home: &Home<'_>) -> Check {
    const ID: &str = "haproxy-file";
    let name = format!("{}/{}", way.backend, way.v1);
    let Route::Network(network) = &way.route else {
        return passed(ID, format!("the address of {name} in HAProxy's file stays the same"));
    };
    let on = home.v1.networks.iter().find(|on| on.network == *network);
    let moves = |host: &String| *host == home.v1.name || on.is_some_and(|on| on.aliases.contains(host));
    let other = servers.iter().find(|server| server.name == way.v2 && way.v1 != way.v2);
    match (&v1.hostname, other) {
        (Some(host), Some(other)) if moves(host) && !other.is_disabled_in_file => noted(
            ID,
            format!(
                "{}/{} is not `disabled` in HAProxy's file: read anew, it takes clients as well",
                way.backend, other.name
            ),
            "write `disabled` on its line",
        ),
        (Some(host), _) if moves(host) => {
            passed(ID, format!("{name} is `{host}` in HAProxy's file, a name that moves"))
        }
        _ => noted(
            ID,
            format!("{name} has an address in HAProxy's file, or a name that stays with V1: read anew, it misses V2"),
            format!(
                "write one of V1's names on its line ({}), or V2's address after the run",
                names(home, on).join(", ")
            ),
        ),
    }
}

fn names(home: &Home<'_>, on: Option<&crate::runtime::Attachment>) -> Vec<String> {
    let aliases = on.map(|on| on.aliases.clone()).unwrap_or_default();
    if aliases.is_empty() { vec![home.v1.name.clone()] } else { aliases }
}

/// Other lines that lead to V1 are moved by ways of their own, or not at all.
fn also_there(way: &Haproxy, servers: &[Server], home: &Home<'_>) -> Option<Check> {
    let ours = |server: &Server| server.backend == way.backend && server.name == way.v1;
    let others = servers.iter().filter(|server| !ours(server) && home.route_to(server).is_some());
    let others: Vec<String> = others.map(|server| format!("{}/{}", server.backend, server.name)).collect();
    (!others.is_empty()).then(|| {
        let found = format!("HAProxy has V1 as {} as well, which this way does not move", others.join(", "));
        noted("haproxy-others", found, "each backend with clients needs a way of its own in `clients`")
    })
}

fn passed(id: &str, found: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Passed, found: found.into(), hint: None }
}

fn noted(id: &str, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Noted, found: found.into(), hint: Some(hint.into()) }
}
