//! Holding V1's listener: SIGSTOP to its main process, so that new connections wait in the kernel instead of being
//! refused, while sessions and streaming go on.
//!
//! A signal sent through the engine would mark V1 as manually stopped, and `unless-stopped` would not bring it back
//! after a reboot (moby#41302). From inside its own namespace process 1 can be continued but not stopped. So a helper
//! in the host's process namespace sends it, and continues it after the cap by itself, whoever is dead by then.

use std::cell::RefCell;
use std::time::Duration;

use crate::engine::Place;
use crate::runtime::{Call, Helper, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1`: the server's main process as the host numbers it. It is recognised by its birth (field 22 of `stat`), so
/// that a number used again is never signalled. Only a PostgreSQL that is process 1 of its container is accepted.
/// The timer survives the end of standard input: `wait` keeps the helper alive for it. `still` stops those of the
/// server's own processes that write into its log by themselves, looked up beforehand as every millisecond counts then; a
/// user of such a name has more words in its title.
const SIGNALLER: &str = r#"
pid=$1
birth() { read -r line < "/proc/$pid/stat" || return 1; set -- ${line##*) }; echo "${20}"; }
born=$(birth 2>/dev/null) || { echo gone; exit 0; }
name= ; nspid=
while read -r key value; do
  case $key in Name:) name=$value ;; NSpid:) nspid=$value ;; esac
done < "/proc/$pid/status"
case "$name:${nspid##*[[:space:]]}" in postgres:1|postmaster:1) echo ready ;; *) echo "not process 1"; exit 0 ;; esac
children() { cat "/proc/$pid/task/$pid/children"; }
writers() {
  for child in $(children); do
    title= ; read -r title < "/proc/$child/cmdline"
    while [ "$title" != "${title% }" ]; do title=${title% }; done
    case ${title##*: } in checkpointer|'background writer'|'autovacuum launcher') echo "$child" ;; esac
  done 2>/dev/null
}
timer=
while read -r order cap; do
  if [ "$(birth 2>/dev/null)" != "$born" ]; then echo gone; continue; fi
  case $order in
    stop)
      writing=$(writers)
      ( sleep "$cap"; [ "$(birth 2>/dev/null)" = "$born" ] && kill -CONT $(children) "$pid" ) </dev/null >/dev/null 2>&1 &
      timer=$!
      if kill -STOP "$pid" 2>/dev/null; then echo stopped; else echo refused; fi ;;
    still)
      # Not after the cap: V1 may serve by then.
      [ -z "$timer" ] || { kill -0 "$timer" && kill -STOP $writing; } 2>/dev/null
      echo still ;;
    beyond)
      [ -z "$timer" ] || kill "$timer" 2>/dev/null
      timer= ;;
  esac
done
wait
"#;

/// A helper that can stop V1's listener, made before the window.
pub(super) struct Signaller(RefCell<Box<dyn Helper>>);

/// `None`: this listener cannot be held, with the reason told; new connections will be refused instead.
pub(super) async fn signaller(place: &Place, container: &str) -> Result<Option<Signaller>, Trouble> {
    let Some(v1) = place.runtime.container(container).await? else {
        return Err(Trouble::failed(format!("container {container} is gone")));
    };
    let Some(pid) = v1.host_pid else { return Ok(None) };
    let pid = pid.to_string();
    let spec = HelperSpec {
        name: helper_name(place),
        image: place.plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", SIGNALLER, "sh", &pid].map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        host_pids: true,
        labels: place.plan.labels("both"),
        ..HelperSpec::default()
    };
    // No reason to fail the run: without it clients are refused instead of held.
    let mut helper = match place.runtime.helper(&spec).await {
        Ok(helper) => helper,
        Err(trouble) => {
            place.tell.warning(format!("V1's listener cannot be held: {}", trouble.one_line()));
            return Ok(None);
        }
    };
    let limit = Limit { name: "the helper's patience", value: Duration::from_secs(30) };
    let answer = wait::within(limit, "the helper that can hold V1's listener", helper.line()).await?;
    let same = place.runtime.container(container).await?.is_some_and(|now| now.started_at == v1.started_at);
    if answer.as_deref() == Some("ready") && same {
        return Ok(Some(Signaller(RefCell::new(helper))));
    }
    helper.end().await?;
    let why = answer.unwrap_or_else(|| "no answer".into());
    place.tell.warning(format!("V1's listener cannot be held ({why}): new connections will be refused instead"));
    Ok(None)
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-signaller", place.plan.tag())
}

/// With its timer: nobody stops or continues V1 from outside any more.
pub(super) async fn ensure_no_signaller(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&helper_name(place), &place.plan.run).await
}

impl Signaller {
    /// Stops the listener; it runs again by itself after `cap`. `false`: it could not be stopped.
    #[expect(clippy::await_holding_refcell_ref, reason = "one order at a time; nobody else borrows it")]
    pub(super) async fn stop(&self, cap: Duration) -> Result<bool, Trouble> {
        let mut helper = self.0.borrow_mut();
        let seconds = cap.as_secs() + u64::from(cap.subsec_nanos() > 0);
        let order = format!("stop {}", seconds.max(1));
        let asked = async {
            helper.send(&order).await?;
            loop {
                match helper.line().await? {
                    // To an order of an earlier attempt.
                    Some(answer) if answer == "still" => {}
                    answer => return Ok(answer),
                }
            }
        };
        let limit = Limit { name: "limits.statement", value: Duration::from_secs(2) };
        let answer = wait::within(limit, "holding V1's listener", asked).await?;
        Ok(answer.as_deref() == Some("stopped"))
    }

    /// Once no session is left: the server writes nothing more into its log by itself, which would keep it from following
    /// V2. Its answer is not waited for: clients are, and what is written until it is done V2 still gets.
    #[expect(clippy::await_holding_refcell_ref, reason = "one order at a time; nobody else borrows it")]
    pub(super) async fn still(&self) -> Result<(), Trouble> {
        self.0.borrow_mut().send("still").await
    }

    /// Beyond the line nothing is continued by the clock any more: V1 shall write nothing.
    #[expect(clippy::await_holding_refcell_ref, reason = "one order at a time; nobody else borrows it")]
    pub(super) async fn beyond(&self) -> Result<(), Trouble> {
        self.0.borrow_mut().send("beyond").await
    }
}

/// Continues the server's main process and what was stopped with it. Run in its data directory, inside its container.
pub(super) const CONTINUE: &str = r#"read -r pid rest < postmaster.pid && {
for stat in /proc/[0-9]*/stat; do
  read -r line < "$stat" || continue
  set -- ${line##*) }
  [ "$2" != "$pid" ] || kill -CONT "${line%% *}"
done 2>/dev/null
kill -CONT "$pid"; }"#;

/// The same without a session: a held server takes no connection. A server that runs is not disturbed; one that is down
/// needs none.
pub(super) async fn let_go(place: &Place, container: &str, data: &str) -> Result<(), Trouble> {
    go_on(place, container, data, CONTINUE).await
}

/// Beyond the line: only so that clients are told no. What writes by itself stays still.
pub(super) async fn let_refuse(place: &Place, container: &str, data: &str) -> Result<(), Trouble> {
    go_on(place, container, data, r#"read -r pid rest < postmaster.pid && kill -CONT "$pid""#).await
}

async fn go_on(place: &Place, container: &str, data: &str, script: &str) -> Result<(), Trouble> {
    let now = place.runtime.container(container).await?;
    if now.is_none_or(|now| now.state != crate::runtime::State::Running) {
        return Ok(());
    }
    let script = format!("cd \"$1\" && [ -e postmaster.pid ] || exit 0\n{script} 2>/dev/null\nexit 0");
    let argv = ["sh", "-c", &script, "sh", data];
    let call = Call { argv: &argv, user: None, stdin: b"" };
    let output = place.runtime.exec(container, &call).await?;
    match output.code {
        0 => Ok(()),
        code => Err(Trouble::failed(format!("cannot let V1's listener go: the command ended with {code}"))),
    }
}
