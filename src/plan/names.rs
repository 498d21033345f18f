//! The names of all a run makes: from the run's id and V1's name, so that a resumed run finds what it made.

/// Decided before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub run: String,
    /// The database's name for us.
    pub name: String,
    pub v2_container: String,
    pub volume: String,
    pub private_network: String,
    /// What V1 is called once V2 bears its name.
    pub v1_final: String,
}

/// A name that something else already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    V2Container,
    V1Final,
    Volume,
    Network,
}

impl Names {
    pub fn new(run: &str, v1: &str, volume: Option<&str>) -> Self {
        let tag = tag(run);
        Names {
            run: run.to_owned(),
            name: v1.to_owned(),
            v2_container: format!("{v1}-v2"),
            volume: volume.map_or_else(|| format!("{v1}-v2-{tag}"), str::to_owned),
            private_network: format!("switchover-{v1}-{tag}"),
            v1_final: format!("{v1}-v1"),
        }
    }
}

/// Short and unique to the run.
pub(super) fn tag(run: &str) -> &str {
    let start = run.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    &run[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are() {
        let names = Names::new("01930b2e-7a51-7cc0-9f00-00007f3a1c2b", "shop-db", None);
        assert_eq!(names.v2_container, "shop-db-v2");
        assert_eq!(names.v1_final, "shop-db-v1");
        assert_eq!(names.volume, "shop-db-v2-7f3a1c2b");
        assert_eq!(names.private_network, "switchover-shop-db-7f3a1c2b");
        assert_eq!(Names::new("r", "db", Some("mine")).volume, "mine");
    }
}
