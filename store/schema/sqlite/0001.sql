-- One row: which database this is, and how many partitions it was made with.
CREATE TABLE database (id TEXT NOT NULL, parts INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;

-- Where each partition stands. secret salts the commitments to its batches' totals.
CREATE TABLE partition (
  part INTEGER PRIMARY KEY, next INTEGER NOT NULL, at INTEGER NOT NULL, hash BLOB NOT NULL,
  accounts INTEGER NOT NULL, secret BLOB NOT NULL
) STRICT;

-- What is published; the highest number is the rulebook in force.
CREATE TABLE document (
  rulebook INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL,
  body BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (rulebook)
) STRICT;

CREATE TABLE api_key (
  hash BLOB PRIMARY KEY, role TEXT NOT NULL, partner TEXT NOT NULL, label TEXT NOT NULL,
  created INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Accounts, and apart from them the keys that salt their leaves.
CREATE TABLE account (
  part INTEGER NOT NULL, account INTEGER NOT NULL, opened INTEGER NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE account_key (
  part INTEGER NOT NULL, account INTEGER NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
  part INTEGER NOT NULL, account INTEGER NOT NULL, link INTEGER NOT NULL, programme TEXT NOT NULL,
  partner TEXT NOT NULL, scenarios TEXT NOT NULL, purposes TEXT NOT NULL, since INTEGER NOT NULL,
  granted INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0, -- 0 while in force; set once, when consent ends
  PRIMARY KEY (part, account, link)
) STRICT, WITHOUT ROWID;

-- What was done for a request whose sender gave it a key. Step 1, in the key's home partition: an account settled.
-- Step 2, in the account's: a link granted.
CREATE TABLE request (
  part INTEGER NOT NULL, key BLOB NOT NULL, step INTEGER NOT NULL, content BLOB NOT NULL,
  owner_part INTEGER NOT NULL, owner INTEGER NOT NULL, link INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, key, step)
) STRICT, WITHOUT ROWID;

-- A meter or car belongs to one account (in the object's home partition), and is known at the account's.
CREATE TABLE object (
  part INTEGER NOT NULL, object TEXT NOT NULL, owner_part INTEGER NOT NULL, owner INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, object)
) STRICT, WITHOUT ROWID;
CREATE TABLE account_object (
  part INTEGER NOT NULL, account INTEGER NOT NULL, object TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, account, object)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, at INTEGER NOT NULL, rulebook INTEGER NOT NULL,
  backfill INTEGER NOT NULL, claims INTEGER NOT NULL, root BLOB NOT NULL, totals BLOB NOT NULL,
  prev BLOB NOT NULL, hash BLOB NOT NULL,
  leaves BLOB NOT NULL, accounts BLOB NOT NULL, -- of its claims in order: 32-byte leaf hash, 8-byte account
  counts TEXT NOT NULL, -- verdicts that leave no row: programme, reason, number
  PRIMARY KEY (part, batch)
) STRICT, WITHOUT ROWID;

-- A judged claim is also the postings that follow from it: holder 0 nobody, -2 the applicant, else the account.
CREATE TABLE claim (
  part INTEGER NOT NULL, account INTEGER NOT NULL, grp TEXT NOT NULL, start INTEGER NOT NULL,
  batch INTEGER NOT NULL, ord INTEGER NOT NULL, finish INTEGER NOT NULL, link INTEGER NOT NULL,
  partner TEXT NOT NULL, id TEXT NOT NULL, programme TEXT NOT NULL, scenario TEXT NOT NULL,
  body TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, reason TEXT NOT NULL, operands TEXT NOT NULL,
  used TEXT NOT NULL, holder INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (part, account, grp, start, batch, ord)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX claim_identity ON claim (part, account, partner, id);

CREATE TABLE balance (
  part INTEGER NOT NULL, holder INTEGER NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (part, holder, asset)
) STRICT, WITHOUT ROWID;

-- What caps count: claims and amounts of an account, methodology and local period.
CREATE TABLE usage (
  part INTEGER NOT NULL, account INTEGER NOT NULL, method TEXT NOT NULL, period TEXT NOT NULL, used TEXT NOT NULL,
  PRIMARY KEY (part, account, method, period)
) STRICT, WITHOUT ROWID;

-- What can be counted once: acts by key, totals by period.
CREATE TABLE slot (
  part INTEGER NOT NULL, account INTEGER NOT NULL, grp TEXT NOT NULL, key TEXT NOT NULL,
  greatest INTEGER NOT NULL, included INTEGER NOT NULL, partner TEXT NOT NULL,
  PRIMARY KEY (part, account, grp, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
  part INTEGER NOT NULL, account INTEGER NOT NULL, method TEXT NOT NULL, input TEXT NOT NULL,
  object TEXT NOT NULL, period TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (part, account, method, input, object, period)
) STRICT, WITHOUT ROWID;

-- By the programme's local day on which they were judged.
CREATE TABLE day_total (
  part INTEGER NOT NULL, programme TEXT NOT NULL, day TEXT NOT NULL, method TEXT NOT NULL,
  vintage TEXT NOT NULL, reason TEXT NOT NULL, claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (part, programme, day, method, vintage, reason)
) STRICT, WITHOUT ROWID;

-- What is recorded stays: connections have recursive_triggers on, so that REPLACE is caught as well.
CREATE TRIGGER document_no_update BEFORE UPDATE ON document BEGIN SELECT RAISE(ABORT, 'document is append-only'); END;
CREATE TRIGGER document_no_delete BEFORE DELETE ON document BEGIN SELECT RAISE(ABORT, 'document is append-only'); END;
CREATE TRIGGER account_no_update BEFORE UPDATE ON account BEGIN SELECT RAISE(ABORT, 'account is append-only'); END;
CREATE TRIGGER account_no_delete BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'account is append-only'); END;
CREATE TRIGGER link_no_update BEFORE UPDATE OF part, account, link, programme, partner, scenarios, purposes, since, granted ON link BEGIN SELECT RAISE(ABORT, 'link is append-only'); END;
CREATE TRIGGER link_ends_once BEFORE UPDATE OF revoked ON link WHEN OLD.revoked <> 0 OR NEW.revoked <= 0 BEGIN SELECT RAISE(ABORT, 'a link ends once'); END;
CREATE TRIGGER link_no_delete BEFORE DELETE ON link BEGIN SELECT RAISE(ABORT, 'link is append-only'); END;
CREATE TRIGGER request_no_update BEFORE UPDATE ON request BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
CREATE TRIGGER request_no_delete BEFORE DELETE ON request BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
CREATE TRIGGER object_no_update BEFORE UPDATE ON object BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
CREATE TRIGGER object_no_delete BEFORE DELETE ON object BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
CREATE TRIGGER account_object_no_update BEFORE UPDATE ON account_object BEGIN SELECT RAISE(ABORT, 'account_object is append-only'); END;
CREATE TRIGGER account_object_no_delete BEFORE DELETE ON account_object BEGIN SELECT RAISE(ABORT, 'account_object is append-only'); END;
CREATE TRIGGER batch_no_update BEFORE UPDATE ON batch BEGIN SELECT RAISE(ABORT, 'batch is append-only'); END;
CREATE TRIGGER batch_no_delete BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'batch is append-only'); END;
CREATE TRIGGER claim_no_update BEFORE UPDATE ON claim BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
CREATE TRIGGER claim_no_delete BEFORE DELETE ON claim BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
CREATE TRIGGER history_no_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_no_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER database_no_update BEFORE UPDATE ON database BEGIN SELECT RAISE(ABORT, 'database is append-only'); END;
CREATE TRIGGER database_no_delete BEFORE DELETE ON database BEGIN SELECT RAISE(ABORT, 'database is append-only'); END;
