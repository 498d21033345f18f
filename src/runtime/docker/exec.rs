//! Programs inside a running container. About 60 ms each: never inside the window.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Call, Docker, Output, said};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What a program in a container writes, by stream, and its standard input.
pub(super) struct Attached {
    pub(super) output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Docker {
    pub(super) async fn run_inside(&self, container: &str, call: &Call<'_>) -> Result<Output, Trouble> {
        let program = call.argv.first().copied().unwrap_or_default();
        let act = || format!("cannot run {program} in container {container}");
        let limit = Limit { name: "the engine's patience", value: Duration::from_secs(120) };
        match wait::within(limit, &format!("{program} in container {container}"), async {
            Ok(self.try_inside(container, call).await)
        })
        .await?
        {
            Ok(output) => Ok(output),
            // Newer engines answer this way what older ones write to the stream.
            Err(error) if is_no_program(&error) => {
                let stderr = said::message(&error).as_bytes().to_vec();
                Ok(Output { code: 127, stdout: Vec::new(), stderr })
            }
            Err(error) => Err(self.engine.trouble(act(), error)),
        }
    }

    async fn try_inside(&self, container: &str, call: &Call<'_>) -> Result<Output, Error> {
        let (exec, attached) = self.attach_exec(container, call, !call.stdin.is_empty()).await?;
        let Attached { mut output, mut input } = attached;
        let feed = async {
            // A program that ends without reading all of its input is no error of ours.
            let _all_or_not = input.write_all(call.stdin).await;
            let _closed = input.shutdown().await;
        };
        let mut said = Output::default();
        let listen = async {
            while let Some(part) = output.next().await {
                match part? {
                    LogOutput::StdErr { message } => said.stderr.extend_from_slice(&message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                        said.stdout.extend_from_slice(&message);
                    }
                }
            }
            Ok::<(), Error>(())
        };
        let ((), listened) = futures_util::future::join(feed, listen).await;
        listened?;
        said.code = self.exit_code(&exec).await?;
        Ok(said)
    }

    pub(super) async fn attach_exec(
        &self,
        container: &str,
        call: &Call<'_>,
        stdin: bool,
    ) -> Result<(String, Attached), Error> {
        let options = || CreateExecOptions::<String> {
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(call.argv.iter().map(|&word| word.to_owned()).collect()),
            user: call.user.map(str::to_owned),
            ..CreateExecOptions::default()
        };
        let api = &self.engine.api;
        let exec = self.on(container, async |id| api.create_exec(&id, options()).await).await?.id;
        match api.start_exec(&exec, None::<StartExecOptions>).await? {
            StartExecResults::Attached { output, input } => Ok((exec, Attached { output, input })),
            StartExecResults::Detached => Err(Error::DockerStreamError { error: "the program was detached".into() }),
        }
    }

    /// The stream may end a moment before the engine knows the code.
    async fn exit_code(&self, exec: &str) -> Result<i64, Error> {
        let wait = Wait {
            what: "a program's exit code",
            limit: Limit { name: "5 s", value: Duration::from_secs(5) },
            every: Duration::from_millis(2),
            kind: Kind::Failed,
        };
        let mut failed = None;
        let code = wait::until(wait, &Teller::silent(), async || match self.engine.api.inspect_exec(exec).await {
            Ok(found) if found.running == Some(false) => Ok(Look::Done(found.exit_code)),
            Ok(_) => Ok(Look::NotYet("it has not ended".into())),
            Err(error) => {
                failed = Some(error);
                Ok(Look::Done(None))
            }
        })
        .await;
        match (failed, code) {
            (Some(error), _) => Err(error),
            (None, Ok(Some(code))) => Ok(code),
            (None, _) => Err(Error::DockerStreamError { error: "its exit code cannot be known".into() }),
        }
    }
}

fn is_no_program(error: &Error) -> bool {
    let said = said::message(error);
    said.contains("executable file not found") || said.contains("exec failed") && said.contains("no such file")
}
