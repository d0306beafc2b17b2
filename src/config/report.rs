//! Collects everything that is wrong with a config and knows where each key stands.

use std::cell::RefCell;
use std::collections::HashMap;

use super::problem::{Problem, Problems};

/// Where a key's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Line and column of the key (of the value itself in a list) and of the value, counted from 1.
    File { key: (u32, u32), value: (u32, u32) },
    /// Name of the environment variable.
    Env(String),
}

/// What is wrong so far. Readers share it, hence the cells: they only ever add to it.
pub(super) struct Report {
    file: String,
    places: RefCell<HashMap<String, Place>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn new(file: String) -> Self {
        Report { file, places: RefCell::default(), problems: RefCell::default(), warnings: RefCell::default() }
    }

    /// Remembers where `path` stands.
    pub(super) fn put(&self, path: &str, place: Place) {
        self.places.borrow_mut().insert(path.to_owned(), place);
    }

    /// Remembers where `path` stands now, and forgets what an earlier layer had below it.
    pub(super) fn replace(&self, path: &str, place: Place) {
        let below = |key: &str| key.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.places.borrow_mut().retain(|key, _| !below(key));
        self.put(path, place);
    }

    /// Whether the value at `path` came from the environment, where secrets may be written out.
    pub(super) fn set_by_env(&self, path: &str) -> bool {
        matches!(self.nearest_place(path), Some(Place::Env(_)))
    }

    /// Position for sorting: the order of the file, then of the environment.
    pub(super) fn order(&self, path: &str) -> (u32, u32) {
        match self.places.borrow().get(path) {
            Some(Place::File { key, .. }) => *key,
            Some(Place::Env(_)) | None => (u32::MAX, 0),
        }
    }

    /// A problem with the value at `path`; a missing key is shown at the section it should be in.
    pub(super) fn problem(&self, path: &str, message: impl Into<String>) {
        let problem = self.at(path, false, message.into());
        self.problems.borrow_mut().push(problem);
    }

    /// A problem with the key itself.
    pub(super) fn key_problem(&self, path: &str, message: impl Into<String>) {
        let problem = self.at(path, true, message.into());
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warning(&self, path: &str, message: impl Into<String>) {
        let warning = self.at(path, false, message.into());
        self.warnings.borrow_mut().push(warning);
    }

    /// A problem at a known position, before any key could be read there.
    pub(super) fn problem_at(&self, position: Option<(u32, u32)>, path: &str, message: impl Into<String>) {
        let (line, column) = position.unzip();
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            line,
            column,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// The warnings of a sound config, or everything that is wrong with it.
    pub(super) fn finish(self) -> Result<Vec<Problem>, Problems> {
        if self.problems.borrow().is_empty() {
            return Ok(in_file_order(self.warnings));
        }
        Err(self.into_problems())
    }

    /// For a document that could not be read at all; what made it so has been reported.
    pub(super) fn into_problems(self) -> Problems {
        Problems(in_file_order(self.problems))
    }

    fn at(&self, path: &str, key_itself: bool, message: String) -> Problem {
        let mut problem = Problem { file: self.file.clone(), line: None, column: None, path: path.to_owned(), message };
        match self.nearest_place(path) {
            Some(Place::File { key, value }) => {
                let known = self.places.borrow().contains_key(path);
                let (line, column) = if key_itself || !known { key } else { value };
                (problem.line, problem.column) = (Some(line), Some(column));
            }
            Some(Place::Env(variable)) => problem.file = format!("environment variable {variable}"),
            None => {}
        }
        problem
    }

    fn nearest_place(&self, path: &str) -> Option<Place> {
        let places = self.places.borrow();
        let mut path = path;
        loop {
            if let Some(place) = places.get(path) {
                return Some(place.clone());
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

fn in_file_order(list: RefCell<Vec<Problem>>) -> Vec<Problem> {
    let mut list = list.into_inner();
    list.sort_by_key(|problem| (problem.line.unwrap_or(u32::MAX), problem.column));
    list.dedup();
    list
}
