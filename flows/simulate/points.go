package simulate

// points are the statements that flows come to: half of what goes wrong falls on one of these, chosen by its name, so that
// those that are seldom come to are not seldom struck. One that is not listed is struck by its number only.
var points = map[string][]string{
	"correct": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "DELETE history", "DELETE slot", "DELETE usage", "INSERT balance",
		"INSERT batch", "INSERT claim", "INSERT day_total", "INSERT history", "INSERT reversal", "INSERT slot",
		"INSERT usage", "ROLLBACK", "SELECT account", "SELECT account_object", "SELECT balance", "SELECT claim",
		"SELECT document", "SELECT history", "SELECT link", "SELECT partition", "SELECT reversal", "SELECT slot",
		"SELECT usage", "UPDATE claim", "UPDATE partition", "WITH u",
	},
	"crowd": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total",
		"INSERT usage", "ROLLBACK", "SELECT document", "SELECT partition", "UPDATE partition", "WITH u",
	},
	"deliver": {
		"SELECT partner_key",
	},
	"grant": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT account", "INSERT account_key", "INSERT account_object",
		"INSERT consent", "INSERT link", "INSERT object", "INSERT request", "ROLLBACK", "SELECT account",
		"INSERT account", "INSERT account_key", "INSERT link", "INSERT request", // once more: they are few
		"SELECT account_object", "SELECT balance", "SELECT document", "SELECT object", "SELECT partition",
		"SELECT request", "UPDATE partition", "WITH u",
	},
	"import": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total",
		"INSERT history", "INSERT slot", "INSERT usage", "ROLLBACK", "SELECT document", "SELECT partition",
		"UPDATE partition", "WITH u",
	},
	"look": {
		"BEGIN", "ROLLBACK", "SELECT account", "SELECT balance", "SELECT claim", "SELECT document", "SELECT partition",
		"SELECT reversal",
	},
	"publish": {
		"BEGIN", "COMMIT", "INSERT document", "SELECT document",
	},
	"receipt": {
		"SELECT account_key", "SELECT batch", "SELECT claim", "SELECT document", "SELECT log", "SELECT log_entry",
		"SELECT log_tile", "SELECT partner_key", "SELECT reversal", "SELECT testimony", "SELECT testimony_batch",
	},
	"rekey": {
		"INSERT log_key", "SELECT log", "SELECT log_entry", "SELECT log_key",
	},
	"rejudge": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total",
		"INSERT reversal", "INSERT usage", "ROLLBACK", "SELECT account", "SELECT account_key", "SELECT account_object",
		"SELECT balance", "SELECT batch", "SELECT claim", "SELECT document", "SELECT history", "SELECT link",
		"SELECT partition", "SELECT reversal", "SELECT slot", "SELECT usage", "UPDATE claim", "UPDATE partition", "WITH u",
	},
	"report": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total",
		"INSERT history", "INSERT slot", "INSERT testimony", "INSERT testimony_batch", "INSERT usage", "ROLLBACK",
		"SELECT claim", "SELECT document", "SELECT partition", "SELECT partner_key", "SELECT testimony_batch",
		"UPDATE partition", "WITH u",
	},
	"resend": {
		"SELECT partner_key",
	},
	"restate": {
		"BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total", "INSERT document",
		"INSERT reversal", "SELECT balance", "SELECT erasing", "SELECT history", "SELECT slot", "SELECT usage", "UPDATE claim",
		"UPDATE partition", "WITH u",
	},
	"restore": {
		"BEGIN", "COMMIT", "INSERT batch", "INSERT consent", "INSERT document", "INSERT log_entry", "INSERT log_mark",
		"INSERT log_tile", "INSERT lost", "INSERT totals", "ROLLBACK", "SELECT batch", "SELECT consent", "SELECT database",
		"SELECT document", "SELECT link", "SELECT log", "SELECT log_entry", "SELECT log_tile", "SELECT lost",
		"SELECT partition", "SELECT totals", "UPDATE link", "UPDATE log", "UPDATE partition",
	},
	"revoke": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT consent", "ROLLBACK", "SELECT document", "SELECT link",
		"SELECT partition", "UPDATE link", "UPDATE partition", "WITH u",
	},
	"rotate": {
		"INSERT partner_key", "SELECT partner_key", "UPDATE partner_key",
	},
	"seal": {
		"BEGIN", "COMMIT", "INSERT log_entry", "INSERT log_mark", "INSERT log_tile", "INSERT totals", "SELECT batch",
		"SELECT claim", "SELECT consent", "SELECT document", "SELECT log", "SELECT log_entry", "SELECT log_key",
		"SELECT log_mark", "SELECT log_tile", "SELECT lost", "SELECT partition", "SELECT totals", "UPDATE log",
	},
	"work": {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT balance", "INSERT batch", "INSERT claim", "INSERT day_total",
		"INSERT history", "INSERT slot", "INSERT testimony", "INSERT testimony_batch", "INSERT usage", "ROLLBACK",
		"SELECT claim", "SELECT document", "SELECT partition", "SELECT testimony_batch", "UPDATE partition", "WITH u",
	},
}
