//! A client that writes on V1 and counts what was acknowledged.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Inserts numbered rows, one a transaction, over V1's local socket, until V1 says no.
pub(crate) struct Writer {
    child: Child,
    acknowledged: Arc<Mutex<Vec<u64>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(container: &str) -> Writer {
        let script = "i=0; while :; do i=$((i+1)); echo \"INSERT INTO numbered VALUES ($i) RETURNING n;\"; done | \
                      psql -X -A -t -q -U postgres -v ON_ERROR_STOP=1";
        let mut child = Command::new("docker")
            .args(["exec", container, "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (out, list) = (child.stdout.take().unwrap(), Arc::clone(&acknowledged));
        let reader = std::thread::spawn(move || {
            use std::io::BufRead;
            for line in std::io::BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(n) = line.parse() {
                    list.lock().unwrap().push(n);
                }
            }
        });
        Writer { child, acknowledged, reader: Some(reader) }
    }

    pub(crate) fn stop(mut self) -> Vec<u64> {
        self.end();
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }

    fn end(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}
