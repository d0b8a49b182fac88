-- Corrections. A batch whose backfill is 2 corrects claims of one account; its leaves begin with its reversals.
ALTER TABLE claim ADD again INTEGER NOT NULL DEFAULT 0; -- 0 as it was first judged; n for the n-th time judged again
ALTER TABLE claim ADD reversed INTEGER NOT NULL DEFAULT 0; -- the batch that reversed it; 0 while it stands; set once
DROP INDEX claim_identity;
CREATE UNIQUE INDEX claim_identity ON claim (part, account, partner, id) WHERE again = 0;

-- Claim of_batch.of_ord was reversed: mg and points were taken back, of which owed_ are charged to the partner because
-- they were gone. The claim with next_ord in the same batch took its place, judged by next_; -1 for none.
CREATE TABLE reversal (
  part INTEGER NOT NULL, account INTEGER NOT NULL, batch INTEGER NOT NULL, ord INTEGER NOT NULL, of_batch INTEGER NOT NULL, of_ord INTEGER NOT NULL,
  why TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
  mg INTEGER NOT NULL, points INTEGER NOT NULL, owed_mg INTEGER NOT NULL, owed_points INTEGER NOT NULL,
  next_ord INTEGER NOT NULL, next_at INTEGER NOT NULL, next_rulebook INTEGER NOT NULL, next_backfill INTEGER NOT NULL,
  PRIMARY KEY (part, account, batch, ord)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER reversal_no_update BEFORE UPDATE ON reversal BEGIN SELECT RAISE(ABORT, 'reversal is append-only'); END;
CREATE TRIGGER reversal_no_delete BEFORE DELETE ON reversal BEGIN SELECT RAISE(ABORT, 'reversal is append-only'); END;
DROP TRIGGER claim_no_update;
CREATE TRIGGER claim_no_update BEFORE UPDATE OF part, account, grp, start, batch, ord, finish, link, partner, id, programme, scenario, body, method, vintage, reason, operands, used, holder, mg, points, again ON claim BEGIN SELECT RAISE(ABORT, 'claim is append-only'); END;
CREATE TRIGGER claim_reversed_once BEFORE UPDATE OF reversed ON claim WHEN OLD.reversed <> 0 OR NEW.reversed <= 0 BEGIN SELECT RAISE(ABORT, 'a claim is reversed once'); END;
-- What follows from claims that count no more goes with them.
DROP TRIGGER history_no_update;
DROP TRIGGER history_no_delete;
