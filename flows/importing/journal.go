package importing

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// A checkpoint is a place in the files up to which everything is done with, and what it came to.
type checkpoint struct {
	File       int                   `json:"file"`
	Row        int64                 `json:"row"` // 0 before the first window
	Verdicts   map[reason.Code]int64 `json:"verdicts"`
	Milligrams int64                 `json:"mg"`
	Points     int64                 `json:"points"`
	Report     int64                 `json:"report"`           // bytes of the report
	Heads      map[int]claim.Ref     `json:"heads"`            // per partition, the last claim recorded before or at this place
	Credit     map[int32]int64       `json:"credit,omitempty"` // milligrams by member since the checkpoint before
}

// journal is a file of checkpoints, a line each, beside the table of subs. It is there while an import is
// under way. It need not be durable: a checkpoint that is lost only means more claims sent twice.
type journal struct {
	path string
	file *os.File
	size int64
}

// key tells this import from others: two runs with the same key are the same import, tried twice.
func (c *Config) key(database string, marks []mark) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %x %q %v %v", database, c.Programme, c.Partner, c.Map.hash, c.Report, c.Enrol, c.Backfill)
	for _, m := range marks {
		fmt.Fprintf(h, " %q %d %x", m.name, m.size, m.head)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// openJournal opens the journal of the import with this key. If there was one, it returns its last
// checkpoint, with what its members were credited added to s.
func openJournal(subsPath, key string, s *subs) (j *journal, last checkpoint, there bool, err error) {
	j = &journal{path: subsPath + "." + key + ".journal"}
	if j.file, err = os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, last, false, err
	}
	if last, err = j.load(s); err != nil {
		j.close()
		return nil, last, false, err
	}
	return j, last, j.size > 0, nil
}

func (j *journal) load(s *subs) (last checkpoint, err error) {
	r := bufio.NewReader(j.file)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return last, nil // a line without end was torn
		}
		if err != nil {
			return last, err
		}
		var c checkpoint
		if err := json.Unmarshal(line, &c); err != nil {
			return last, fault.New(fault.Invalid, "%s is damaged; delete it to start over: %v", j.path, err)
		}
		for place, mg := range c.Credit {
			if place < 0 || int(place) >= len(s.sum) {
				return last, fault.New(fault.Conflict, "%s knows a member who is not in the table of subs; delete it to start over", j.path)
			}
			s.sum[place] += mg
		}
		last = c
		j.size += int64(len(line))
	}
}

// begin empties the journal and writes its first checkpoint.
func (j *journal) begin(c checkpoint) error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.size = 0
	return j.add(c)
}

func (j *journal) add(c checkpoint) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	j.size += int64(len(line))
	return nil
}

func (j *journal) close() error { return j.file.Close() }

func (j *journal) remove() error {
	j.close()
	return os.Remove(j.path)
}
