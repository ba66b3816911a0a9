//! Columns of text.

use std::fmt;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of cells; the first is the head.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    pub(super) columns: [Align; N],
    pub(super) rows: Vec<[String; N]>,
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |n: usize| self.rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::new();
            for (n, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[n] - cell.chars().count());
                let gap = if n == 0 { "" } else { "  " };
                let parts = match self.columns[n] {
                    Align::Left => [gap, cell, &padding],
                    Align::Right => [gap, &padding, cell],
                };
                line.extend(parts);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other() {
        let rows = vec![["layer".to_owned(), "tasks".to_owned()], ["é".to_owned(), "7".to_owned()]];
        let table = Table { columns: [Align::Left, Align::Right], rows };
        assert_eq!(table.to_string(), "layer  tasks\né          7\n");
    }
}
