-- The schema after all migrations, as the database shows it. Written by: go test ./store -run TestCurrent -update

CREATE TABLE account (
  part INTEGER NOT NULL, account INTEGER NOT NULL, opened INTEGER NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_no_delete BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'account is append-only'); END;
CREATE TRIGGER account_no_update BEFORE UPDATE ON account BEGIN SELECT RAISE(ABORT, 'account is append-only'); END;
CREATE TABLE account_key (
  part INTEGER NOT NULL, account INTEGER NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_key_no_delete BEFORE DELETE ON account_key WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'account_key is append-only'); END;
CREATE TRIGGER account_key_no_update BEFORE UPDATE ON account_key BEGIN SELECT RAISE(ABORT, 'account_key is append-only'); END;
CREATE TABLE account_object (
  part INTEGER NOT NULL, account INTEGER NOT NULL, object TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, account, object)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_object_no_delete BEFORE DELETE ON account_object WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'account_object is append-only'); END;
CREATE TRIGGER account_object_no_update BEFORE UPDATE ON account_object BEGIN SELECT RAISE(ABORT, 'account_object is append-only'); END;
CREATE TABLE api_key (
  hash BLOB PRIMARY KEY, role TEXT NOT NULL, partner TEXT NOT NULL, label TEXT NOT NULL,
  created INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE balance (
  part INTEGER NOT NULL, holder INTEGER NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (part, holder, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE batch (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, at INTEGER NOT NULL, rulebook INTEGER NOT NULL,
  backfill INTEGER NOT NULL, claims INTEGER NOT NULL, root BLOB NOT NULL, totals BLOB NOT NULL,
  prev BLOB NOT NULL, hash BLOB NOT NULL,
  leaves BLOB NOT NULL, accounts BLOB NOT NULL, -- of its claims in order: 32-byte leaf hash, 8-byte account
  counts TEXT NOT NULL, -- verdicts that leave no row: programme, reason, number
  PRIMARY KEY (part, batch)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER batch_no_delete BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'batch is append-only'); END;
CREATE TRIGGER batch_no_update BEFORE UPDATE ON batch
  WHEN NEW.part <> OLD.part OR NEW.batch <> OLD.batch OR NEW.at <> OLD.at OR NEW.rulebook <> OLD.rulebook OR NEW.backfill <> OLD.backfill OR NEW.claims <> OLD.claims
    OR NEW.root <> OLD.root OR NEW.totals <> OLD.totals OR NEW.prev <> OLD.prev OR NEW.hash <> OLD.hash OR NEW.leaves <> OLD.leaves OR NEW.counts <> OLD.counts
    OR length(NEW.accounts) <> length(OLD.accounts) OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'batch is append-only'); END;
CREATE TABLE claim (
  part INTEGER NOT NULL, account INTEGER NOT NULL, grp TEXT NOT NULL, start INTEGER NOT NULL,
  batch INTEGER NOT NULL, ord INTEGER NOT NULL, finish INTEGER NOT NULL, link INTEGER NOT NULL,
  partner TEXT NOT NULL, id TEXT NOT NULL, programme TEXT NOT NULL, scenario TEXT NOT NULL,
  body TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, reason TEXT NOT NULL, operands TEXT NOT NULL,
  used TEXT NOT NULL, holder INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL, again INTEGER NOT NULL DEFAULT 0, reversed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (part, account, grp, start, batch, ord)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX claim_identity ON claim (part, account, partner, id) WHERE again = 0;
CREATE TRIGGER claim_no_delete BEFORE DELETE ON claim WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
CREATE TRIGGER claim_no_update BEFORE UPDATE OF part, account, grp, start, batch, ord, finish, link, partner, id, programme, scenario, body, method, vintage, reason, operands, used, holder, mg, points, again ON claim BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
CREATE TRIGGER claim_reversed_once BEFORE UPDATE OF reversed ON claim WHEN OLD.reversed <> 0 OR NEW.reversed <= 0 BEGIN SELECT RAISE(ABORT, 'a claim is reversed once'); END;
CREATE TABLE consent (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, root BLOB NOT NULL,
  leaves BLOB NOT NULL, links BLOB NOT NULL, -- in order: 32-byte leaf hash; 8-byte account, 4-byte link, 1 byte: 0 granted, 1 ended
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_instant ON consent (part, at);
CREATE TRIGGER consent_no_delete BEFORE DELETE ON consent BEGIN SELECT RAISE(ABORT, 'consent is append-only'); END;
CREATE TRIGGER consent_no_update BEFORE UPDATE ON consent
  WHEN NEW.part <> OLD.part OR NEW.number <> OLD.number OR NEW.at <> OLD.at OR NEW.root <> OLD.root OR NEW.leaves <> OLD.leaves
    OR length(NEW.links) <> length(OLD.links) OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'consent is append-only'); END;
CREATE TABLE database (id TEXT NOT NULL, parts INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TRIGGER database_no_delete BEFORE DELETE ON database BEGIN SELECT RAISE(ABORT, 'database is append-only'); END;
CREATE TRIGGER database_no_update BEFORE UPDATE ON database BEGIN SELECT RAISE(ABORT, 'database is append-only'); END;
CREATE TABLE day_total (
  part INTEGER NOT NULL, programme TEXT NOT NULL, day TEXT NOT NULL, method TEXT NOT NULL,
  vintage TEXT NOT NULL, reason TEXT NOT NULL, claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (part, programme, day, method, vintage, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE document (
  rulebook INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL,
  body BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (rulebook)
) STRICT;
CREATE TRIGGER document_no_delete BEFORE DELETE ON document BEGIN SELECT RAISE(ABORT, 'document is append-only'); END;
CREATE TRIGGER document_no_update BEFORE UPDATE ON document BEGIN SELECT RAISE(ABORT, 'document is append-only'); END;
CREATE TABLE drill (at INTEGER NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TRIGGER drill_no_delete BEFORE DELETE ON drill BEGIN SELECT RAISE(ABORT, 'drill is append-only'); END;
CREATE TRIGGER drill_no_update BEFORE UPDATE ON drill BEGIN SELECT RAISE(ABORT, 'drill is append-only'); END;
CREATE TABLE erasing (
  part INTEGER NOT NULL, account INTEGER NOT NULL, at INTEGER NOT NULL, open INTEGER NOT NULL,
  PRIMARY KEY (part, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE erasure (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, account BLOB NOT NULL, removed BLOB NOT NULL, restored INTEGER NOT NULL,
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER erasure_no_delete BEFORE DELETE ON erasure BEGIN SELECT RAISE(ABORT, 'erasure is append-only'); END;
CREATE TRIGGER erasure_no_insert BEFORE INSERT ON erasure WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'erasure is append-only, and only erasing adds to it'); END;
CREATE TRIGGER erasure_no_update BEFORE UPDATE ON erasure BEGIN SELECT RAISE(ABORT, 'erasure is append-only'); END;
CREATE TABLE forgotten (
  part INTEGER NOT NULL, mark BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, mark)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER forgotten_no_delete BEFORE DELETE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten is append-only'); END;
CREATE TRIGGER forgotten_no_insert BEFORE INSERT ON forgotten WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE open = 1) BEGIN SELECT RAISE(ABORT, 'forgotten is append-only, and only erasing adds to it'); END;
CREATE TRIGGER forgotten_no_update BEFORE UPDATE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten is append-only'); END;
CREATE TABLE history (
  part INTEGER NOT NULL, account INTEGER NOT NULL, method TEXT NOT NULL, input TEXT NOT NULL,
  object TEXT NOT NULL, period TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (part, account, method, input, object, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE link (
  part INTEGER NOT NULL, account INTEGER NOT NULL, link INTEGER NOT NULL, programme TEXT NOT NULL,
  partner TEXT NOT NULL, scenarios TEXT NOT NULL, purposes TEXT NOT NULL, since INTEGER NOT NULL,
  granted INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0, -- 0 while in force; set once, when consent ends
  PRIMARY KEY (part, account, link)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER link_ends_once BEFORE UPDATE OF revoked ON link WHEN OLD.revoked <> 0 OR NEW.revoked <= 0 BEGIN SELECT RAISE(ABORT, 'a link ends once'); END;
CREATE TRIGGER link_no_delete BEFORE DELETE ON link WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'link is append-only'); END;
CREATE TRIGGER link_no_update BEFORE UPDATE OF part, account, link, programme, partner, scenarios, purposes, since, granted ON link BEGIN SELECT RAISE(ABORT, 'link is append-only'); END;
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
CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END;
CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON log_entry BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END;
CREATE TABLE log_key (
  number INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL, ended INTEGER NOT NULL,
  PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER log_key_no_delete BEFORE DELETE ON log_key BEGIN SELECT RAISE(ABORT, 'log_key is append-only'); END;
CREATE TRIGGER log_key_no_update BEFORE UPDATE ON log_key BEGIN SELECT RAISE(ABORT, 'log_key is append-only'); END;
CREATE TABLE log_mark (
  stream TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL, hash BLOB NOT NULL, -- of the batch before
  PRIMARY KEY (stream, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_tile (
  log INTEGER NOT NULL, level INTEGER NOT NULL, tile INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (log, level, tile)
) STRICT;
CREATE TABLE lost (
  part INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, stream TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (part, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER lost_no_delete BEFORE DELETE ON lost BEGIN SELECT RAISE(ABORT, 'lost is append-only'); END;
CREATE TRIGGER lost_no_update BEFORE UPDATE ON lost BEGIN SELECT RAISE(ABORT, 'lost is append-only'); END;
CREATE TABLE migration (number INTEGER PRIMARY KEY, at BIGINT NOT NULL);
CREATE TABLE object (
  part INTEGER NOT NULL, object TEXT NOT NULL, owner_part INTEGER NOT NULL, owner INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_owner ON object (owner_part, owner);
CREATE TRIGGER object_no_delete BEFORE DELETE ON object WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1) BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
CREATE TRIGGER object_no_update BEFORE UPDATE ON object BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
CREATE TABLE partition (
  part INTEGER PRIMARY KEY, next INTEGER NOT NULL, at INTEGER NOT NULL, hash BLOB NOT NULL,
  accounts INTEGER NOT NULL, secret BLOB NOT NULL
, consents INTEGER NOT NULL DEFAULT 1, erasures INTEGER NOT NULL DEFAULT 1, forgotten INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE partner_key (
  keyid TEXT NOT NULL, partner TEXT NOT NULL, public BLOB NOT NULL, label TEXT NOT NULL,
  created INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0, -- 0 while in force; set once
  PRIMARY KEY (keyid)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER partner_key_ends_once BEFORE UPDATE OF revoked ON partner_key WHEN OLD.revoked <> 0 OR NEW.revoked <= 0 BEGIN SELECT RAISE(ABORT, 'a key is revoked once'); END;
CREATE TRIGGER partner_key_no_delete BEFORE DELETE ON partner_key BEGIN SELECT RAISE(ABORT, 'partner_key is append-only'); END;
CREATE TRIGGER partner_key_no_update BEFORE UPDATE OF keyid, partner, public, label, created ON partner_key BEGIN SELECT RAISE(ABORT, 'partner_key is append-only'); END;
CREATE TABLE removed (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, programme TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, reason TEXT NOT NULL,
  places INTEGER NOT NULL, claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (part, batch, programme, method, vintage, reason)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER removed_no_delete BEFORE DELETE ON removed BEGIN SELECT RAISE(ABORT, 'removed is append-only'); END;
CREATE TRIGGER removed_no_insert BEFORE INSERT ON removed WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_no_update BEFORE UPDATE ON removed WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed is append-only, and only erasing adds to it'); END;
CREATE TABLE removed_posting (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, holder INTEGER NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (part, batch, holder, asset)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER removed_posting_no_delete BEFORE DELETE ON removed_posting BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only'); END;
CREATE TRIGGER removed_posting_no_insert BEFORE INSERT ON removed_posting WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = NEW.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only, and only erasing adds to it'); END;
CREATE TRIGGER removed_posting_no_update BEFORE UPDATE ON removed_posting WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'removed_posting is append-only, and only erasing adds to it'); END;
CREATE TABLE request (
  part INTEGER NOT NULL, key BLOB NOT NULL, step INTEGER NOT NULL, content BLOB NOT NULL,
  owner_part INTEGER NOT NULL, owner INTEGER NOT NULL, link INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (part, key, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_owner ON request (owner_part, owner);
CREATE TRIGGER request_no_delete BEFORE DELETE ON request WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1) BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
CREATE TRIGGER request_no_update BEFORE UPDATE ON request
  WHEN NEW.owner_part <> 0 OR NEW.owner <> 0 OR NEW.link <> 0 OR NEW.part <> OLD.part OR NEW.key <> OLD.key OR NEW.step <> OLD.step
    OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.owner_part AND account = OLD.owner AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'request is append-only'); END;
CREATE TABLE reversal (
  part INTEGER NOT NULL, account INTEGER NOT NULL, batch INTEGER NOT NULL, ord INTEGER NOT NULL, of_batch INTEGER NOT NULL, of_ord INTEGER NOT NULL,
  why TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
  mg INTEGER NOT NULL, points INTEGER NOT NULL, owed_mg INTEGER NOT NULL, owed_points INTEGER NOT NULL,
  next_ord INTEGER NOT NULL, next_at INTEGER NOT NULL, next_rulebook INTEGER NOT NULL, next_backfill INTEGER NOT NULL, next_restated INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (part, account, batch, ord)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER reversal_no_delete BEFORE DELETE ON reversal WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND account = OLD.account AND open = 1) BEGIN SELECT RAISE(ABORT, 'reversal is append-only'); END;
CREATE TRIGGER reversal_no_update BEFORE UPDATE ON reversal BEGIN SELECT RAISE(ABORT, 'reversal is append-only'); END;
CREATE TABLE slot (
  part INTEGER NOT NULL, account INTEGER NOT NULL, grp TEXT NOT NULL, key TEXT NOT NULL,
  greatest INTEGER NOT NULL, included INTEGER NOT NULL, partner TEXT NOT NULL,
  PRIMARY KEY (part, account, grp, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE testimony (
  part INTEGER NOT NULL, root BLOB NOT NULL, partner TEXT NOT NULL, keyid TEXT NOT NULL, at INTEGER NOT NULL,
  base TEXT NOT NULL, signature BLOB NOT NULL, salt BLOB NOT NULL,
  leaves BLOB NOT NULL, -- of its claims in order: 32-byte hash
  PRIMARY KEY (part, root)
) STRICT;
CREATE TRIGGER testimony_no_delete BEFORE DELETE ON testimony BEGIN SELECT RAISE(ABORT, 'testimony is append-only'); END;
CREATE TRIGGER testimony_no_update BEFORE UPDATE ON testimony
  WHEN NEW.part <> OLD.part OR NEW.root <> OLD.root OR NEW.partner <> OLD.partner OR NEW.keyid <> OLD.keyid OR NEW.at <> OLD.at OR NEW.base <> OLD.base
    OR NEW.signature <> OLD.signature OR NEW.leaves <> OLD.leaves OR NOT EXISTS (SELECT 1 FROM erasing WHERE open = 1)
  BEGIN SELECT RAISE(ABORT, 'testimony is append-only'); END;
CREATE TABLE testimony_batch (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, root BLOB NOT NULL, claims INTEGER NOT NULL,
  places BLOB NOT NULL, -- for each claim: 4-byte ordinal in the batch, 4-byte place in the request
  PRIMARY KEY (part, batch, root, claims)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER testimony_batch_no_delete BEFORE DELETE ON testimony_batch WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1) BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
CREATE TRIGGER testimony_batch_no_update BEFORE UPDATE ON testimony_batch
  WHEN NEW.part <> OLD.part OR NEW.batch <> OLD.batch OR NEW.root <> OLD.root OR NEW.claims <> OLD.claims OR length(NEW.places) > length(OLD.places)
    OR NOT EXISTS (SELECT 1 FROM erasing WHERE part = OLD.part AND open = 1)
  BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
CREATE TABLE totals (
  number INTEGER NOT NULL, programme TEXT NOT NULL, method TEXT NOT NULL, vintage TEXT NOT NULL, upto TEXT NOT NULL, -- a local day
  claims INTEGER NOT NULL, mg INTEGER NOT NULL, points INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER totals_no_delete BEFORE DELETE ON totals BEGIN SELECT RAISE(ABORT, 'totals is append-only'); END;
CREATE TRIGGER totals_no_update BEFORE UPDATE ON totals BEGIN SELECT RAISE(ABORT, 'totals is append-only'); END;
CREATE TABLE usage (
  part INTEGER NOT NULL, account INTEGER NOT NULL, method TEXT NOT NULL, period TEXT NOT NULL, used TEXT NOT NULL,
  PRIMARY KEY (part, account, method, period)
) STRICT, WITHOUT ROWID;
