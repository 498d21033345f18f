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

/// What `up` would do that it would not have done before: nothing, if the container called `ours` is the service's.
pub(super) fn surprises(said: &str, ours: &str, before: &[String]) -> Vec<String> {
    let now = containers(said);
    let runs = format!("{ours} Running");
    let of_ours = |line: &&String| line.split(' ').next() == Some(ours);
    let mut found: Vec<String> = now.iter().filter(of_ours).filter(|line| **line != runs).cloned().collect();
    if !now.contains(&runs) {
        found.push(format!("it does not find {ours} running"));
    }
    found.extend(now.iter().filter(|line| !of_ours(line) && !before.contains(line)).cloned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        " DRY-RUN MODE -  Container shop-db-1  Running \n DRY-RUN MODE -  Container shop-app-1  Running\n";

    #[test]
    fn running_and_nothing_else_is_fine() {
        assert_eq!(containers(GOOD), ["shop-db-1 Running", "shop-app-1 Running"]);
        let before = ["shop-db-1 Running".to_owned(), "shop-app-1 Running".to_owned()];
        assert!(surprises(GOOD, "shop-db-1", &before).is_empty());
    }

    #[test]
    fn whatever_else_it_would_do_is_said() {
        let before = ["shop-db-1 Running".to_owned(), "shop-app-1 Recreate".to_owned()];
        let recreated =
            "DRY-RUN MODE -  Container shop-db-1  Recreate\nDRY-RUN MODE -  Container shop-app-1  Recreate\n";
        let said = surprises(recreated, "shop-db-1", &before);
        assert_eq!(said, ["shop-db-1 Recreate", "it does not find shop-db-1 running"]);
        let second = format!("{GOOD} DRY-RUN MODE -  Container shop-db-2  Creating\n");
        assert_eq!(surprises(&second, "shop-db-1", &containers(GOOD)), ["shop-db-2 Creating"]);
        assert!(!surprises("", "shop-db-1", &[]).is_empty());
    }
}
