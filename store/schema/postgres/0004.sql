-- Corrections. A batch whose backfill is 2 corrects claims of one account; its leaves begin with its reversals.
ALTER TABLE claim ADD again INT NOT NULL DEFAULT 0; -- 0 as it was first judged; n for the n-th time judged again
ALTER TABLE claim ADD reversed BIGINT NOT NULL DEFAULT 0; -- the batch that reversed it; 0 while it stands; set once
DROP INDEX claim_identity;
CREATE UNIQUE INDEX claim_identity ON claim (part, account, partner, id) WHERE again = 0;

-- Claim of_batch.of_ord was reversed: mg and points were taken back, of which owed_ are charged to the partner because
-- they were gone. The claim with next_ord in the same batch took its place, judged by next_; -1 for none.
CREATE TABLE reversal (
  part INT NOT NULL, account BIGINT NOT NULL, batch BIGINT NOT NULL, ord INT NOT NULL, of_batch BIGINT NOT NULL, of_ord INT NOT NULL,
  why TEXT COLLATE "C" NOT NULL, who TEXT COLLATE "C" NOT NULL, reason TEXT COLLATE "C" NOT NULL,
  mg BIGINT NOT NULL, points BIGINT NOT NULL, owed_mg BIGINT NOT NULL, owed_points BIGINT NOT NULL,
  next_ord INT NOT NULL, next_at BIGINT NOT NULL, next_rulebook BIGINT NOT NULL, next_backfill INT NOT NULL,
  PRIMARY KEY (part, account, batch, ord)
);

GRANT SELECT, INSERT ON reversal TO {runtime};
GRANT UPDATE (reversed) ON claim TO {runtime};
CREATE FUNCTION claim_reversed_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a claim is reversed once'; END $$;
CREATE TRIGGER claim_reversed_once BEFORE UPDATE ON claim FOR EACH ROW WHEN (OLD.reversed <> 0 OR NEW.reversed <= 0) EXECUTE FUNCTION claim_reversed_once();
-- What follows from claims that count no more goes with them.
GRANT DELETE ON slot, usage TO {runtime};
GRANT UPDATE, DELETE ON history TO {runtime};
