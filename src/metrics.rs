//! What monitoring wants to know of a database's last run, as node_exporter's textfile collector reads it. Pure.
//!
//! Names are part of what is promised. A figure that is not known is left out: it is never zero.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// What earlier runs have left in the file that is about to be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Earlier {
    pub success: Option<i64>,
    pub switched: Option<i64>,
    pub cutover_seconds: Option<f64>,
    /// A person had to look, and no run has ended as it was meant to since.
    pub person: bool,
}

const SUCCESS: &str = "switchover_last_success_timestamp_seconds";
const SWITCHED: &str = "switchover_last_switch_timestamp_seconds";
const PERSON: &str = "switchover_needs_person";
const CUTOVER: &str = "switchover_last_cutover_seconds";

impl Earlier {
    /// Out of a file that [`text`] made for the same database; anything else says nothing.
    pub fn read(file: &str, name: &str) -> Earlier {
        let label = label(name);
        let value = |metric: &str| {
            let mut lines = file.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix(label.as_str()));
            lines.next().map(|value| value.trim().to_owned())
        };
        Earlier {
            success: value(SUCCESS).and_then(|text| text.parse().ok()),
            switched: value(SWITCHED).and_then(|text| text.parse().ok()),
            cutover_seconds: value(CUTOVER).and_then(|text| text.parse().ok()),
            person: value(PERSON).as_deref() == Some("1"),
        }
    }
}

/// The file of one database. `result` is the run's `result` event.
pub fn text(name: &str, result: &Value, earlier: Earlier, now: Timestamp) -> String {
    let exit = result["exit"].as_i64();
    let outcome = result["outcome"].as_str().unwrap_or("unknown");
    let good = exit == Some(0);
    let switched = outcome == "switched";
    let second = now.as_second();
    let cutover = result["cutover_ms"].as_f64().filter(|_| switched).map(|ms| ms / 1000.0);
    let mut file = Metrics { label: label(name), text: String::new() };
    file.gauge("switchover_last_run_timestamp_seconds", "When the last run ended.", Some(second));
    file.gauge("switchover_last_exit_code", "Its exit code.", exit);
    file.outcome(outcome);
    file.gauge("switchover_last_tries", "How many tries it made.", result["tries"].as_u64());
    // 6 and 70: it stands half-way, or is wrong about itself.
    let settled = good && matches!(outcome, "switched" | "turned-back" | "retired");
    let person = exit.map(|exit| i64::from(matches!(exit, 6 | 70) || earlier.person && !settled));
    file.gauge(PERSON, "1 where a person must look, until a run has ended as it was meant to.", person);
    let success = if good { Some(second) } else { earlier.success };
    file.gauge(SUCCESS, "When a run last ended well, also with nothing to do.", success);
    let at = if switched { Some(second) } else { earlier.switched };
    file.gauge(SWITCHED, "When the database last moved.", at);
    file.gauge(
        CUTOVER,
        "From the first session ended to the first write proven, of the last move.",
        cutover.or(earlier.cutover_seconds),
    );
    file.text
}

struct Metrics {
    label: String,
    text: String,
}

impl Metrics {
    fn gauge(&mut self, metric: &str, help: &str, value: Option<impl std::fmt::Display>) {
        let Some(value) = value else { return };
        let _infallible =
            writeln!(self.text, "# HELP {metric} {help}\n# TYPE {metric} gauge\n{metric}{} {value}", self.label);
    }

    fn outcome(&mut self, outcome: &str) {
        let metric = "switchover_last_outcome";
        let label = self.label.trim_end_matches('}').to_owned();
        let help = "1 for the outcome of the last run.";
        let _infallible = writeln!(
            self.text,
            "# HELP {metric} {help}\n# TYPE {metric} gauge\n{metric}{label},outcome=\"{}\"}} 1",
            escaped(outcome)
        );
    }
}

fn label(name: &str) -> String {
    format!("{{name=\"{}\"}}", escaped(name))
}

/// As the format wants it within quotes. (Prometheus: "Exposition formats")
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_failed_night_keeps_what_earlier_ones_have_said() {
        let switched = json!({ "exit": 0, "outcome": "switched", "cutover_ms": 180 });
        let first = text("shop-db", &switched, Earlier::default(), at(1000));
        assert!(first.contains("switchover_last_cutover_seconds{name=\"shop-db\"} 0.18\n"), "{first}");
        let earlier = Earlier::read(&first, "shop-db");
        assert_eq!(
            earlier,
            Earlier { success: Some(1000), switched: Some(1000), cutover_seconds: Some(0.18), person: false }
        );
        let failed = text("shop-db", &json!({ "exit": 6, "outcome": "stopped" }), earlier, at(2000));
        for line in [
            "switchover_last_run_timestamp_seconds{name=\"shop-db\"} 2000",
            "switchover_last_outcome{name=\"shop-db\",outcome=\"stopped\"} 1",
            "switchover_needs_person{name=\"shop-db\"} 1",
        ] {
            assert!(failed.contains(line), "{failed}");
        }
        let half_way = Earlier::read(&failed, "shop-db");
        assert_eq!(half_way, Earlier { person: true, ..earlier });
        let idle = text("shop-db", &json!({ "exit": 0, "outcome": "nothing-to-do" }), half_way, at(2500));
        assert!(Earlier::read(&idle, "shop-db").person, "nobody has looked");
        let resumed = text("shop-db", &switched, half_way, at(2600));
        assert!(!Earlier::read(&resumed, "shop-db").person);
        let third = text("shop-db", &json!({ "exit": 0, "outcome": "switched", "tries": 3 }), earlier, at(2700));
        assert!(third.contains("switchover_last_tries{name=\"shop-db\"} 3\n") && !idle.contains("tries"), "{third}");
        let nothing = text("shop-db", &json!({ "exit": 0, "outcome": "nothing-to-do" }), earlier, at(3000));
        assert_eq!(Earlier::read(&nothing, "shop-db"), Earlier { success: Some(3000), ..earlier });
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let failed =
            text("a", &json!({ "exit": 3, "outcome": "refused" }), Earlier::read("of something else", "a"), at(1));
        assert!(
            !failed.contains(SUCCESS) && !failed.contains(CUTOVER) && failed.contains("needs_person{name=\"a\"} 0")
        );
        assert!(text("a\"b\\", &json!({}), Earlier::default(), at(1)).contains("{name=\"a\\\"b\\\\\"}"));
    }
}
