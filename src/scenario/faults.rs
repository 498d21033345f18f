//! Faults of containers and networks, and how they hit the tool at the moment that was meant.

use std::time::Duration;

use rustix::process::Signal;

use super::command::{Call, docker};
use super::stage::Stage;
use super::steps::{Cut, Fault, Moment, Strike, ToolSignal};
use super::tool::{Tool, kill_everything_of};
use crate::trouble::Trouble;
use crate::wait;

/// Until the tool reaches the step that is to be hit.
const REACH: Duration = Duration::from_secs(180);
/// Until a tool that was killed is gone.
const DEATH: Duration = Duration::from_secs(10);

/// What the environment of a call must hold for its strike.
pub(super) fn crash_point(moment: &Moment, strike: &Strike) -> Option<String> {
    match (moment, strike) {
        (Moment::During(_) | Moment::Said(_), _) => None,
        (Moment::Point(point), Strike::KillTool { guard: false }) => Some(point.clone()),
        (Moment::Point(point), _) => Some(format!("freeze:{point}")),
    }
}

/// Waits for the moment and strikes. An error when the moment never came, or was over before the strike was done.
pub(super) async fn strike(stage: &Stage, tool: &mut Tool, moment: &Moment, strike: &Strike) -> Result<(), Trouble> {
    match (moment, strike) {
        (Moment::Point(point), Strike::KillTool { guard: false }) => {
            tool.accounted = true;
            let exit = tool.end(REACH, &stage.tell).await?;
            if exit.signal == Some(Signal::KILL.as_raw()) {
                return Ok(());
            }
            let what = format!("the tool ended by itself ({exit}): it was never killed at {point}");
            Err(Trouble::failed(what).because(Trouble::failed(tool.said().last_words())))
        }
        (Moment::Point(point), _) => {
            tool.frozen(point, REACH, &stage.tell).await?;
            deal(stage, tool, strike).await?;
            tool.thaw();
            Ok(())
        }
        (Moment::Said(text), _) => {
            tool.says(text, REACH, &stage.tell).await?;
            deal(stage, tool, strike).await?;
            if matches!(strike, Strike::FreezeTool(_)) {
                tool.thaw();
            }
            Ok(())
        }
        (Moment::During(step), _) => {
            tool.begun(step, REACH, &stage.tell).await?;
            deal(stage, tool, strike).await?;
            if matches!(strike, Strike::FreezeTool(_)) {
                tool.thaw();
            }
            if tool.said().has("step-done", step) && !matches!(strike, Strike::Signal(_)) {
                return Err(Trouble::failed(format!("the fault came too late: {step} was done by then")));
            }
            Ok(())
        }
    }
}

async fn deal(stage: &Stage, tool: &mut Tool, strike: &Strike) -> Result<(), Trouble> {
    match strike {
        Strike::KillTool { guard } => {
            tool.accounted = true;
            if *guard {
                let killed = kill_everything_of(&stage.project);
                if killed.len() < 2 {
                    return Err(Trouble::failed("there was no guard to kill beside the tool"));
                }
            } else {
                tool.signal(Signal::KILL)?;
            }
            let exit = tool.end(DEATH, &stage.tell).await?;
            if exit.signal == Some(Signal::KILL.as_raw()) {
                return Ok(());
            }
            Err(Trouble::failed(format!("the tool had ended by itself ({exit}) before it could be killed")))
        }
        Strike::FreezeTool(length) => {
            // It turns back when it wakes, or its guard has ended it by then: the scenario's next steps tell.
            tool.accounted = true;
            tool.signal(Signal::STOP)?;
            wait::pace(*length).await;
            Ok(())
        }
        Strike::Signal(ToolSignal::Interrupt) => tool.signal(Signal::INT),
        Strike::Signal(ToolSignal::Terminate) => tool.signal(Signal::TERM),
        Strike::Fault(fault) => inflict(stage, fault).await,
    }
}

/// Does the fault, and sees that it is done.
pub(super) async fn inflict(stage: &Stage, fault: &Fault) -> Result<(), Trouble> {
    let (verb, target) = match fault {
        Fault::Stop(target) => (vec!["stop", "-t", "60"], target),
        Fault::Kill(target) => (vec!["kill"], target),
        Fault::Start(target) => (vec!["start"], target),
        Fault::Restart(target) => (vec!["restart"], target),
        Fault::Pause(target) => (vec!["pause"], target),
        Fault::Unpause(target) => (vec!["unpause"], target),
        Fault::Partition(cut) => return packets(stage, cut, "-A").await,
        Fault::Heal(cut) => return packets(stage, cut, "-D").await,
    };
    let container = stage.container(target).await?;
    docker(verb.into_iter().chain([container.as_str()])).within(Duration::from_secs(90)).ok().await.map(drop)
}

/// Packets from and to the container's addresses are dropped (or let through again) inside its own network namespace:
/// nothing is closed, nobody is told, as when a cable is pulled.
async fn packets(stage: &Stage, cut: &Cut, act: &str) -> Result<(), Trouble> {
    let container = stage.inspect(&stage.container(&cut.target).await?).await?;
    let pid = container.0["State"]["Pid"].to_string();
    let mut addresses = Vec::new();
    for (name, network) in container.networks() {
        let meant = match cut.network.as_deref() {
            None => true,
            Some("private") => is_private(name).await?,
            Some(wanted) => *name == format!("{}_{wanted}", stage.project),
        };
        addresses.extend(network["IPAddress"].as_str().filter(|ip| meant && !ip.is_empty()).map(str::to_owned));
    }
    if addresses.is_empty() {
        let network = cut.network.as_deref().unwrap_or("any network");
        return Err(Trouble::failed(format!("{} has no address on {network}: nothing to cut", cut.target)));
    }
    for address in addresses {
        for (chain, side) in [("INPUT", "-d"), ("OUTPUT", "-s")] {
            let inside = ["nsenter", "-t", &pid, "-n", "iptables", "-w", act, chain, side, &address, "-j", "DROP"];
            Call::new(inside)
                .ok()
                .await
                .map_err(|error| error.hint("a partition needs root and iptables on this host"))?;
        }
    }
    Ok(())
}

async fn is_private(network: &str) -> Result<bool, Trouble> {
    let labels = docker(["network", "inspect", "--format", "{{json .Labels}}", network]).ok().await?;
    Ok(labels.contains("\"switchover.run\""))
}
