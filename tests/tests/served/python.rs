//! Servers in Python: a child that prints what it is in one line and ends with its standard input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::cli::{repository, skip};

/// A server that lives as long as this.
pub struct Served {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it said of itself.
    pub says: Value,
}

impl Served {
    /// `None`, said loudly, where there is no Python.
    pub fn start(script: &str, args: &[&str]) -> Option<Served> {
        Served::start_with(script, args, &[])
    }

    /// With more in its environment.
    pub fn start_with(script: &str, args: &[&str], environment: &[(&str, String)]) -> Option<Served> {
        let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
            skip(&format!("tests/python/{script}"), "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
            return None;
        };
        let mut command = Command::new(python);
        command.arg(repository().join("tests/python").join(script)).args(args).envs(environment.iter().cloned());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut served = Served { child, input, output, says: Value::Null };
        served.says = served.line();
        Some(served)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Asks it something.
    pub fn ask(&mut self, line: &str) -> Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        self.line()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
