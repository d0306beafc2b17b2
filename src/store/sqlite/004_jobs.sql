-- Runs that the queue owns instead of a connection. Their request, head and answer are in kept_runs.
CREATE TABLE jobs (
  run       BLOB    NOT NULL PRIMARY KEY,
  lane      TEXT    NOT NULL,               -- whose it is, for fair turns
  state     TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'ended')),
  owner     TEXT    NOT NULL,               -- the process that runs it; '' while it is queued
  fence     INTEGER NOT NULL,               -- grows with every claim; only the newest may write
  starts    INTEGER NOT NULL,
  cancelled INTEGER,                        -- the fence under which it was run when its caller cancelled it
  work      BLOB,                           -- the request that is run, where it is not the client's own
  bill      TEXT                            -- JSON; what an ended run has to pay and has not paid yet
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (state, lane, run) WHERE state <> 'ended';
CREATE INDEX jobs_unpaid ON jobs (run) WHERE bill IS NOT NULL;

-- How many jobs of each lane wait, and in which order the lanes have their turns.
CREATE TABLE job_lanes (
  lane   TEXT    NOT NULL PRIMARY KEY,
  turn   INTEGER NOT NULL,
  queued INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_lanes_waiting ON job_lanes (turn, lane) WHERE queued > 0;
