//! Short-lived containers of ours: seeds, copies, signals. Their standard streams stay open between us and them.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, ListContainersOptionsBuilder, StartContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::exec::Attached;
use super::lifecycle::removed;
use super::{Docker, Engine, Helper, HelperSpec, Output};
use crate::runtime::{LABEL_HELPER, LABEL_RUN};
use crate::trouble::Trouble;

/// Enough for an error's text.
const STDERR_KEPT: usize = 64 << 10;

impl Docker {
    pub(super) async fn start_helper(&self, spec: &HelperSpec) -> Result<Box<dyn Helper>, Trouble> {
        self.remove_helper_left_behind(spec).await?;
        let act = format!("cannot start helper {}", spec.name);
        let api = &self.engine.api;
        let options = CreateContainerOptions { name: Some(spec.name.clone()), platform: String::new() };
        let made = api.create_container(Some(options), body(spec)).await;
        let id = made.map_err(|error| self.engine.trouble(&act, error))?.id;
        let started = async {
            for file in &spec.files {
                self.write_file(&id, file).await?;
            }
            let streams = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true);
            let attached = api.attach_container(&id, Some(streams.build())).await;
            let attached = attached.map_err(|error| self.engine.trouble(&act, error))?;
            let begun = api.start_container(&id, None::<StartContainerOptions>).await;
            begun.map_err(|error| self.engine.trouble(&act, error))?;
            Ok(attached)
        };
        match started.await {
            Ok(attached) => Ok(Box::new(Running {
                engine: self.engine.clone(),
                id,
                name: spec.name.clone(),
                ends: Attached { output: attached.output, input: attached.input },
                unread: Vec::new(),
                stderr: Vec::new(),
            })),
            Err(trouble) => {
                // The label finds what this cannot remove.
                let _removed_or_found_later = remove(&self.engine, &id).await;
                Err(trouble)
            }
        }
    }

    async fn remove_helper_left_behind(&self, spec: &HelperSpec) -> Result<(), Trouble> {
        match self.look_at_container(&spec.name).await? {
            None => Ok(()),
            Some(found) if found.labels.contains_key(LABEL_HELPER) => remove(&self.engine, &found.id).await,
            Some(_) => Err(Trouble::refused(format!("a container that is not ours is called {} already", spec.name))),
        }
    }

    pub(super) async fn have_no_helpers(&self, run: &str) -> Result<(), Trouble> {
        let labels = vec![format!("{LABEL_RUN}={run}"), LABEL_HELPER.to_owned()];
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.engine.api.list_containers(Some(options)).await;
        let found = found.map_err(|error| self.engine.trouble("cannot look for helpers of this run", error))?;
        for id in found.into_iter().filter_map(|helper| helper.id) {
            remove(&self.engine, &id).await?;
        }
        Ok(())
    }
}

fn body(spec: &HelperSpec) -> ContainerCreateBody {
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    labels.insert(LABEL_HELPER.to_owned(), spec.name.clone());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: Some(spec.entrypoint.clone()),
        cmd: Some(Vec::new()),
        user: spec.user.clone(),
        labels: Some(labels),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(spec.mounts.iter().map(mount).collect()),
            network_mode: Some(spec.network.clone().unwrap_or_else(|| "none".into())),
            pid_mode: spec.host_pids.then(|| "host".into()),
            // What it says is for us alone, and may be much.
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn mount((source, target, read_only): &(String, String, bool)) -> Mount {
    Mount {
        typ: Some(if source.starts_with('/') { MountType::BIND } else { MountType::VOLUME }),
        source: Some(source.clone()),
        target: Some(target.clone()),
        read_only: Some(*read_only),
        ..Mount::default()
    }
}

/// With the volumes that its image made for it: nothing of a helper stays.
async fn remove(engine: &Engine, id: &str) -> Result<(), Trouble> {
    removed(engine, id, true).await
}

struct Running {
    engine: Engine,
    id: String,
    name: String,
    ends: Attached,
    /// Standard output that was not asked for yet.
    unread: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running {
    /// The next piece of output; `false`: it has ended.
    async fn hear(&mut self) -> Result<bool, Trouble> {
        match self.ends.output.next().await {
            None => return Ok(false),
            Some(Err(error)) => return Err(self.engine.trouble(format!("cannot hear helper {}", self.name), error)),
            Some(Ok(LogOutput::StdErr { message })) => {
                self.stderr.extend_from_slice(&message);
                let excess = self.stderr.len().saturating_sub(STDERR_KEPT);
                self.stderr.drain(..excess);
            }
            Some(Ok(part)) => self.unread.extend_from_slice(part.as_ref()),
        }
        Ok(true)
    }

    async fn exit_code(&self) -> Result<i64, Trouble> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut exit = std::pin::pin!(self.engine.api.wait_container(&self.id, Some(options)));
        match exit.next().await {
            Some(Ok(exit)) => Ok(exit.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(self.engine.trouble(format!("cannot wait for helper {}", self.name), error)),
            None => Err(Trouble::failed(format!("the end of helper {} was not told", self.name))),
        }
    }
}

#[async_trait(?Send)]
impl Helper for Running {
    async fn send(&mut self, line: &str) -> Result<(), Trouble> {
        let sent = async {
            self.ends.input.write_all(line.as_bytes()).await?;
            self.ends.input.write_all(b"\n").await?;
            self.ends.input.flush().await
        };
        sent.await.map_err(|error| Trouble::failed(format!("cannot speak to helper {}", self.name)).because(error))
    }

    async fn line(&mut self) -> Result<Option<String>, Trouble> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if !self.hear().await? {
                let last = std::mem::take(&mut self.unread);
                return Ok((!last.is_empty()).then(|| String::from_utf8_lossy(&last).into_owned()));
            }
        }
    }

    async fn end(mut self: Box<Self>) -> Result<Output, Trouble> {
        // It may have closed its end already.
        let _closed = self.ends.input.shutdown().await;
        while self.hear().await? {}
        let code = self.exit_code().await?;
        remove(&self.engine, &self.id).await?;
        Ok(Output { code, stdout: std::mem::take(&mut self.unread), stderr: std::mem::take(&mut self.stderr) })
    }
}
