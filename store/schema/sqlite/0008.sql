-- A row here says that a drill made this database, to prove a backup beside the real one: nothing is served, signed or recorded by it.
CREATE TABLE drill (at INTEGER NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TRIGGER drill_no_update BEFORE UPDATE ON drill BEGIN SELECT RAISE(ABORT, 'drill is append-only'); END;
CREATE TRIGGER drill_no_delete BEFORE DELETE ON drill BEGIN SELECT RAISE(ABORT, 'drill is append-only'); END;
