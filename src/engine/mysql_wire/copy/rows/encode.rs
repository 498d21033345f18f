//! Rows as LOAD DATA reads them by default: fields parted by tabs, rows by newlines, backslashes before what would be
//! taken for either, and `\N` for NULL.

use mysql_async::Value;

/// What a byte is written as after a backslash; 0: it stands for itself.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[b'\\' as usize] = b'\\';
    escapes[0] = b'0';
    escapes
};

/// Writes a row of texts behind what `out` has.
pub(super) fn row(values: &[Value], out: &mut Vec<u8>) {
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push(b'\t');
        }
        match value {
            Value::NULL => out.extend_from_slice(b"\\N"),
            Value::Bytes(bytes) => escaped(bytes, out),
            // The text protocol has none of the other forms.
            other => escaped(other.as_sql(true).trim_matches('\'').as_bytes(), out),
        }
    }
    out.push(b'\n');
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', ESCAPES[usize::from(rest[at])]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_field_is_escaped_and_null_is_no_text() {
        let mut out = Vec::new();
        row(&[Value::Bytes(b"a\tb\nc\\\0\xff".to_vec()), Value::NULL, Value::Bytes(Vec::new())], &mut out);
        row(&[Value::Bytes(b"\\N".to_vec())], &mut out);
        assert_eq!(out, b"a\\tb\\nc\\\\\\0\xff\t\\N\t\n\\\\N\n");
    }
}
