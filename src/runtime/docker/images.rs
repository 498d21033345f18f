//! Images: looked at, and pulled where they are absent and can be.

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::{Docker, Image, said};
use crate::trouble::Trouble;

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
        self.pull(reference).await?;
        self.look_at_image(reference).await?.ok_or_else(|| absent(reference))
    }

    async fn pull(&self, reference: &str) -> Result<(), Trouble> {
        // Without a tag the engine would pull every one of them.
        let tagged = if has_tag(reference) { reference.to_owned() } else { format!("{reference}:latest") };
        let options = CreateImageOptionsBuilder::default().from_image(&tagged).build();
        let mut progress = self.engine.api.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            if let Err(error) = step {
                let mut trouble =
                    self.engine.trouble(format!("image {reference} is not here and cannot be pulled"), error);
                trouble.kind = crate::trouble::Kind::Refused;
                return Err(trouble
                    .hint(format!("check the name; for a registry that asks who you are: `docker pull {reference}`")));
            }
        }
        Ok(())
    }
}

fn absent(reference: &str) -> Trouble {
    Trouble::refused(format!("there is no image {reference}"))
}

fn could_be_an_image(reference: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '@');
    (1..=255).contains(&reference.len()) && reference.chars().all(ok) && !reference.contains("..")
}

fn is_an_id(reference: &str) -> bool {
    reference.starts_with("sha256:") || reference.len() >= 12 && reference.bytes().all(|b| b.is_ascii_hexdigit())
}

fn has_tag(reference: &str) -> bool {
    reference.contains('@') || reference.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn image(reference: &str, found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let environment = config.env.unwrap_or_default();
    let split = environment.iter().filter_map(|entry| entry.split_once('='));
    Image {
        reference: reference.to_owned(),
        id: found.id.unwrap_or_default(),
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
    fn a_port_of_a_registry_is_no_tag() {
        let tagged = ["postgres:18", "r.example:5000/db/postgres:18", "postgres@sha256:00"];
        let bare = ["postgres", "r.example:5000/db/postgres"];
        assert!(tagged.iter().all(|name| has_tag(name)));
        assert!(!bare.iter().any(|name| has_tag(name)));
    }
}
