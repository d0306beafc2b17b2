-- Limits over any window and in any unit: what was dollars per day and requests per window becomes counters.

-- What one calendar window of one counter has settled. What is held is the sum over the open holds.
CREATE TABLE ledger_sums (
  ends_ms INTEGER NOT NULL,                 -- unix milliseconds of the window's end, which names it
  unit    TEXT    NOT NULL,                 -- usd (nano-dollars), requests, tokens
  window  TEXT    NOT NULL,                 -- hour, day, month; with @ZONE where it is not UTC
  scope   TEXT    NOT NULL,                 -- user, key, team, tier, model, provider, global, metadata.NAME
  subject TEXT    NOT NULL,                 -- id within the scope; '' for global
  settled INTEGER NOT NULL,
  waste   INTEGER NOT NULL,                 -- part of settled that paid for expired holds
  PRIMARY KEY (ends_ms, unit, window, scope, subject)
) STRICT, WITHOUT ROWID;

INSERT INTO ledger_sums
  SELECT (day + 1) * 86400000, 'usd', 'day', scope, subject, settled_nano, waste_nano FROM ledger_usd;
DROP TABLE ledger_usd;

-- What a sliding window still counts, run by run.
CREATE TABLE ledger_entries (
  leaves_ms INTEGER NOT NULL,               -- unix milliseconds from which the window no longer counts it
  unit      TEXT    NOT NULL,
  window    TEXT    NOT NULL,               -- its length: 1m, 90s
  scope     TEXT    NOT NULL,
  subject   TEXT    NOT NULL,
  run       BLOB    NOT NULL,
  amount    INTEGER NOT NULL,
  PRIMARY KEY (leaves_ms, unit, window, scope, subject, run)
) STRICT, WITHOUT ROWID;

INSERT INTO ledger_entries
  SELECT leaves_ms, 'requests', CASE
      WHEN window_ms % 86400000 = 0 THEN (window_ms / 86400000) || 'd'
      WHEN window_ms % 3600000 = 0 THEN (window_ms / 3600000) || 'h'
      WHEN window_ms % 60000 = 0 THEN (window_ms / 60000) || 'm'
      WHEN window_ms % 1000 = 0 THEN (window_ms / 1000) || 's'
      ELSE window_ms || 'ms'
    END, scope, subject, run, 1 FROM ledger_slots;
DROP TABLE ledger_slots;

UPDATE ledger_runs SET hold = json_object(
  'amount', json_object('usd', hold ->> '$.amount', 'tokens', 0),
  'binds', json((
    SELECT json_group_array(json_object(
      'counter', json_object(
        'scope', value ->> '$.scope',
        'subject', value ->> '$.subject',
        'unit', iif(value ->> '$.quota.usd_per_day' IS NULL, 'requests', 'usd'),
        'window', CASE
          WHEN value ->> '$.quota.requests.window_ms' IS NULL THEN 'day'
          ELSE value ->> '$.quota.requests.window_ms' || 'ms'
        END),
      'max', coalesce(value ->> '$.quota.usd_per_day.max_nano', value ->> '$.quota.requests.max'),
      'ends_ms', iif(value ->> '$.quota.usd_per_day' IS NULL, 0, ((hold ->> '$.day') + 1) * 86400000)))
    FROM json_each(hold, '$.binds'))),
  'at_ms', hold ->> '$.at_ms',
  'grown_ms', hold ->> '$.at_ms')
WHERE hold IS NOT NULL;
