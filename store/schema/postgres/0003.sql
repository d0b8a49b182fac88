-- The public keys by which partners sign, under their thumbprints.
CREATE TABLE partner_key (
  keyid TEXT COLLATE "C" NOT NULL, partner TEXT COLLATE "C" NOT NULL, public BYTEA NOT NULL, label TEXT COLLATE "C" NOT NULL,
  created BIGINT NOT NULL, revoked BIGINT NOT NULL DEFAULT 0, -- 0 while in force; set once
  PRIMARY KEY (keyid)
);

-- What partners signed: a row a request, in the partition that its root falls to.
CREATE TABLE testimony (
  part INT NOT NULL, root BYTEA NOT NULL, partner TEXT COLLATE "C" NOT NULL, keyid TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL,
  base TEXT COLLATE "C" NOT NULL, signature BYTEA NOT NULL, salt BYTEA NOT NULL,
  leaves BYTEA NOT NULL, -- of its claims in order: 32-byte hash
  PRIMARY KEY (part, root)
);

-- Where the claims of such a request are recorded: a row for each batch that holds some of them.
CREATE TABLE testimony_batch (
  part INT NOT NULL, batch BIGINT NOT NULL, root BYTEA NOT NULL, claims INT NOT NULL,
  places BYTEA NOT NULL, -- for each claim: 4-byte ordinal in the batch, 4-byte place in the request
  PRIMARY KEY (part, batch, root, claims)
);

ALTER TABLE testimony ALTER leaves SET STORAGE EXTERNAL;
GRANT SELECT, INSERT ON partner_key, testimony, testimony_batch TO {runtime};
GRANT UPDATE (revoked) ON partner_key TO {runtime};
CREATE FUNCTION partner_key_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a key is revoked once'; END $$;
CREATE TRIGGER partner_key_ends_once BEFORE UPDATE ON partner_key FOR EACH ROW WHEN (OLD.revoked <> 0 OR NEW.revoked <= 0) EXECUTE FUNCTION partner_key_ends_once();
