-- What was lost with a database that a backup took the place of, as the log has it: the batches (or links) first to last
-- hold their numbers, and nothing is recorded under them. Such a batch has 4 added to its column backfill.
CREATE TABLE lost (
  part INT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, stream TEXT COLLATE "C" NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
  PRIMARY KEY (part, number)
);

-- The log's signing keys after its first, as the log has them: those that came, and those that ended.
CREATE TABLE log_key (
  number BIGINT NOT NULL, at BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, ended INT NOT NULL,
  PRIMARY KEY (number)
);

GRANT SELECT, INSERT ON lost, log_key TO {runtime};
