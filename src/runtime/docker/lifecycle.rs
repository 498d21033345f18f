//! Starting, stopping, naming and removing. An answer that says "it is so already" is believed after a look only.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    RestartContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};

use super::look::could_be_a_container;
use super::{Container, Docker, Engine, said};
use crate::runtime::{LABEL_RUN, State};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

impl Docker {
    pub(super) async fn have_started(&self, name: &str) -> Result<(), Trouble> {
        let api = &self.engine.api;
        let started = self.on(name, async |id| api.start_container(&id, None::<StartContainerOptions>).await).await;
        match started {
            Ok(()) => Ok(()),
            Err(error) => match self.look_at_container(name).await {
                Ok(Some(Container { state: State::Running, .. })) => Ok(()),
                _ => Err(self.engine.trouble(format!("cannot start container {name}"), error)),
            },
        }
    }

    pub(super) async fn have_stopped(&self, name: &str, signal: &str, within: Duration) -> Result<i64, Trouble> {
        let found = self.look_at_container(name).await?.ok_or_else(|| no_container(name))?;
        let id = &found.id;
        let seconds = i32::try_from(within.as_secs().max(1)).unwrap_or(i32::MAX);
        let mut stop = StopContainerOptionsBuilder::default().t(seconds);
        if self.engine.stops_with_any_signal() {
            stop = stop.signal(signal);
        } else if found.state == State::Running && plain(signal) != plain(&found.stop_signal) {
            // Such an engine can stop with the container's own signal only: ours goes first.
            self.signal_and_wait(&found, signal, within).await?;
        }
        // Also where it has ended already: only a stop keeps the restart policy from starting it again.
        let patient = self.engine.api.clone().with_timeout(within + Duration::from_secs(30));
        let act = || format!("cannot stop container {name}");
        patient.stop_container(id, Some(stop.build())).await.map_err(|error| self.engine.trouble(act(), error))?;
        match self.look_at_container(id).await?.map(|container| container.state) {
            Some(State::Exited(code)) => Ok(code),
            Some(State::Created) => Ok(0),
            Some(other) => Err(Trouble::failed(act()).because(Trouble::failed(format!("it is {other:?} afterwards")))),
            None => Err(no_container(name)),
        }
    }

    pub(super) async fn have_restarted(&self, name: &str, since: &str, within: Duration) -> Result<(), Trouble> {
        let again = |found: &Container| found.state == State::Running && found.started_at != since;
        let found = self.look_at_container(name).await?.ok_or_else(|| no_container(name))?;
        if again(&found) {
            return Ok(());
        }
        let seconds = i32::try_from(within.as_secs().max(1)).unwrap_or(i32::MAX);
        let options = RestartContainerOptionsBuilder::default().t(seconds).build();
        let patient = self.engine.api.clone().with_timeout(within + Duration::from_secs(30));
        let act = || format!("cannot restart container {name}");
        patient.restart_container(&found.id, Some(options)).await.map_err(|error| self.engine.trouble(act(), error))?;
        match self.look_at_container(&found.id).await? {
            Some(now) if again(&now) => Ok(()),
            Some(now) => {
                Err(Trouble::failed(act()).because(Trouble::failed(format!("it is {:?} afterwards", now.state))))
            }
            None => Err(no_container(name)),
        }
    }

    /// Returns when the container's present process has ended, or when the time is over.
    async fn signal_and_wait(&self, before: &Container, signal: &str, within: Duration) -> Result<(), Trouble> {
        let kill = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.engine.api.kill_container(&before.id, Some(kill)).await {
            Ok(()) => {}
            // It ended in between.
            Err(error) if said::status(&error) == Some(409) => return Ok(()),
            Err(error) => {
                return Err(self.engine.trouble(format!("cannot send {signal} to container {}", before.name), error));
            }
        }
        let wait = Wait {
            what: "the container's end",
            limit: Limit { name: "the time to stop", value: within },
            every: Duration::from_millis(20),
            kind: Kind::Failed,
        };
        let silent = Teller::silent();
        let ended = wait::until(wait, &silent, async || {
            Ok(match self.look_at_container(&before.id).await? {
                // Its restart policy may have brought it back already.
                Some(now) if now.state == State::Running && now.started_at == before.started_at => {
                    Look::NotYet("it runs".into())
                }
                _ => Look::Done(()),
            })
        });
        // The stop that follows ends what has not ended by now.
        let _in_time_or_not = ended.await;
        Ok(())
    }

    pub(super) async fn have_no_container(&self, name: &str, run: &str) -> Result<(), Trouble> {
        let Some(found) = self.look_at_container(name).await? else { return Ok(()) };
        if found.labels.get(LABEL_RUN).map(String::as_str) != Some(run) {
            return Err(Trouble::refused(format!("container {name} was not made by this run and is left alone")));
        }
        // With the volumes that the engine made for it alone; ours have names and stay.
        removed(&self.engine, &found.id, true).await
    }

    pub(super) async fn have_retired(&self, id: &str) -> Result<(), Trouble> {
        match self.look_at_container(id).await? {
            None => Ok(()),
            // A name may have moved to the other side.
            Some(found) if found.id != id => Err(Trouble::bug(format!("{id} is no full container id"))),
            Some(found) if found.state != State::Running => removed(&self.engine, id, false).await,
            Some(found) => Err(Trouble::refused(format!("container {} runs and is not removed", found.name))),
        }
    }

    pub(super) async fn have_named(&self, id: &str, name: &str) -> Result<(), Trouble> {
        if !could_be_a_container(name) {
            return Err(Trouble::usage(format!("`{name}` cannot be the name of a container")));
        }
        let api = &self.engine.api;
        let options = || RenameContainerOptionsBuilder::default().name(name).build();
        let Err(error) = self.on(id, async |id| api.rename_container(&id, options()).await).await else {
            return Ok(());
        };
        match self.look_at_container(id).await {
            Ok(Some(found)) if found.name == name => return Ok(()),
            Ok(None) => return Err(no_container(id)),
            _ => {}
        }
        let trouble = self.engine.trouble(format!("cannot give container {id} the name {name}"), error);
        Err(match self.look_at_container(name).await {
            Ok(Some(other)) if other.name == name => {
                trouble.hint(format!("container {} has that name: `docker rename {name} …`", short(&other.id)))
            }
            _ => trouble,
        })
    }

    pub(super) async fn have_restart_policy(&self, name: &str, policy: &str) -> Result<(), Trouble> {
        let body = ContainerUpdateBody { restart_policy: Some(parsed(policy)?), ..ContainerUpdateBody::default() };
        let api = &self.engine.api;
        match self.on(name, async |id| api.update_container(&id, body.clone()).await).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self
                .engine
                .trouble(format!("cannot set the restart policy of container {name} to {policy}"), error)),
        }
    }
}

/// As in `docker run --restart`.
fn parsed(policy: &str) -> Result<RestartPolicy, Trouble> {
    let (name, times) = policy.split_once(':').unwrap_or((policy, "0"));
    let unknown = || Trouble::usage(format!("`{policy}` is no restart policy"));
    let name = match name {
        "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => return Err(unknown()),
    };
    let times = times.parse().map_err(|_| unknown())?;
    Ok(RestartPolicy { name: Some(name), maximum_retry_count: Some(times) })
}

fn plain(signal: &str) -> &str {
    match signal.trim_start_matches("SIG") {
        "" => "TERM",
        name => name,
    }
}

pub(super) fn no_container(name: &str) -> Trouble {
    Trouble::failed(format!("there is no container {name}"))
}

pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A container is gone, whoever else is removing it at the same time (a guard beside its tool).
pub(super) async fn removed(engine: &Engine, id: &str, with_anonymous_volumes: bool) -> Result<(), Trouble> {
    let what = format!("the engine to have removed container {id}");
    let wait = Wait {
        what: &what,
        limit: Limit { name: "1 min", value: Duration::from_secs(60) },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    wait::until(wait, &Teller::silent(), async || {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(with_anonymous_volumes).build();
        match engine.api.remove_container(id, Some(options)).await {
            Ok(()) => Ok(Look::Done(())),
            Err(error) if is_gone(&error) => Ok(Look::Done(())),
            Err(error) if said::status(&error) == Some(409) && said::message(&error).contains("in progress") => {
                Ok(Look::NotYet("another removal of it is at work".into()))
            }
            Err(error) => Err(engine.trouble(format!("cannot remove container {id}"), error)),
        }
    })
    .await
}

/// Whether an act failed because the thing is not there.
pub(super) fn is_gone(error: &Error) -> bool {
    said::status(error) == Some(404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_are_read_as_docker_run_reads_them() {
        let read = |text| parsed(text).ok().map(|p| (p.name.unwrap().to_string(), p.maximum_retry_count.unwrap()));
        assert_eq!(read("on-failure:3"), Some(("on-failure".into(), 3)));
        assert_eq!(read("unless-stopped"), Some(("unless-stopped".into(), 0)));
        assert_eq!((read("on-failure:x"), read("sometimes")), (None, None));
    }
}
