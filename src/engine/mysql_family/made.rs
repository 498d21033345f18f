//! What cannot be changed once a data directory is there: how V2's must be made anew, and how V1's must be read.

use serde::{Deserialize, Serialize};

use super::said::Said;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Made {
    pub(in crate::engine) lower_case_table_names: String,
    pub(in crate::engine) page_size: String,
    pub(in crate::engine) data_file: String,
    pub(in crate::engine) charset: String,
    pub(in crate::engine) collation: String,
}

impl Made {
    pub(in crate::engine) fn of(v1: &Said) -> Made {
        let said = |name: &str| v1.variable(name).to_owned();
        Made {
            lower_case_table_names: said("lower_case_table_names"),
            page_size: said("innodb_page_size"),
            data_file: said("innodb_data_file_path"),
            charset: said("character_set_server"),
            collation: said("collation_server"),
        }
    }

    /// As a server takes it.
    pub(in crate::engine) fn options(&self) -> Vec<String> {
        let options = [
            ("lower-case-table-names", &self.lower_case_table_names),
            ("innodb-page-size", &self.page_size),
            ("innodb-data-file-path", &self.data_file),
            ("character-set-server", &self.charset),
            ("collation-server", &self.collation),
        ];
        let said = options.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(option, value)| format!("--{option}={value}")).collect()
    }
}
