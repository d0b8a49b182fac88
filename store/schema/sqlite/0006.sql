-- Restatements. What is judged by a text that was put in the place of another since is judged by its rulebook with the
-- restatements up to this one in it; 0 for none.
ALTER TABLE reversal ADD next_restated INTEGER NOT NULL DEFAULT 0;
