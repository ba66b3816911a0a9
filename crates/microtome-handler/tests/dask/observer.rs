//! A Dask client beside the ones that are tested: it asks the scheduler what it has.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

const SOURCE: &str = "\
import sys, json, distributed
client = distributed.Client(sys.argv[1], timeout=60, set_as_default=False)
def answer(dask_scheduler, expression):
    return eval(expression, {'s': dask_scheduler})
for line in sys.stdin:
    print(json.dumps(client.run_on_scheduler(answer, expression=line)), flush=True)
";

/// The process, killed when dropped.
pub struct Observer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Observer {
    pub fn start(python: &Path, address: &str, environment: &[(String, String)]) -> Observer {
        let mut command = Command::new(python);
        command.args(["-c", SOURCE, address]).envs(environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Observer { child, input, output }
    }

    /// The value of an expression in the scheduler.
    pub fn ask(&mut self, expression: &str) -> Value {
        writeln!(self.input, "{expression}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the scheduler did not answer `{expression}`");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
