// Package store keeps the tables. It holds a partition alone for whoever decides about it, hands out
// what deciding needs, and writes what was decided, all of it or nothing. It knows SQLite and
// PostgreSQL; the rest of Tanpu does not know which of them it runs on.
package store

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the engine

	"github.com/tanpu/tanpu/rules/fault"
)

// DefaultParts is how many partitions a database gets when nobody says otherwise.
const DefaultParts = 16

// MaxParts bounds the number of partitions: a sub carries its partition in two letters.
const MaxParts = 1024

//go:embed schema
var schema embed.FS

// A DB is one Tanpu database, with the right to write to it unless it was opened for reading.
type DB struct {
	ID    string // made once, by Create
	Parts int

	engine       engine
	write        *sql.DB // SQLite: one connection. nil when opened for reading
	read         *sql.DB
	lock         *sql.DB        // SQLite: holds the writer's lock; nil elsewhere
	desks        desks          // SQLite: where transactions work
	memories     []memory       // by partition
	subs         []cipher.Block // by partition: what its subs are made with
	marks        []byte         // the key of forgotten acts' marks
	checkpointer *checkpointer  // SQLite; nil when opened for reading
	runtime      string         // PostgreSQL: the role that connections take on
	readers      int            // SQLite: how many desks read
	random       io.Reader      // where keys and links' numbers come from
	drill        bool           // opened for a drill
	taking       bool           // SQLite: several take turns, in one process; see OpenSimulated
}

type engine string

const (
	sqlite   engine = "sqlite"
	postgres engine = "postgres"
)

// Create makes the database if there is none, brings its schema up to date, and opens it.
func Create(ctx context.Context, rawURL string, parts int) (*DB, error) {
	if parts < 1 || parts > MaxParts {
		return nil, fault.New(fault.Invalid, "a database has 1 to %d partitions, not %d", MaxParts, parts)
	}
	db, err := connect(rawURL, making)
	if err != nil {
		return nil, err
	}
	if err = db.migrate(ctx, parts); err == nil {
		err = db.load(ctx)
	}
	if err == nil {
		err = db.real(ctx)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("making the database: %w", err)
	}
	return db, nil
}

// A use is what a process opens a database for.
type use int

const (
	reading use = iota
	keeping     // adding API keys beside a process that writes
	writing
	restoring // writing, while nobody else does
	drilling  // the same, to a database that is never to be served
	making    // writing, to a database that need not be there yet
)

// Open attaches to a database for reading and writing. On SQLite a second writing process is refused.
func Open(ctx context.Context, rawURL string) (*DB, error) { return open(ctx, rawURL, writing) }

// OpenRead attaches for reading, also beside a process that writes.
func OpenRead(ctx context.Context, rawURL string) (*DB, error) { return open(ctx, rawURL, reading) }

// OpenKeys attaches to add and end API keys, also beside a process that writes: keys decide nothing
// that is kept, so a server need not stop for a new one.
func OpenKeys(ctx context.Context, rawURL string) (*DB, error) { return open(ctx, rawURL, keeping) }

// OpenRestore attaches to bring an older database forward, which others must not write to meanwhile: see Unserved.
func OpenRestore(ctx context.Context, rawURL string) (*DB, error) {
	return open(ctx, rawURL, restoring)
}

func open(ctx context.Context, rawURL string, u use) (*DB, error) {
	db, err := connect(rawURL, u)
	if err != nil {
		return nil, err
	}
	if err := db.current(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if err := db.load(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if u != reading {
		if err := db.primary(ctx, db.read); err != nil {
			db.Close()
			return nil, err
		}
	}
	if u != reading && u != drilling {
		if err := db.real(ctx); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

// primary returns an error unless PostgreSQL takes what is written, which a standby does not, nor does a backup on its way back.
func (db *DB) primary(ctx context.Context, q querier) error {
	if db.engine != postgres {
		return nil
	}
	var recovering bool
	if err := q.QueryRowContext(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil {
		return fmt.Errorf("asking whether the database can be written to: %w", err)
	}
	if recovering {
		return fault.New(fault.Conflict, "the database is still recovering or is a standby; end that first (pg_promote)")
	}
	return nil
}

// Close lets go of the database.
func (db *DB) Close() error {
	var errs []error
	db.clear()
	if db.checkpointer != nil {
		errs = append(errs, db.checkpointer.close())
	}
	// On SQLite the connection that writes goes last, and takes the log back into the file.
	for _, pool := range []*sql.DB{db.read, db.write, db.lock} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.read.PingContext(ctx) }

func connect(rawURL string, u use) (*DB, error) {
	switch scheme, rest, _ := strings.Cut(rawURL, ":"); scheme {
	case "sqlite":
		return connectSQLite(rest, u)
	case "postgres", "postgresql":
		return connectPostgres(rawURL, u)
	}
	return nil, fault.New(fault.Invalid, "a database is named sqlite:FILE or postgres://…, not %q", redact(rawURL))
}

// redact keeps of a database's address what can be shown: the rest may hold a password in more than one place.
func redact(rawURL string) string {
	scheme, _, ok := strings.Cut(rawURL, ":")
	if !ok || len(scheme) > 20 {
		return "(something else)"
	}
	return scheme + ":…"
}

// sqliteDriver is what SQLite is opened by. A simulation puts a driver of its own in between, to break each step.
var sqliteDriver = "sqlite"

func connectSQLite(path string, u use) (*DB, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.ContainsAny(path, "?#") {
		return nil, fault.New(fault.Invalid, "name the database file: sqlite:FILE")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && u != making {
		return nil, fault.New(fault.NotFound, "there is no database %s yet; make one with: tanpu init --db sqlite:%s", path, path)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fault.New(fault.NotFound, "there is no folder %s for the database", filepath.Dir(path))
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // so that the lock is the file's, by whatever name it is opened
	}
	file := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	db := &DB{engine: sqlite, readers: sqliteReaders, random: rand.Reader}
	var err error
	if u >= writing {
		if db.lock, err = lockFile(file, path); err != nil {
			return nil, err
		}
	}
	if u == making {
		// It holds the accounts' keys, and SQLite gives its -wal and -shm the same rights. A file that is there keeps those it has.
		if err := touchPrivate(path); err != nil {
			return nil, errors.Join(err, db.lock.Close())
		}
	}
	if u != reading {
		if db.write, err = sql.Open(sqliteDriver, file+"?_txlock=immediate"+pragmas(
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "recursive_triggers(ON)",
			"cache_size(-262144)", "wal_autocheckpoint("+checkpointPages+")", "temp_store(MEMORY)")); err != nil {
			return nil, err
		}
		db.write.SetMaxOpenConns(1)
	}
	if u >= writing {
		pool, err := sql.Open("sqlite", file+"?"+strings.TrimPrefix(pragmas("busy_timeout(10000)", "synchronous(FULL)", "cache_size(-2048)"), "&"))
		if err != nil {
			return nil, err
		}
		db.checkpointer = newCheckpointer(pool)
	}
	db.read, err = sql.Open(sqliteDriver, file+"?mode="+readMode(u)+pragmas(
		"busy_timeout(10000)", "query_only(ON)", "cache_size(-2048)")) // what a reader keeps is void as soon as somebody has written
	if err == nil {
		db.bound()
	}
	return db, err
}

// touchPrivate makes an empty file that only its owner can read, unless there is one.
func touchPrivate(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("making the database's file: %w", err)
	}
	return f.Close()
}

// bound keeps any number of requests at once from opening as many connections, and with them files and
// caches, or all that a PostgreSQL has for everybody: the rest wait their turn. An audit holds a
// connection a processor and asks for another meanwhile, and SQLite's desks keep theirs.
func (db *DB) bound() {
	db.read.SetMaxOpenConns(sqliteReaders + 16 + 2*runtime.GOMAXPROCS(0))
	db.read.SetMaxIdleConns(sqliteReaders + 8)
}

// readMode lets readers make the file only where a writer may.
func readMode(u use) string {
	if u >= writing {
		return "rwc"
	}
	return "rw" // a WAL database cannot be read without its shared-memory file, which reading may make
}

func pragmas(list ...string) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString("&_pragma=" + p)
	}
	return b.String()
}

// lockFile takes the writer's lock: an exclusive transaction on a file beside the database, held as
// long as the process lives. The operating system lets go of it however the process ends.
func lockFile(file, path string) (*sql.DB, error) {
	lock, err := sql.Open("sqlite", file+"-lock?"+strings.TrimPrefix(pragmas("busy_timeout(200)", "locking_mode(EXCLUSIVE)"), "&"))
	if err != nil {
		return nil, err
	}
	lock.SetMaxOpenConns(1)
	if _, err = lock.Exec("BEGIN EXCLUSIVE"); err != nil {
		lock.Close()
		if strings.Contains(err.Error(), "SQLITE_BUSY") || strings.Contains(err.Error(), "locked") {
			return nil, fault.New(fault.Conflict, "%s is in use by another tanpu process; stop it first, or use PostgreSQL for several servers", path)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return lock, nil
}

// dialPostgres reaches PostgreSQL. A test puts a connection of its own in between, to freeze it.
var dialPostgres = func(dial pgconn.DialFunc) pgconn.DialFunc { return dial }

func connectPostgres(rawURL string, u use) (*DB, error) {
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the database's address cannot be read: %s", redact(rawURL))
	}
	config.RuntimeParams["application_name"] = served
	switch u {
	case reading, keeping:
		config.RuntimeParams["application_name"] = "tanpu beside"
	case restoring, drilling:
		config.RuntimeParams["application_name"] = "tanpu restore"
	}
	config.RuntimeParams["timezone"] = "UTC"
	db := &DB{engine: postgres, random: rand.Reader, runtime: runtimeRole(config.Database)}
	db.read = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(db.takeRole))
	db.bound()

	// Deciding looks up single rows by key, whatever the planner thinks of tables it has not yet counted.
	writing := config.Copy()
	writing.DialFunc = dialPostgres(config.DialFunc)
	for _, p := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_memoize", "enable_sort", "enable_incremental_sort", "jit"} {
		writing.RuntimeParams[p] = "off"
	}
	// Acknowledged means on disk, whatever the server's default is.
	writing.RuntimeParams["synchronous_commit"] = "on"
	// Whoever holds a partition and falls silent, because its machine died or its network broke, must not
	// hold it for the two hours that TCP may take to notice. Whoever names the database may say otherwise.
	for p, v := range map[string]string{
		"idle_in_transaction_session_timeout": "15s", "lock_timeout": "60s",
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "30s",
	} {
		if _, said := config.RuntimeParams[p]; !said {
			writing.RuntimeParams[p] = v
		}
	}
	writing.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	db.write = stdlib.OpenDB(*writing, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		if err := keepMemory(ctx, conn); err != nil {
			return err
		}
		return db.takeRole(ctx, conn)
	}))
	db.write.SetMaxIdleConns(8)
	db.write.SetMaxOpenConns(16)
	return db, nil
}

// keepMemory has the connection's server process allocate and free more at once than any batch takes. The
// C library (glibc's malloc, M_TRIM_THRESHOLD) then keeps twice that much for the next batch. Left alone, it gives memory back to the
// system and fetches it anew several times a batch, and each time every processor must be told. The planner would
// repeat what is constant itself, and copy what comes of it; random() leaves it to be done once.
func keepMemory(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT octet_length(repeat(repeat('x', 5000), 5000 + (0 * random())::int))")
	return err
}

// runtimeRole names the role that may add to what is recorded but not change it.
func runtimeRole(database string) string { return database + "_runtime" }

// eraser names the role that may take away what is recorded of an account that is erased; see Erase.
func (db *DB) eraser() string { return strings.TrimSuffix(db.runtime, "_runtime") + "_eraser" }

// takeRole gives up all rights but those of the runtime role. Before the first migration there is none;
// see load.
func (db *DB) takeRole(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", db.runtime).Scan(&there); err != nil || !there {
		return err
	}
	_, err := conn.Exec(ctx, "SET ROLE "+pgx.Identifier{db.runtime}.Sanitize())
	return err
}

// load reads what the database says of itself.
func (db *DB) load(ctx context.Context) error {
	err := db.read.QueryRowContext(ctx, "SELECT id, parts FROM database").Scan(&db.ID, &db.Parts)
	if err != nil {
		return fmt.Errorf("reading what database this is: %w", err)
	}
	if db.engine == postgres {
		var role string
		if err := db.read.QueryRowContext(ctx, "SELECT current_user").Scan(&role); err != nil {
			return err
		}
		if role != db.runtime { // as when a backup was restored without its roles
			return fault.New(fault.Conflict, "there is no role %s, without which what is recorded could be changed; make it with the rights that the schema grants it", db.runtime)
		}
	}
	if err := db.loadSubs(ctx); err != nil {
		return fmt.Errorf("reading the partitions: %w", err)
	}
	if err := db.sameTime(ctx); err != nil {
		return err
	}
	db.remember()
	return db.furnish(ctx, db.Parts)
}

// maxSkew is how far a server's clock may be from PostgreSQL's, which all servers share.
const maxSkew = time.Minute

// sameTime refuses a server whose clock is wrong: its instants would move partitions ahead for good.
func (db *DB) sameTime(ctx context.Context) error {
	if db.engine != postgres || db.write == nil {
		return nil
	}
	var theirs float64
	if err := db.read.QueryRowContext(ctx, "SELECT extract(epoch FROM clock_timestamp())").Scan(&theirs); err != nil {
		return fmt.Errorf("asking the database for its time: %w", err)
	}
	if skew := time.Since(time.UnixMicro(int64(theirs * 1e6))); skew.Abs() > maxSkew {
		return fault.New(fault.Conflict, "this machine's clock differs from the database's by %s; set it right first", skew.Round(time.Second))
	}
	return nil
}

// migrations lists the engine's numbered files in order.
func (db *DB) migrations() ([]string, error) {
	return fs.Glob(schema, "schema/"+string(db.engine)+"/0*.sql")
}

// version is how many migrations the database has seen; 0 for an empty one.
func (db *DB) version(ctx context.Context, q querier) (n int, err error) {
	there := "SELECT count(*) FROM sqlite_schema WHERE name = 'migration'"
	if db.engine == postgres {
		there = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'migration'"
	}
	if err = q.QueryRowContext(ctx, there).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM migration").Scan(&n)
	return n, err
}

type querier interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// current returns an error unless the schema is the one that this program was built with.
func (db *DB) current(ctx context.Context) error {
	files, err := db.migrations()
	if err != nil {
		return err
	}
	n, err := db.version(ctx, db.read)
	switch {
	case err != nil:
		return fmt.Errorf("opening the database: %w", err)
	case n == 0:
		return fault.New(fault.NotFound, "there is no Tanpu database there yet; make one with: tanpu init --db URL")
	case n < len(files):
		return fault.New(fault.Conflict, "the database has schema %d and this program needs %d; run: tanpu init --db URL", n, len(files))
	case n > len(files):
		return fault.New(fault.Conflict, "the database has schema %d, newer than this program's %d; use a newer tanpu", n, len(files))
	}
	return nil
}

// migrate runs the migrations that the database has not seen, each in a transaction of its own.
func (db *DB) migrate(ctx context.Context, parts int) error {
	files, err := db.migrations()
	if err != nil {
		return err
	}
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if db.engine == postgres {
		defer conn.Raw(func(any) error { return driver.ErrBadConn }) // its rights are not the runtime's
		if err := db.primary(ctx, conn); err != nil {
			return err
		}
		if err := db.prepareRole(ctx, conn); err != nil {
			return err
		}
	}
	for i := range files {
		if err := db.step(ctx, conn, i, files[i], parts); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(files[i]), err)
		}
	}
	return nil
}

// prepareRole makes the roles and goes back to the rights that the connection logged in with.
// Other servers may be doing the same, so the advisory lock is held until the connection ends.
func (db *DB) prepareRole(ctx context.Context, conn *sql.Conn) error {
	for _, statement := range []string{
		"RESET ROLE",
		"SET lock_timeout = 0", // another's migration takes as long as it takes
		"SELECT pg_advisory_lock(hashtext('tanpu migrate'))",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, name := range []string{db.runtime, db.eraser()} {
		role := pgx.Identifier{name}.Sanitize()
		for _, statement := range []string{
			"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + strings.ReplaceAll(name, "'", "''") + "') THEN CREATE ROLE " + role + " NOLOGIN; END IF; END $$",
			"GRANT " + role + " TO CURRENT_USER",
			"GRANT USAGE ON SCHEMA public TO " + role,
		} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("making the role %s, which needs a login that may create roles: %w", role, err)
			}
		}
	}
	return nil
}

func (db *DB) step(ctx context.Context, conn *sql.Conn, i int, file string, parts int) (err error) {
	text, err := schema.ReadFile(file)
	if err != nil {
		return err
	}
	tx, err := begin(ctx, conn)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if n, err := db.version(ctx, tx); err != nil || n > i {
		return err
	}
	statements := strings.NewReplacer("{runtime}", pgx.Identifier{db.runtime}.Sanitize(), "{eraser}", pgx.Identifier{db.eraser()}.Sanitize()).Replace(string(text))
	if i == 0 {
		statements = "CREATE TABLE migration (number INTEGER PRIMARY KEY, at BIGINT NOT NULL);\n" + statements
		if db.engine == postgres {
			statements += "GRANT SELECT ON migration TO " + pgx.Identifier{db.runtime}.Sanitize() + ";"
		}
	}
	if _, err := tx.ExecContext(ctx, statements); err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	if _, err := tx.ExecContext(ctx, "INSERT INTO migration (number, at) VALUES ($1, $2)", i+1, now); err != nil {
		return err
	}
	if i == 0 {
		if err := db.fill(ctx, tx, parts, now); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// fill writes the rows that a new database begins with.
func (db *DB) fill(ctx context.Context, tx *sql.Tx, parts int, now int64) error {
	id := db.draw(16)
	if _, err := tx.ExecContext(ctx, "INSERT INTO database (id, parts, created) VALUES ($1, $2, $3)", hex.EncodeToString(id), parts, now); err != nil {
		return err
	}
	for part := range parts {
		secret := db.draw(32)
		_, err := tx.ExecContext(ctx, `INSERT INTO partition (part, next, at, hash, accounts, secret) VALUES ($1, 1, 0, $2, 0, $3)`,
			part, make([]byte, 32), secret)
		if err != nil {
			return err
		}
	}
	return nil
}

// Single reports whether only one transaction at a time can write, as on SQLite.
func (db *DB) Single() bool { return db.engine == sqlite }
