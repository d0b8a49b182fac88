-- Erasing a person. An account stands here from when its erasure begins until all of it is gone. What is recorded of it
-- can be taken away only while open is 1, which no transaction but the flow's own sees.
ALTER TABLE partition ADD erasures INTEGER NOT NULL DEFAULT 1; -- the next number
ALTER TABLE partition ADD forgotten INTEGER NOT NULL DEFAULT 0; -- 1 once acts are forgotten anywhere: whoever judges must ask
CREATE TABLE erasing (
  part INTEGER NOT NULL, account INTEGER NOT NULL, at INTEGER NOT NULL, open INTEGER NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;

-- Accounts that were erased, as the log has them: by a name that only the partition's secret gives. restored is 1 for one
-- that was erased again after an older backup had been restored, where what it commits to cannot be summed any more.
CREATE TABLE erasure (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, account BLOB NOT NULL, removed BLOB NOT NULL, restored INTEGER NOT NULL,
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;

-- What erasures took out of each batch: sums of verdicts, and of postings. Under batch 0 stand those of all batches, and how balances were settled.
CREATE TABLE removed (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, programme TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, reason TEXT NOT NULL,
  places INTEGER NOT NULL, claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (part, batch, programme, method, vintage, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE removed_posting (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, holder INTEGER NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (part, batch, holder, asset)
) STRICT, WITHOUT ROWID;

-- Acts of erased people, each as a keyed hash in the partition that it falls to, so that they are not credited again.
CREATE TABLE forgotten (
  part INTEGER NOT NULL, mark BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, mark)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_owner ON request (owner_part, owner);
CREATE INDEX object_owner ON object (owner_part, owner);
CREATE INDEX consent_instant ON consent (part, at);

CREATE TRIGGER erasure_no_insert BEFORE INSERT ON erasure WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'erasure is append-only, and only erasing adds to it'); END;
CREATE TRIGGER erasure_no_update BEFORE UPDATE ON erasure BEGIN SELECT RAISE(ABORT, 'erasure is append-only'); END;
CREATE TRIGGER erasure_no_delete BEFORE DELETE ON erasure BEGIN SELECT RAISE(ABORT, 'erasure is append-only'); END;
CREATE TRIGGER removed_no_insert BEFORE INSERT ON removed WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_no_update BEFORE UPDATE ON removed WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_no_delete BEFORE DELETE ON removed BEGIN SELECT RAISE(ABORT, 'removed is append-only'); END;
CREATE TRIGGER removed_posting_no_insert BEFORE INSERT ON removed_posting WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_posting_no_update BEFORE UPDATE ON removed_posting WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_posting_no_delete BEFORE DELETE ON removed_posting BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only'); END;
CREATE TRIGGER forgotten_no_insert BEFORE INSERT ON forgotten WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE open = 1) BEGIN SELECT RAISE(ABORT, 'forgotten is append-only, and only erasing adds to it'); END;
CREATE TRIGGER forgotten_no_update BEFORE UPDATE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten is append-only'); END;
CREATE TRIGGER forgotten_no_delete BEFORE DELETE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten is append-only'); END;

-- What can be taken away of an account, and only of one that is being erased.
DROP TRIGGER claim_no_delete;
CREATE TRIGGER claim_no_delete BEFORE DELETE ON claim WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
DROP TRIGGER reversal_no_delete;
CREATE TRIGGER reversal_no_delete BEFORE DELETE ON reversal WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'reversal is append-only'); END;
DROP TRIGGER link_no_delete;
CREATE TRIGGER link_no_delete BEFORE DELETE ON link WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'link is append-only'); END;
DROP TRIGGER account_object_no_delete;
CREATE TRIGGER account_object_no_delete BEFORE DELETE ON account_object WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'account_object is append-only'); END;
DROP TRIGGER object_no_delete;
CREATE TRIGGER object_no_delete BEFORE DELETE ON object WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1) BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
DROP TRIGGER request_no_delete;
CREATE TRIGGER request_no_delete BEFORE DELETE ON request WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1) BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
DROP TRIGGER request_no_update;
CREATE TRIGGER request_no_update BEFORE UPDATE ON request
  WHEN NEW.owner_part <> 0 OR NEW.owner <> 0 OR NEW.link <> 0 OR NEW.part <> OLD.part OR NEW.key <> OLD.key OR NEW.step <> OLD.step
    OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
CREATE TRIGGER account_key_no_update BEFORE UPDATE ON account_key BEGIN SELECT RAISE(ABORT, 'account_key is append-only'); END;
CREATE TRIGGER account_key_no_delete BEFORE DELETE ON account_key WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'account_key is append-only'); END;

-- What stays, and loses its tie to the account.
DROP TRIGGER batch_no_update;
CREATE TRIGGER batch_no_update BEFORE UPDATE ON batch
  WHEN NEW.part <> OLD.part OR NEW.batch <> OLD.batch OR NEW.at <> OLD.at OR NEW.rulebook <> OLD.rulebook OR NEW.backfill <> OLD.backfill OR NEW.claims <> OLD.claims
    OR NEW.root <> OLD.root OR NEW.totals <> OLD.totals OR NEW.prev <> OLD.prev OR NEW.hash <> OLD.hash OR NEW.leaves <> OLD.leaves OR NEW.counts <> OLD.counts
    OR length(NEW.accounts) <> length(OLD.accounts) OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'batch is append-only'); END;
DROP TRIGGER consent_no_update;
CREATE TRIGGER consent_no_update BEFORE UPDATE ON consent
  WHEN NEW.part <> OLD.part OR NEW.number <> OLD.number OR NEW.at <> OLD.at OR NEW.root <> OLD.root OR NEW.leaves <> OLD.leaves
    OR length(NEW.links) <> length(OLD.links) OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'consent is append-only'); END;
DROP TRIGGER testimony_no_update;
CREATE TRIGGER testimony_no_update BEFORE UPDATE ON testimony
  WHEN NEW.part <> OLD.part OR NEW.root <> OLD.root OR NEW.partner <> OLD.partner OR NEW.keyid <> OLD.keyid OR NEW.at <> OLD.at OR NEW.base <> OLD.base
    OR NEW.signature <> OLD.signature OR NEW.leaves <> OLD.leaves OR NOT EXISTS (SELECT 1 FROM erasing WHERE open = 1)
  BEGIN SELECT RAISE(ABORT, 'testimony is append-only'); END;
DROP TRIGGER testimony_batch_no_delete;
CREATE TRIGGER testimony_batch_no_delete BEFORE DELETE ON testimony_batch WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
DROP TRIGGER testimony_batch_no_update;
CREATE TRIGGER testimony_batch_no_update BEFORE UPDATE ON testimony_batch
  WHEN NEW.part <> OLD.part OR NEW.batch <> OLD.batch OR NEW.root <> OLD.root OR NEW.claims <> OLD.claims OR length(NEW.places) > length(OLD.places)
    OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
