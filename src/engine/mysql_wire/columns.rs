//! A column: how its values are read, written and compared without the loss of a digit or a byte.

use super::quote::ident;

/// How the values of a type go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Kind {
    /// What is printed is all there is: whole numbers, decimals, dates, times.
    Printed,
    /// FLOAT, and what is printed with a fixed number of digits: read as DOUBLE, which is printed whole.
    Rounded,
    /// BIT and SET: by number, as their texts depend on the character set.
    Numbered,
    /// ENUM: by number; nothing but the number tells the server's mark of a wrong value (0) from an empty member.
    Enumerated,
    /// JSON of MySQL's: made of a text, of characters.
    Json,
    /// UUID, INET4, INET6: the same.
    Parsed,
    /// Characters, of limited length.
    Text,
    /// Bytes, of limited length.
    Bytes,
    /// Characters or bytes that may be longer than a packet: TEXT, BLOB, geometries, vectors.
    Long,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Column {
    pub(in crate::engine) name: String,
    pub(in crate::engine) kind: Kind,
    /// A whole number.
    pub(in crate::engine) integer: bool,
    /// AUTO_INCREMENT.
    pub(in crate::engine) counted: bool,
    /// The server makes its values.
    pub(in crate::engine) generated: bool,
}

impl Column {
    /// By what `information_schema.COLUMNS` says: DATA_TYPE, COLUMN_TYPE and EXTRA.
    pub(in crate::engine) fn described(name: String, data_type: &str, column_type: &str, extra: &str) -> Column {
        let data_type = data_type.to_ascii_lowercase();
        let kind = match data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "date" | "time" | "datetime"
            | "timestamp" | "year" => Kind::Printed,
            "double" if !column_type.contains('(') => Kind::Printed,
            "double" | "float" => Kind::Rounded,
            "bit" | "set" => Kind::Numbered,
            "enum" => Kind::Enumerated,
            "json" => Kind::Json,
            "uuid" | "inet4" | "inet6" => Kind::Parsed,
            "char" | "varchar" => Kind::Text,
            "binary" | "varbinary" => Kind::Bytes,
            _ => Kind::Long,
        };
        let extra = extra.to_ascii_uppercase();
        let generated = extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED");
        Column { name, kind, integer: data_type.ends_with("int"), counted: extra.contains("AUTO_INCREMENT"), generated }
    }

    /// Its value in a SELECT whose results are taken as bytes.
    pub(in crate::engine) fn read(&self) -> String {
        let name = ident(&self.name);
        match self.kind {
            // Times one: a negative zero stays one.
            Kind::Rounded => format!("{name} * 1e0"),
            Kind::Numbered | Kind::Enumerated => format!("CAST({name} AS UNSIGNED)"),
            _ => name,
        }
    }

    /// Where a field of a LOAD DATA with bytes goes, and what is made of it there.
    pub(in crate::engine) fn written(&self, field: usize) -> (String, Option<String>) {
        let name = ident(&self.name);
        let variable = format!("@f{field}");
        match self.kind {
            Kind::Numbered | Kind::Enumerated => {
                let set = format!("{name} = CAST({variable} AS UNSIGNED)");
                (variable, Some(set))
            }
            Kind::Json | Kind::Parsed => {
                let set = format!("{name} = CONVERT({variable} USING utf8mb4)");
                (variable, Some(set))
            }
            _ => (name, None),
        }
    }

    /// The same, in a LOAD DATA that makes something of other fields: MariaDB then takes the zero of a counted column for a
    /// wish for the next number, unless it is set as well.
    pub(in crate::engine) fn written_among(&self, field: usize) -> (String, Option<String>) {
        match self.written(field) {
            (name, None) if self.counted => (format!("@f{field}"), Some(format!("{name} = @f{field}"))),
            written => written,
        }
    }

    /// Its value as a text of which equal ones are equal values; never the text `N`, which stands for NULL. Long ones by
    /// their hash: a function's result is limited to a packet. JSON by what its text says: a copy by statements has no
    /// other, and what was made of a DECIMAL is a DOUBLE there.
    pub(in crate::engine) fn compared(&self) -> String {
        let name = ident(&self.name);
        let value = match self.kind {
            Kind::Printed => name,
            Kind::Rounded | Kind::Numbered | Kind::Enumerated => self.read(),
            Kind::Json => format!("SHA2(CAST(CAST({name} AS CHAR CHARACTER SET utf8mb4) AS JSON), 256)"),
            Kind::Parsed => format!("CAST({name} AS CHAR CHARACTER SET utf8mb4)"),
            Kind::Text | Kind::Bytes => format!("HEX({name})"),
            Kind::Long => format!("SHA2({name}, 256)"),
        };
        format!("COALESCE({value}, 'N')")
    }

    /// Its value for people, as a part of what identifies a row: the same text for the same value only.
    pub(in crate::engine) fn shown(&self) -> String {
        let name = ident(&self.name);
        match self.kind {
            Kind::Printed => name,
            Kind::Rounded | Kind::Numbered | Kind::Enumerated => self.read(),
            Kind::Text => format!("QUOTE(CONVERT({name} USING utf8mb4))"),
            Kind::Json | Kind::Parsed => format!("CAST({name} AS CHAR CHARACTER SET utf8mb4)"),
            Kind::Bytes | Kind::Long => format!("CONCAT('0x', HEX({name}))"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: &str, column_type: &str, extra: &str) -> Column {
        Column::described("a`b".into(), data_type, column_type, extra)
    }

    #[test]
    fn every_type_has_its_way() {
        assert_eq!(column("float", "float(7,4)", "").read(), "`a``b` * 1e0");
        assert_eq!(column("double", "double", "").read(), "`a``b`");
        assert_eq!(column("double", "double(10,2)", "").kind, Kind::Rounded);
        assert_eq!(
            column("set", "set('a')", "").written(3),
            ("@f3".to_owned(), Some("`a``b` = CAST(@f3 AS UNSIGNED)".to_owned()))
        );
        assert_eq!(column("longblob", "longblob", "").compared(), "COALESCE(SHA2(`a``b`, 256), 'N')");
        let counted = column("int", "int", "auto_increment");
        assert_eq!(counted.written(0), ("`a``b`".to_owned(), None));
        assert_eq!(counted.written_among(0), ("@f0".to_owned(), Some("`a``b` = @f0".to_owned())));
        assert!(column("int", "int", "VIRTUAL GENERATED INVISIBLE").generated);
        assert!(!column("datetime", "datetime", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP").generated);
    }
}
