-- Links granted or ended in one transaction, as the log has them: their salted leaves, whose they are, and the root.
ALTER TABLE partition ADD consents INTEGER NOT NULL DEFAULT 1; -- the next number
CREATE TABLE consent (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, root BLOB NOT NULL,
  leaves BLOB NOT NULL, links BLOB NOT NULL, -- in order: 32-byte leaf hash; 8-byte account, 4-byte link, 1 byte: 0 granted, 1 ended
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;

-- The transparency log. The one with the highest number goes on; the others are cited by those that follow them.
CREATE TABLE log (
  log INTEGER PRIMARY KEY, origin TEXT NOT NULL, first TEXT NOT NULL, -- its first entry
  size INTEGER NOT NULL, root BLOB NOT NULL, at INTEGER NOT NULL, -- as it was last extended
  signed INTEGER NOT NULL, checkpoint TEXT NOT NULL -- the last that was published, and its size
) STRICT;
CREATE TABLE log_entry (
  log INTEGER NOT NULL, place INTEGER NOT NULL, stream TEXT NOT NULL, part INTEGER NOT NULL, number INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (log, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX log_once ON log_entry (stream, part, number);

-- Hashes of the log's tree, 256 to a tile of tlog-tiles; and how far each stream has been taken into the log.
CREATE TABLE log_tile (
  log INTEGER NOT NULL, level INTEGER NOT NULL, tile INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (log, level, tile)
) STRICT;
CREATE TABLE log_mark (
  stream TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL, hash BLOB NOT NULL, -- of the batch before
  PRIMARY KEY (stream, part)
) STRICT, WITHOUT ROWID;

-- Sums that were opened to everybody, as the log has them: what a programme's claims came to since those before.
CREATE TABLE totals (
  number INTEGER NOT NULL, programme TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, upto TEXT NOT NULL, -- a local day
  claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER consent_no_update BEFORE UPDATE ON consent BEGIN SELECT RAISE(ABORT, 'consent is append-only'); END;
CREATE TRIGGER consent_no_delete BEFORE DELETE ON consent BEGIN SELECT RAISE(ABORT, 'consent is append-only'); END;
CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON log_entry BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END;
CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END;
CREATE TRIGGER totals_no_update BEFORE UPDATE ON totals BEGIN SELECT RAISE(ABORT, 'totals is append-only'); END;
CREATE TRIGGER totals_no_delete BEFORE DELETE ON totals BEGIN SELECT RAISE(ABORT, 'totals is append-only'); END;
