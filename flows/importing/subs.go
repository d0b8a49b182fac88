package importing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// subs is the partner's own table from its ids of members to the pseudonyms that the platform gave it.
// It is a text file that stays with the partner: one line that names the database, programme and partner
// it belongs to, then a line for each member, its id and its sub with a tab between.
//
// A sub is on the disk before a claim is sent under it. So a crash can leave an account that nobody
// claims for, and a torn last line, but never a claim whose member is forgotten.
type subs struct {
	file  *os.File
	index map[string]int32 // member → place in the lists
	sub   []string         // "" for a member whom this run met and could not enrol
	met   []bool           // in this run
	sum   []int64          // milligrams credited in this run
	size  int64            // of the file, whole lines only
}

const subsFormat = "tanpu-subs-1"

// openSubs opens the table, or begins it, and holds it against other imports until it is closed.
func openSubs(path, database, programme, partner string) (s *subs, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := lock(file); err != nil {
		return nil, fault.New(fault.Conflict, "%s is in use by another import", path)
	}
	if err := file.Chmod(0o600); err != nil { // it says who is who, whoever made the file
		return nil, err
	}
	s = &subs{file: file, index: map[string]int32{}}
	header := strings.Join([]string{subsFormat, database, programme, partner}, "\t") + "\n"
	if err := s.load(path, header); err != nil {
		return nil, err
	}
	if s.size > 0 {
		return s, file.Truncate(s.size) // a line torn by a crash was never used
	}
	if err := file.Truncate(0); err != nil {
		return nil, err
	}
	if err := s.write(header); err != nil {
		return nil, err
	}
	return s, syncFolder(path)
}

// load reads what the file holds. Nothing, or a first line torn off, is a table not begun yet.
func (s *subs) load(path, header string) error {
	r := bufio.NewReader(s.file)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		switch {
		case err == io.EOF && n == 1 && !strings.HasPrefix(header, line):
			return notSubs(path)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == 1:
			if err := sameHeader(path, line, header); err != nil {
				return err
			}
		default:
			member, sub, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if _, twice := s.index[member]; !ok || twice || member == "" || sub == "" || len(sub) > claim.MaxID {
				return fault.New(fault.Invalid, "%s:%d: want a member's id that is not above, a tab, and its sub", path, n)
			}
			s.add(member, sub)
		}
		s.size += int64(len(line))
	}
}

func notSubs(path string) error {
	return fault.New(fault.Invalid, "%s:1: this is not a table of subs; give --subs a new file or one that an import wrote", path)
}

func sameHeader(path, got, want string) error {
	g, w := strings.Split(strings.TrimSuffix(got, "\n"), "\t"), strings.Split(strings.TrimSuffix(want, "\n"), "\t")
	if len(g) != len(w) || g[0] != w[0] {
		return notSubs(path)
	}
	for i, what := range []string{1: "database", 2: "programme", 3: "partner"} {
		if i > 0 && g[i] != w[i] {
			return fault.New(fault.Conflict, "%s:1: these subs belong to %s %s, and this import is for %s", path, what, clip(g[i]), w[i])
		}
	}
	return nil
}

// add puts a member into the lists and returns its place.
func (s *subs) add(member, sub string) int32 {
	i := int32(len(s.sub))
	s.index[strings.Clone(member)] = i // not the whole row that it was cut from
	s.sub = append(s.sub, sub)
	s.met = append(s.met, false)
	s.sum = append(s.sum, 0)
	return i
}

// place returns a member's place in the lists, where it has one now at the latest.
func (s *subs) place(member string) int32 {
	i, ok := s.index[member]
	if !ok {
		i = s.add(member, "")
	}
	return i
}

// record gives members their subs and returns when they are on the disk.
func (s *subs) record(members []string, given []string) error {
	var b strings.Builder
	for i, member := range members {
		if given[i] == "" || len(given[i]) > claim.MaxID || strings.ContainsFunc(given[i], control) {
			return fmt.Errorf("a member was enrolled as %q", given[i])
		}
		fmt.Fprintf(&b, "%s\t%s\n", member, given[i])
	}
	if err := s.write(b.String()); err != nil {
		return err
	}
	for i, member := range members {
		s.sub[s.index[member]] = given[i]
	}
	return nil
}

func (s *subs) write(text string) error {
	if _, err := s.file.WriteAt([]byte(text), s.size); err != nil {
		return fmt.Errorf("writing the subs: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("writing the subs: %w", err)
	}
	s.size += int64(len(text))
	return nil
}

func (s *subs) close() error { return s.file.Close() }

// credited counts the members whom this run credited.
func (s *subs) credited() (n int64) {
	for _, mg := range s.sum {
		if mg > 0 {
			n++
		}
	}
	return n
}

// syncFolder makes a new or renamed file's name as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
