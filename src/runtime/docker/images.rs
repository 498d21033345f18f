//! Images: looked at, and pulled where they are absent and can be.

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::{Docker, Image, said};
use crate::runtime::Reference;
use crate::trouble::{Kind, Trouble};

impl Docker {
    pub(super) async fn look_at_image(&self, reference: &str) -> Result<Option<Image>, Trouble> {
        Ok(self.inspect_image(reference).await?.map(|found| image(reference, found)))
    }

    pub(super) async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInspect>, Trouble> {
        if !could_be_an_image(reference) {
            return Ok(None);
        }
        match self.engine.api.inspect_image(reference).await {
            Ok(found) => Ok(Some(found)),
            // 400: no image can be called so (capital letters, for one).
            Err(error) if matches!(said::status(&error), Some(400 | 404)) => Ok(None),
            Err(error) => Err(self.engine.trouble(format!("cannot look at image {reference}"), error)),
        }
    }

    pub(super) async fn have_image(&self, reference: &str) -> Result<Image, Trouble> {
        if let Some(found) = self.look_at_image(reference).await? {
            return Ok(found);
        }
        if !could_be_an_image(reference) || is_an_id(reference) {
            return Err(absent(reference).hint("`docker images` lists what the engine has"));
        }
        self.pull(reference).await.map_err(|cause| no_image(reference, cause))?;
        self.look_at_image(reference).await?.ok_or_else(|| absent(reference))
    }

    pub(super) async fn have_newest_image(&self, reference: &str) -> Result<Image, Trouble> {
        if !may_move(reference) {
            return self.have_image(reference).await;
        }
        self.pull(reference).await?;
        self.look_at_image(reference).await?.ok_or_else(|| absent(reference))
    }

    pub(super) async fn digest_in_registry(&self, reference: &str) -> Result<Option<String>, Trouble> {
        if !may_move(reference) {
            return Ok(None);
        }
        let found = self.engine.api.inspect_registry_image(&tagged(reference), None).await.map_err(|error| {
            let asked = format!("the registry does not say what it has under {reference}");
            ask_by_hand(reference, self.engine.trouble(asked, error))
        })?;
        found.descriptor.digest.map(Some).ok_or_else(|| {
            Trouble::refused(format!("the registry has no digest for {reference}"))
                .hint(format!("`docker manifest inspect {reference}` shows what it has"))
        })
    }

    async fn pull(&self, reference: &str) -> Result<(), Trouble> {
        let options = CreateImageOptionsBuilder::default().from_image(&tagged(reference)).build();
        let mut progress = self.engine.api.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            if let Err(error) = step {
                let trouble = self.engine.trouble(format!("image {reference} cannot be pulled"), error);
                return Err(ask_by_hand(reference, trouble));
            }
        }
        Ok(())
    }
}

fn absent(reference: &str) -> Trouble {
    Trouble::refused(format!("there is no image {reference}"))
}

/// Nothing is here to fall back on.
fn no_image(reference: &str, cause: Trouble) -> Trouble {
    Trouble { what: format!("image {reference} is not here and cannot be pulled"), ..cause }
}

/// The registry said no, or nothing.
fn ask_by_hand(reference: &str, trouble: Trouble) -> Trouble {
    Trouble { kind: Kind::Refused, ..trouble }
        .hint(format!("check the name; for a registry that asks who you are: `docker pull {reference}`"))
}

fn could_be_an_image(reference: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '@');
    (1..=255).contains(&reference.len()) && reference.chars().all(ok) && !reference.contains("..")
}

fn is_an_id(reference: &str) -> bool {
    reference.starts_with("sha256:") || reference.len() >= 12 && reference.bytes().all(|b| b.is_ascii_hexdigit())
}

/// It may mean something else tomorrow.
fn may_move(reference: &str) -> bool {
    could_be_an_image(reference) && !is_an_id(reference) && Reference::of(reference).digest.is_none()
}

/// Without a tag the engine would pull every one of them.
fn tagged(reference: &str) -> String {
    let Reference { tag, digest, .. } = Reference::of(reference);
    if tag.is_some() || digest.is_some() { reference.to_owned() } else { format!("{reference}:latest") }
}

fn image(reference: &str, found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let environment = config.env.unwrap_or_default();
    let split = environment.iter().filter_map(|entry| entry.split_once('='));
    Image {
        reference: reference.to_owned(),
        id: found.id.unwrap_or_default(),
        digests: found.repo_digests.unwrap_or_default(),
        architecture: found.architecture.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default(),
        environment: split.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tag_may_move() {
        for moves in ["postgres", "postgres:18", "r.example:5000/db/postgres"] {
            assert!(may_move(moves), "{moves}");
        }
        for stays in ["postgres@sha256:00", "postgres:18@sha256:00", "sha256:0123", "0123456789ab", "a b"] {
            assert!(!may_move(stays), "{stays}");
        }
    }

    #[test]
    fn an_image_is_called_as_its_own_registry_does() {
        let digests = vec!["r.example/shop@sha256:0a".to_owned(), "postgres@sha256:0b".to_owned()];
        let found = ImageInspect { id: Some("sha256:0c".into()), repo_digests: Some(digests), ..Default::default() };
        let digest = |reference: &str| image(reference, found.clone()).digest().map(str::to_owned);
        assert_eq!(digest("docker.io/library/postgres:18").as_deref(), Some("postgres@sha256:0b"));
        assert_eq!(digest("r.example/shop:1").as_deref(), Some("r.example/shop@sha256:0a"));
        assert_eq!(digest("sha256:0c").as_deref(), Some("r.example/shop@sha256:0a"));
        assert_eq!(digest("made-here:1"), None);
        let known = |digest| image("sha256:0c", found.clone()).is_known_as(digest);
        assert!(known("sha256:0b") && !known("sha256:0c"));
    }

    #[test]
    fn what_is_pulled_has_a_tag() {
        assert_eq!(tagged("r.example:5000/db/postgres"), "r.example:5000/db/postgres:latest");
        for as_it_is in ["postgres:18", "r.example:5000/db/postgres:18", "postgres@sha256:00"] {
            assert_eq!(tagged(as_it_is), as_it_is);
        }
    }
}
