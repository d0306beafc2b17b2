-- Settled dollars of one counter on one UTC day. What is held is the sum over the open holds.
CREATE TABLE ledger_usd (
  day          INTEGER NOT NULL,            -- days since 1970-01-01
  scope        TEXT    NOT NULL,            -- user, key, team, global
  subject      TEXT    NOT NULL,            -- id within the scope; '' for global
  settled_nano INTEGER NOT NULL,
  waste_nano   INTEGER NOT NULL,            -- part of settled_nano that paid for expired holds
  PRIMARY KEY (day, scope, subject)
) STRICT, WITHOUT ROWID;

-- Runs that the ledger must remember: open holds, expired ones that a late settlement may correct, and voids that came
-- before their reserve.
CREATE TABLE ledger_runs (
  run   BLOB    NOT NULL PRIMARY KEY,
  state TEXT    NOT NULL CHECK (state IN ('open', 'expired', 'void')),
  at_ms INTEGER NOT NULL,                   -- unix milliseconds when it got this state
  hold  TEXT                                -- what it holds, as JSON; null for voids
) STRICT, WITHOUT ROWID;

-- Admissions that a sliding window still counts.
CREATE TABLE ledger_slots (
  leaves_ms INTEGER NOT NULL,               -- unix milliseconds from which the window no longer counts it
  scope     TEXT    NOT NULL,
  subject   TEXT    NOT NULL,
  window_ms INTEGER NOT NULL,
  run       BLOB    NOT NULL,
  PRIMARY KEY (leaves_ms, scope, subject, window_ms, run)
) STRICT, WITHOUT ROWID;

-- Finished runs. Ids are ordered by time, so the key also finds the newest and the oldest.
CREATE TABLE run_records (
  id     BLOB NOT NULL PRIMARY KEY,
  record TEXT NOT NULL                      -- JSON; its `version` names the shape
) STRICT;
