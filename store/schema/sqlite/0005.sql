-- What was lost with a database that a backup took the place of, as the log has it: the batches (or links) first to last
-- hold their numbers, and nothing is recorded under them. Such a batch has 4 added to its column backfill.
CREATE TABLE lost (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, stream TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;

-- The log's signing keys after its first, as the log has them: those that came, and those that ended.
CREATE TABLE log_key (
  number INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL, ended INTEGER NOT NULL,
  PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER lost_no_update BEFORE UPDATE ON lost BEGIN SELECT RAISE(ABORT, 'lost is append-only'); END;
CREATE TRIGGER lost_no_delete BEFORE DELETE ON lost BEGIN SELECT RAISE(ABORT, 'lost is append-only'); END;
CREATE TRIGGER log_key_no_update BEFORE UPDATE ON log_key BEGIN SELECT RAISE(ABORT, 'log_key is append-only'); END;
CREATE TRIGGER log_key_no_delete BEFORE DELETE ON log_key BEGIN SELECT RAISE(ABORT, 'log_key is append-only'); END;
