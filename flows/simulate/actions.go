package simulate

// An action is something that can happen.
type action struct {
	name    string
	weight  int
	between bool // it can happen in between another server's transactions
	do      func(*world)
}

// actions are all that can happen; a new one is a line here.
var actions []action

func init() {
	actions = []action{
		{"report", 24, true, (*world).report},
		{"deliver", 14, true, (*world).deliver},
		{"work", 18, true, (*world).work},
		{"resend", 8, true, (*world).resend},
		{"import", 4, true, (*world).bringIn},
		{"crowd", 3, false, (*world).gather},
		{"grant", 6, true, (*world).grant},
		{"revoke", 3, true, (*world).revoke},
		{"correct", 9, true, (*world).correct},
		{"rejudge", 2, true, (*world).rejudge},
		{"publish", 2, true, (*world).publish},
		{"rotate", 1, true, (*world).rotate},
		{"seal", 12, true, (*world).seal},
		{"receipt", 3, true, (*world).receipt},
		{"look", 2, true, (*world).look},
		{"kill", 3, false, (*world).kill},
		{"power", 1, false, (*world).power},
		{"back up", 2, false, (*world).backUp},
		{"restore", 1, false, (*world).restore},
		{"wait", 2, false, (*world).wait},
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
