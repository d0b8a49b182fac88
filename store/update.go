package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tanpu/tanpu/rules/ledger"
)

// A Tx holds one partition alone. What it reads stays true until it ends.
type Tx struct {
	Part     int
	Number   int64       // of the batch that it writes; 0 when it writes none
	Now      int64       // its one instant, µs UTC: never before that of the partition's last batch
	Prev     ledger.Hash // of the batch before
	Secret   []byte      // salts the commitments to the partition's totals
	Rulebook int64       // number of the rulebook in force

	Forgotten bool // people were erased: whether an act was theirs must be asked

	db     *DB
	desk   *desk     // where it works now
	writes bool      // SQLite: it has moved to the desk that writes
	erases AccountID // whose rows it may take away; zero for nobody's. See Erase

	rows      int64 // SQLite: written
	committed bool

	memory   *memory  // of a batch: what need not be read; nil for anything else
	heard    int64    // the last consent that the memory knew when this began
	unsure   bool     // every identity is looked up
	guarded  bool     // an identity was not looked up, because the table's key refuses what is recorded
	recorded []uint64 // marks of identities that are recorded once this is committed
}

// A desk is a connection that one transaction at a time works at, with its prepared statements.
type desk struct {
	conn       *sql.Conn            // nil on SQLite when it was given up: see open
	pool       *sql.DB              // SQLite only: where another comes from
	statements map[string]*sql.Stmt // SQLite only; pgx keeps its own
}

// open makes sure that the desk has a connection.
func (d *desk) open(ctx context.Context) (err error) {
	if d.conn == nil {
		d.statements = map[string]*sql.Stmt{}
		d.conn, err = d.pool.Conn(ctx)
	}
	return err
}

// rollback ends a transaction, or gives the connection up.
func (d *desk) rollback(ctx context.Context) {
	if _, err := d.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		d.giveUp()
	}
}

// giveUp lets go of a connection on which a transaction may still be open: the next one would not begin on it.
func (d *desk) giveUp() {
	if d.conn != nil {
		for _, s := range d.statements {
			s.Close() // or SQLite takes the connection for one that is still in use, and never ends its log
		}
		d.conn.Raw(func(any) error { return driver.ErrBadConn })
		d.conn.Close()
		d.conn = nil
	}
}

// desks hands out SQLite's connections: one that writes, and some that read. Only one process writes, so
// its mutexes hold the partitions, and while one partition's batch is being written, the next one's can
// already be read and judged.
type desks struct {
	parts   []sync.Mutex // by partition: held from before its first read until after its commit
	writing chan *desk   // holds the one that writes, when it is free
	reading chan *desk   // holds those that read and are free
}

const sqliteReaders = 4

// Update runs f while it holds the partition alone, and makes all that f wrote durable, or nothing.
// When it returns an error the outcome may be unknown: the commit may have been carried out.
func (db *DB) Update(ctx context.Context, part int, clock int64, f func(*Tx) error) error {
	return db.update(ctx, part, clock, 0, f)
}

// UpdateBatch is Update for a batch: it takes the partition's next batch number, which f must write.
func (db *DB) UpdateBatch(ctx context.Context, part int, clock int64, f func(*Tx) error) error {
	return db.update(ctx, part, clock, 1, f)
}

// update carries out an attempt, and another one when the first took a claim for new that was recorded before.
func (db *DB) update(ctx context.Context, part int, clock int64, numbers int, f func(*Tx) error) error {
	err := db.attempt(ctx, part, clock, numbers, false, f)
	if errors.Is(err, errRecorded) {
		err = db.attempt(ctx, part, clock, numbers, true, f)
	}
	return err
}

func (db *DB) attempt(ctx context.Context, part int, clock int64, numbers int, unsure bool, f func(*Tx) error) error {
	if db.write == nil {
		return errors.New("the database was opened for reading")
	}
	if db.engine == sqlite && db.lock == nil && !db.taking { // its mutexes hold partitions only in the process that has the lock
		return errors.New("the database was opened for its keys")
	}
	if part < 0 || part >= db.Parts {
		return fmt.Errorf("there is no partition %d", part)
	}
	tx := &Tx{Part: part, db: db, unsure: unsure}
	if numbers > 0 {
		tx.memory = &db.memories[part]
	}
	begin := tx.beginPostgres
	if db.engine == sqlite {
		db.desks.parts[part].Lock()
		defer db.desks.parts[part].Unlock()
		begin = tx.beginSQLite
	}
	defer tx.leave()
	if err := begin(ctx, clock, numbers); err != nil {
		return fmt.Errorf("taking partition %d: %w", part, err)
	}
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("committing to partition %d: %w", part, err)
	}
	tx.memory.add(tx.recorded)
	return nil
}

// commit makes durable what was written. It leaves the desk without a transaction when it succeeds.
func (tx *Tx) commit(ctx context.Context) error {
	if tx.db.engine == sqlite && !tx.writes {
		return nil // nothing was written
	}
	if tx.db.engine == postgres {
		err := tx.postgres(func(c *pgx.Conn) error {
			tag, err := c.Exec(ctx, "COMMIT")
			if err == nil && tag.String() != "COMMIT" { // PostgreSQL's answer when a statement had failed
				err = errors.New("the transaction had failed")
			}
			return err
		})
		tx.committed = err == nil
		return err
	}
	_, err := tx.desk.conn.ExecContext(ctx, "COMMIT")
	tx.committed = err == nil
	if tx.committed {
		tx.db.checkpointer.wrote(tx.rows)
	}
	return err
}

// leave ends what is still open and gives the desk back.
func (tx *Tx) leave() {
	d := tx.desk
	if d == nil {
		return
	}
	if d.conn != nil && !tx.committed {
		d.rollback(context.Background())
	}
	switch {
	case tx.db.engine == postgres && d.conn != nil:
		d.conn.Close()
	case tx.db.engine == postgres:
	case tx.writes:
		tx.db.desks.writing <- d
	default:
		tx.db.desks.reading <- d
	}
}

const (
	lockPartition = "UPDATE partition SET next = next + $2 WHERE part = $1 RETURNING next - $2, at, hash, secret, forgotten <> 0"
	lastRulebook  = "SELECT coalesce(max(rulebook), 0) FROM document"
)

// beginPostgres takes the partition's row, and with it the partition: lock, number, last instant and the
// hash of the batch before, in one statement. The rulebook is read by another, sent along: a statement
// that waited for the lock sees the other tables as they were before it waited, and a batch must not be
// judged by an older rulebook than the one before it.
func (tx *Tx) beginPostgres(ctx context.Context, clock int64, numbers int) error {
	conn, err := tx.db.write.Conn(ctx)
	if err != nil {
		return err
	}
	tx.desk = &desk{conn: conn}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	return tx.postgres(func(c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(lockPartition, tx.Part, numbers)
		batch.Queue(lastRulebook)
		if tx.memory != nil {
			batch.Queue(newsQuery, tx.Part, tx.memory.since())
		}
		results := c.SendBatch(ctx, &batch)
		defer results.Close()
		if err := tx.start(clock, numbers, results.QueryRow().Scan); err != nil {
			return err
		}
		if err := results.QueryRow().Scan(&tx.Rulebook); err != nil {
			return err
		}
		if tx.memory != nil {
			var news news
			if err := eachResult(results, news.read); err != nil {
				return err
			}
			tx.heard = tx.memory.align(news)
		}
		return results.Close()
	})
}

const readPartition = "SELECT next, at, hash, secret, forgotten <> 0 FROM partition WHERE part = $1"

// beginSQLite reads where the partition stands, in a snapshot of the database. The caller holds the
// partition's mutex. See write for the other half.
func (tx *Tx) beginSQLite(ctx context.Context, clock int64, numbers int) error {
	tx.desk = <-tx.db.desks.reading
	if err := tx.desk.open(ctx); err != nil {
		return err
	}
	if _, err := tx.desk.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := tx.start(clock, numbers, tx.desk.conn.QueryRowContext(ctx, readPartition, tx.Part).Scan); err != nil {
		return err
	}
	if err := tx.desk.conn.QueryRowContext(ctx, lastRulebook).Scan(&tx.Rulebook); err != nil || tx.memory == nil {
		return err
	}
	var news news
	if err := eachRow(ctx, tx.desk.conn, news.read, newsQuery, tx.Part, tx.memory.since()); err != nil {
		return err
	}
	tx.heard = tx.memory.align(news)
	return nil
}

// maxAhead is how far a clock may step back. Beyond it nothing is judged until time has caught up: an
// instant far ahead would refuse for good, as too late, what is only waiting.
const maxAhead = 10 * time.Minute

func (tx *Tx) start(clock int64, numbers int, scan func(...any) error) error {
	var next, at int64
	var hash []byte
	if err := scan(&next, &at, &hash, &tx.Secret, &tx.Forgotten); err != nil {
		return err
	}
	if numbers > 0 {
		tx.Number = next
	}
	if next == 1 && tx.memory != nil {
		tx.memory.fresh()
	}
	if ahead := time.Duration(at-clock) * time.Microsecond; ahead > maxAhead {
		return fmt.Errorf("its last instant is %s ahead of this server's clock: one of the two is wrong, and claims would be judged too late", ahead)
	}
	tx.Now = max(clock, at)
	if numbers == 0 {
		// Consents end and meters are registered after the last batch, never in its instant: so the
		// instants alone tell what each batch knew.
		tx.Now = max(clock, at+1)
	}
	copy(tx.Prev[:], hash)
	return nil
}

// writer is where the transaction writes. On SQLite its first write moves it from its reading desk to the
// one that writes, and there takes the batch's number, which nobody else can have taken meanwhile.
func (tx *Tx) writer(ctx context.Context) (*sql.Conn, error) {
	if tx.db.engine == postgres || tx.writes {
		return tx.desk.conn, nil
	}
	// What it read from goes first: while an older snapshot stands, SQLite cannot begin its log anew, and
	// the log would grow for as long as the server runs.
	tx.desk.rollback(ctx)
	tx.db.desks.reading <- tx.desk
	tx.desk, tx.writes = <-tx.db.desks.writing, true
	if err := tx.desk.open(ctx); err != nil {
		return nil, err
	}
	if _, err := tx.desk.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	if tx.Number == 0 {
		return tx.desk.conn, nil
	}
	result, err := tx.desk.conn.ExecContext(ctx, "UPDATE partition SET next = next + 1 WHERE part = $1 AND next = $2", tx.Part, tx.Number)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return nil, fmt.Errorf("batch %d.%d was taken by somebody else", tx.Part, tx.Number)
	}
	return tx.desk.conn, nil
}

// prepared returns a statement that stays with SQLite's connection.
func (d *desk) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := d.statements[query]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(ctx, query)
	if err == nil {
		d.statements[query] = s
	}
	return s, err
}

// furnish makes SQLite's desks.
func (db *DB) furnish(ctx context.Context, parts int) error {
	if db.engine != sqlite || db.write == nil {
		return nil
	}
	db.desks = desks{parts: make([]sync.Mutex, parts), writing: make(chan *desk, 1), reading: make(chan *desk, db.readers)}
	for range db.readers {
		db.desks.reading <- &desk{pool: db.read}
	}
	d := &desk{pool: db.write}
	db.desks.writing <- d
	return d.open(ctx) // now, and not at the first write, so that who cannot write hears of it
}

// clear closes SQLite's desks; the caller has made sure that nobody works at them.
func (db *DB) clear() {
	if db.desks.writing == nil {
		return
	}
	for range db.readers {
		(<-db.desks.reading).giveUp()
	}
	(<-db.desks.writing).giveUp()
	db.desks = desks{}
}

// alone hands out a connection for a write that concerns no partition. On SQLite it is the writing one.
func (db *DB) alone(ctx context.Context) (conn *sql.Conn, release func(), err error) {
	if db.write == nil {
		return nil, nil, errors.New("the database was opened for reading")
	}
	if db.desks.writing != nil {
		d := <-db.desks.writing
		release = func() { db.desks.writing <- d }
		if err = d.open(ctx); err != nil {
			release()
			return nil, nil, err
		}
		return d.conn, release, nil
	}
	conn, err = db.write.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	return conn, func() { conn.Close() }, nil
}

// begin starts a transaction on a connection that alone handed out. It does not end with ctx, as database/sql's do, which
// rolls back beside us and says meanwhile that all is over: SQLite's connection would go on to whoever waits for it with that
// transaction still open, and what ends it then could end theirs.
func begin(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	return conn.BeginTx(context.WithoutCancel(ctx), nil)
}

// postgres runs f on the connection beneath, for what database/sql has no words for: COPY and pipelines.
func (tx *Tx) postgres(f func(*pgx.Conn) error) error {
	return tx.desk.conn.Raw(func(c any) error { return f(unwrapPgx(c)) })
}

func unwrapPgx(c any) *pgx.Conn { return c.(*stdlib.Conn).Conn() }
