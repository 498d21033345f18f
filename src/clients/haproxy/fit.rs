//! Whether a HAProxy is as a run needs it. Pure.

use super::said::Server;
use crate::plan::{Haproxy, HaproxyHold};
use crate::trouble::Trouble;

/// What must be so before the window: everything is there, V1 gets the clients, and what is put back is what there was.
pub(super) fn refuse_unfit(
    way: &Haproxy,
    servers: &[Server],
    maxconn: Option<u32>,
    v1: Option<&(String, u16)>,
) -> Result<(), Trouble> {
    let find = |name: &str| {
        let missing = || Trouble::refused(format!("HAProxy has no server {}/{name} any more", way.backend));
        servers.iter().find(|server| server.name == name).ok_or_else(missing)
    };
    let (server, _) = (find(&way.v1)?, find(&way.v2)?);
    let backend = &way.backend;
    if !v1.is_some_and(|at| server.stands_at(at)) {
        let at =
            v1.map_or_else(|| "nowhere that HAProxy reaches".to_owned(), |(host, port)| format!("at {host}:{port}"));
        let stands = format!("{}:{}", server.host, server.port);
        return Err(Trouble::refused(format!("HAProxy's server {backend}/{} stands at {stands}, V1 {at}", way.v1))
            .hint("read HAProxy's file anew, or plan anew"));
    }
    if !server.is_ready || !server.is_up {
        let why = if server.is_ready { "down by its checks" } else { "in maintenance or drained" };
        return Err(Trouble::refused(format!("HAProxy's server {backend}/{}, V1, is {why}", way.v1)));
    }
    let (Some(hold), Some(now)) = (&way.hold, maxconn) else { return Ok(()) };
    let HaproxyHold { frontend, maxconn: was } = hold;
    match now {
        0 => Err(Trouble::refused(format!("HAProxy's frontend {frontend} takes no client (maxconn 0)"))),
        now if now != *was => Err(Trouble::refused(format!(
            "HAProxy's frontend {frontend} takes {now} clients, and took {was} when this was planned"
        ))
        .hint(format!("`set maxconn frontend {frontend} {was}` in HAProxy's API, and back when the run is over"))),
        _ => Ok(()),
    }
}

/// The first of each series in which a frontend that took nobody can take clients again: others end in a deadlock (HAProxy's
/// bug 2726, which came with 2.4).
const CAN_HOLD: [(u32, u32, u32); 6] = [(2, 4, 28), (2, 6, 20), (2, 8, 12), (2, 9, 12), (3, 0, 6), (3, 1, 0)];

/// `version` as `show info` has it: `2.6.12-1+deb12u4`. One that is not understood cannot.
pub(super) fn can_hold(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) = (numbers.next(), numbers.next(), numbers.next()) else {
        return false;
    };
    match CAN_HOLD.iter().find(|(a, b, _)| (*a, *b) == (major, minor)) {
        Some((_, _, first)) => patch >= *first,
        None => (major, minor) < (2, 4) || (major, minor) > (3, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{HaproxyApi, Route};

    #[test]
    fn a_haproxy_that_would_die_of_it_holds_nobody() {
        for version in ["2.6.12-1+deb12u4", "2.8.0", "2.4.19", "2.5.14", "2.7.1", "3.0.5", "", "weird", "3.0-dev1"] {
            assert!(!can_hold(version), "{version}");
        }
        for version in
            ["1.8.19", "2.2.9-2+deb11u6", "2.6.20", "2.8.15-1~bpo12+1", "3.0.11-1+deb13u3", "3.1.0", "3.2.4", "4.0.0"]
        {
            assert!(can_hold(version), "{version}");
        }
    }

    fn server(name: &str, host: &str) -> Server {
        Server {
            backend: "db".into(),
            name: name.into(),
            host: host.into(),
            port: 3306,
            is_up: true,
            is_ready: true,
            is_disabled_in_file: false,
            hostname: None,
        }
    }

    #[test]
    fn what_has_changed_since_the_plan_is_refused_by_name() {
        let way = Haproxy {
            api: HaproxyApi::Tcp("lb:9999".into()),
            backend: "db".into(),
            v1: "s1".into(),
            v2: "s2".into(),
            hold: Some(HaproxyHold { frontend: "db".into(), maxconn: 100 }),
            route: Route::Network("app".into()),
            clients: None,
        };
        let v1 = ("10.0.0.2".to_owned(), 3306);
        let both = [server("s1", "10.0.0.2"), server("s2", "0.0.0.0")];
        let said = |servers: &[Server], maxconn, v1| match refuse_unfit(&way, servers, maxconn, v1) {
            Ok(()) => String::new(),
            Err(trouble) => trouble.what,
        };
        assert_eq!(said(&both, Some(100), Some(&v1)), "");
        assert_eq!(said(&both[..1], Some(100), Some(&v1)), "HAProxy has no server db/s2 any more");
        let elsewhere = ("10.0.0.9".to_owned(), 3306);
        assert!(said(&both, Some(100), Some(&elsewhere)).ends_with("stands at 10.0.0.2:3306, V1 at 10.0.0.9:3306"));
        assert!(said(&both, Some(100), None).ends_with("V1 nowhere that HAProxy reaches"));
        let down = [Server { is_up: false, ..server("s1", "10.0.0.2") }, server("s2", "0.0.0.0")];
        assert!(said(&down, Some(100), Some(&v1)).contains("down by its checks"));
        assert!(said(&both, Some(0), Some(&v1)).contains("takes no client"));
        assert!(said(&both, Some(200), Some(&v1)).contains("takes 200 clients, and took 100"));
    }
}
