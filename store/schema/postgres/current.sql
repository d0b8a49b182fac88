-- The schema after all migrations, as the database shows it. Written by: go test ./store -run TestCurrent -update

CREATE TABLE account (
  part integer NOT NULL,
  account bigint NOT NULL,
  opened bigint NOT NULL,
  PRIMARY KEY (part, account)
);
GRANT INSERT, SELECT ON account TO {runtime};
CREATE TABLE account_key (
  part integer NOT NULL,
  account bigint NOT NULL,
  key bytea NOT NULL,
  PRIMARY KEY (part, account)
);
GRANT DELETE ON account_key TO {eraser};
GRANT INSERT, SELECT ON account_key TO {runtime};
CREATE TABLE account_object (
  part integer NOT NULL,
  account bigint NOT NULL,
  object text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (part, account, object)
);
GRANT DELETE ON account_object TO {eraser};
GRANT INSERT, SELECT ON account_object TO {runtime};
CREATE TABLE api_key (
  hash bytea NOT NULL,
  role text COLLATE "C" NOT NULL,
  partner text COLLATE "C" NOT NULL,
  label text COLLATE "C" NOT NULL,
  created bigint NOT NULL,
  expires bigint NOT NULL,
  PRIMARY KEY (hash)
);
GRANT INSERT, SELECT, UPDATE ON api_key TO {runtime};
CREATE TABLE balance (
  part integer NOT NULL,
  holder bigint NOT NULL,
  asset text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (part, holder, asset)
);
GRANT DELETE ON balance TO {eraser};
GRANT INSERT, SELECT, UPDATE ON balance TO {runtime};
CREATE TABLE batch (
  part integer NOT NULL,
  batch bigint NOT NULL,
  at bigint NOT NULL,
  rulebook bigint NOT NULL,
  backfill integer NOT NULL,
  claims integer NOT NULL,
  root bytea NOT NULL,
  totals bytea NOT NULL,
  prev bytea NOT NULL,
  hash bytea NOT NULL,
  leaves bytea NOT NULL,
  accounts bytea NOT NULL,
  counts text COLLATE "C" NOT NULL,
  PRIMARY KEY (part, batch)
);
GRANT INSERT, SELECT ON batch TO {runtime};
GRANT UPDATE (accounts) ON batch TO {eraser};
CREATE TABLE claim (
  part integer NOT NULL,
  account bigint NOT NULL,
  grp text COLLATE "C" NOT NULL,
  start bigint NOT NULL,
  batch bigint NOT NULL,
  ord integer NOT NULL,
  finish bigint NOT NULL,
  link integer NOT NULL,
  partner text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  programme text COLLATE "C" NOT NULL,
  scenario text COLLATE "C" NOT NULL,
  body text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  vintage text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  operands text COLLATE "C" NOT NULL,
  used text COLLATE "C" NOT NULL,
  holder bigint NOT NULL,
  mg bigint NOT NULL,
  points bigint NOT NULL,
  again integer NOT NULL,
  reversed bigint NOT NULL,
  PRIMARY KEY (part, account, grp, start, batch, ord)
);
CREATE UNIQUE INDEX claim_identity ON claim USING btree (part, account, partner, id) WHERE (again = 0);
CREATE TRIGGER claim_reversed_once BEFORE UPDATE ON claim FOR EACH ROW WHEN (((old.reversed <> 0) OR (new.reversed <= 0))) EXECUTE FUNCTION claim_reversed_once();
GRANT DELETE ON claim TO {eraser};
GRANT INSERT, SELECT ON claim TO {runtime};
GRANT UPDATE (reversed) ON claim TO {runtime};
CREATE TABLE consent (
  part integer NOT NULL,
  number bigint NOT NULL,
  at bigint NOT NULL,
  root bytea NOT NULL,
  leaves bytea NOT NULL,
  links bytea NOT NULL,
  PRIMARY KEY (part, number)
);
CREATE INDEX consent_instant ON consent USING btree (part, at);
GRANT INSERT, SELECT ON consent TO {runtime};
GRANT UPDATE (links) ON consent TO {eraser};
CREATE TABLE database (
  id text COLLATE "C" NOT NULL,
  parts integer NOT NULL,
  created bigint NOT NULL
);
GRANT SELECT ON database TO {runtime};
CREATE TABLE day_total (
  part integer NOT NULL,
  programme text COLLATE "C" NOT NULL,
  day text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  vintage text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  claims bigint NOT NULL,
  mg bigint NOT NULL,
  points bigint NOT NULL,
  PRIMARY KEY (part, programme, day, method, vintage, reason)
);
GRANT INSERT, SELECT, UPDATE ON day_total TO {runtime};
CREATE TABLE document (
  rulebook bigint NOT NULL,
  kind text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  hash bytea NOT NULL,
  body bytea NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (rulebook)
);
GRANT INSERT, SELECT ON document TO {runtime};
CREATE TABLE drill (
  at bigint NOT NULL,
  PRIMARY KEY (at)
);
GRANT INSERT, SELECT ON drill TO {runtime};
CREATE TABLE erasing (
  part integer NOT NULL,
  account bigint NOT NULL,
  at bigint NOT NULL,
  open integer NOT NULL,
  PRIMARY KEY (part, account)
);
GRANT DELETE, INSERT, UPDATE ON erasing TO {eraser};
GRANT SELECT ON erasing TO {runtime};
CREATE TABLE erasure (
  part integer NOT NULL,
  number bigint NOT NULL,
  at bigint NOT NULL,
  account bytea NOT NULL,
  removed bytea NOT NULL,
  restored integer NOT NULL,
  PRIMARY KEY (part, number)
);
GRANT INSERT ON erasure TO {eraser};
GRANT SELECT ON erasure TO {runtime};
CREATE TABLE forgotten (
  part integer NOT NULL,
  mark bytea NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (part, mark)
);
GRANT INSERT ON forgotten TO {eraser};
GRANT SELECT ON forgotten TO {runtime};
CREATE TABLE history (
  part integer NOT NULL,
  account bigint NOT NULL,
  method text COLLATE "C" NOT NULL,
  input text COLLATE "C" NOT NULL,
  object text COLLATE "C" NOT NULL,
  period text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, method, input, object, period)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON history TO {runtime};
CREATE TABLE link (
  part integer NOT NULL,
  account bigint NOT NULL,
  link integer NOT NULL,
  programme text COLLATE "C" NOT NULL,
  partner text COLLATE "C" NOT NULL,
  scenarios text COLLATE "C" NOT NULL,
  purposes text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  granted bigint NOT NULL,
  revoked bigint NOT NULL,
  PRIMARY KEY (part, account, link)
);
CREATE TRIGGER link_ends_once BEFORE UPDATE ON link FOR EACH ROW WHEN (((old.revoked <> 0) OR (new.revoked <= 0))) EXECUTE FUNCTION link_ends_once();
GRANT DELETE ON link TO {eraser};
GRANT INSERT, SELECT ON link TO {runtime};
GRANT UPDATE (revoked) ON link TO {runtime};
CREATE TABLE log (
  log integer NOT NULL,
  origin text COLLATE "C" NOT NULL,
  first text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  root bytea NOT NULL,
  at bigint NOT NULL,
  signed bigint NOT NULL,
  checkpoint text COLLATE "C" NOT NULL,
  PRIMARY KEY (log)
);
GRANT INSERT, SELECT, UPDATE ON log TO {runtime};
CREATE TABLE log_entry (
  log integer NOT NULL,
  place bigint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  part integer NOT NULL,
  number bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (log, place)
);
CREATE UNIQUE INDEX log_once ON log_entry USING btree (stream, part, number);
GRANT INSERT, SELECT ON log_entry TO {runtime};
CREATE TABLE log_key (
  number bigint NOT NULL,
  at bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  ended integer NOT NULL,
  PRIMARY KEY (number)
);
GRANT INSERT, SELECT ON log_key TO {runtime};
CREATE TABLE log_mark (
  stream text COLLATE "C" NOT NULL,
  part integer NOT NULL,
  next bigint NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (stream, part)
);
GRANT INSERT, SELECT, UPDATE ON log_mark TO {runtime};
CREATE TABLE log_tile (
  log integer NOT NULL,
  level integer NOT NULL,
  tile bigint NOT NULL,
  hashes bytea NOT NULL,
  PRIMARY KEY (log, level, tile)
);
GRANT INSERT, SELECT, UPDATE ON log_tile TO {runtime};
CREATE TABLE lost (
  part integer NOT NULL,
  number bigint NOT NULL,
  at bigint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  first bigint NOT NULL,
  last bigint NOT NULL,
  PRIMARY KEY (part, number)
);
GRANT INSERT, SELECT ON lost TO {runtime};
CREATE TABLE migration (
  number integer NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (number)
);
GRANT SELECT ON migration TO {runtime};
CREATE TABLE object (
  part integer NOT NULL,
  object text COLLATE "C" NOT NULL,
  owner_part integer NOT NULL,
  owner bigint NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (part, object)
);
CREATE INDEX object_owner ON object USING btree (owner_part, owner);
GRANT DELETE ON object TO {eraser};
GRANT INSERT, SELECT ON object TO {runtime};
CREATE TABLE partition (
  part integer NOT NULL,
  next bigint NOT NULL,
  at bigint NOT NULL,
  hash bytea NOT NULL,
  accounts bigint NOT NULL,
  secret bytea NOT NULL,
  consents bigint NOT NULL,
  erasures bigint NOT NULL,
  forgotten integer NOT NULL,
  PRIMARY KEY (part)
);
GRANT INSERT, SELECT, UPDATE ON partition TO {runtime};
CREATE TABLE partner_key (
  keyid text COLLATE "C" NOT NULL,
  partner text COLLATE "C" NOT NULL,
  public bytea NOT NULL,
  label text COLLATE "C" NOT NULL,
  created bigint NOT NULL,
  revoked bigint NOT NULL,
  PRIMARY KEY (keyid)
);
CREATE TRIGGER partner_key_ends_once BEFORE UPDATE ON partner_key FOR EACH ROW WHEN (((old.revoked <> 0) OR (new.revoked <= 0))) EXECUTE FUNCTION partner_key_ends_once();
GRANT INSERT, SELECT ON partner_key TO {runtime};
GRANT UPDATE (revoked) ON partner_key TO {runtime};
CREATE TABLE removed (
  part integer NOT NULL,
  batch bigint NOT NULL,
  programme text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  vintage text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  places bigint NOT NULL,
  claims bigint NOT NULL,
  mg bigint NOT NULL,
  points bigint NOT NULL,
  PRIMARY KEY (part, batch, programme, method, vintage, reason)
);
GRANT INSERT, UPDATE ON removed TO {eraser};
GRANT SELECT ON removed TO {runtime};
CREATE TABLE removed_posting (
  part integer NOT NULL,
  batch bigint NOT NULL,
  holder bigint NOT NULL,
  asset text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (part, batch, holder, asset)
);
GRANT INSERT, UPDATE ON removed_posting TO {eraser};
GRANT SELECT ON removed_posting TO {runtime};
CREATE TABLE request (
  part integer NOT NULL,
  key bytea NOT NULL,
  step integer NOT NULL,
  content bytea NOT NULL,
  owner_part integer NOT NULL,
  owner bigint NOT NULL,
  link integer NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (part, key, step)
);
CREATE INDEX request_owner ON request USING btree (owner_part, owner);
GRANT DELETE ON request TO {eraser};
GRANT INSERT, SELECT ON request TO {runtime};
GRANT UPDATE (content) ON request TO {eraser};
GRANT UPDATE (link) ON request TO {eraser};
GRANT UPDATE (owner) ON request TO {eraser};
GRANT UPDATE (owner_part) ON request TO {eraser};
CREATE TABLE reversal (
  part integer NOT NULL,
  account bigint NOT NULL,
  batch bigint NOT NULL,
  ord integer NOT NULL,
  of_batch bigint NOT NULL,
  of_ord integer NOT NULL,
  why text COLLATE "C" NOT NULL,
  who text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  mg bigint NOT NULL,
  points bigint NOT NULL,
  owed_mg bigint NOT NULL,
  owed_points bigint NOT NULL,
  next_ord integer NOT NULL,
  next_at bigint NOT NULL,
  next_rulebook bigint NOT NULL,
  next_backfill integer NOT NULL,
  next_restated bigint NOT NULL,
  PRIMARY KEY (part, account, batch, ord)
);
GRANT DELETE ON reversal TO {eraser};
GRANT INSERT, SELECT ON reversal TO {runtime};
CREATE TABLE slot (
  part integer NOT NULL,
  account bigint NOT NULL,
  grp text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  greatest bigint NOT NULL,
  included bigint NOT NULL,
  partner text COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, grp, key)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON slot TO {runtime};
CREATE TABLE testimony (
  part integer NOT NULL,
  root bytea NOT NULL,
  partner text COLLATE "C" NOT NULL,
  keyid text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  base text COLLATE "C" NOT NULL,
  signature bytea NOT NULL,
  salt bytea NOT NULL,
  leaves bytea NOT NULL,
  PRIMARY KEY (part, root)
);
GRANT INSERT, SELECT ON testimony TO {runtime};
GRANT UPDATE (salt) ON testimony TO {eraser};
CREATE TABLE testimony_batch (
  part integer NOT NULL,
  batch bigint NOT NULL,
  root bytea NOT NULL,
  claims integer NOT NULL,
  places bytea NOT NULL,
  PRIMARY KEY (part, batch, root, claims)
);
GRANT DELETE ON testimony_batch TO {eraser};
GRANT INSERT, SELECT ON testimony_batch TO {runtime};
GRANT UPDATE (places) ON testimony_batch TO {eraser};
CREATE TABLE totals (
  number bigint NOT NULL,
  programme text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  vintage text COLLATE "C" NOT NULL,
  upto text COLLATE "C" NOT NULL,
  claims bigint NOT NULL,
  mg bigint NOT NULL,
  points bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (number)
);
GRANT INSERT, SELECT ON totals TO {runtime};
CREATE TABLE usage (
  part integer NOT NULL,
  account bigint NOT NULL,
  method text COLLATE "C" NOT NULL,
  period text COLLATE "C" NOT NULL,
  used text COLLATE "C" NOT NULL,
  PRIMARY KEY (part, account, method, period)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage TO {runtime};
