//! What a dry run says. Pure.
//!
//! Lines as in ` DRY-RUN MODE -  Container shop-db-1  Running` (compose 2.26 and 2.40, on standard error). Its exit code is
//! 0 whatever it would do.

/// `NAME STATUS` of every container that is named.
pub(super) fn containers(said: &str) -> Vec<String> {
    said.lines().filter_map(container).collect()
}

fn container(line: &str) -> Option<String> {
    let (_, told) = line.split_once("DRY-RUN MODE -")?;
    let mut words = told.split_whitespace();
    (words.next()? == "Container").then_some(())?;
    let (name, status) = (words.next()?.trim_matches('"'), words.next()?);
    Some(format!("{name} {status}"))
}

/// What `up` would do to the service: nothing, if the container called `ours` is it, and the only one.
pub(super) fn to_service(said: &str, ours: &str, project: &str, service: &str) -> Vec<String> {
    let now = containers(said);
    let runs = format!("{ours} Running");
    // One that is replaced is called `<id>_<name>` for a moment.
    let numbered = format!("{project}-{service}-");
    let of_it = |line: &&String| is_named(line, ours) || is_named(line, &numbered);
    let mut found: Vec<String> = now.iter().filter(of_it).filter(|line| **line != runs).cloned().collect();
    if !now.contains(&runs) {
        found.push(format!("it does not find {ours} running"));
    }
    found
}

fn is_named(line: &str, name: &str) -> bool {
    let (of, whole) = (line.split(' ').next().unwrap_or_default(), !name.ends_with('-'));
    let of = of.split_once('_').map_or(of, |(id, rest)| if id.len() == 12 { rest } else { of });
    if whole { of == name } else { of.strip_prefix(name).is_some_and(|n| n.parse::<u32>().is_ok()) }
}

/// What it would do to others that it would not have done before.
pub(super) fn to_others(said: &str, ours: &str, before: &[String]) -> Vec<String> {
    let other = |line: &String| !is_named(line, ours) && !line.ends_with(" Running") && !before.contains(line);
    containers(said).into_iter().filter(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> Vec<String> {
        to_service(said, "shop-db-1", "shop", "db")
    }

    const GOOD: &str =
        " DRY-RUN MODE -  Container shop-db-1  Running \n DRY-RUN MODE -  Container shop-app-1  Running\n";

    #[test]
    fn running_and_nothing_else_is_fine() {
        assert_eq!(containers(GOOD), ["shop-db-1 Running", "shop-app-1 Running"]);
        assert!(of(GOOD).is_empty() && to_others(GOOD, "shop-db-1", &[]).is_empty());
    }

    #[test]
    fn whatever_else_it_would_do_is_said() {
        let recreated =
            "DRY-RUN MODE -  Container shop-db-1  Recreate\nDRY-RUN MODE -  Container shop-app-1  Recreate\n";
        assert_eq!(of(recreated), ["shop-db-1 Recreate", "it does not find shop-db-1 running"]);
        assert_eq!(to_others(recreated, "shop-db-1", &[]), ["shop-app-1 Recreate"]);
        assert!(to_others(recreated, "shop-db-1", &["shop-app-1 Recreate".to_owned()]).is_empty(), "as before");
        let replaced = format!("{GOOD} DRY-RUN MODE -  Container 719738e52c4d_shop-db-1  Starting\n");
        assert_eq!(of(&replaced), ["719738e52c4d_shop-db-1 Starting"]);
        let second = format!("{GOOD} DRY-RUN MODE -  Container shop-db-2  Creating\n");
        assert_eq!(of(&second), ["shop-db-2 Creating"]);
        assert!(!of("").is_empty());
    }
}
