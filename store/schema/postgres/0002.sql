-- Links granted or ended in one transaction, as the log has them: their salted leaves, whose they are, and the root.
ALTER TABLE partition ADD consents BIGINT NOT NULL DEFAULT 1; -- the next number
CREATE TABLE consent (
  part INT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, root BYTEA NOT NULL,
  leaves BYTEA NOT NULL, links BYTEA NOT NULL, -- in order: 32-byte leaf hash; 8-byte account, 4-byte link, 1 byte: 0 granted, 1 ended
  PRIMARY KEY (part, number)
);

-- The transparency log. The one with the highest number goes on; the others are cited by those that follow them.
CREATE TABLE log (
  log INT PRIMARY KEY, origin TEXT COLLATE "C" NOT NULL, first TEXT COLLATE "C" NOT NULL, -- its first entry
  size BIGINT NOT NULL, root BYTEA NOT NULL, at BIGINT NOT NULL, -- as it was last extended
  signed BIGINT NOT NULL, checkpoint TEXT COLLATE "C" NOT NULL -- the last that was published, and its size
);
CREATE TABLE log_entry (
  log INT NOT NULL, place BIGINT NOT NULL, stream TEXT COLLATE "C" NOT NULL, part INT NOT NULL, number BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (log, place)
);
CREATE UNIQUE INDEX log_once ON log_entry (stream, part, number);

-- Hashes of the log's tree, 256 to a tile of tlog-tiles; and how far each stream has been taken into the log.
CREATE TABLE log_tile (
  log INT NOT NULL, level INT NOT NULL, tile BIGINT NOT NULL, hashes BYTEA NOT NULL,
  PRIMARY KEY (log, level, tile)
);
CREATE TABLE log_mark (
  stream TEXT COLLATE "C" NOT NULL, part INT NOT NULL, next BIGINT NOT NULL, hash BYTEA NOT NULL, -- of the batch before
  PRIMARY KEY (stream, part)
);

-- Sums that were opened to everybody, as the log has them: what a programme's claims came to since those before.
CREATE TABLE totals (
  number BIGINT NOT NULL, programme TEXT COLLATE "C" NOT NULL, method TEXT COLLATE "C" NOT NULL, vintage TEXT COLLATE "C" NOT NULL, upto TEXT COLLATE "C" NOT NULL, -- a local day
  claims BIGINT NOT NULL, mg BIGINT NOT NULL, points BIGINT NOT NULL, body BYTEA NOT NULL,
  PRIMARY KEY (number)
);

ALTER TABLE consent ALTER leaves SET STORAGE EXTERNAL;
ALTER TABLE log_tile ALTER hashes SET STORAGE EXTERNAL;
GRANT SELECT, INSERT ON consent, totals, log_entry TO {runtime};
GRANT SELECT, INSERT, UPDATE ON log, log_tile, log_mark TO {runtime};
