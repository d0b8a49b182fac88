-- The public keys by which partners sign, under their thumbprints.
CREATE TABLE partner_key (
  keyid TEXT NOT NULL, partner TEXT NOT NULL, public BLOB NOT NULL, label TEXT NOT NULL,
  created INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0, -- 0 while in force; set once
  PRIMARY KEY (keyid)
) STRICT, WITHOUT ROWID;

-- What partners signed: a row a request, in the partition that its root falls to.
CREATE TABLE testimony (
  part INTEGER NOT NULL, root BLOB NOT NULL, partner TEXT NOT NULL, keyid TEXT NOT NULL, at INTEGER NOT NULL,
  base TEXT NOT NULL, signature BLOB NOT NULL, salt BLOB NOT NULL,
  leaves BLOB NOT NULL, -- of its claims in order: 32-byte hash
  PRIMARY KEY (part, root)
) STRICT;

-- Where the claims of such a request are recorded: a row for each batch that holds some of them.
CREATE TABLE testimony_batch (
  part INTEGER NOT NULL, batch INTEGER NOT NULL, root BLOB NOT NULL, claims INTEGER NOT NULL,
  places BLOB NOT NULL, -- for each claim: 4-byte ordinal in the batch, 4-byte place in the request
  PRIMARY KEY (part, batch, root, claims)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER partner_key_no_update BEFORE UPDATE OF keyid, partner, public, label, created ON partner_key BEGIN SELECT RAISE(ABORT, 'partner_key is append-only'); END;
CREATE TRIGGER partner_key_ends_once BEFORE UPDATE OF revoked ON partner_key WHEN OLD.revoked <> 0 OR NEW.revoked <= 0 BEGIN SELECT RAISE(ABORT, 'a key is revoked once'); END;
CREATE TRIGGER partner_key_no_delete BEFORE DELETE ON partner_key BEGIN SELECT RAISE(ABORT, 'partner_key is append-only'); END;
CREATE TRIGGER testimony_no_update BEFORE UPDATE ON testimony BEGIN SELECT RAISE(ABORT, 'testimony is append-only'); END;
CREATE TRIGGER testimony_no_delete BEFORE DELETE ON testimony BEGIN SELECT RAISE(ABORT, 'testimony is append-only'); END;
CREATE TRIGGER testimony_batch_no_update BEFORE UPDATE ON testimony_batch BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
CREATE TRIGGER testimony_batch_no_delete BEFORE DELETE ON testimony_batch BEGIN SELECT RAISE(ABORT, 'testimony_batch is append-only'); END;
