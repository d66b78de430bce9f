package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goStandIn builds a program of one line and, in the place of running the stories, prints what they are told.
const goStandIn = `case $1 in
env) printf '%s\n' go1.26 linux amd64 ;;
build)
	while [ "$1" != -o ]; do shift; done
	echo "CGO_ENABLED=${CGO_ENABLED:-} $3" >"$2"
	chmod 755 "$2"
	;;
test)
	shift
	echo "$* NATS_URL=${NATS_URL:-} AWS_ENDPOINT_URL=${AWS_ENDPOINT_URL:-} E2E_STORE=${E2E_STORE:-} E2E_COMPOSE=${E2E_COMPOSE:-}"
	[ -z "${E2E_STORE_SERVER:-}" ] || cat "$E2E_NATS_SERVER" "$E2E_STORE_SERVER"
	exit "${STORIES:-0}"
	;;
esac
`

// engineStandIn notes what it is asked, and is there as far as ENGINE says: nothing, client, or compose.
const engineStandIn = `echo "${0##*/} $*" >>"$STARTED"
case $ENGINE-$* in
client-info) echo 'cannot connect to the daemon' >&2; exit 1 ;;
client-*) exit 125 ;;
bare-compose*) exit 125 ;;
esac
exit 0
`

// storyHarness has the scripts, stand-ins for Go and for the engines named, and a log of what engines were asked.
func storyHarness(t *testing.T, engines ...string) (h harness, log string) {
	t.Helper()
	h = newHarness(t)
	h.stub(t, "go", goStandIn)
	for _, engine := range engines {
		h.stub(t, engine, engineStandIn)
	}
	for _, file := range []string{"e2e/servers/go.mod", "e2e/servers/go.sum", "e2e/servers/minio/go.mod", "e2e/servers/minio/go.sum", "deploy/servers.Dockerfile"} {
		h.write(t, filepath.Join(h.tree, file), file)
	}
	return h, filepath.Join(t.TempDir(), "started")
}

// TestStoriesInContainers: which engine is taken, and what is said where none is.
func TestStoriesInContainers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		engines []string
		env     []string
		says    string // the last line
	}{
		{"docker", []string{"docker"}, []string{"ENGINE=compose"}, "ran against containers of docker: nats-server and minio"},
		{"podman", []string{"podman"}, []string{"ENGINE=compose"}, "ran against containers of podman: nats-server and minio"},
		{"both, and podman is wanted", []string{"docker", "podman"}, []string{"ENGINE=compose", "E2E_ENGINE=podman"}, "ran against containers of podman: nats-server and minio"},
		{"no engine", nil, nil, "ran against processes, since no container engine with compose runs here: nats-server and minio"},
		{"a client without its daemon", []string{"docker"}, []string{"ENGINE=client"}, "ran against processes, since no container engine with compose runs here: nats-server and minio"},
		{"an engine without compose", []string{"docker"}, []string{"ENGINE=bare"}, "ran against processes, since no container engine with compose runs here: nats-server and minio"},
		{"an engine that is not wanted", []string{"docker"}, []string{"ENGINE=compose", "E2E_ENGINE=none"}, "ran against processes, since no container engine with compose runs here: nats-server and minio"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := storyHarness(t, tt.engines...)
			got := h.run(t, append(tt.env, "STARTED="+log), "e2e.sh", "containers", "-run", "Once")
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			if got.code != 0 || !strings.HasSuffix(lines[len(lines)-1], tt.says) {
				t.Errorf("exit status %d\n%s", got.code, got.stderr)
			}
			if !strings.HasPrefix(got.stdout, "-count=1 -run Once ./e2e ") {
				t.Errorf("the stories were run as %q", got.stdout)
			}
			inContainers := strings.Contains(tt.says, "containers of")
			want := "NATS_URL=nats://127.0.0.1:4222 AWS_ENDPOINT_URL=http://127.0.0.1:9000 E2E_STORE=containers E2E_COMPOSE=" + strings.Join(tt.engines[max(0, len(tt.engines)-1):], "") +
				" compose --project-name stipple-e2e --file " + h.tree + "/deploy/e2e.compose.yaml"
			if !inContainers {
				want = "NATS_URL= AWS_ENDPOINT_URL= E2E_STORE=minio E2E_COMPOSE=\nCGO_ENABLED= github.com/nats-io/nats-server/v2\nCGO_ENABLED= github.com/minio/minio"
			}
			if !strings.Contains(got.stdout, want) {
				t.Errorf("the stories are told\n%s\nwant\n%s", got.stdout, want)
			}
			if inContainers {
				checkContext(t, h)
			}
		})
	}
}

// checkContext holds what the images are made of: static programs, and empty folders.
func checkContext(t *testing.T, h harness) {
	t.Helper()
	for file, want := range map[string]string{
		"nats-server": "CGO_ENABLED=0 github.com/nats-io/nats-server/v2\n", "minio": "CGO_ENABLED=0 github.com/minio/minio\n", "servers.Dockerfile": "deploy/servers.Dockerfile",
	} {
		got, err := os.ReadFile(filepath.Join(h.cache, "e2e-servers", file))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
	for _, folder := range []string{"data", "tmp"} {
		if entries, err := os.ReadDir(filepath.Join(h.cache, "e2e-servers", folder)); err != nil || len(entries) != 0 {
			t.Errorf("%s has %d entries, %v", folder, len(entries), err)
		}
	}
}

// TestStoriesTidyUp: the containers are taken down, whether the stories pass or not, and a failure stays one.
func TestStoriesTidyUp(t *testing.T) {
	for _, status := range []string{"0", "1"} {
		h, log := storyHarness(t, "docker")
		got := h.run(t, []string{"ENGINE=compose", "STARTED=" + log, "STORIES=" + status}, "e2e.sh", "containers")
		if (got.code == 0) != (status == "0") || strings.Contains(got.stderr, "ran against") != (status == "0") {
			t.Errorf("stories that end with %s: exit status %d\n%s", status, got.code, got.stderr)
		}
		asked, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		compose := "docker compose --project-name stipple-e2e --file " + h.tree + "/deploy/e2e.compose.yaml "
		if want := "docker info\ndocker compose version\n" + compose + "up --build --detach\n" + compose + "down --volumes --remove-orphans\n"; string(asked) != want {
			t.Errorf("docker was asked\n%s\nwant\n%s", asked, want)
		}
	}
}

// TestStoriesWantAnEngine: an engine that is wanted and not there is a failure, not another run.
func TestStoriesWantAnEngine(t *testing.T) {
	h, log := storyHarness(t, "docker")
	h.run(t, []string{"ENGINE=client", "STARTED=" + log, "E2E_ENGINE=docker"}, "e2e.sh", "containers").fails(t, "E2E_ENGINE is docker", "start it")
	h.run(t, []string{"ENGINE=compose", "STARTED=" + log, "E2E_ENGINE=podman"}, "e2e.sh", "containers").fails(t, "E2E_ENGINE is podman")
	h.run(t, []string{"STARTED=" + log, "E2E_ENGINE=lxc"}, "e2e.sh", "containers").fails(t, "known are docker, podman and none")
	h.run(t, nil, "e2e.sh", "floppy").fails(t, "unknown store floppy")
}
