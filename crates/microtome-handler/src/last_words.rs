//! The last lines that a process of ours wrote to its standard error, for the error that tells of its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that are kept.
const MOST: usize = 20;
/// How long what it said before it ended may be on its way.
const LISTENING: Duration = Duration::from_millis(300);

/// Listens to a process until it has nothing more to say.
#[derive(Debug)]
pub(crate) struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
}

impl LastWords {
    /// Listens to `stderr`; each line goes to `tell`, too.
    pub(crate) fn of(stderr: impl Read + Send + 'static, tell: fn(&str)) -> LastWords {
        let lines = Arc::default();
        let kept = Arc::clone(&lines);
        let listener = std::thread::spawn(move || listen(BufReader::new(stderr), &kept, tell));
        LastWords { lines, listener }
    }

    /// `why`, with the last words behind it; `who` said them. Of a process that has ended.
    pub(crate) fn with(&self, why: &str, who: &str) -> String {
        let end = Instant::now() + LISTENING;
        while !self.listener.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return why.to_owned();
        }
        format!("{why}; {who} said: {}", lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n"))
    }
}

fn listen(stderr: impl BufRead, kept: &Mutex<VecDeque<String>>, tell: fn(&str)) {
    for line in stderr.lines().map_while(Result::ok) {
        tell(&line);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(line);
        if kept.len() > MOST {
            kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let text = (0..100).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        let words = LastWords::of(std::io::Cursor::new(text), |_| ());
        let said = words.with("it ended", "Python");
        assert!(said.starts_with("it ended; Python said: line 80\nline 81\n"), "{said}");
        assert!(said.ends_with("line 99"), "{said}");
    }

    #[test]
    fn nothing_said_is_nothing_quoted() {
        assert_eq!(LastWords::of(std::io::empty(), |_| ()).with("it ended", "Python"), "it ended");
    }
}
