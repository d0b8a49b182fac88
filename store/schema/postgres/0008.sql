-- A row here says that a drill made this database, to prove a backup beside the real one: nothing is served, signed or recorded by it.
CREATE TABLE drill (at BIGINT NOT NULL PRIMARY KEY);
GRANT SELECT, INSERT ON drill TO {runtime};
