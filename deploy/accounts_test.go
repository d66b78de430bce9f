package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestAccountsAreEnough: each user does the whole of its work, and uses every right that it has.
func TestAccountsAreEnough(t *testing.T) {
	b := startBroker(t, "nats/accounts.conf", passwords(t, "nats/accounts.conf"))
	wholeWork(b, "")
	unused(b)
}

// unused fails for rights that no work needed.
func unused(b *broker) {
	b.t.Helper()
	for _, u := range b.options.Users {
		done := b.trace.of(u.Username)
		if len(done) < 5 {
			b.t.Errorf("%s: only %q was seen", u.Username, done)
		}
		for _, rights := range []struct {
			verb string
			*server.SubjectPermission
		}{{"PUB ", u.Permissions.Publish}, {"SUB ", u.Permissions.Subscribe}} {
			for _, right := range rights.Allow {
				if strings.HasPrefix(right, "$JS.ACK.*.*.") {
					continue // of brokers that are set to another form of acknowledgement
				}
				if !slices.ContainsFunc(done, func(subject string) bool { return matches(rights.verb+right, subject) }) {
					b.t.Errorf("%s may %s%s and never does: take the right away, or show in wholeWork what it is for", u.Username, rights.verb, right)
				}
			}
		}
	}
}

// TestAccountsAreNotMore: what a user does not need is refused.
func TestAccountsAreNotMore(t *testing.T) {
	b := startBroker(t, "nats/accounts.conf", passwords(t, "nats/accounts.conf"))
	makesStreams := []string{
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.UPDATE.JOBS", "$JS.API.STREAM.DELETE.JOBS", "$JS.API.STREAM.DELETE.RESULTS", "$JS.API.STREAM.DELETE.DEAD", "$JS.API.STREAM.DELETE.KV_batches",
		"$JS.API.STREAM.PURGE.RESULTS", "$JS.API.STREAM.PURGE.KV_batches", "$JS.API.STREAM.PURGE.KV_attempts", "$JS.API.STREAM.PURGE.KV_models",
		"$JS.API.STREAM.MSG.DELETE.JOBS", "$JS.API.STREAM.MSG.DELETE.RESULTS", "$JS.API.STREAM.MSG.GET.KV_models", "$JS.API.STREAM.SNAPSHOT.JOBS", "$JS.API.STREAM.RESTORE.JOBS", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES",
		"$JS.API.CONSUMER.CREATE.JOBS", "$JS.API.CONSUMER.CREATE.JOBS.mine", "$JS.API.CONSUMER.CREATE.JOBS.mine.jobs.>", "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.mine",
		"$JS.API.CONSUMER.DELETE.JOBS.w-normal-sd15", "$JS.API.CONSUMER.PAUSE.JOBS.w-normal-sd15", "$JS.API.CONSUMER.DELETE.KV_batches.x", "$JS.API.INFO", "$JS.API.SERVER.REMOVE", "$SYS.REQ.SERVER.PING",
	}
	overhears := []string{">", "_INBOX.>", "_INBOX_admin.>", "jobs.>", "results.>", "dead.>", "$KV.>", "$JS.>", "$SYS.>", "$JS.EVENT.ADVISORY.>"}
	for _, c := range []struct {
		user               string
		publish, subscribe []string
	}{
		{"enqueue", append([]string{
			"results.b.0", "dead.b.0", "progress.b.0", "status.w", "$KV.attempts.b.0", "$KV.models.sd15", "$JS.API.STREAM.MSG.GET.KV_attempts", "jobs.normal.sd15", "jobs.normal.sd15.b.c", "other",
			"$JS.API.CONSUMER.MSG.NEXT.JOBS.w-normal-sd15", "$JS.ACK.JOBS.w-normal-sd15.1.1.1.1.0", "$JS.API.CONSUMER.CREATE.RESULTS", "$JS.API.CONSUMER.CREATE.RESULTS.mine", "$JS.API.CONSUMER.DURABLE.CREATE.RESULTS.mine",
		}, makesStreams...), append([]string{"_INBOX_worker.>"}, overhears...)},
		{"worker", append([]string{
			"jobs.normal.sd15.b", "jobs.high.sd15.b", "$KV.batches.b", "$KV.batches.b.0", "results.b", "other",
			"$JS.API.STREAM.PURGE.JOBS", "$JS.API.STREAM.PURGE.DEAD", "$JS.API.STREAM.MSG.DELETE.DEAD", "$JS.API.DIRECT.GET.JOBS", "$JS.API.DIRECT.GET.JOBS.jobs.normal.sd15.b", "$JS.API.STREAM.MSG.GET.JOBS", "$JS.API.STREAM.MSG.GET.RESULTS", "$JS.API.CONSUMER.LIST.JOBS",
			"$JS.API.CONSUMER.CREATE.RESULTS.mine.results.>", "$JS.API.CONSUMER.MSG.NEXT.RESULTS.mine", "$JS.API.CONSUMER.CREATE.DEAD.mine.dead.>", "$JS.API.CONSUMER.CREATE.KV_batches", "$JS.API.CONSUMER.CREATE.KV_attempts.mine.$KV.attempts.>",
		}, makesStreams...), append([]string{"_INBOX_enqueue.>", "progress.*.*", "status.*"}, overhears...)},
		{"admin", []string{"jobs.normal.sd15.b", "results.b.0", "dead.b.0", "progress.b.0", "status.w", "$KV.batches.b", "$KV.attempts.b.0", "$KV.models.sd15", "$JS.ACK.JOBS.w-normal-sd15.1.1.1.1.0", "$SYS.REQ.SERVER.PING"},
			[]string{">", "_INBOX.>", "_INBOX_worker.>", "_INBOX_enqueue.>", "jobs.>", "results.>", "dead.>", "$KV.>", "$SYS.>"}},
	} {
		t.Run(c.user, func(t *testing.T) { refused(t, b, c.user, c.publish, c.subscribe) })
	}
}

// refused holds that the broker refuses a user subjects.
func refused(t *testing.T, b *broker, user string, publish, subscribe []string) {
	t.Helper()
	nc, err := nats.Connect(b.url(user), nats.CustomInboxPrefix("_INBOX_"+user), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, try := range []struct {
		verb     string
		subjects []string
		do       func(subject string) error
	}{
		{"publish", publish, func(s string) error { return nc.Publish(s, []byte("{}")) }},
		{"subscribe", subscribe, func(s string) error { _, err := nc.SubscribeSync(s); return err }},
	} {
		for _, subject := range try.subjects {
			if err := errors.Join(try.do(subject), nc.Flush()); err != nil {
				t.Fatal(err)
			}
			// The refusal comes before the answer to the flush.
			if err := nc.LastError(); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), strconv.Quote(subject)) {
				t.Errorf("%s may %s %s: %v", user, try.verb, subject, err)
			}
		}
	}
}

// TestTenants: two queues in one account work side by side, and what a user of the one may do is refused to those of the other.
func TestTenants(t *testing.T) {
	b := startBroker(t, "nats/tenants.conf", passwords(t, "nats/tenants.conf"))
	wholeWork(b, "")
	wholeWork(b, "acme")
	unused(b)
	rights := map[string]*server.Permissions{}
	for _, u := range b.options.Users {
		rights[u.Username] = u.Permissions
	}
	if len(rights) != 5 {
		t.Fatalf("the users are %v", rights)
	}
	for _, pair := range [][2]string{{"enqueue", "acme-enqueue"}, {"enqueue", "acme-worker"}, {"worker", "acme-enqueue"}, {"worker", "acme-worker"}} {
		for _, one := range [][2]string{pair, {pair[1], pair[0]}} {
			of, user := rights[one[0]], one[1]
			refused(t, b, user, concrete(of.Publish.Allow), of.Subscribe.Allow)
		}
	}
	for user, prefix := range map[string]string{"enqueue": "", "acme-enqueue": "acme"} {
		results := must(b.connect(b.config(user, prefix)).CountResults(t.Context(), "*"))(t, "counting results")
		if results != 7 {
			t.Errorf("%s sees %d results, want the 7 of its own queue", user, results)
		}
	}
}

// concrete makes subjects of patterns: one may not publish to a wildcard.
func concrete(patterns []string) []string {
	subjects := make([]string, len(patterns))
	for i, p := range patterns {
		subjects[i] = strings.NewReplacer("*", "x", ">", "x.y").Replace(p)
	}
	return subjects
}

// TestTenantScript: acme.conf is what tenant.sh writes, and what is no prefix is refused.
func TestTenantScript(t *testing.T) {
	got, err := exec.CommandContext(t.Context(), "sh", "nats/tenant.sh", "acme").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(read(t, "nats/acme.conf")), "\n")
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run deploy/nats/tenant.sh acme (-acme.conf +now):\n%s", diff)
	}
	for _, bad := range []string{"", "a b", "a/b", "x;id"} {
		if out, err := exec.CommandContext(t.Context(), "sh", "nats/tenant.sh", bad).CombinedOutput(); err == nil || !strings.Contains(string(out), "prefix") {
			t.Errorf("%q: %v, %s", bad, err, out)
		}
	}
}

// TestNKeys: the users may have NKeys instead of passwords, as README.md says.
func TestNKeys(t *testing.T) {
	dir := t.TempDir()
	conf := string(read(t, "nats/accounts.conf"))
	seeds, env := map[string]string{}, map[string]string{}
	for _, user := range []string{"admin", "enqueue", "worker"} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToUpper(user)
		if env["STIPPLE_"+name+"_NKEY"], err = pair.PublicKey(); err != nil {
			t.Fatal(err)
		}
		seeds[user] = filepath.Join(dir, user+".nk")
		write(t, seeds[user], string(seed))
		conf = strings.Replace(conf, "user: "+user+", password: $STIPPLE_"+name+"_PASSWORD", "nkey: $STIPPLE_"+name+"_NKEY", 1)
	}
	write(t, filepath.Join(dir, "accounts.conf"), conf)
	for _, included := range []string{"nats.conf", "permissions.conf"} {
		write(t, filepath.Join(dir, included), string(read(t, filepath.Join("nats", included))))
	}
	b := startBroker(t, filepath.Join(dir, "accounts.conf"), env)
	connect := func(user string) *queue.Client {
		return b.connect(queue.Config{URL: "nats://" + b.addr, NKey: seeds[user], InboxPrefix: "_INBOX_" + user, NoAutoCreate: user != "admin", Name: user})
	}
	layout := queue.Layout{Models: []string{model}}
	must(connect("admin").Setup(t.Context(), layout))(t, "setup")
	must(connect("worker").Ensure(t.Context(), layout))(t, "the worker's look at the queue")
	must(connect("enqueue").Publish(t.Context(), queue.Message{Priority: queue.High, Job: queue.Job{BatchID: "b", Model: model}}))(t, "publishing")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAccountsTakeNobodyElse: without a user, with a wrong password or another's, nobody gets in.
func TestAccountsTakeNobodyElse(t *testing.T) {
	b := startBroker(t, "nats/accounts.conf", passwords(t, "nats/accounts.conf"))
	for _, url := range []string{"nats://" + b.addr, "nats://worker@" + b.addr, "nats://worker:@" + b.addr, "nats://worker:test-STIPPLE_ADMIN_PASSWORD@" + b.addr, "nats://root:test-STIPPLE_ADMIN_PASSWORD@" + b.addr} {
		nc, err := nats.Connect(url)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v", url, err)
		}
		if err == nil {
			nc.Close()
		}
	}
}

// TestAccountsNeedTheirPasswords: a variable that is not set stops the broker.
func TestAccountsNeedTheirPasswords(t *testing.T) {
	if _, err := server.ProcessConfigFile("nats/accounts.conf"); err == nil || !strings.Contains(err.Error(), "STIPPLE_ADMIN_PASSWORD") {
		t.Errorf("got %v", err)
	}
}

// TestWholeWorkIsWhole: what the queue learns to ask the broker for is tried with these users, too.
func TestWholeWorkIsWhole(t *testing.T) {
	work := string(read(t, "work_test.go"))
	local := []string{"Names", "Server", "Connected", "Close", "Check"} // nothing that rights could forbid
	through := map[string]string{                                       // what others call for us
		"CreateBatch": "batch.Submit", "UpdateBatch": "batch.Submit", "GetBatch": "batch.Follow", "FollowResults": "batch.Follow", "LastResult": "batch.Follow", "ChunkStored": "ResumeChunk", "Publish": "Requeue",
	}
	for method := range reflect.TypeFor[*queue.Client]().Methods() {
		name := method.Name
		if slices.Contains(local, name) {
			continue
		}
		if by, ok := through[name]; ok {
			name = by
		}
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(work) {
			t.Errorf("wholeWork does not use Client.%s: have the user do it whose work it is, and give it the right", method.Name)
		}
	}
}
