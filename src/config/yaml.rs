//! The YAML of the configuration. The parser is named here and nowhere else.

use std::path::Path;

use super::Config;
use crate::trouble::Trouble;

/// Reads a configuration file.
pub fn read(path: &Path) -> Result<Config, Trouble> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Trouble::usage(format!("cannot read the configuration {name}")).because(e))?;
    parse(&text).map_err(|e| Trouble::usage(format!("the configuration {name} is wrong")).because(e))
}

/// The parser's own excerpts of the file are left out: the lines around an error may be those with a secret.
fn parse(text: &str) -> Result<Config, Trouble> {
    let options = serde_saphyr::options! { with_snippet: false };
    let config: Option<Config> =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| Trouble::usage(e.to_string()))?;
    let mut config = config.unwrap_or_default();
    config.window = config.window.map(super::Window::checked).transpose()?;
    config.limits.over(&super::Limits::default())?;
    if config.access.password.is_some() && config.access.password_file.is_some() {
        return Err(Trouble::usage("access: `password` and `password-file` say the same thing twice"));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{
        Clients, Data, Limits, NetworkAlias, OnFailure, PublishedPort, Pull, Unfinished, Verify, Way, Within,
    };
    use super::*;

    fn complaint(text: &str) -> String {
        parse(text).unwrap_err().one_line()
    }

    #[test]
    fn every_key_is_understood() {
        let config = parse(
            r#"
v1: { container: shop-db }
v2: { image: "postgres:18", volume: shop-db-v2, pull: always }
seed: auto
clients:
  - network-alias: { network: shop_default, alias: db }
  - published-port: {}
limits: { lag: 16MiB, catch-up: 6h, cutover: 12s, v1-wal: 40%, seed-rate: none }
window: { cron: "0 3 * * SUN", for: 2h, zone: Europe/Brussels }
allow: [ephemeral-port]
verify: never
retire: { after: 7d, data: keep }
on-failure: abort
retry: { times: 3, wait: 10min }
unfinished: abort
access: { user: admin, password: "${DB_PASSWORD}" }
metrics-file: /var/lib/node_exporter/shop-db.prom
hooks: { on-failure: [/etc/switchover/page, shop-db] }
"#,
        )
        .unwrap();
        assert_eq!(config.v1.container.as_deref(), Some("shop-db"));
        assert_eq!(config.v2.image.as_deref(), Some("postgres:18"));
        assert_eq!(config.v2.pull, Pull::Always);
        let alias = NetworkAlias { network: "shop_default".into(), alias: Some("db".into()) };
        let ways = vec![Way::NetworkAlias(alias), Way::PublishedPort(PublishedPort {})];
        assert_eq!(config.clients, Clients::These(ways));
        assert_eq!(config.limits.over(&Limits::default()).unwrap().cutover.0, Duration::from_secs(12));
        assert_eq!((config.verify, config.on_failure), (Verify::Off, OnFailure::Abort));
        assert_eq!(config.unfinished, Unfinished::Abort);
        assert_eq!((config.retry.times, config.retry.wait.0), (3, Duration::from_secs(600)));
        assert_eq!(config.retire.after.unwrap().0, Duration::from_secs(7 * 86_400));
        assert_eq!(config.retire.data, Data::Keep);
        assert!(config.access.password.is_some());
        assert_eq!(config.hooks.on_failure, ["/etc/switchover/page", "shop-db"]);
        assert!(config.metrics_file.is_some());
    }

    #[test]
    fn a_hook_is_programs_by_their_arguments() {
        let config =
            parse("clients:\n  - hook: { check: [lb, check], move: [lb, move], within: 2s, network: app }\n").unwrap();
        let Clients::These(ways) = config.clients else { panic!("no list") };
        let [Way::Hook(hook)] = &ways[..] else { panic!("{ways:?}") };
        assert_eq!((&hook.check[1], &hook.r#move[1], hook.hold.len()), (&"check".to_owned(), &"move".to_owned(), 0));
        assert_eq!((hook.within.unwrap().0, hook.network.as_deref()), (Duration::from_secs(2), Some("app")));
        assert!(complaint("clients:\n  - hook: { check: [lb] }\n").contains("`move`"));
        assert!(complaint("clients:\n  - hook: { check: lb, move: [lb] }\n").contains("line 2"));
    }

    #[test]
    fn little_is_enough() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(parse("# nothing yet\n").unwrap(), Config::default());
        assert_eq!(parse("clients: auto\n").unwrap().clients, Clients::Auto);
    }

    #[test]
    fn bounds_may_stand_in_the_place_of_a_tag() {
        let v2 = |text: &str| parse(text).unwrap().v2;
        assert_eq!(v2("v2: { image: postgres, within: minor }\n").within, Some(Within::Minor));
        assert_eq!(v2("v2: { image: postgres, within: major }\n").within, Some(Within::Major));
        let said = complaint("v2: { image: postgres, within: patch }\n");
        assert!(said.contains("`patch`") && said.contains("minor"), "{said}");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = "v1: { container: a }\nv2:\n  imag: postgres:18\n";
        let said = complaint(text);
        assert!(
            said.contains("line 3")
                && said.contains("unknown field `imag`, expected one of image, volume, pull, within"),
            "{said}"
        );
        let said = complaint("limits:\n  lag: 1MiB\n  cutof: 3s\n");
        assert!(said.contains("line 3") && said.contains("`cutof`"), "{said}");
        let said = complaint("clients:\n  - network-alias: { network: app, alais: db }\n");
        assert!(said.contains("line 2") && said.contains("`alais`"), "{said}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let said = complaint("limits:\n  lag: 16MiB\n  cutover: soon\n");
        assert!(said.contains("line 3") && said.contains("`soon` is not a length of time"), "{said}");
        let said = complaint("limits: { cutover: 10 }\n");
        assert!(said.contains("`10` is not a length of time"), "{said}");
        let said = complaint("window: { cron: 'x', for: 2h }\n");
        assert!(said.contains("window.cron `x` is not a cron pattern"), "{said}");
        let said = complaint("on-failure: panic\n");
        assert!(said.contains("`panic`") && said.contains("keep"), "{said}");
        let said = complaint("clients: some\n");
        assert!(said.contains("`auto` or a list of ways"), "{said}");
    }

    #[test]
    fn a_literal_password_is_refused_and_not_repeated() {
        for value in ["hunter2", "\"hunter2\"", "12345", "!!str hunter2", "${hunter2", "true"] {
            let said = complaint(&format!("v1: {{ container: a }}\naccess:\n  user: x\n  password: {value}\n"));
            assert!(said.contains("a literal password is not accepted here"), "{said}");
            assert!(!said.contains("hunter2") && !said.contains("12345"), "{said}");
        }
        // An error on the line beside it does not show it either.
        let said = complaint("access:\n  password: hunter2\n  usr: x\n");
        assert!(!said.contains("hunter2"), "{said}");
        let said = complaint("access:\n  usr: x\n  password: hunter2\n");
        assert!(!said.contains("hunter2"), "{said}");
        let said = complaint("access: { password: hunter2\n");
        assert!(!said.contains("hunter2"), "{said}");
        let said = complaint("access: hunter2\n");
        assert!(!said.contains("hunter2"), "{said}");
        let said = complaint("access: { password: [hunter2] }\n");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
