-- Journaled runs: what was asked and what was answered. Ids are ordered by time, so the key also finds the oldest.
CREATE TABLE kept_runs (
  run     BLOB NOT NULL PRIMARY KEY,
  about   TEXT NOT NULL,                    -- JSON; its `version` names the shape
  owner   TEXT NOT NULL,                    -- the process that runs it
  state   TEXT NOT NULL CHECK (state IN ('running', 'whole', 'broken')),
  request BLOB NOT NULL,
  head    TEXT,                             -- JSON
  body    BLOB
) STRICT, WITHOUT ROWID;

-- Other names of kept runs: what their clients call them, and what `Idempotency-Key` claims.
CREATE TABLE kept_names (
  name BLOB NOT NULL PRIMARY KEY,           -- SHA-256 over owner, kind and name
  run  BLOB NOT NULL,
  body BLOB                                 -- SHA-256 of the claimed request's body; null for mere names
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_names_by_run ON kept_names (run);

-- Encoded frames of journaled runs, numbered from 0 without a gap.
CREATE TABLE journal_frames (
  run    BLOB    NOT NULL,
  number INTEGER NOT NULL,
  frame  BLOB    NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
