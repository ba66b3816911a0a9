//! The table: CSV or Parquet, built under another name.
//!
//! *Invariant:* equal rows give equal bytes: no clock, host or version of a path is in it. In CSV integers are exact and floats have
//! the fewest digits that mean the same value; in Parquet all values are float64.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_io::disk::{parent, remove, rename, sync_folder};
use microtome_io::{WriteError, beside};
use microtome_ops::Statistics;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::{Deserialize, Serialize};

/// The columns, by the names of both formats.
const COLUMNS: [&str; 11] = ["path", "scene", "t", "c", "z", "min", "max", "mean", "std", "sum", "s"];
/// The same as Parquet wants them.
const SCHEMA: &str = "message planes {
    required binary path (UTF8);
    required int64 scene; required int64 t; required int64 c; required int64 z;
    required double min; required double max; required double mean; required double std; required double sum;
    required int64 s;
}";
/// Rows of a row group.
const GROUP: usize = 1 << 16;

/// A row: a plane, or one sample of its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneRow {
    /// The scene.
    pub scene: usize,
    /// The plane.
    pub t: u64,
    /// The plane.
    pub c: u64,
    /// The plane.
    pub z: u64,
    /// The sample; 0 where pixels have one.
    pub s: u64,
    /// What is said of it.
    pub statistics: Statistics,
}

/// How a table is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Lines of text, the first with the names of the columns.
    Csv,
    /// Apache Parquet, not compressed but for repeated values.
    Parquet,
}

impl TableFormat {
    /// The format that the end of a name says.
    ///
    /// # Examples
    /// ```
    /// use microtome::TableFormat;
    /// assert_eq!(TableFormat::of("a.CSV".as_ref()), Some(TableFormat::Csv));
    /// assert_eq!(TableFormat::of("a.txt".as_ref()), None);
    /// ```
    pub fn of(path: &Path) -> Option<TableFormat> {
        match path.extension()?.to_string_lossy().to_lowercase().as_str() {
            "csv" => Some(TableFormat::Csv),
            "parquet" => Some(TableFormat::Parquet),
            _ => None,
        }
    }
}

/// A table that is written.
pub(super) struct Table {
    out: PathBuf,
    partial: PathBuf,
    rows: Rows,
}

enum Rows {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Parquet { writer: Box<SerializedFileWriter<BufWriter<File>>>, group: Vec<(String, PlaneRow)> },
}

impl Table {
    pub(super) fn create(out: &Path, format: TableFormat) -> Result<Table, WriteError> {
        let partial = beside::partial(out, "table")?;
        let failed = |e| WriteError::os(&partial, "create", e);
        let file = BufWriter::new(File::create(&partial).map_err(failed)?);
        let rows = match format {
            TableFormat::Csv => {
                let mut writer = csv::Writer::from_writer(file);
                writer.write_record(COLUMNS).map_err(|e| failed(std::io::Error::other(e)))?;
                Rows::Csv(Box::new(writer))
            }
            TableFormat::Parquet => {
                let schema = parse_message_type(SCHEMA).map_err(|e| failed(e.into()))?;
                let properties = WriterProperties::builder().set_created_by("microtome".to_owned()).build();
                let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties));
                Rows::Parquet { writer: Box::new(writer.map_err(|e| failed(e.into()))?), group: Vec::new() }
            }
        };
        Ok(Table { out: out.to_owned(), partial, rows })
    }

    pub(super) fn write(&mut self, path: &Path, row: &PlaneRow) -> Result<(), WriteError> {
        let path = path.display().to_string();
        let written = match &mut self.rows {
            Rows::Csv(writer) => writer.write_record(record(path, row)).map_err(std::io::Error::other),
            Rows::Parquet { writer, group } => {
                group.push((path, row.clone()));
                if group.len() < GROUP { Ok(()) } else { flush(writer, group).map_err(Into::into) }
            }
        };
        written.map_err(|e| WriteError::os(&self.partial, "write a row of", e))
    }

    /// Ends the table and gives it its name; gives its size in bytes.
    pub(super) fn publish(self) -> Result<u64, WriteError> {
        let failed = |e| WriteError::os(&self.partial, "write the end of", e);
        let file = match self.rows {
            Rows::Csv(writer) => writer.into_inner().map_err(|e| failed(std::io::Error::other(e.to_string())))?,
            Rows::Parquet { mut writer, mut group } => {
                flush(&mut writer, &mut group).map_err(|e| failed(e.into()))?;
                writer.into_inner().map_err(|e| failed(e.into()))?
            }
        };
        let mut file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        rename(&self.partial, &self.out)?;
        sync_folder(parent(&self.out))?;
        Ok(bytes)
    }

    /// Removes what there is of it, as far as possible.
    pub(super) fn abandon(self) {
        // The error that ended the run is the one to tell.
        let _ = remove(&self.partial);
    }
}

fn record(path: String, row: &PlaneRow) -> [String; COLUMNS.len()] {
    let PlaneRow { scene, t, c, z, s, statistics } = row;
    let Statistics { min, max, sum, mean, std, .. } = statistics;
    let float = |value: f64| format!("{value:?}");
    [
        path,
        scene.to_string(),
        t.to_string(),
        c.to_string(),
        z.to_string(),
        min.to_string(),
        max.to_string(),
        float(*mean),
        float(*std),
        sum.to_string(),
        s.to_string(),
    ]
}

/// Writes a row group.
fn flush(
    writer: &mut SerializedFileWriter<BufWriter<File>>,
    group: &mut Vec<(String, PlaneRow)>,
) -> Result<(), parquet::errors::ParquetError> {
    if group.is_empty() {
        return Ok(());
    }
    let rows = std::mem::take(group);
    let paths: Vec<ByteArray> = rows.iter().map(|(path, _)| ByteArray::from(path.as_str())).collect();
    let integers = |of: fn(&PlaneRow) -> u64| rows.iter().map(|(_, row)| of(row) as i64).collect::<Vec<_>>();
    let floats = |of: fn(&Statistics) -> f64| rows.iter().map(|(_, row)| of(&row.statistics)).collect::<Vec<_>>();
    let mut writer = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut next) = writer.next_column()? {
        let as_integers: Option<fn(&PlaneRow) -> u64> = match COLUMNS[column] {
            "scene" => Some(|row| row.scene as u64),
            "t" => Some(|row| row.t),
            "c" => Some(|row| row.c),
            "z" => Some(|row| row.z),
            "s" => Some(|row| row.s),
            _ => None,
        };
        let as_floats: fn(&Statistics) -> f64 = match COLUMNS[column] {
            "min" => |found| found.min.as_f64(),
            "max" => |found| found.max.as_f64(),
            "mean" => |found| found.mean,
            "std" => |found| found.std,
            _ => |found| found.sum.as_f64(),
        };
        if column == 0 {
            next.typed::<ByteArrayType>().write_batch(&paths, None, None)?;
        } else if let Some(of) = as_integers {
            next.typed::<Int64Type>().write_batch(&integers(of), None, None)?;
        } else {
            next.typed::<DoubleType>().write_batch(&floats(as_floats), None, None)?;
        }
        next.close()?;
        column += 1;
    }
    writer.close()?;
    Ok(())
}
