-- Erasing a person. An account stands here from when its erasure begins until all of it is gone.
ALTER TABLE partition ADD erasures BIGINT NOT NULL DEFAULT 1; -- the next number
ALTER TABLE partition ADD forgotten INT NOT NULL DEFAULT 0; -- 1 once acts are forgotten anywhere: whoever judges must ask
CREATE TABLE erasing (
  part INT NOT NULL, account BIGINT NOT NULL, at BIGINT NOT NULL, open INT NOT NULL, -- open is SQLite's; here a role has the right
  PRIMARY KEY (part, account)
);

-- Accounts that were erased, as the log has them: by a name that only the partition's secret gives. restored is 1 for one
-- that was erased again after an older backup had been restored, where what it commits to cannot be summed any more.
CREATE TABLE erasure (
  part INT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, account BYTEA NOT NULL, removed BYTEA NOT NULL, restored INT NOT NULL,
  PRIMARY KEY (part, number)
);

-- What erasures took out of each batch: sums of verdicts, and of postings. Under batch 0 stand those of all batches, and how balances were settled.
CREATE TABLE removed (
  part INT NOT NULL, batch BIGINT NOT NULL, programme TEXT COLLATE "C" NOT NULL, method TEXT COLLATE "C" NOT NULL, vintage TEXT COLLATE "C" NOT NULL, reason TEXT COLLATE "C" NOT NULL,
  places BIGINT NOT NULL, claims BIGINT NOT NULL, mg BIGINT NOT NULL, points BIGINT NOT NULL,
  PRIMARY KEY (part, batch, programme, method, vintage, reason)
);
CREATE TABLE removed_posting (
  part INT NOT NULL, batch BIGINT NOT NULL, holder BIGINT NOT NULL, asset TEXT COLLATE "C" NOT NULL, amount BIGINT NOT NULL,
  PRIMARY KEY (part, batch, holder, asset)
);

-- Acts of erased people, each as a keyed hash in the partition that it falls to, so that they are not credited again.
CREATE TABLE forgotten (
  part INT NOT NULL, mark BYTEA NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (part, mark)
);

CREATE INDEX request_owner ON request (owner_part, owner);
CREATE INDEX object_owner ON object (owner_part, owner);
CREATE INDEX consent_instant ON consent (part, at);

-- The right to erase is a role of its own, which the flow takes on for its transactions. A server whose login is not
-- granted it cannot erase.
GRANT SELECT ON erasing, erasure, removed, removed_posting, forgotten TO {runtime};
GRANT {runtime} TO {eraser};
GRANT INSERT, UPDATE, DELETE ON erasing TO {eraser};
GRANT INSERT ON erasure, forgotten TO {eraser};
GRANT INSERT, UPDATE ON removed, removed_posting TO {eraser};
GRANT DELETE ON claim, reversal, link, account_object, object, request, account_key, testimony_batch, balance TO {eraser};
GRANT UPDATE (accounts) ON batch TO {eraser};
GRANT UPDATE (links) ON consent TO {eraser};
GRANT UPDATE (owner_part, owner, link, content) ON request TO {eraser};
GRANT UPDATE (salt) ON testimony TO {eraser};
GRANT UPDATE (places) ON testimony_batch TO {eraser};
