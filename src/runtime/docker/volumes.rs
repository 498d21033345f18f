//! Volumes of ours. Nobody else's is ever removed.

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::lifecycle::is_gone;
use super::look::could_be_a_container;
use super::{Docker, Labels};
use crate::runtime::LABEL_RUN;
use crate::trouble::Trouble;

impl Docker {
    pub(super) async fn look_at_volume(&self, name: &str) -> Result<Option<Volume>, Trouble> {
        // The same rule holds for the names of volumes.
        if !could_be_a_container(name) {
            return Ok(None);
        }
        match self.engine.api.inspect_volume(name).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(self.engine.trouble(format!("cannot look at volume {name}"), error)),
        }
    }

    pub(super) async fn have_volume(&self, name: &str, labels: &Labels) -> Result<(), Trouble> {
        if let Some(found) = self.look_at_volume(name).await? {
            if found.labels.get(LABEL_RUN) == labels.get(LABEL_RUN) {
                return Ok(());
            }
            return Err(Trouble::refused(format!("a volume that is not of this run is called {name} already"))
                .hint(format!("look what is in it; remove it (`docker volume rm {name}`) or choose another name")));
        }
        let wanted = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        match self.engine.api.create_volume(wanted).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.engine.trouble(format!("cannot make volume {name}"), error)),
        }
    }

    pub(super) async fn have_no_volume(&self, name: &str, run: &str) -> Result<(), Trouble> {
        let Some(found) = self.look_at_volume(name).await? else { return Ok(()) };
        if found.labels.get(LABEL_RUN).map(String::as_str) != Some(run) {
            return Err(Trouble::refused(format!("volume {name} was not made by this run and is left alone")));
        }
        self.have_volume_retired(name).await
    }

    /// The engine itself refuses to remove a volume that any container has, running or not.
    pub(super) async fn have_volume_retired(&self, name: &str) -> Result<(), Trouble> {
        match self.engine.api.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(self.engine.trouble(format!("cannot remove volume {name}"), error)),
        }
    }
}
