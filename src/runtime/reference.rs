//! A reference to an image, taken apart: `registry/path:tag@digest`. Pure.

/// The registry that is meant where none is said, and the folder of its official images.
const USUAL: &str = "docker.io";
const OFFICIAL: &str = "library/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// As it was written, without tag and digest.
    pub name: &'a str,
    pub tag: Option<&'a str>,
    /// With its kind, as in `sha256:…`.
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub fn of(text: &'a str) -> Reference<'a> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // The port of a registry is no tag: it stands before a slash.
        match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Reference { name, tag: Some(tag), digest },
            _ => Reference { name: named, tag: None, digest },
        }
    }

    /// Host and port of the registry, and the path there.
    pub fn place(&self) -> (&'a str, String) {
        match self.name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
                let registry = if first == "index.docker.io" { USUAL } else { first };
                (registry, if registry == USUAL { official(path) } else { path.to_owned() })
            }
            _ => (USUAL, official(self.name)),
        }
    }

    /// The same for all ways of writing it: `postgres`, `docker.io/library/postgres`.
    pub fn repository(&self) -> String {
        let (registry, path) = self.place();
        format!("{registry}/{path}")
    }
}

fn official(path: &str) -> String {
    if path.contains('/') { path.to_owned() } else { format!("{OFFICIAL}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_apart() {
        let parts = |text: &'static str| {
            let reference = Reference::of(text);
            (reference.name, reference.tag, reference.digest)
        };
        assert_eq!(parts("postgres:18"), ("postgres", Some("18"), None));
        assert_eq!(parts("r.example:5000/db/postgres"), ("r.example:5000/db/postgres", None, None));
        assert_eq!(
            parts("r.example:5000/postgres:18@sha256:00"),
            ("r.example:5000/postgres", Some("18"), Some("sha256:00"))
        );
        assert_eq!(parts("postgres@sha256:00"), ("postgres", None, Some("sha256:00")));
    }

    #[test]
    fn one_repository_has_many_names() {
        let repository = |text| Reference::of(text).repository();
        for same in
            ["postgres", "library/postgres:18", "docker.io/postgres", "index.docker.io/library/postgres@sha256:0"]
        {
            assert_eq!(repository(same), "docker.io/library/postgres", "{same}");
        }
        assert_eq!(repository("bitnami/mysql"), "docker.io/bitnami/mysql");
        assert_eq!(repository("localhost/mysql"), "localhost/mysql");
        assert_eq!(repository("127.0.0.1:5000/mysql:8"), "127.0.0.1:5000/mysql");
    }
}
