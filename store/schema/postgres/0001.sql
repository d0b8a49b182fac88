-- One row: which database this is, and how many partitions it was made with.
CREATE TABLE database (id TEXT COLLATE "C" NOT NULL, parts INT NOT NULL, created BIGINT NOT NULL);

-- Where each partition stands. secret salts the commitments to its batches' totals.
CREATE TABLE partition (
  part INT PRIMARY KEY, next BIGINT NOT NULL, at BIGINT NOT NULL, hash BYTEA NOT NULL,
  accounts BIGINT NOT NULL, secret BYTEA NOT NULL
);

-- What is published; the highest number is the rulebook in force.
CREATE TABLE document (
  rulebook BIGINT NOT NULL, kind TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, hash BYTEA NOT NULL,
  body BYTEA NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (rulebook)
);

CREATE TABLE api_key (
  hash BYTEA PRIMARY KEY, role TEXT COLLATE "C" NOT NULL, partner TEXT COLLATE "C" NOT NULL, label TEXT COLLATE "C" NOT NULL,
  created BIGINT NOT NULL, expires BIGINT NOT NULL
);

-- Accounts, and apart from them the keys that salt their leaves.
CREATE TABLE account (
  part INT NOT NULL, account BIGINT NOT NULL, opened BIGINT NOT NULL,
  PRIMARY KEY (part, account)
);
CREATE TABLE account_key (
  part INT NOT NULL, account BIGINT NOT NULL, key BYTEA NOT NULL,
  PRIMARY KEY (part, account)
);

CREATE TABLE link (
  part INT NOT NULL, account BIGINT NOT NULL, link INT NOT NULL, programme TEXT COLLATE "C" NOT NULL,
  partner TEXT COLLATE "C" NOT NULL, scenarios TEXT COLLATE "C" NOT NULL, purposes TEXT COLLATE "C" NOT NULL, since BIGINT NOT NULL,
  granted BIGINT NOT NULL, revoked BIGINT NOT NULL DEFAULT 0, -- 0 while in force; set once, when consent ends
  PRIMARY KEY (part, account, link)
);

-- What was done for a request whose sender gave it a key. Step 1, in the key's home partition: an account settled.
-- Step 2, in the account's: a link granted.
CREATE TABLE request (
  part INT NOT NULL, key BYTEA NOT NULL, step INT NOT NULL, content BYTEA NOT NULL,
  owner_part INT NOT NULL, owner BIGINT NOT NULL, link INT NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (part, key, step)
);

-- A meter or car belongs to one account (in the object's home partition), and is known at the account's.
CREATE TABLE object (
  part INT NOT NULL, object TEXT COLLATE "C" NOT NULL, owner_part INT NOT NULL, owner BIGINT NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (part, object)
);
CREATE TABLE account_object (
  part INT NOT NULL, account BIGINT NOT NULL, object TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (part, account, object)
);

CREATE TABLE batch (
  part INT NOT NULL, batch BIGINT NOT NULL, at BIGINT NOT NULL, rulebook BIGINT NOT NULL,
  backfill INT NOT NULL, claims INT NOT NULL, root BYTEA NOT NULL, totals BYTEA NOT NULL,
  prev BYTEA NOT NULL, hash BYTEA NOT NULL,
  leaves BYTEA NOT NULL, accounts BYTEA NOT NULL, -- of its claims in order: 32-byte leaf hash, 8-byte account
  counts TEXT COLLATE "C" NOT NULL, -- verdicts that leave no row: programme, reason, number
  PRIMARY KEY (part, batch)
);

-- A judged claim is also the postings that follow from it: holder 0 nobody, -2 the applicant, else the account.
CREATE TABLE claim (
  part INT NOT NULL, account BIGINT NOT NULL, grp TEXT COLLATE "C" NOT NULL, start BIGINT NOT NULL,
  batch BIGINT NOT NULL, ord INT NOT NULL, finish BIGINT NOT NULL, link INT NOT NULL,
  partner TEXT COLLATE "C" NOT NULL, id TEXT COLLATE "C" NOT NULL, programme TEXT COLLATE "C" NOT NULL, scenario TEXT COLLATE "C" NOT NULL,
  body TEXT COLLATE "C" NOT NULL, method TEXT COLLATE "C" NOT NULL, vintage TEXT COLLATE "C" NOT NULL, reason TEXT COLLATE "C" NOT NULL, operands TEXT COLLATE "C" NOT NULL,
  used TEXT COLLATE "C" NOT NULL, holder BIGINT NOT NULL, mg BIGINT NOT NULL, points BIGINT NOT NULL,
  PRIMARY KEY (part, account, grp, start, batch, ord)
);
CREATE UNIQUE INDEX claim_identity ON claim (part, account, partner, id);

CREATE TABLE balance (
  part INT NOT NULL, holder BIGINT NOT NULL, asset TEXT COLLATE "C" NOT NULL, amount BIGINT NOT NULL,
  PRIMARY KEY (part, holder, asset)
);

-- What caps count: claims and amounts of an account, methodology and local period.
CREATE TABLE usage (
  part INT NOT NULL, account BIGINT NOT NULL, method TEXT COLLATE "C" NOT NULL, period TEXT COLLATE "C" NOT NULL, used TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, method, period)
);

-- What can be counted once: acts by key, totals by period.
CREATE TABLE slot (
  part INT NOT NULL, account BIGINT NOT NULL, grp TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL,
  greatest BIGINT NOT NULL, included BIGINT NOT NULL, partner TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, grp, key)
);

CREATE TABLE history (
  part INT NOT NULL, account BIGINT NOT NULL, method TEXT COLLATE "C" NOT NULL, input TEXT COLLATE "C" NOT NULL,
  object TEXT COLLATE "C" NOT NULL, period TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, method, input, object, period)
);

-- By the programme's local day on which they were judged.
CREATE TABLE day_total (
  part INT NOT NULL, programme TEXT COLLATE "C" NOT NULL, day TEXT COLLATE "C" NOT NULL, method TEXT COLLATE "C" NOT NULL,
  vintage TEXT COLLATE "C" NOT NULL, reason TEXT COLLATE "C" NOT NULL, claims BIGINT NOT NULL, mg BIGINT NOT NULL, points BIGINT NOT NULL,
  PRIMARY KEY (part, programme, day, method, vintage, reason)
);

-- Hashes do not compress, and rows that are updated in place leave room for their next versions.
ALTER TABLE batch ALTER leaves SET STORAGE EXTERNAL, ALTER accounts SET STORAGE EXTERNAL;
ALTER TABLE partition SET (fillfactor = 10);
ALTER TABLE balance SET (fillfactor = 80);
ALTER TABLE usage SET (fillfactor = 80);

-- What is recorded stays: the runtime role may read and add to it, and change only what is derived from it.
GRANT SELECT, INSERT ON document, account, link, object, account_object, request, batch, claim, history TO {runtime};
GRANT UPDATE (revoked) ON link TO {runtime};
CREATE FUNCTION link_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a link ends once'; END $$;
CREATE TRIGGER link_ends_once BEFORE UPDATE ON link FOR EACH ROW WHEN (OLD.revoked <> 0 OR NEW.revoked <= 0) EXECUTE FUNCTION link_ends_once();
GRANT SELECT ON database TO {runtime};
GRANT SELECT, INSERT ON account_key TO {runtime};
GRANT SELECT, INSERT, UPDATE ON partition, api_key, balance, usage, slot, day_total TO {runtime};
