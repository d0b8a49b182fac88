package simulate

// An action is something that can happen.
type action struct {
	name    string
	weight  int
	between bool // it can happen in between another server's transactions
	reach   int  // within so many statements something goes wrong
	do      func(*world)
}

// actions are all that can happen; a new one is a line here.
var actions []action

func init() {
	actions = []action{
		{"report", 24, true, 50, (*world).report},
		{"deliver", 14, true, 4, (*world).deliver},
		{"work", 18, true, 50, (*world).work},
		{"resend", 8, true, 4, (*world).resend},
		{"import", 4, true, 30, (*world).bringIn},
		{"crowd", 3, false, 50, (*world).gather},
		{"grant", 6, true, 45, (*world).grant},
		{"revoke", 3, true, 14, (*world).revoke},
		{"correct", 9, true, 34, (*world).correct},
		{"erase", 3, false, 120, (*world).erase},
		{"rejudge", 4, true, 40, (*world).rejudge},
		{"publish", 3, true, 9, (*world).publish},
		{"restate", 4, false, 120, (*world).restate},
		{"rotate", 1, true, 4, (*world).rotate},
		{"rekey", 3, true, 6, (*world).rekey},
		{"seal", 12, true, 40, (*world).seal},
		{"receipt", 3, true, 24, (*world).receipt},
		{"look", 2, true, 12, (*world).look},
		{"kill", 3, false, 8, (*world).kill},
		{"power", 1, false, 1, (*world).power},
		{"back up", 3, false, 1, (*world).backUp},
		{"restore", 3, false, 60, (*world).restore},
		{"wait", 2, false, 1, (*world).wait},
	}
}

func actionOf(name string) *action {
	for i := range actions {
		if actions[i].name == name {
			return &actions[i]
		}
	}
	panic("there is no action " + name)
}

// wait lets a night pass.
func (w *world) wait() { w.now += (6 + int64(w.draw.IntN(30))) * 3600e6 }
