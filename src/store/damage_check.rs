//! A check of the whole database for damage, and the number of calls that reported some.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{database::Store, drop_in_runtime::DropInRuntime, error::StoreError};

/// The maximum number of problems that the check reports.
const MOST_NAMED: u32 = 10;

impl Store {
    /// Returns how many calls of this process reported damage.
    pub fn calls_that_met_damage(&self) -> u64 {
        self.damage.calls()
    }

    /// Reads the whole database and returns descriptions of the damage in it, at most ten. Empty on PostgreSQL, whose
    /// server checks its pages itself. Takes as long as reading the whole file.
    pub async fn find_damage(&self) -> Result<Vec<String>, StoreError> {
        if self.db.get_database_backend() != DbBackend::Sqlite {
            return Ok(Vec::new());
        }
        let question = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA integrity_check({MOST_NAMED})"));
        let rows = match DropInRuntime::new(&self.runtime, self.db.query_all_raw(question)).await {
            Ok(rows) => rows,
            Err(error) => {
                return match StoreError::from(error) {
                    StoreError::Damaged(cause) => Ok(vec![cause.to_string()]),
                    other => Err(other),
                };
            }
        };
        let mut found = Vec::new();
        for row in rows {
            let line: String = row.try_get_by_index(0)?;
            found.extend(line.lines().filter(|line| *line != "ok").map(str::to_owned));
        }
        Ok(found)
    }
}
