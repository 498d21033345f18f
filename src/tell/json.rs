//! One event a line on standard output, for programs. Each has `event`, `at`, and `step` where it belongs to one.

use jiff::Timestamp;
use serde_json::Value;

use super::{Event, Printer, out};

pub struct Json;

impl Printer for Json {
    fn print(&mut self, event: &Event) {
        out::data(&line(event, Timestamp::now()));
    }
}

pub fn line(event: &Event, at: Timestamp) -> String {
    let mut value = serde_json::to_value(event).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
        fields.insert("at".into(), at.to_string().into());
    }
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::super::Unit;
    use super::*;

    #[test]
    fn every_event_is_one_line_with_its_time_and_step() {
        let at = "2026-11-22T03:00:00Z".parse().unwrap();
        let text = |event| line(&event, at);
        assert_eq!(
            text(Event::StepDone { step: "fence".into(), fact: "V1 takes no write\n".into(), ms: 41 }),
            "{\"at\":\"2026-11-22T03:00:00Z\",\"event\":\"step-done\",\"fact\":\"V1 takes no write\\n\",\"ms\":41,\"step\":\"fence\"}\n"
        );
        assert_eq!(
            text(Event::Warning { step: None, what: "no".into() }),
            "{\"at\":\"2026-11-22T03:00:00Z\",\"event\":\"warning\",\"what\":\"no\"}\n"
        );
        let progress = Event::Progress {
            step: Some("seed".into()),
            what: "copied".into(),
            done: 1,
            total: None,
            rate: Some(2),
            unit: Unit::Bytes,
        };
        assert!(text(progress).contains("\"rate\":2,\"step\":\"seed\",\"unit\":\"bytes\""));
        let result = text(Event::Result(Box::new(serde_json::json!({ "outcome": "switched" }))));
        assert_eq!(result, "{\"at\":\"2026-11-22T03:00:00Z\",\"event\":\"result\",\"outcome\":\"switched\"}\n");
    }
}
